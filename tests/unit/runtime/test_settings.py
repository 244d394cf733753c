"""Settings: one precedence, and no mistake passes in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.secret_files import read_secret
from streams.engine.kafka.settings import LOCKED
from streams.runtime.settings import load_settings
from streams.runtime.wiring import kafka_settings, with_session_timeout
from topics import load_catalogue
from topics.errors import EXIT_CONFIG, OperatorError


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "cimstream.toml"
    file.write_text(text)
    return file


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load_settings()

    assert settings.worker.workers == 1
    assert settings.http.host == "127.0.0.1"


def test_the_file_wins_over_defaults_the_environment_over_it_the_command_line_over_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "[worker]\nworkers = 2\ncommit_interval_ms = 7\npoll_timeout_ms = 8\n")
    monkeypatch.setenv("CIMSTREAM__WORKER__WORKERS", "3")
    monkeypatch.setenv("CIMSTREAM__WORKER__COMMIT_INTERVAL_MS", "9")

    worker = load_settings(worker={"workers": 4, "first_slot": None}).worker

    assert (worker.workers, worker.commit_interval_ms, worker.poll_timeout_ms) == (4, 9, 8)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[worker]\nworker = 2\n", "worker.worker"),
        ("[workers]\nworkers = 2\n", "workers"),
        ("[worker]\nworkers = 0\n", "worker.workers"),
        ("[kafka]\nsession_timeout_ms = 'soon'\n", "kafka.session_timeout_ms"),
        ("[worker\n", "TOML"),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    write(tmp_path, text)

    with pytest.raises(OperatorError) as caught:
        load_settings()

    assert caught.value.exit_code == EXIT_CONFIG
    assert key in caught.value.what
    assert "cimstream.toml" in caught.value.where


def test_an_unknown_key_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path, "[worker]\ncommit_intervl_ms = 2\n")

    with pytest.raises(OperatorError) as caught:
        load_settings()

    assert "worker.commit_interval_ms" in caught.value.fix


@pytest.mark.parametrize(
    "variable", ["CIMSTREAM__KAFKAA", "CIMSTREAM__WORKER__WORKRES", "CIMSTREAM__X__Y"]
)
def test_a_variable_that_names_no_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")

    with pytest.raises(OperatorError) as caught:
        load_settings()

    assert caught.value.where == variable


@pytest.mark.parametrize("key", sorted(LOCKED))
def test_what_exactly_once_rests_on_cannot_be_set(tmp_path: Path, key: str) -> None:
    write(tmp_path, f'[kafka.properties]\n"{key}" = "x"\n')

    with pytest.raises(OperatorError, match="exactly-once"):
        load_settings()


def test_a_named_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        load_settings(tmp_path / "other.toml")

    assert caught.value.code == "config_missing"


@pytest.mark.parametrize(
    ("chosen_ms", "allowed_ms", "used_ms"),
    [
        (None, 6_000, 6_000),
        (None, 3_000, 3_000),
        (None, 10, 2_000),  # shorter than a busy machine's hiccup
        (None, None, 6_000),  # the broker does not say: what one with default settings allows
        (20_000, 3_000, 20_000),
    ],
)
def test_the_session_is_the_shortest_the_brokers_allow_unless_one_was_chosen(
    chosen_ms: int | None, allowed_ms: int | None, used_ms: int
) -> None:
    settings = load_settings(kafka={"session_timeout_ms": chosen_ms})
    settled = with_session_timeout(settings, allowed_ms)
    assert kafka_settings(settled, "b:9092", load_catalogue()).session_timeout_ms == used_ms


def test_a_secret_is_no_value_of_a_setting_but_the_name_of_a_file(tmp_path: Path) -> None:
    write(tmp_path, '[kafka.properties]\n"sasl.password" = "hunter2"\n')
    with pytest.raises(OperatorError) as refusal:
        load_settings(tmp_path / "cimstream.toml")
    assert "secret_files" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    write(tmp_path, '[kafka.secret_files]\n"sasl.username" = "a"\n')
    with pytest.raises(OperatorError, match="no secret"):
        load_settings(tmp_path / "cimstream.toml")


def test_a_secret_is_read_from_its_file_and_shown_in_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n", encoding="utf-8")
    secret.chmod(0o600)
    write(tmp_path, f'[kafka.secret_files]\n"sasl.password" = "{secret}"\n')
    settings = load_settings(tmp_path / "cimstream.toml")
    kafka = kafka_settings(settings, "broker:9092", load_catalogue())
    assert kafka.extra["sasl.password"] == "hunter2"
    assert "hunter2" not in f"{settings!r}{kafka!r}{settings.model_dump_json()}"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o666])
def test_a_secret_that_others_could_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2", encoding="utf-8")
    secret.chmod(mode)
    with pytest.raises(OperatorError, match="secret_unsafe"):
        read_secret(secret, "kafka.secret_files sasl.password")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfehunter2", b"x" * 70_000])
def test_a_file_that_is_no_secret_is_refused_without_a_word_of_it(
    tmp_path: Path, content: bytes
) -> None:
    secret = tmp_path / "password"
    secret.write_bytes(content)
    secret.chmod(0o600)
    with pytest.raises(OperatorError, match="secret_unreadable") as refusal:
        read_secret(secret, "kafka.secret_files sasl.password")
    assert "hunter2" not in str(refusal.value)
    assert "xff" not in str(refusal.value)


@pytest.mark.parametrize("principal", ["User:*", "gateway", ":x", "User:"])
def test_a_role_of_everybody_or_nobody_is_no_role(tmp_path: Path, principal: str) -> None:
    write(tmp_path, f'[acls.principals]\ngateway = ["{principal}"]\n')
    with pytest.raises(OperatorError, match="config_invalid"):
        load_settings(tmp_path / "cimstream.toml")
