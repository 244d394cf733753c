"""Which offsets a replay goes over, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from streams.engine.record import Record, TopicPartition
from streams.runtime.reading import Range, TopicReader
from streams.runtime.replay import (
    Plan,
    Wanted,
    again,
    require_logs_kept,
    require_topics,
    resolve,
)
from topics import load_catalogue
from topics.errors import OperatorError

CATALOGUE = load_catalogue()
DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS
A, B = (TopicPartition("cim.i7.inbound", partition) for partition in range(2))


@dataclass
class Log:
    """Two partitions with a record every hour, and how far intake is."""

    kept: Mapping[TopicPartition, Range] = field(
        default_factory=lambda: {A: Range(0, 1000), B: Range(0, 1000)}
    )
    done: Mapping[TopicPartition, int] = field(default_factory=lambda: {A: 1000, B: 1000})
    names: tuple[str, ...] = ("cim.i7.inbound", "cim.replay.runs.changelog", "cim.audit")

    @property
    def reader(self) -> TopicReader:
        return cast(TopicReader, self)

    def topics(self) -> dict[str, tuple[TopicPartition, ...]]:
        return dict.fromkeys(self.names, (A, B))

    def bounds(self, partitions: object) -> Mapping[TopicPartition, Range]:
        return self.kept

    def group_offsets(self, group: str, partitions: object) -> Mapping[TopicPartition, int]:
        assert group == "intake"
        return self.done

    def starts_at(
        self, ranges: Mapping[TopicPartition, Range], time_ms: int
    ) -> dict[TopicPartition, Range]:
        return {
            at: Range(min(max(span.start, offset_at(time_ms)), span.end), span.end)
            for at, span in ranges.items()
        }

    def records(self, ranges: Mapping[TopicPartition, Range]) -> Iterator[Record]:
        for at, span in ranges.items():
            for offset in range(span.start, span.end):
                yield Record(*at, offset, time_at(offset), None, b"", ())


HOUR_MS = 3_600_000


def time_at(offset: int) -> int:
    return NOW_MS + (offset - 1000) * HOUR_MS


def offset_at(time_ms: int) -> int:
    return -(-(time_ms - NOW_MS) // HOUR_MS) + 1000


def resolved(log: Log, **wanted: object) -> Plan:
    return resolve(log.reader, CATALOGUE, Wanted("I7", **wanted))  # type: ignore[arg-type]


def refused(log: Log, **wanted: object) -> OperatorError:
    with pytest.raises(OperatorError) as raised:
        resolved(log, **wanted)
    return raised.value


def test_a_time_begins_every_partition_and_the_horizon_before_it_is_read_too() -> None:
    plan = resolved(Log(), since_ms=time_at(900))
    assert plan.ranges == {A: Range(900, 1000), B: Range(900, 1000)}
    assert plan.before == {A: Range(900 - 7 * 24, 900), B: Range(900 - 7 * 24, 900)}
    assert (plan.first_ms, plan.notes) == (time_at(900), ())


def test_places_begin_the_partitions_they_name_and_no_other() -> None:
    assert resolved(Log(), places={B: 950}).ranges == {B: Range(950, 1000)}


def test_the_horizon_is_that_before_the_earliest_partition() -> None:
    plan = resolved(Log(), places={A: 400, B: 900})
    assert plan.before == {A: Range(400 - 7 * 24, 400), B: Range(400 - 7 * 24, 900)}


def test_a_range_ends_before_its_end_time() -> None:
    plan = resolved(Log(), since_ms=time_at(900), until_ms=time_at(910))
    assert plan.ranges[A] == Range(900, 910)
    assert plan.notes == ()


def test_what_intake_has_not_done_is_left_out_and_said() -> None:
    plan = resolved(Log(done={A: 950}), since_ms=time_at(900))
    assert plan.ranges == {A: Range(900, 950)}
    assert [note.split(":")[0] for note in plan.notes] == [str(A), str(B)]
    assert all("still intake's work" in note for note in plan.notes)


def test_nothing_is_said_of_intake_where_the_range_ends_before_it() -> None:
    plan = resolved(Log(done={A: 950, B: 950}), since_ms=time_at(900), until_ms=time_at(910))
    assert plan.notes == ()


@pytest.mark.parametrize("wanted", [{"since_ms": time_at(100)}, {"places": {A: 100, B: 100}}])
def test_a_beginning_that_retention_has_removed_is_said(wanted: dict[str, object]) -> None:
    log = Log({A: Range(500, 1000), B: Range(0, 1000)})
    plan = resolved(log, **wanted)
    assert plan.ranges == {A: Range(500, 1000), B: Range(100, 1000)}
    assert plan.notes[0] == f"{A} begins at 500: what lay before it, retention has removed"
    assert "not all of the 7 days before the range is kept" in plan.notes[1]


@pytest.mark.parametrize("offset", [1000, 1001])
def test_an_offset_past_the_end_is_refused(offset: int) -> None:
    error = refused(Log(), places={A: offset})
    assert (error.code, error.exit_code) == ("offset_past_end", 2)
    assert "ends at 1000" in error.why


def test_a_partition_that_is_not_there_is_refused() -> None:
    error = refused(Log(), places={TopicPartition("cim.i7.inbound", 7): 0})
    assert (error.code, error.exit_code) == ("place_foreign", 2)


@pytest.mark.parametrize(
    "wanted",
    [
        {"since_ms": time_at(2000)},
        {"since_ms": time_at(900), "until_ms": time_at(800)},
        {"places": {A: 960, B: 960}},
        {"places": {A: 980}, "until_ms": time_at(990)},
    ],
)
def test_a_range_without_records_is_refused_with_the_reason(wanted: dict[str, object]) -> None:
    error = refused(Log(done={A: 950}), **wanted)
    assert (error.code, error.exit_code) == ("range_empty", 1)
    assert ("places" in wanted) == ("still intake's work" in error.why)


def test_a_range_settled_before_is_the_same_again_and_what_is_gone_is_said() -> None:
    settled = {A: Range(400, 410), B: Range(400, 410)}
    plan = again(Log({A: Range(405, 1000), B: Range(0, 1000)}).reader, CATALOGUE, "I7", settled)
    assert plan.ranges == settled
    assert str(A) in plan.notes[0]


@pytest.mark.parametrize("missing", range(3))
def test_a_topic_that_is_missing_is_refused(missing: int) -> None:
    names = Log().names
    log = Log(names=names[:missing] + names[missing + 1 :])
    with pytest.raises(OperatorError) as raised:
        require_topics(log.reader, "I7")
    assert raised.value.code == "topic_missing"
    assert names[missing] in raised.value.what


def test_a_log_that_forgets_earlier_than_inbound_is_not_mended() -> None:
    plan = resolved(Log(), since_ms=time_at(900))
    (log,) = [spec for spec in CATALOGUE.topics() if spec.name == "cim.i7.meter-readings"]
    require_logs_kept(plan, [log], plan.first_ms + 400 * DAY_MS - 1)
    with pytest.raises(OperatorError) as raised:
        require_logs_kept(plan, [log], plan.first_ms + 400 * DAY_MS)
    assert raised.value.code == "log_kept_shorter"
