"""The loop: when it commits, and what follows each kind of failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    TransientError,
)
from streams.engine.events import (
    BatchCommitted,
    LagMeasured,
    LeaveFailed,
    PartitionsRevoked,
    RestoreCompleted,
    SlotCleared,
    TransactionAborted,
)
from streams.engine.note import owned
from streams.engine.ports import Position
from streams.engine.processor import Context
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.worker import BACKOFF_FIRST_S, BACKOFF_MAX_S, ENDS_INTERVAL_S, Limits
from tests.fake_broker import FakeInput, FakeTransactions, Fate, Faults, UnheardError, no_fault
from tests.unit.engine.world import (
    GROUP,
    SOURCE,
    Kinds,
    Machine,
    World,
    assert_exact,
    assert_state_is_fold,
)

ONE_BY_ONE = Limits(batch_records_max=1, commit_interval_s=3600)


def fed(count: int, partitions: int = 1) -> World:
    world = World(partitions)
    world.feed((i % partitions, b"k%d" % i) for i in range(count))
    return world


class Rivalled(FakeInput):
    """Another process has the slot."""

    def rivalled(self) -> bool:
        return True


class Unclearable(FakeTransactions):
    """What slot-2 left open cannot be ended."""

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        super().clear([name for name in transactional_ids if name != "slot-2"])
        return {name: "refused" for name in transactional_ids if name == "slot-2"}


def fails(call: str, error: EngineError, *, at: int = 1) -> Faults:
    """Raise `error` at the `at`-th call of that name."""
    seen: Counter[str] = Counter()

    def fault(name: str) -> None:
        seen[name] += 1
        if name == call and seen[name] == at:
            raise error

    return fault


def test_it_settles_what_a_predecessor_left_open_before_it_asks_for_anything() -> None:
    """Else offsets of our own open transaction would have to time out before we may read."""
    asked: list[str] = []
    world = fed(3)
    world.fault = asked.append
    Machine(world).turns(1)
    assert asked[:2] == ["reset", "consume"]


def test_a_transaction_is_committed_as_soon_as_the_input_runs_dry() -> None:
    machine = Machine(fed(5))
    machine.turns(1)
    assert [e.records for e in machine.of(BatchCommitted)] == [5]
    assert machine.acknowledged == 1
    assert_exact(machine.world)


def test_a_transaction_stays_open_while_more_is_there_and_the_interval_is_not_over() -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(8)
    assert machine.of(BatchCommitted) == []
    machine.run()
    assert [e.records for e in machine.of(BatchCommitted)] == [10]


def test_a_transaction_is_committed_when_the_interval_is_over() -> None:
    machine = Machine(fed(10), limits=Limits(batch_records_max=1, commit_interval_s=0))
    machine.run()
    assert [e.records for e in machine.of(BatchCommitted)] == [1] * 10


def test_a_transaction_is_committed_when_it_holds_enough_bytes() -> None:
    limits = Limits(batch_records_max=1, commit_interval_s=3600, transaction_bytes_max=30)
    world = World()
    world.feed(((0, b"k%d" % i) for i in range(9)), value=b"x" * 10)
    machine = Machine(world, limits=limits)
    machine.run()
    assert [e.records for e in machine.of(BatchCommitted)] == [3, 3, 3]


def test_a_heavy_record_has_a_transaction_to_itself_that_may_last_longer() -> None:
    """Goal: what others wrote does not wait for it, and the broker does not end it.

    Method: between the records of a batch, one that takes longer than a transaction lives, while
    the member's heartbeats go on.
    """
    world = fed(3)
    world.session_timeout_s = 3600
    world.feed([(0, b"heavy"), *((0, b"after%d" % i) for i in range(2))])
    machine = Machine(world, limits=Limits(commit_interval_s=3600))
    process = machine.processor.process

    def slowly() -> Iterator[Output]:
        world.wait(world.transaction_timeout_s * 2)
        yield from ()

    def slow(record: Record, prepared: object, context: Context) -> None:
        process(record, prepared, context)
        if machine.processor.heavy(record):
            context.emit_later(slowly())

    machine.processor.process = slow  # type: ignore[method-assign]
    machine.run()
    assert [e.records for e in machine.of(BatchCommitted)] == [3, 1, 2]
    assert_exact(world)
    assert_state_is_fold(world, machine.state)


def test_a_heavy_record_is_prepared_while_no_transaction_is_open() -> None:
    """Its life is bounded by the broker, and preparing needs none."""
    world = fed(3)
    world.feed([(0, b"heavy")])
    machine = Machine(world, limits=ONE_BY_ONE)
    prepare = machine.processor.prepare
    open_then: list[bool] = []

    def watched(records: Sequence[Record]) -> Sequence[object]:
        if any(machine.processor.heavy(record) for record in records):
            open_then.append(machine.producer.in_transaction)
        return prepare(records)

    machine.processor.prepare = watched  # type: ignore[method-assign]
    machine.run()
    assert open_then == [False]


def test_a_batch_whose_records_are_heavy_is_committed_in_parts() -> None:
    """Goal: the broker ends what is open too long; the same batch again would never get through.

    Method: one batch, each record of which takes a second.
    """
    world = fed(10)
    machine = Machine(world, limits=Limits(commit_interval_s=3600, transaction_s_max=2.5))
    process = machine.processor.process

    def heavy(record: Record, prepared: object, context: Context) -> None:
        machine.clock.sleep(1.0)
        process(record, prepared, context)

    machine.processor.process = heavy  # type: ignore[method-assign]
    machine.turns(1)
    assert [e.records for e in machine.of(BatchCommitted)] == [3, 3, 3, 1]
    assert_exact(world)
    assert_state_is_fold(world, machine.state)


@pytest.mark.parametrize("size", [1, 10, 99, 1000])
def test_a_batch_is_bounded_by_records_and_by_bytes(size: int) -> None:
    world = World()
    world.feed(((0, b"k%d" % i) for i in range(50)), value=b"x" * size)
    limits = Limits(batch_records_max=20, batch_bytes_max=1000, commit_interval_s=0)
    machine = Machine(world, limits=limits)
    machine.run()
    # The last record may overshoot the bytes, as records have no part sizes.
    most = min(20, max(1, -(-1000 // size)))
    assert max(e.records for e in machine.of(BatchCommitted)) == most
    assert_exact(world)


def test_after_a_transient_error_every_partition_goes_back_and_nothing_is_lost() -> None:
    machine = Machine(fed(30, 3), limits=Limits(batch_records_max=7, commit_interval_s=0))
    machine.world.fault = fails("commit", TransientError("no"), at=2)
    machine.run()
    assert [e.code for e in machine.of(TransactionAborted)] == ["transient"]
    assert machine.producer.calls.count("abort") == 1
    assert machine.producer.resets == 1  # the one at the start
    assert_exact(machine.world)
    assert_state_is_fold(machine.world, machine.state)


@pytest.mark.parametrize("fate", Fate)
def test_after_an_unknown_outcome_the_producer_is_replaced_and_the_state_restored(
    fate: Fate,
) -> None:
    machine = Machine(fed(30, 3), limits=Limits(batch_records_max=7, commit_interval_s=0))
    machine.world.fault = fails("commit", UnheardError(fate), at=2)
    machine.run()
    assert machine.producer.resets == 2
    assert "abort" not in machine.producer.calls
    assert len(machine.of(RestoreCompleted)) == 6
    machine.turns(3)
    assert_exact(machine.world)
    assert_state_is_fold(machine.world, machine.state)


@pytest.mark.parametrize("failing", ["reset", "rewind"])
def test_an_unknown_outcome_stays_unknown_until_a_new_producer_has_settled_it(failing: str) -> None:
    """Whatever fails in between must not let the old producer or the old state be used again."""
    machine = Machine(fed(10))
    errors = iter([TransientError("no"), TransientError("again")])
    state = {"commits": 0}

    def fault(call: str) -> None:
        if call == "commit" and state["commits"] == 0:
            state["commits"] = 1
            raise UnheardError(Fate.APPLIED)
        if call == failing and state["commits"] and (error := next(errors, None)):
            raise error

    machine.world.fault = fault
    machine.run()
    machine.turns(5)
    assert machine.producer.calls.count("reset") == 4  # at the start, twice in vain, once for good
    assert_exact(machine.world)
    assert_state_is_fold(machine.world, machine.state)


def test_back_off_grows_to_its_bound_and_starts_over_after_a_commit() -> None:
    """Turns in between that had nothing to do are no success."""
    machine = Machine(fed(1))
    machine.world.fault = lambda call: _raise(TransientError("no")) if call == "commit" else None
    machine.turns(9)
    assert machine.clock.slept[:3] == [BACKOFF_FIRST_S, 2 * BACKOFF_FIRST_S, 4 * BACKOFF_FIRST_S]
    assert machine.clock.slept[-1] == BACKOFF_MAX_S
    machine.world.fault = no_fault
    machine.run()
    machine.world.feed([(0, b"more")])
    machine.world.fault = fails("commit", TransientError("no"))
    machine.run()
    assert machine.clock.slept[-1] == BACKOFF_FIRST_S


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [FencedError("taken"), FatalError("over")])
@pytest.mark.parametrize("call", ["consume", "begin", "send_offsets", "commit", "rewind"])
def test_what_ends_the_process_passes_through_and_nothing_is_tried_after_it(
    call: str, error: EngineError
) -> None:
    machine = Machine(fed(5), kinds=Kinds(input=Rivalled))
    machine.world.fault = fails(call, error)
    with pytest.raises(type(error)):
        machine.turns(3)
    assert "abort" not in machine.producer.calls
    assert machine.world.offsets == {}
    assert not machine.source.closed


def test_a_fence_is_heard_while_the_worker_recovers_from_something_else() -> None:
    """A fenced member cannot rewind: were it not asked first, it would try for ever."""
    machine = Machine(fed(5), kinds=Kinds(input=Rivalled))

    def fault(call: str) -> None:
        aborted = machine.producer.calls.count("abort")
        if call == "commit" or (call == "rewind" and aborted):
            raise TransientError(call)
        if call == "consume" and aborted:
            raise FencedError("taken")

    machine.world.fault = fault
    with pytest.raises(FencedError):
        machine.turns(5)


def test_a_changelog_that_is_gone_is_heard_of_though_no_transaction_gets_through() -> None:
    """Goal: not to repeat for ever what can never work, with an error that says nothing."""
    machine = Machine(fed(5))
    machine.turns(1)
    machine.world.feed([(0, b"more")])

    def fault(call: str) -> None:
        if call == "commit":
            raise TransientError("records were not delivered")
        if call == "bounds":
            raise FatalError("the changelog does not exist")

    machine.world.fault = fault
    with pytest.raises(FatalError, match="changelog"):
        machine.turns(5)


def test_one_partition_whose_restore_cannot_begin_does_not_keep_another_paused() -> None:
    machine = Machine(fed(6, 2))
    machine.world.fault = fails("bounds", TransientError("no answer"), at=2)
    machine.run()
    assert_exact(machine.world)


def test_a_revoke_commits_what_is_open() -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(3)
    machine.world.groups.rebalance(GROUP)
    machine.turns(1)
    assert [e.records for e in machine.of(BatchCommitted)] == [3]
    machine.run()
    assert_exact(machine.world)


@pytest.mark.parametrize("error", [TransientError("no"), *(UnheardError(fate) for fate in Fate)])
def test_a_revoke_whose_commit_fails_leaves_the_records_to_the_successor(
    error: EngineError,
) -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(5)
    machine.world.fault = fails("commit", error)
    machine.world.groups.rebalance(GROUP)
    machine.turns(1)
    machine.run()
    assert_exact(machine.world)
    machine.turns(5)
    assert_state_is_fold(machine.world, machine.state)


def test_who_could_not_commit_in_a_revoke_lets_go_all_the_same() -> None:
    """It would otherwise go back, for ever, to what another has by now."""
    world = fed(30, 2)
    first = Machine(world, limits=ONE_BY_ONE)
    first.turns(5)
    world.fault = fails("commit", TransientError("no"))
    second = Machine(world, slot=1)
    for _ in range(100):
        first.turns(1)
        second.turns(1)
    assert len(first.of(TransactionAborted)) == 1
    assert [len(machine.worker._tasks) for machine in (first, second)] == [1, 1]
    assert world.done()
    assert_exact(world)


def test_lost_partitions_are_not_committed() -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(5)
    machine.world.wait(machine.world.session_timeout_s + 1)
    machine.turns(1)
    assert machine.of(BatchCommitted) == []
    assert machine.world.offsets == {}
    assert [e.lost for e in machine.of(PartitionsRevoked)] == [True]
    machine.run()
    assert_exact(machine.world)


def test_stopping_commits_what_is_open_and_closes_everything() -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(4)
    machine.worker.stop()
    assert machine.world.offsets == {TopicPartition(SOURCE, 0): 4}
    assert machine.source.closed
    assert_state_is_fold(machine.world, machine.state)


def test_stopping_commits_what_lies_behind_the_last_record_too() -> None:
    machine = Machine(fed(5))
    machine.world.log(TopicPartition(SOURCE, 0)).mark()
    machine.turns(3)
    assert machine.world.offsets == {TopicPartition(SOURCE, 0): 5}
    machine.worker.stop()
    assert machine.world.offsets == {TopicPartition(SOURCE, 0): 6}


def test_stopping_after_a_failure_undoes_what_is_open_at_once() -> None:
    """Readers would otherwise wait for the broker to time the transaction out."""
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(4)
    machine.world.fault = fails("consume", TransientError("no"))
    machine.turns(1)
    machine.worker.stop()
    assert machine.producer.calls[-1] == "abort"
    assert machine.world.offsets == {}
    assert machine.source.closed


def test_stopping_survives_a_commit_that_fails() -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(5)
    machine.world.fault = fails("commit", TransientError("no"))
    machine.worker.stop()
    assert machine.producer.calls[-1] == "abort"
    assert machine.source.closed


def test_what_is_open_when_a_worker_stops_is_ended_though_its_abort_is_not_heard() -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(5)

    def fault(call: str) -> None:
        if call == "commit":
            raise TransientError("no")
        if call == "abort":
            raise UnheardError(Fate.LOST)

    machine.world.fault = fault
    machine.worker.stop()
    assert machine.world.coordinator.undecided() == []
    assert machine.world.offsets == {}


def test_stopping_leaves_the_group_after_the_last_commit() -> None:
    machine = Machine(fed(3), limits=ONE_BY_ONE)
    machine.turns(2)
    before: list[bool] = []

    def fault(call: str) -> None:
        before.append(call == "leave" and bool(machine.of(BatchCommitted)))

    machine.world.fault = fault
    machine.worker.stop()
    assert before[-1]
    assert machine.source.left


def test_a_stop_that_fails_leaves_the_group_to_whoever_comes_back() -> None:
    machine = Machine(fed(3), limits=ONE_BY_ONE)
    machine.turns(2)
    machine.world.fault = fails("commit", FatalError("the disk is full"))
    with pytest.raises(FatalError):
        machine.worker.stop()
    assert not machine.source.left


def test_a_group_that_cannot_be_left_is_told_of_and_everything_is_closed() -> None:
    machine = Machine(fed(3))
    machine.run()
    machine.world.fault = fails("leave", TransientError("no answer"))
    machine.worker.stop()
    assert [event.reason for event in machine.of(LeaveFailed)] == ["no answer"]
    assert machine.source.closed


def test_a_fence_by_one_who_is_not_in_the_group_is_no_rival() -> None:
    """An heir has ended our transaction: the process starts again, the slot is not given up."""
    machine = Machine(fed(5))
    machine.world.fault = fails("commit", FencedError("a newer producer"))
    with pytest.raises(FatalError, match="the slot is ours"):
        machine.turns(3)


@pytest.mark.parametrize("rebalance", ["revoke", "lost"])
def test_a_fence_that_is_heard_in_a_rebalance_is_judged_before_the_group_goes_on(
    rebalance: str,
) -> None:
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(3)
    if rebalance == "revoke":
        machine.world.groups.rebalance(GROUP)
    else:
        machine.world.wait(machine.world.session_timeout_s + 1)
    call = "commit" if rebalance == "revoke" else "abort"
    machine.world.fault = fails(call, FencedError("a newer producer"))
    with pytest.raises(FatalError, match="the slot is ours"):
        machine.source.consume(1, 0.0)


def test_what_absent_slots_left_open_is_ended_and_told_of() -> None:
    world = fed(5, 2)
    for number, owner in enumerate(("slot-1", "slot-2")):
        named = Position(0, owned(None, owner))
        world.groups.of(GROUP).offsets[TopicPartition(SOURCE, number)] = named
    machine = Machine(world, kinds=Kinds(transactions=Unclearable))
    machine.run()
    assert machine.of(SlotCleared) == [
        SlotCleared("slot-1", None),
        SlotCleared("slot-2", "refused"),
    ]
    assert_exact(machine.world)


def test_run_turns_until_told_to_stop() -> None:
    machine = Machine(fed(10))
    machine.worker.run(machine.world.done)
    assert machine.source.closed
    assert_exact(machine.world)


def test_it_is_ready_when_the_group_has_spoken_and_every_partition_is_restored() -> None:
    world = fed(10, 2)
    machine = Machine(world)
    machine.run()
    again = Machine(world)
    ready = [again.worker.ready]
    for _ in range(10):
        again.worker.turn()
        ready.append(again.worker.ready)
    assert ready == sorted(ready)
    assert not ready[1]
    assert ready[-1]


def test_markers_behind_the_last_record_are_committed_within_a_minute_and_once() -> None:
    machine = Machine(fed(5))
    machine.world.log(TopicPartition(SOURCE, 0)).mark()
    machine.turns(10)
    assert machine.world.offsets == {TopicPartition(SOURCE, 0): 5}
    machine.clock.sleep(ENDS_INTERVAL_S)
    machine.turns(2)
    assert machine.world.offsets == {TopicPartition(SOURCE, 0): 6}
    commits = len(machine.of(BatchCommitted))
    machine.clock.sleep(ENDS_INTERVAL_S)
    machine.turns(2)
    assert len(machine.of(BatchCommitted)) == commits
    assert_exact(machine.world)


def test_lag_is_told_about_once_a_second() -> None:
    machine = Machine(fed(5))
    machine.turns(3)
    told = len(machine.of(LagMeasured))
    machine.clock.sleep(1.0)
    machine.turns(3)
    assert len(machine.of(LagMeasured)) == told + 1
    assert machine.of(LagMeasured)[-1].lag == {TopicPartition(SOURCE, 0): 0}


@pytest.mark.parametrize("value", [b"poison", b"refuse this"])
@pytest.mark.parametrize("place", [0, 5, 11])
def test_one_bad_record_is_rejected_and_its_neighbours_are_not(value: bytes, place: int) -> None:
    world = World()
    for i in range(12):
        world.feed([(0, b"k%d" % i)], value if i == place else b"v")
    machine = Machine(world)
    machine.run()
    assert_exact(world)
    assert_state_is_fold(world, machine.state)
    assert machine.clock.slept == []


def test_after_a_refused_record_batches_are_whole_again() -> None:
    machine = Machine(fed(3))
    machine.world.feed([(0, b"bad")], b"refuse this")
    machine.run()
    machine.world.feed((0, b"more%d" % i) for i in range(10))
    machine.run()
    assert machine.of(BatchCommitted)[-1].records == 10
    assert_exact(machine.world)


def test_suspects_on_a_partition_that_went_away_are_looked_for_no_more() -> None:
    machine = Machine(fed(3))
    machine.world.feed([(0, b"bad")], b"refuse this")

    def looks_for_one() -> bool:
        return machine.worker._execution.one_by_one

    while not looks_for_one():
        machine.turns(1)
    machine.world.groups.rebalance(GROUP)
    machine.source.consume(0, 0.0)
    assert not looks_for_one()
    machine.run()
    assert_exact(machine.world)


def test_what_was_taken_before_a_failed_rebalance_is_not_processed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Records in hand may have a gap before them once the commit in the callback failed."""
    machine = Machine(fed(10), limits=ONE_BY_ONE)
    machine.turns(4)
    take: Callable[[], tuple[list[object], bool]] = machine.worker._take  # type: ignore[assignment]

    def interrupted() -> tuple[list[object], bool]:
        records, _ = take()
        machine.worker._abandon(TransientError("revoke failed"))
        monkeypatch.undo()
        return records, True

    monkeypatch.setattr(machine.worker, "_take", interrupted)
    machine.turns(1)
    assert machine.world.offsets == {}
    machine.run()
    assert_exact(machine.world)


