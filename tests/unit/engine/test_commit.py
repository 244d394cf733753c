"""The order of the five steps, and what a failure of each leaves behind."""

from __future__ import annotations

import pytest

from streams.engine.commit import commit
from streams.engine.errors import (
    EngineError,
    StateLostError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.events import Step, StepReached
from streams.engine.note import LogEnd, Note
from streams.engine.ports import Position
from streams.engine.processor import COUNTERS, StoreSpec
from streams.engine.record import Output, TopicPartition
from streams.engine.task import Task
from tests.fake_broker import FakeInput, FakeTransactions
from tests.unit.engine.world import GROUP, SINK, Events, MemoryState, World

INPUT, STORE = TopicPartition("in", 0), TopicPartition("seen", 0)
COUNTS = TopicPartition("counts", 0)


STORES = (StoreSpec("seen", "seen"), StoreSpec(COUNTERS, "counts"))


class Bench:
    """A commit with one task that has processed one record."""

    def __init__(self) -> None:
        self.world, self.state = World(), MemoryState()
        self.log, self.events = FakeTransactions(self.world, "id"), Events(self.world)
        self.task = Task(INPUT, Position(0, ""), STORES)
        self.acknowledged = 0
        self.log.reset()
        self.work(1)

    def work(self, position: int) -> None:
        self.log.begin()
        self.task.buffer.writes[STORE] = {b"k": b"%d" % position}
        self.task.buffer.counts["n", "x"] += 1
        self.task.position = position

    def commit(self) -> None:
        commit(
            [self.task],
            log=self.log,
            source=FakeInput(self.world, GROUP, "id"),
            state=self.state,
            telemetry=self.events,
            acknowledge=self._acknowledge,
        )

    def _acknowledge(self) -> None:
        self.acknowledged += 1


def test_the_steps_are_announced_before_and_after_in_their_order() -> None:
    bench = Bench()
    bench.commit()
    assert bench.events == [StepReached(step, done) for step in Step for done in (False, True)]
    assert bench.acknowledged == 1


def test_what_is_committed_is_in_the_log_the_offsets_and_the_local_state() -> None:
    bench = Bench()
    bench.commit()
    assert bench.world.fold(STORE) == dict(bench.state.items(STORE)) == {b"k": b"1"}
    assert bench.world.offsets == {INPUT: 1}
    assert bench.state.checkpoint(STORE) == 1
    assert not bench.task.moved


def test_the_note_beside_the_offset_says_who_committed_and_how_far_the_logs_were() -> None:
    """By the first an heir finds what we leave open, by the second a lost log is noticed."""
    bench = Bench()
    bench.task.logs[STORE] = LogEnd("an id", 0, -1)
    bench.commit()
    bench.work(2)
    bench.commit()
    note = Note.from_text(bench.world.groups.of(GROUP).offsets[INPUT].note or "")
    assert note == Note("id", {"seen": LogEnd("an id", 1, 0)})


def test_a_log_that_has_begun_anew_is_lost_and_local_state_is_left_as_it_was() -> None:
    """Our own record tells: it lies before the end that was known."""
    bench = Bench()
    bench.commit()
    bench.task.logs[STORE] = LogEnd("an id", 9, 0)
    bench.work(2)
    with pytest.raises(StateLostError, match=r"was at 9 .* written at 2: .* created again"):
        bench.commit()
    assert (bench.state.get(STORE, b"k"), bench.state.checkpoint(STORE)) == (b"1", 1)
    assert bench.acknowledged == 1


def test_counts_add_up_over_transactions() -> None:
    bench = Bench()
    bench.commit()
    bench.work(2)
    bench.commit()
    assert bench.world.fold(COUNTS) == {b"n|x": (2).to_bytes(8, "big")}


@pytest.mark.parametrize("failing", ["send_offsets", "commit"])
@pytest.mark.parametrize("error", [TransientError("no"), UnknownOutcomeError("not")])
def test_local_state_is_untouched_where_the_transaction_did_not_succeed(
    failing: str, error: EngineError
) -> None:
    bench = Bench()

    def fault(call: str) -> None:
        if call == failing:
            raise error

    bench.world.fault = fault
    with pytest.raises(type(error)):
        bench.commit()
    assert bench.state.checkpoint(STORE) is None
    assert dict(bench.state.items(STORE)) == {}
    assert bench.acknowledged == 0
    assert StepReached(Step.APPLY, done=False) not in bench.events
    assert bench.task.moved


def test_local_state_is_not_applied_before_the_commit_has_returned() -> None:
    bench = Bench()

    def fault(call: str) -> None:
        if call == "commit":
            assert bench.state.checkpoint(STORE) is None

    bench.world.fault = fault
    bench.commit()
    assert bench.state.checkpoint(STORE) == 1


def test_an_offset_the_broker_did_not_tell_leaves_the_checkpoint_behind() -> None:
    """Behind is safe: the fold from there gives the same. A wrong one would not be."""
    bench = Bench()
    bench.commit()
    bench.work(2)
    bench.log.delivered = dict  # type: ignore[method-assign]
    bench.commit()
    assert bench.state.get(STORE, b"k") == b"2"
    assert bench.state.checkpoint(STORE) == 1


def test_only_stores_have_checkpoints() -> None:
    """Outputs may be pinned to partitions, too: what is forwarded is."""
    bench = Bench()
    pinned = TopicPartition(SINK, 0)
    bench.log.produce(Output(SINK, b"k", b"v", (), 0), None)
    bench.commit()
    assert pinned in bench.log.delivered()
    assert bench.state.checkpoint(pinned) is None
    assert bench.state.checkpoint(STORE) == 1


def test_an_accepted_loss_and_an_input_without_offsets_are_over_with_the_first_commit() -> None:
    bench = Bench()
    bench.task = Task(INPUT, Position(0), STORES)
    bench.task.loss_accepted = True
    bench.log.abort()
    bench.work(1)
    bench.commit()
    assert (bench.task.fresh, bench.task.loss_accepted) == (False, False)


def test_tasks_that_did_nothing_have_no_part_in_the_transaction() -> None:
    bench = Bench()
    idle = Task(TopicPartition("in", 1), Position(7), ())
    commit(
        [bench.task, idle],
        log=bench.log,
        source=FakeInput(bench.world, GROUP, "id"),
        state=bench.state,
        telemetry=bench.events,
        acknowledge=lambda: None,
    )
    assert bench.world.offsets == {INPUT: 1}
