"""When a restore begins, where it reads and when it is over."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from streams.engine.errors import FatalError, StateCorruptError, StateLostError, TransientError
from streams.engine.events import RestoreCompleted, RestoreProgressed, StateWiped
from streams.engine.note import LogEnd, Note
from streams.engine.ports import Position, Stretch
from streams.engine.processor import Horizon, StoreSpec
from streams.engine.record import Output, TopicPartition
from streams.engine.recovery import Recovery
from streams.engine.task import Phase, Task
from tests.fake_broker import FakeChangelogs, FakeTransactions
from tests.unit.engine.world import Events, FakeClock, MemoryState, World

STORE = TopicPartition("seen", 0)
ID = World().topic_ids["seen"]


class Bench:
    """A changelog with ten keys (each written twice), and a marker at its end."""

    def __init__(self) -> None:
        self.world, self.state = World(partitions=2), MemoryState()
        for i in range(20):
            self.world.append(Output("seen", b"k%d" % (i % 10), b"%d" % i), 0)
        self.world.log(STORE).mark()
        self.changelogs, self.events = FakeChangelogs(self.world), Events(self.world)
        self.clock = FakeClock()
        self.recovery = Recovery(self.changelogs, self.state, self.events, self.clock)
        self.task = self.new_task()

    def new_task(self, partition: int = 0) -> Task:
        return Task(TopicPartition("in", partition), Position(0, ""), (StoreSpec("seen", "seen"),))

    def run(self, steps: int = 50) -> None:
        for _ in range(steps):
            if not self.recovery.active:
                return
            self.recovery.advance()

    def phase(self, task: Task | None = None) -> Phase:
        return (task or self.task).phase

    def records(self) -> list[int]:
        return [e.records for e in self.events if isinstance(e, RestoreCompleted)]


def test_an_empty_disk_gets_the_fold_of_the_whole_log_past_its_last_marker() -> None:
    bench = Bench()
    assert not bench.recovery.begin(bench.task)
    assert bench.phase() is Phase.RESTORING
    bench.run()
    assert bench.phase() is Phase.RUNNING
    assert dict(bench.state.items(STORE)) == bench.world.fold(STORE)
    assert bench.state.checkpoint(STORE) == 21
    assert bench.records() == [20]
    remaining = [e.remaining for e in bench.events if isinstance(e, RestoreProgressed)]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining


def test_a_disk_at_the_end_of_the_log_reads_nothing() -> None:
    bench = Bench()
    bench.state.apply({STORE: dict(bench.world.fold(STORE))}, {STORE: 21})
    assert bench.recovery.begin(bench.task)
    assert not bench.recovery.active
    assert bench.records() == [0]


def test_a_disk_in_the_middle_reads_the_rest() -> None:
    bench = Bench()
    bench.state.apply({STORE: dict(bench.world.fold(STORE, 15))}, {STORE: 15})
    bench.recovery.begin(bench.task)
    bench.run()
    assert dict(bench.state.items(STORE)) == bench.world.fold(STORE)
    assert bench.records() == [5]


def test_a_checkpoint_below_the_start_of_the_log_is_not_built_upon() -> None:
    bench = Bench()
    bench.state.apply({STORE: {b"gone": b"1"}}, {STORE: 3})
    bench.world.log(STORE).start = 4
    bench.recovery.begin(bench.task)
    bench.run()
    assert bench.phase() is Phase.CREATED
    assert [e for e in bench.events if isinstance(e, StateWiped)]
    bench.recovery.begin(bench.task)
    bench.run()
    assert bench.phase() is Phase.RUNNING
    assert bench.state.get(STORE, b"gone") is None
    assert bench.state.get(STORE, b"k4") == b"14"


def test_a_checkpoint_at_the_start_of_the_log_is_built_upon() -> None:
    """Nothing is missing between the two."""
    bench = Bench()
    bench.state.apply({STORE: {b"kept": b"1"}}, {STORE: 4})
    bench.world.log(STORE).start = 4
    bench.recovery.begin(bench.task)
    bench.run()
    assert bench.state.get(STORE, b"kept") == b"1"


def test_a_checkpoint_behind_the_end_of_the_log_is_fatal() -> None:
    bench = Bench()
    bench.state.apply({}, {STORE: 22})
    with pytest.raises(FatalError, match="ends at 21, before the local checkpoint 22"):
        bench.recovery.begin(bench.task)


def test_a_restore_is_not_over_while_a_transaction_below_its_end_is_undecided() -> None:
    bench = Bench()
    other = FakeTransactions(bench.world, "other")
    other.reset()
    other.begin()
    other.produce(Output("seen", b"k1", b"undecided", (), 0), None)
    bench.recovery.begin(bench.task)
    bench.run()
    assert bench.phase() is Phase.RESTORING
    assert bench.state.checkpoint(STORE) == 21
    other.commit()
    bench.run()
    assert bench.phase() is Phase.RUNNING
    assert bench.state.get(STORE, b"k1") == b"undecided"
    assert dict(bench.state.items(STORE)) == bench.world.fold(STORE)


class Stale(FakeChangelogs):
    """Tells of an end that was reached before the last record of the same poll was there."""

    def poll(self, records_max: int, timeout_s: float) -> Mapping[TopicPartition, Stretch]:
        found = super().poll(records_max, timeout_s)
        self._before = {at: read.end - 1 for at, read in found.items()}
        return found

    def reached(self) -> Mapping[TopicPartition, int]:
        return {**super().reached(), **self._before}


def test_a_checkpoint_never_falls_behind_what_was_applied_with_it() -> None:
    bench = Bench()
    bench.recovery = Recovery(Stale(bench.world), bench.state, bench.events, bench.clock)
    bench.recovery.begin(bench.task)
    checkpoints = []
    while bench.recovery.active:
        bench.recovery.advance()
        checkpoints.append(bench.state.checkpoint(STORE) or 0)
        assert dict(bench.state.items(STORE)) == bench.world.fold(STORE, checkpoints[-1])
    assert checkpoints == [3, 6, 9, 12, 15, 18, 20, 21]


def test_what_was_restored_is_known_of_the_log_with_the_time_of_its_last_record() -> None:
    bench = Bench()
    bench.recovery.begin(bench.task)
    bench.run()
    assert bench.task.logs == {STORE: LogEnd(ID, 21, 0)}


def test_a_task_that_goes_away_is_read_no_further() -> None:
    bench = Bench()
    bench.recovery.begin(bench.task)
    bench.recovery.advance()
    bench.recovery.forget(bench.task)
    assert not bench.recovery.active
    assert not bench.changelogs.following


def test_an_unanswered_question_for_the_bounds_leaves_the_task_as_it_was() -> None:
    bench = Bench()

    def fault(_: str) -> None:
        raise TransientError("no answer")

    bench.world.fault = fault
    with pytest.raises(TransientError):
        bench.recovery.begin(bench.task)
    assert bench.phase() is Phase.CREATED
    assert not bench.recovery.active


def test_of_two_restores_only_the_one_whose_log_moved_away_begins_anew() -> None:
    bench, other = Bench(), TopicPartition("seen", 1)
    for i in range(20):
        bench.world.append(Output("seen", b"k%d" % i, b"v"), 1)
    second = bench.new_task(1)
    bench.recovery.begin(bench.task)
    bench.recovery.begin(second)
    bench.recovery.advance()

    def fault(call: str) -> None:
        if call == "poll":
            bench.world.fault = lambda _: None
            raise StateCorruptError(STORE, "moved away")

    bench.world.fault = fault
    bench.recovery.advance()
    assert bench.phase() is Phase.CREATED
    assert bench.state.checkpoint(STORE) is None
    assert bench.phase(second) is Phase.RESTORING
    assert bench.state.checkpoint(other) is not None
    bench.recovery.begin(bench.task)
    bench.run()
    assert [bench.phase(), bench.phase(second)] == [Phase.RUNNING] * 2
    for store in (STORE, other):
        assert dict(bench.state.items(store)) == bench.world.fold(store)


def test_a_task_without_stores_runs_at_once() -> None:
    bench = Bench()
    plain = Task(TopicPartition("in", 0), Position(0), ())
    assert bench.recovery.begin(plain)
    assert plain.phase is Phase.RUNNING


class Lossy(Bench):
    """A task whose note says how far its changelog was, and whose entries matter for a while."""

    def __init__(self, known: LogEnd, horizon: Horizon | None, *, accepted: bool = False) -> None:
        super().__init__()
        note = Note("in-0", {"seen": known}, loss_accepted=accepted)
        start = Position(5, note.to_text())
        self.task = Task(TopicPartition("in", 0), start, (StoreSpec("seen", "seen", horizon),))

    def begin(self) -> None:
        self.recovery.begin(self.task)
        self.run()


WEEK = Horizon(horizon_ms=1000, slack_ms=100, time_of=lambda _: 0)


@pytest.mark.parametrize(
    ("known", "match"),
    [
        (LogEnd("other", 3, 0), "was deleted and created again"),
        (LogEnd(ID, 22, 0), "ends at 21 and was at 22"),
    ],
)
def test_a_changelog_that_is_not_what_the_note_says_is_not_restored(
    known: LogEnd, match: str
) -> None:
    with pytest.raises(StateLostError, match=match):
        Lossy(known, WEEK).begin()


def emptied(known: LogEnd, horizon: Horizon | None, now_ms: int) -> Lossy:
    bench = Lossy(known, horizon)
    bench.world.log(STORE).start = 21
    bench.clock.time_of_day_ms = now_ms
    return bench


def test_a_changelog_that_retention_emptied_is_normal_and_one_emptied_before_is_not() -> None:
    emptied(LogEnd(ID, 21, 50), WEEK, 1050).begin()
    with pytest.raises(StateLostError, match="was emptied up to 21"):
        emptied(LogEnd(ID, 21, 50), WEEK, 1049).begin()
    with pytest.raises(StateLostError, match="was emptied up to 21"):
        emptied(LogEnd(ID, 21, 50), None, 10**9).begin()


def test_an_accepted_loss_gives_up_the_disk_and_takes_what_the_changelog_holds() -> None:
    bench = Lossy(LogEnd("other", 99, 0), WEEK, accepted=True)
    bench.state.apply({STORE: {b"only here": b"1"}}, {STORE: 99})
    bench.begin()
    assert bench.phase() is Phase.RUNNING
    assert dict(bench.state.items(STORE)) == bench.world.fold(STORE)


def test_state_of_an_input_that_has_no_committed_offset_is_not_built_upon() -> None:
    bench = Bench()
    bench.task = Task(TopicPartition("in", 0), Position(0), (StoreSpec("seen", "seen"),))
    bench.recovery.begin(bench.task)
    with pytest.raises(TransientError, match="no offset of in/0 is known"):
        bench.run()
    with pytest.raises(StateLostError, match="no offset is committed for in/0"):
        bench.recovery.begin(bench.task)


def test_an_offset_that_another_has_committed_meanwhile_is_no_lost_state() -> None:
    """Found by the simulation: who has lost its place to a successor heard of its own loss."""
    bench = Bench()
    bench.task = Task(TopicPartition("in", 0), Position(0), (StoreSpec("seen", "seen"),))
    bench.recovery.begin(bench.task)
    with pytest.raises(TransientError):
        bench.run()
    bench.task.rewound(Position(3, ""))
    bench.recovery.begin(bench.task)
    bench.run()
    assert bench.phase() is Phase.RUNNING
