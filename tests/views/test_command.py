"""`cimstream view` as a person uses it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streams.views.reading import SqlReader
from streams.views.sqlite import SqliteDatabase
from streams.views.writing import SqlWriter
from tests.integration.data_rig import Done, cimstream, lines
from tests.integration.service import PATIENCE_S
from tests.integration.test_registers import outage as outage_message
from tests.integration.test_registers import send
from tests.integration.test_run import Run, make_run, new_source
from tests.views.rig import OUTAGES, READINGS, Bench, named, outage, series
from topics.errors import EXIT_FAILED

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A view with an outage and a series in it."""
    path = tmp_path / "view.sqlite"
    subject = Bench(SqliteDatabase(path, write=True), SqliteDatabase(path, write=True), now())
    names = [named("Mill Lane 4")]
    subject.add(OUTAGES, "outage-0001", outage("outage-0001", names=names, cause="a tree"))
    subject.add(OUTAGES, "outage-0002", outage("outage-0002"))
    subject.add(READINGS, "meter-0001", series([1.0, 2.0], meter={"mRID": "meter-0001"}), at=now())
    with closing(subject.writer), closing(subject.reader):
        return path


def now() -> int:
    return time.time_ns() // 1_000_000


def view(file: Path, *arguments: str) -> Done:
    """Run `cimstream view`; asking needs no broker."""
    first, *others = arguments
    return cimstream(NOWHERE, "view", first, "--database", file, *others)


def test_query_masks_whom_data_are_about_unless_asked(file: Path) -> None:
    asked = ("query", "Outages", "--mrid", "outage-0001", "-o", "json")
    masked, told = lines(view(file, *asked))
    text = json.dumps(masked)
    assert "outage-0001" not in text
    assert "Mill Lane" not in text
    assert "a tree" in text
    assert (told["code"], told["rows"], told["cursor"]) == ("0.0", 1, None)


def test_nothing_is_unmasked_before_it_is_on_record(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("query", "Outages", "--mrid", "outage-0001", "-o", "json", "--unmask")
    monkeypatch.setattr("streams.cli.unmasking._WITHIN_S", 1.0)
    refused = view(file, *asked)
    assert (refused.returncode, refused.stdout) == (EXIT_FAILED, b"")
    assert b"unmask_refused" in refused.stderr
    recorded: list[tuple[object, ...]] = []
    monkeypatch.setattr("streams.cli.view.record_unmasking", lambda _, *what: recorded.append(what))
    shown, _ = lines(view(file, *asked))
    assert recorded == [("view query", "Outages")]
    assert shown["key"] == "outage-0001"
    assert "Mill Lane 4" in json.dumps(shown)


def test_query_gives_pages_and_which_values_of_a_series_answer(file: Path) -> None:
    _, told = lines(view(file, "query", "Outages", "-n", "1", "-o", "json"))
    assert told["code"] == "0.1"
    row, told = lines(
        view(file, "query", "Outages", "-n", "1", "--cursor", str(told["cursor"]), "-o", "json")
    )
    assert (row["revision"], told["cursor"]) == (1, None)
    row, told = lines(
        view(file, "query", "MeterReadings", "--mrid", "meter-0001", "-o", "json")
    )  # fmt: skip
    assert row["chosen"] == [0, 1]
    assert [gap["gap"] for gap in told["gaps"]] == ["window"]  # type: ignore[attr-defined]


def test_query_and_status_tell_people_in_words(file: Path) -> None:
    said = view(file, "query", "MeterReadings", "--mrid", "meter-0001").stdout.decode()
    assert "2 readings every 15 min" in said
    assert "code 0.2; the view keeps histories from a time on" in said
    status = view(file, "status").stdout.decode()
    assert "Outages" in status
    assert "histories from" in status


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("query", "Nothing"), "noun_unknown"),
        (("query", "MeterReadings"), "criteria_too_wide"),
        (("query", "Outages", "--cursor", "x"), "cursor_invalid"),
        (("query", "Outages", "--since", "soon"), "time_invalid"),
        (("rebuild",), "not_confirmed"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_code(
    file: Path, arguments: tuple[str, ...], code: str
) -> None:
    done = view(file, *arguments)
    assert done.returncode in (1, 2)
    assert code in done.stderr.decode()


def test_a_view_that_is_followed_is_not_built_anew_under_its_follower(file: Path) -> None:
    with closing(SqlWriter(SqliteDatabase(file, write=True))) as writer:
        writer.take()
        writer.note({}, now())
    done = view(file, "rebuild", "--yes")
    assert (done.returncode, "view_followed" in done.stderr.decode()) == (1, True)


def test_without_a_broker_nothing_is_followed_or_thrown_away(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.runtime.reading._HELLO_S", 0.2)
    for arguments in (("follow",), ("rebuild", "--yes")):
        assert view(file, *arguments).returncode == 69
    with closing(SqlReader(SqliteDatabase(file, write=False))) as reader:
        assert reader.status().rows["PRODUCTION", "Outages"] == 2


def test_a_noun_that_no_view_can_keep_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIMSTREAM__VIEWS__NOUNS", '["Outages", "Weather"]')
    done = view(file, "query", "Outages")
    assert (done.returncode, "Weather" in done.stderr.decode()) == (2, True)


@pytest.fixture
def run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `cimstream run`; whatever still runs at the end is killed."""
    yield from make_run(kafka, tmp_path)


@pytest.mark.integration
def test_a_run_keeps_the_view_up_and_goes_on_when_its_follower_is_replaced(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    """From a message to the answer; then another follower takes the view, and intake goes on."""
    file, source = tmp_path / "view.sqlite", new_source()
    variables = {
        "CIMSTREAM__VIEWS__FOLLOW": "true",
        "CIMSTREAM__VIEWS__DATABASE": str(file),
        "CIMSTREAM__VIEWS__NOUNS": '["Outages"]',
        "CIMSTREAM__VIEWS__HTTP_PORT": "0",
    }
    subject = run("--interface", "I1", **variables)
    subject.await_event("view opened")
    send(kafka, tmp_path, [outage_message(source, 1, "tree", "create")], "I1")
    send(kafka, tmp_path, [outage_message(source, 1, "storm", "change")], "I1")
    awaited(file, f"{source}-1", 2)

    with closing(SqlWriter(SqliteDatabase(file, write=True))) as other:
        other.take()
        subject.await_event("place taken by another process")
    send(kafka, tmp_path, [outage_message(source, 1, "wind", "close")], "I1")
    awaited(
        file,
        f"{source}-1",
        3,
        meanwhile=lambda: cimstream(kafka, "view", "follow", "--once", "--database", file),
    )
    assert subject.end() == 0


def awaited(
    file: Path, mrid: str, revision: int, meanwhile: Callable[[], object] = lambda: None
) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        meanwhile()
        rows = lines(view(file, "query", "Outages", "--mrid", mrid, "-o", "json"))
        if [row.get("revision") for row in rows[:-1]] == [revision]:
            return
        assert time.monotonic() < deadline, rows
        time.sleep(0.2)
