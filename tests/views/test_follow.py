"""The follower on logs in memory: where it begins, what it refuses, what leaves the window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from streams.engine.errors import FencedError, StateLostError, TransientError
from streams.engine.record import Record, TopicPartition
from streams.views.follow import STALE_MS, Extent, Follower, Opened, Polled, Unreadable
from streams.views.model import DAY_MS
from streams.views.reading import SqlReader
from streams.views.sqlite import SqliteDatabase
from streams.views.writing import SqlWriter
from tests.views.rig import (
    ALARMS,
    LOGS,
    MIDNIGHT,
    OUTAGES,
    READINGS,
    Silent,
    alarm,
    outage,
    record,
    series,
)

FOLLOWED = {topic: LOGS[topic] for topic in (OUTAGES, READINGS, ALARMS)}
WINDOW_MS = 10 * DAY_MS


class Logs:
    """Logs in memory; `records` of a topic are what is left of them."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {topic: [] for topic in FOLLOWED}
        self.ends = dict.fromkeys(FOLLOWED, 0)
        self.starts = dict.fromkeys(FOLLOWED, 0)
        self.ids = {topic: f"id of {topic}" for topic in FOLLOWED}
        self.at: dict[TopicPartition, int] = {}
        self.away = False

    def add(self, topic: str, key: str, value: bytes | None, at: int = MIDNIGHT) -> None:
        self.records[topic].append(record(topic, self.ends[topic], key, value, at=at))
        self.ends[topic] += 2  # a transaction's own record stands behind each

    def compact(self, topic: str) -> None:
        """Keep the newest of each key, and forget what was deleted."""
        newest = {one.key: one for one in self.records[topic]}
        self.records[topic] = [one for one in newest.values() if one.value is not None]

    def make_anew(self, topic: str) -> None:
        self.records[topic], self.ids[topic] = [], "another"
        self.starts[topic] = self.ends[topic] = 0

    def identify(self, topics: Iterable[str]) -> Mapping[str, str]:
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    def extents(self, topics: Mapping[str, str]) -> Mapping[TopicPartition, Extent]:
        if self.away:
            raise TransientError("away")
        return {
            TopicPartition(topic, 0): Extent(topic_id, self.starts[topic], self.ends[topic])
            for topic, topic_id in topics.items()
        }

    def starts_at(
        self, extents: Mapping[TopicPartition, Extent], time_ms: int
    ) -> Mapping[TopicPartition, int]:
        return {
            at: next(
                (r.offset for r in self.records[at.topic] if r.timestamp_ms >= time_ms), extent.end
            )
            for at, extent in extents.items()
        }

    def assign(self, starts: Mapping[TopicPartition, int]) -> None:
        self.at = dict(starts)

    def poll(self, timeout_s: float) -> Polled:
        found = [
            one
            for at, start in self.at.items()
            for one in self.records[at.topic]
            if one.offset >= start
        ]
        self.at = {at: max(start, self.ends[at.topic]) for at, start in self.at.items()}
        return Polled(found, dict(self.at))


class Clock:
    def __init__(self) -> None:
        self.now_ms = MIDNIGHT

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def epoch_ms(self) -> int:
        return self.now_ms


class Rig:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.logs, self.clock, self.told = Logs(), Clock(), Silent()
        self.writers: list[SqlWriter] = []
        self.follower = self.start()

    def start(self, window_ms: int = WINDOW_MS) -> Follower:
        self.writers.append(SqlWriter(SqliteDatabase(self.file, write=True)))
        self.follower = Follower(
            self.writers[-1],
            self.logs,
            FOLLOWED,
            window_ms=window_ms,
            clock=self.clock,
            telemetry=self.told,
        )
        return self.follower

    def catch_up(self) -> None:
        for _ in range(4):
            self.follower.turn(0)
            self.clock.now_ms += 2_000
        assert self.follower.caught_up

    def rows(self) -> dict[str, int]:
        with closing(SqlReader(SqliteDatabase(self.file, write=False))) as reader:
            return {noun: count for (_, noun), count in reader.status().rows.items()}

    def offsets(self) -> dict[str, int]:
        with closing(SqlReader(SqliteDatabase(self.file, write=False))) as reader:
            return {at.topic: position.next for at, position in reader.positions().items()}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    subject = Rig(tmp_path / "view.sqlite")
    yield subject
    for writer in subject.writers:
        writer.close()


def test_registers_are_read_whole_and_histories_from_the_windows_beginning(rig: Rig) -> None:
    old = MIDNIGHT - WINDOW_MS - DAY_MS
    for at in (old, MIDNIGHT):
        rig.logs.add(OUTAGES, f"o-{at}", outage(f"o-{at}"), at)
        rig.logs.add(ALARMS, f"a-{at}", alarm(f"a-{at}", at), at)
    rig.follower.open()
    rig.catch_up()
    assert rig.rows() == {"Outages": 2, "Alarms": 1}


def test_positions_move_past_what_is_no_record(rig: Rig) -> None:
    rig.logs.add(OUTAGES, "o-1", outage("o-1"))
    rig.follower.open()
    rig.catch_up()
    assert rig.offsets()[OUTAGES] == rig.logs.ends[OUTAGES]


def test_a_follower_that_starts_again_goes_on_where_it_was(rig: Rig) -> None:
    rig.logs.add(READINGS, "m", series([1.0]))
    rig.follower.open()
    rig.catch_up()
    rig.logs.add(READINGS, "m", series([2.0], first=MIDNIGHT + 1))
    rig.start().open()
    rig.catch_up()
    assert rig.rows() == {"MeterReadings": 2}


