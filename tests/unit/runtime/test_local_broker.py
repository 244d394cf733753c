"""The local broker's refusals, and the care it takes of processes and folders not its own.

No broker is started here; tests/integration/test_broker.py does that.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.runtime import broker
from streams.runtime.broker import BrokerSettings
from streams.runtime.kafka import container, jars, launch, process
from streams.runtime.kafka.errors import BrokerError
from topics.errors import EXIT_UNAVAILABLE
from topics.provision import ProvisionError

TOKEN = "cimstream.broker=0123456789abcdef"
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def settings(tmp_path: Path, port: int = 0) -> BrokerSettings:
    return BrokerSettings(tmp_path / "broker", port=port, cache_folder=tmp_path / "cache")


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without Java and Maven; programs put into the folder given are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for variable in ("JAVA_HOME", "MAVEN_HOME", broker.BOOTSTRAP_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(container, "engine_answers", lambda: False)
    return folder


def refusal(tmp_path: Path, port: int = 0) -> BrokerError:
    with pytest.raises(BrokerError) as caught, broker.broker_for(settings(tmp_path, port)):
        pass
    assert caught.value.exit_code == EXIT_UNAVAILABLE
    return caught.value


# --- what is missing ----------------------------------------------------------------------------


def test_without_java_the_message_names_the_three_ways_out(
    bare_machine: Path, tmp_path: Path
) -> None:
    error = refusal(tmp_path)
    assert error.code == "java_missing"
    assert all(way in error.fix for way in ("CIMSTREAM_BOOTSTRAP", "Docker", "Maven"))


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_392", "8"), ("11.0.21", "11"), ("16", "16")]
)
def test_a_java_that_is_too_old_is_named_with_its_version(
    bare_machine: Path, tmp_path: Path, version: str, major: str
) -> None:
    java = program(bare_machine, "java", f"echo 'openjdk version \"{version}\"' >&2")
    error = refusal(tmp_path)
    assert (error.code, error.where) == ("java_too_old", str(java))
    assert error.why == f"this is Java {major}"


def test_without_maven_and_without_cached_jars_the_message_says_so(
    bare_machine: Path, tmp_path: Path
) -> None:
    program(bare_machine, "java", "echo 'openjdk version \"21.0.2\"' >&2")
    assert refusal(tmp_path).code == "maven_missing"


def test_a_maven_that_fails_is_quoted_and_leaves_no_half_cache(
    bare_machine: Path, tmp_path: Path
) -> None:
    program(bare_machine, "java", "echo 'openjdk version \"17\"' >&2")
    program(bare_machine, "mvn", "echo '[ERROR] Could not transfer artifact'; exit 1")
    error = refusal(tmp_path)
    assert (error.code, error.why) == ("jars_unavailable", "Could not transfer artifact")
    assert list((tmp_path / "cache").iterdir()) == []


def test_java_home_comes_before_the_path(bare_machine: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    program(bare_machine, "java", "exit 1")
    chosen = program(tmp_path / "jdk" / "bin", "java", "exit 1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert jars.find_java() == chosen


def test_a_broker_that_was_named_but_does_not_answer_is_not_replaced_by_another(
    tmp_path: Path,
) -> None:
    environment = {broker.BOOTSTRAP_VARIABLE: "127.0.0.1:1"}
    with (
        pytest.raises(ProvisionError, match="broker_unavailable"),
        broker.broker_for(settings(tmp_path), environment),
    ):
        pass


# --- ports --------------------------------------------------------------------------------------


def test_a_port_that_another_program_uses_is_refused_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerError) as caught:
            launch.free_port(port)
    assert caught.value.code == "port_in_use"
    assert f"port {port}" in caught.value.what
    assert "--port 0" in caught.value.fix


# --- processes ----------------------------------------------------------------------------------


@contextmanager
def stranger() -> Iterator[int]:
    with subprocess.Popen(SLEEPER) as other:
        try:
            yield other.pid
        finally:
            other.kill()


def write_state(settings_: BrokerSettings, pid: int) -> None:
    settings_.data_folder.mkdir(parents=True)
    (settings_.data_folder / "cimstream-broker.lock").touch()
    state = {"pid": pid, "token": TOKEN, "port": 19092, "version": "4.3.1"}
    (settings_.data_folder / "cimstream-broker.json").write_text(json.dumps(state), "utf-8")


def test_a_process_that_took_over_a_dead_brokers_id_is_neither_seen_nor_ended(
    tmp_path: Path,
) -> None:
    mine = settings(tmp_path)
    with stranger() as pid:
        write_state(mine, pid)
        assert broker.status(mine) is None
        assert broker.down(mine) is None
        assert process.is_ours(pid, "time.sleep")
    assert not mine.data_folder.exists()


def test_a_spawned_process_is_known_by_its_token_and_ends_with_its_children(
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    script = "sleep 60 & echo $!; wait"
    pid = process.spawn(["/bin/sh", "-c", script, TOKEN], TOKEN, output)
    assert process.is_ours(pid, TOKEN)
    assert not process.is_ours(pid, "cimstream.broker=other")
    while not output.read_text("utf-8").endswith("\n"):
        assert process.is_ours(pid, TOKEN)
    child = int(output.read_text("utf-8"))
    assert process.end(pid, TOKEN, orderly=True)
    assert not process.is_ours(pid, TOKEN)
    deadline = time.monotonic() + 10
    while process.is_ours(child, "sleep"):
        assert time.monotonic() < deadline, "the signal did not reach the child"
        time.sleep(0.01)


def test_a_program_that_ends_at_once_does_not_hold_up_its_start(tmp_path: Path) -> None:
    pid = process.spawn(["/bin/sh", "-c", "exit 3", TOKEN], TOKEN, tmp_path / "out")
    assert process.end(pid, TOKEN, orderly=False)


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_with_files_of_others_is_neither_used_nor_removed(tmp_path: Path) -> None:
    mine = settings(tmp_path)
    mine.data_folder.mkdir()
    (mine.data_folder / "thesis.tex").touch()
    for act in (broker.up, broker.down):
        with pytest.raises(BrokerError, match="folder_foreign"):
            act(mine)
    assert (mine.data_folder / "thesis.tex").exists()


def test_down_without_a_broker_does_nothing(tmp_path: Path) -> None:
    assert broker.down(settings(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_state_that_was_cut_off_counts_as_no_broker(tmp_path: Path) -> None:
    mine = settings(tmp_path)
    write_state(mine, 1)
    (mine.data_folder / "cimstream-broker.json").write_text('{"pid": 1', "utf-8")
    assert broker.status(mine) is None


# --- templates ----------------------------------------------------------------------------------


def test_the_local_broker_listens_on_the_loopback_only() -> None:
    properties = launch.server_properties()
    for key in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        hosts = [part.rpartition(":")[0] for part in properties[key].split(",")]
        assert all(host.endswith("127.0.0.1") for host in hosts), key


def test_the_container_gets_the_local_brokers_settings_and_advertises_the_loopback() -> None:
    environment = container.container_settings(launch.server_properties(), 23456)
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "CLIENTS://127.0.0.1:23456"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"] == "1"
    assert not any("{" in value for value in environment.values())