class Stuttering(FakeInput):
    """Hands out once more what it has handed out before, as after a seek that came too late."""

    again: tuple[Record, ...] = ()

    def consume(self, records_max: int, timeout_s: float) -> list[Record]:
        if self.again:
            (record,), self.again = self.again, ()
            return [record]
        found = super().consume(records_max, timeout_s)
        self.again = tuple(found[-1:])
        return found


def test_a_record_that_comes_again_behind_the_position_is_not_processed_again() -> None:
    machine = Machine(fed(30, 3), kinds=Kinds(input=Stuttering))
    machine.run()
    assert_exact(machine.world)
    assert_state_is_fold(machine.world, machine.state)


class Returning(FakeInput):
    """Its partitions go and come back while the first take is still under way."""

    gone = False

    def consume(self, records_max: int, timeout_s: float) -> list[Record]:
        found = super().consume(records_max, timeout_s)
        if found and not self.gone:
            self.gone = True
            self._cluster.groups.rebalance(GROUP)
            for _ in ("gives them up", "gets them again"):
                super().consume(0, 0.0)
        return found


def test_what_was_taken_before_a_partition_went_and_came_back_is_not_processed() -> None:
    """Meanwhile another may have had it: nothing counts before its state is restored again."""
    machine = Machine(fed(10), kinds=Kinds(input=Returning))
    for _ in range(10):
        machine.turns(1)
        if machine.source.gone:  # type: ignore[attr-defined]
            break
    assert machine.of(BatchCommitted) == []
    machine.run()
    assert_exact(machine.world)