def test_a_record_that_is_no_event_is_told_and_passed_over(rig: Rig) -> None:
    rig.logs.add(READINGS, "m", b"\x00nothing")
    rig.logs.add(OUTAGES, "o", alarm("a", MIDNIGHT))
    rig.logs.add(READINGS, "m", series([1.0]))
    rig.follower.open()
    rig.catch_up()
    assert rig.rows() == {"MeterReadings": 1}
    told = [event.place for event in rig.told.events if isinstance(event, Unreadable)]
    assert sorted(told) == [f"{OUTAGES}/0@0", f"{READINGS}/0@0"]


@pytest.mark.parametrize(
    ("topic", "loss", "why"),
    [
        (OUTAGES, lambda logs: logs.make_anew(OUTAGES), "made anew"),
        (READINGS, lambda logs: logs.ends.update({READINGS: 1}), "ends at 1"),
        (READINGS, lambda logs: logs.starts.update({READINGS: 3}), "begins at 3"),
    ],
)
@pytest.mark.parametrize("running", [True, False])
def test_a_log_that_was_deleted_made_anew_or_cut_is_noticed_and_told(
    rig: Rig, topic: str, loss: object, why: str, running: bool
) -> None:
    rig.logs.add(topic, "x", None if topic == OUTAGES else b"")
    rig.follower.open()
    rig.catch_up()
    loss(rig.logs)  # type: ignore[operator]
    if not running:
        rig.start()
    else:
        rig.logs.at = {}
        rig.clock.now_ms += 11_000
    with pytest.raises(StateLostError, match=why) as caught:
        rig.follower.turn(0) if running else rig.follower.open()
    assert "cimstream view rebuild" in str(caught.value)


def test_a_topic_that_is_not_there_just_now_is_waited_for(rig: Rig) -> None:
    rig.follower.open()
    rig.catch_up()
    known = rig.logs.ids.pop(ALARMS)
    rig.clock.now_ms += 11_000
    with pytest.raises(TransientError, match="no topic"):
        rig.follower.turn(0)
    rig.logs.ids[ALARMS] = known
    rig.follower.open()
    rig.catch_up()


def test_a_register_whose_deletions_may_be_missed_is_read_again(rig: Rig) -> None:
    """What says that an object is gone is compacted away a day later."""
    rig.logs.add(OUTAGES, "gone", outage("gone"))
    rig.logs.add(OUTAGES, "stays", outage("stays"))
    rig.logs.add(ALARMS, "a", alarm("a", MIDNIGHT))
    rig.follower.open()
    rig.catch_up()
    rig.logs.add(OUTAGES, "gone", None)
    rig.logs.compact(OUTAGES)
    rig.clock.now_ms += STALE_MS
    rig.start().open()
    assert rig.told.events[-1] == Opened(3, 1)
    rig.catch_up()
    assert rig.rows() == {"Outages": 1, "Alarms": 1}


def test_a_register_that_is_not_read_to_its_end_for_long_is_read_again_in_time(rig: Rig) -> None:
    rig.follower.open()
    rig.catch_up()
    rig.logs.ends[OUTAGES] += 1  # an end that is never reached
    rig.logs.at = {}
    rig.clock.now_ms += STALE_MS + 1
    with pytest.raises(TransientError, match="for too long"):
        rig.follower.turn(0)


def test_a_broker_that_is_away_leaves_the_view_as_old_as_it_is(rig: Rig) -> None:
    rig.follower.open()
    rig.catch_up()
    before = rig.clock.now_ms
    rig.logs.away = True
    rig.clock.now_ms += 60_000
    with pytest.raises(TransientError):
        rig.follower.turn(0)
    with closing(SqlReader(SqliteDatabase(rig.file, write=False))) as reader:
        assert max(p.caught_up_ms for p in reader.positions().values()) < before


def test_old_rows_leave_the_window_while_the_follower_runs(rig: Rig) -> None:
    rig.logs.add(ALARMS, "a", alarm("a", MIDNIGHT))
    rig.logs.add(OUTAGES, "o", outage("o"))
    rig.follower.open()
    rig.catch_up()
    rig.clock.now_ms += STALE_MS - 60_000
    while rig.rows().get("Alarms"):
        rig.catch_up()
        rig.clock.now_ms += STALE_MS - 60_000
        assert rig.clock.now_ms < MIDNIGHT + WINDOW_MS + DAY_MS
    assert rig.rows() == {"Outages": 1}
    rig.catch_up()
    rig.logs.add(ALARMS, "late", alarm("late", MIDNIGHT), at=MIDNIGHT)
    rig.follower.turn(0)
    assert rig.rows() == {"Outages": 1}


def test_a_wider_window_does_not_claim_what_was_dropped(rig: Rig) -> None:
    rig.follower.open()
    rig.start(2 * WINDOW_MS).open()
    assert rig.writers[-1].floor_ms() == MIDNIGHT - WINDOW_MS


def test_of_two_followers_the_second_goes_on_and_the_first_is_fenced(rig: Rig) -> None:
    rig.follower.open()
    rig.catch_up()
    first, first_logs = rig.follower, rig.logs
    rig.start().open()
    first_logs.add(READINGS, "m", series([1.0]))
    with pytest.raises(FencedError):
        first.turn(0)
    rig.logs.assign(dict.fromkeys(rig.logs.at, 0))
    rig.catch_up()
    assert rig.rows() == {"MeterReadings": 1}
