"""What is done now and then: sweeping, and looking whether the changelogs are still there."""

from __future__ import annotations

import pytest

from streams.engine.errors import StateLostError, TransientError
from streams.engine.events import StateMeasured, StateSwept
from streams.engine.housekeeping import KEYS_PER_STEP, Housekeeping
from streams.engine.ports import Position
from streams.engine.processor import Horizon, StoreSpec
from streams.engine.record import Output, TopicPartition
from streams.engine.recovery import Recovery
from streams.engine.task import Task
from tests.fake_broker import FakeChangelogs, FakeInput, no_fault
from tests.unit.engine.world import GROUP, Events, FakeClock, MemoryState, World

STORE = TopicPartition("seen", 0)
FOREVER = TopicPartition("kept", 0)
HORIZON = Horizon(horizon_ms=100, slack_ms=10, time_of=int)


class House:
    """A running task with a store that forgets and one that does not, and a clock to turn."""

    def __init__(self) -> None:
        self.world, self.state, self.clock = World(), MemoryState(), FakeClock()
        self.events = Events(self.world)
        self.world.create(FOREVER.topic, 1)
        for store in (STORE, FOREVER):
            self.world.append(Output(store.topic, b"k", b"%d" % 10**15), 0)
        self.recovery = Recovery(FakeChangelogs(self.world), self.state, self.events, self.clock)
        specs = (StoreSpec("seen", "seen", HORIZON), StoreSpec("kept", "kept"))
        self.task = Task(TopicPartition("in", 0), Position(0, ""), specs)
        self.recovery.begin(self.task)
        while self.recovery.active:
            self.recovery.advance()
        source = FakeInput(self.world, GROUP, "slot")
        self.subject = Housekeeping(source, self.state, self.recovery, self.events, self.clock)

    def fill(self, *times_ms: int) -> None:
        pairs: dict[bytes, bytes | None] = {b"%06d" % t: b"%d" % t for t in times_ms}
        self.state.apply({STORE: pairs, FOREVER: dict(pairs)}, {})

    def kept(self, store: TopicPartition = STORE) -> list[int]:
        return [int(key) for key, _ in self.state.items(store) if key != b"k"]

    def seconds(self, count: int = 1, records: int = 0) -> None:
        for _ in range(count):
            self.clock.sleep(1.0)
            self.subject.turn([self.task], records)


@pytest.mark.parametrize(
    ("log_ms", "clock_ms", "kept"),
    [
        (1000, 1000, [890, 900, 1000]),
        (10_000, 1000, [890, 900, 1000]),
        (1000, 10_000, [890, 900, 1000]),
        (-1, 10_000, [1, 889, 890, 900, 1000]),
    ],
    ids=["both", "the log's clock runs ahead", "ours runs ahead", "nothing was read yet"],
)
def test_an_entry_is_removed_when_it_is_past_its_use_by_both_clocks(
    log_ms: int, clock_ms: int, kept: list[int]
) -> None:
    house = House()
    house.fill(1, 889, 890, 900, 1000)
    house.task.time_ms, house.clock.time_of_day_ms = log_ms, clock_ms
    house.seconds()
    assert house.kept() == kept
    assert house.kept(FOREVER) == [1, 889, 890, 900, 1000]
    removed = sum(e.entries for e in house.events if isinstance(e, StateSwept))
    assert removed == 5 - len(kept)


def test_a_step_is_bounded_and_the_walk_goes_round_and_round() -> None:
    house = House()
    house.fill(*range(KEYS_PER_STEP + 10))
    house.task.time_ms = house.clock.time_of_day_ms = 10**9
    house.seconds()
    assert 10 <= len(house.kept()) <= 11
    house.seconds()
    assert house.kept() == []
    house.fill(1, 2)
    house.seconds(2)
    assert house.kept() == []


def test_a_walk_goes_on_where_its_last_step_ended() -> None:
    """Else what lies behind the first step would be kept for ever."""
    house = House()
    fresh: dict[bytes, bytes | None] = {b"%06d" % n: b"%d" % 10**9 for n in range(KEYS_PER_STEP)}
    house.state.apply({STORE: {**fresh, b"999999": b"1"}}, {})
    house.task.time_ms = house.clock.time_of_day_ms = 10**9
    house.seconds()
    assert 999999 in house.kept()
    house.seconds()
    assert 999999 not in house.kept()


def test_where_much_comes_in_the_steps_are_longer() -> None:
    house = House()
    house.fill(*range(3 * KEYS_PER_STEP))
    house.task.time_ms = house.clock.time_of_day_ms = 10**9
    house.seconds(records=KEYS_PER_STEP)
    assert house.kept() == []


def test_the_disk_is_measured_and_a_changelog_that_went_away_is_noticed() -> None:
    house = House()
    house.seconds(11)
    assert [event for event in house.events if isinstance(event, StateMeasured)]
    house.world.create("seen", 1)
    with pytest.raises(StateLostError, match=r"seen/0 was deleted and created again.*accept-loss"):
        house.seconds(11)


def no_answer(_: str) -> None:
    raise TransientError("not now")


def test_a_broker_that_does_not_answer_is_asked_again_later() -> None:
    house = House()
    house.world.fault = no_answer
    house.seconds(11)
    house.world.fault = no_fault
    known = house.task.logs[STORE]
    house.task.logs[STORE] = known._replace(end=known.end + 1)
    with pytest.raises(StateLostError, match="truncated"):
        house.seconds(11)
