"""What both databases promise: one follower, one version, a window, moments to read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from streams.engine.errors import FencedError
from streams.engine.record import TopicPartition
from streams.runtime.settings import Views
from streams.runtime.views import open_database
from streams.views.follow import changes
from streams.views.model import DAY_MS, Subject
from streams.views.reading import SqlReader
from streams.views.sqlite import SqliteDatabase
from streams.views.store import Batch, Position
from streams.views.tables import TRIMMED, Database, set_meta
from streams.views.writing import SqlWriter
from tests.views.rig import (
    ALARMS,
    LOGS,
    MIDNIGHT,
    OUTAGES,
    READINGS,
    Bench,
    Silent,
    alarm,
    outage,
    record,
    series,
)
from topics.errors import OperatorError

Open = Callable[..., Database]
AT = TopicPartition(OUTAGES, 0)
BEGUN = {AT: Position("id", 0, 0, 0)}


def batch(offset: int, key: str, value: bytes | None, topic: str = OUTAGES) -> Batch:
    moved = {TopicPartition(topic, 0): offset + 1}
    return changes([record(topic, offset, key, value)], moved, LOGS, 0, Silent())


def test_a_second_follower_takes_the_view_and_the_first_writes_nothing_more(connect: Open) -> None:
    first, second = SqlWriter(connect()), SqlWriter(connect())
    first.take()
    first.begin(BEGUN)
    first.apply(batch(0, "o-1", outage("o-1")))
    second.take()
    writes: list[Callable[[], object]] = [
        lambda: first.apply(batch(1, "o-2", outage("o-2"))),
        lambda: first.begin(BEGUN),
        lambda: first.note({AT: 9}, 9),
        lambda: first.trim(9, 9),
        lambda: first.forget_register(OUTAGES, "PRODUCTION", "Outages"),
    ]
    for write in writes:
        with pytest.raises(FencedError):
            write()
    assert second.positions() == {AT: Position("id", 1, 0, 0)}
    assert second.floor_ms() == 0
    second.apply(batch(1, "o-2", outage("o-2")))
    assert second.positions()[AT].next == 2


def test_a_batch_that_fails_leaves_neither_rows_nor_positions(connect: Open) -> None:
    writer = SqlWriter(connect())
    writer.take()
    writer.begin(BEGUN)
    bad = batch(0, "o-1", outage("o-1"))
    bad.subjects.add(Subject("PRODUCTION", "name", "x", None, 1))  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"(?i)null"):
        writer.apply(bad)
    assert writer.positions() == BEGUN
    writer.apply(batch(0, "o-1", outage("o-1")))


def test_a_question_sees_one_moment_of_the_view(bench: Bench) -> None:
    bench.add(OUTAGES, "o-1", outage("o-1"))
    with bench.reader.snapshot():
        before = bench.reader.positions()
        bench.add(OUTAGES, "o-2", outage("o-2"))
        assert bench.reader.positions() == before
    assert bench.reader.positions() != before


def test_only_logs_that_were_read_to_their_ends_are_noted_as_caught_up(connect: Open) -> None:
    other = TopicPartition(ALARMS, 0)
    foreign = TopicPartition("cim.not.followed", 0)
    writer = SqlWriter(connect())
    writer.take()
    writer.begin({at: Position("id", 5, 5, 7) for at in (AT, other, foreign)})
    writer.note({AT: 5, other: 6}, 1_000)
    assert writer.positions() == {
        AT: Position("id", 5, 5, 7, 1_000),
        other: Position("id", 5, 6, 7),
        foreign: Position("id", 5, 5, 7),
    }


def test_rows_below_the_floor_are_gone_at_once_and_leave_in_small_steps(bench: Bench) -> None:
    old, young = MIDNIGHT - DAY_MS, MIDNIGHT
    for number in range(5):
        mrid = f"up-{number}"
        bench.add(READINGS, mrid, series([1.0], usage_point={"mRID": mrid}), at=old)
        bench.add(ALARMS, f"a-{number}", alarm(f"a-{number}", MIDNIGHT), at=old)
    named = {"mRID": "up-0", "names": [{"name": "x", "type": None, "authority": None}]}
    bench.add(READINGS, "up-0", series([1.0], usage_point=named), at=old)
    bench.add(READINGS, "up-9", series([2.0], usage_point={"mRID": "up-9"}), at=young)
    bench.add(OUTAGES, "o-1", outage("o-1"), at=old)

    # 5 readings, 5 alarms with two terms each, and a name; two of each table at a time.
    assert bench.writer.trim(young, 2) == 7
    assert bench.keys("Alarms") == []
    assert bench.values(mrids=("up-1",)) == []
    assert bench.values(mrids=("up-9",)) == [2.0]
    removed = 7
    while count := bench.writer.trim(young, 2):
        removed += count
    assert removed == 5 + 5 + 10 + 1
    assert bench.reader.status().rows == {
        ("PRODUCTION", "MeterReadings"): 1,
        ("PRODUCTION", "Outages"): 1,
    }
    assert bench.reader.subject_keys("PRODUCTION", "name", ["x"]) == []


def test_a_register_that_is_forgotten_takes_its_terms_and_positions_along(bench: Bench) -> None:
    training = OUTAGES.replace("cim.", "cim.training.")
    bench.add(OUTAGES, "o-1", outage("o-1"))
    bench.add(training, "o-1", outage("o-1"))
    bench.writer.forget_register(OUTAGES, "PRODUCTION", "Outages")
    assert bench.keys("Outages", mrids=("o-1",)) == []
    assert bench.keys("Outages", context="TRAINING") == ["o-1"]
    assert AT not in bench.writer.positions()


def test_a_view_of_another_version_is_refused_until_it_is_built_anew(connect: Open) -> None:
    writer = SqlWriter(connect())
    writer.take()
    writer.begin(BEGUN)
    database = connect()
    with database.transaction(write=True):
        set_meta(database, "version", 0)
    for open_ in (lambda: SqlWriter(connect()), lambda: SqlReader(connect(write=False))):
        with pytest.raises(OperatorError) as caught:
            open_()
        assert caught.value.code == "view_version"

    anew = SqlWriter(connect(), anew=True)
    anew.take()
    assert anew.positions() == {}
    with pytest.raises(FencedError):
        writer.note({AT: 1}, 1)


def test_a_view_that_was_never_built_is_missing(database_url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        SqlReader(open_database(Views(database=database_url), write=False))
    assert caught.value.code == "view_missing"


def test_every_table_that_is_trimmed_finds_old_rows_by_an_index(tmp_path: Path) -> None:
    """Otherwise each step would read the whole table."""
    database = SqliteDatabase(tmp_path / "view", write=True)
    with closing(SqlWriter(database)):
        for table in TRIMMED:
            wanted = f"SELECT rowid FROM {table} WHERE appended_ms < 1"  # noqa: S608
            (step,) = database.execute(f"EXPLAIN QUERY PLAN {wanted}")
            assert f"{table}_age" in step[3]


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds data about persons."""
    with closing(SqlWriter(SqliteDatabase(tmp_path / "view", write=True))):
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_database_that_does_not_answer_is_said_to_be_unavailable() -> None:
    for database in ("/dev/null/view", "postgresql://cimstream@/x?host=/nowhere"):
        with pytest.raises(OperatorError) as caught:
            SqlWriter(open_database(Views(database=database), write=True))
        assert caught.value.code == "view_unavailable"


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/d", "postgres://h/d?password=hunter2"])
def test_a_password_in_the_settings_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        open_database(Views(database=url), write=True)
    assert caught.value.code == "config_invalid"
    assert "hunter2" not in f"{caught.value} {caught.value.fix}"
