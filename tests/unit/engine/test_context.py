"""What one record sees of the others, and what a failed one leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from streams.engine.errors import FatalError, RefusedError, TransientError
from streams.engine.events import RecordRejected
from streams.engine.execution import Execution
from streams.engine.ports import Position
from streams.engine.processor import Context, StoreSpec
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.task import Task
from tests.fake_broker import FakeReader, FakeTransactions
from tests.unit.engine.world import (
    Events,
    MemoryState,
    Unique,
    World,
)

INPUT, STORE = TopicPartition("in", 0), TopicPartition("seen", 0)


def record(offset: int, value: bytes = b"v") -> Record:
    return Record("in", 0, offset, 0, b"k%d" % offset, value, ())


def task() -> Task:
    return Task(INPUT, Position(0), (StoreSpec("seen", "seen"),))


def test_reads_see_own_writes_then_earlier_ones_of_the_transaction_then_the_disk() -> None:
    state, subject = MemoryState(), task()
    state.apply({STORE: {b"a": b"disk", b"b": b"disk", b"c": b"disk"}}, {})
    earlier = subject.context(state, FakeReader(World()))
    earlier.put("seen", b"b", b"earlier")
    earlier.put("seen", b"c", b"earlier")
    earlier.accept()
    own = subject.context(state, FakeReader(World()))
    own.put("seen", b"c", b"own")
    assert [own.get("seen", key) for key in (b"a", b"b", b"c", b"d")] == [
        b"disk",
        b"earlier",
        b"own",
        None,
    ]


def test_a_deletion_hides_what_lies_below_it() -> None:
    state, subject = MemoryState(), task()
    state.apply({STORE: {b"a": b"disk"}}, {})
    earlier = subject.context(state, FakeReader(World()))
    earlier.delete("seen", b"a")
    assert earlier.get("seen", b"a") is None
    earlier.accept()
    assert subject.context(state, FakeReader(World())).get("seen", b"a") is None


def test_writes_of_a_record_that_is_not_accepted_are_seen_by_nobody() -> None:
    state, subject = MemoryState(), task()
    failed = subject.context(state, FakeReader(World()))
    failed.put("seen", b"a", b"1")
    failed.count("n")
    assert subject.context(state, FakeReader(World())).get("seen", b"a") is None
    assert not subject.buffer.writes
    assert not subject.buffer.counts


class Bench:
    """Execution in an open transaction."""

    def __init__(self, processor: Unique) -> None:
        self.world, self.task = World(), task()
        self.log, self.events = FakeTransactions(self.world, "id"), Events(self.world)
        self.log.reset()
        self.log.begin()
        self.execution = Execution(
            processor, self.log, MemoryState(), FakeReader(World()), self.events
        )

    def run(self, *records: Record) -> None:
        for each, prepared in zip(records, self.execution.prepare(records), strict=True):
            self.execution.run(self.task, each, prepared)

    def one_by_one(self) -> bool:
        return self.execution.one_by_one

    def outputs(self) -> list[Output]:
        return self.log.produced


class Later(Unique):
    """Emits one output at once and three later, of which the last may fail."""

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails

    def process(self, record: Record, prepared: object, context: Context) -> None:
        context.emit_later(self._made())
        context.emit(Output("out", b"at once", b""))

    def _made(self) -> Iterator[Output]:
        yield Output("out", b"1", b"")
        yield Output("out", b"2", b"")
        if self._fails:
            raise ValueError
        yield Output("out", b"3", b"")


def test_outputs_of_later_come_behind_the_others_and_are_counted() -> None:
    bench = Bench(Later(fails=False))
    assert bench.execution.run(bench.task, record(0), None) == 4
    assert [output.key for output in bench.outputs()] == [b"at once", b"1", b"2", b"3"]


def test_an_output_that_cannot_be_made_takes_the_transaction_with_it_and_is_rejected_then() -> None:
    bench = Bench(Later(fails=True))
    with pytest.raises(RefusedError) as caught:
        bench.execution.run(bench.task, record(0), None)
    bench.execution.refused(caught.value, records=0)
    bench.run(record(0))
    assert bench.outputs()[-1].topic == "rejected"


class Choosy(Unique):
    """Cannot prepare some values, raises what it is told while processing others."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def prepare(self, records: Sequence[Record]) -> Sequence[object]:
        if any(r.value == b"unpreparable" for r in records):
            raise ValueError("whole batch")
        return [r.value for r in records]

    def process(self, record: Record, prepared: object, context: Context) -> None:
        context.put("seen", record.key or b"", b"1")
        context.emit(Output("out", record.key, record.value))
        if self._error is not None and record.offset == 1:
            raise self._error


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_record_that_cannot_be_prepared_does_not_harm_those_prepared_with_it(bad: int) -> None:
    bench = Bench(Choosy())
    bench.run(*(record(i, b"unpreparable" if i == bad else b"v") for i in range(3)))
    assert [(o.topic, o.key) for o in bench.outputs()] == [
        ("rejected" if i == bad else "out", b"k%d" % i) for i in range(3)
    ]
    assert b"k%d" % bad not in bench.task.buffer.writes[STORE]


def test_a_failing_record_leaves_only_its_rejection_which_names_the_error_and_no_payload() -> None:
    bench = Bench(Choosy(ValueError("secret payload")))
    bench.run(record(0), record(1), record(2))
    assert [(o.topic, o.key) for o in bench.outputs()] == [
        ("out", b"k0"),
        ("rejected", b"k1"),
        ("out", b"k2"),
    ]
    assert set(bench.task.buffer.writes[STORE]) == {b"k0", b"k2"}
    rejected = [event for event in bench.events if isinstance(event, RecordRejected)]
    assert rejected == [RecordRejected(INPUT, 1, "processing_failed", "ValueError")]


@pytest.mark.parametrize("error", [TransientError("later"), FatalError("disk gone")])
def test_errors_of_the_engine_are_never_the_fault_of_the_record(error: Exception) -> None:
    """A damaged disk must not empty the input into the rejected topic."""
    bench = Bench(Choosy(error))
    with pytest.raises(type(error)):
        bench.run(record(0), record(1))
    assert [o.topic for o in bench.outputs()] == ["out"]
    assert bench.task.position == 1


def test_the_time_of_a_task_never_goes_back() -> None:
    """It says how old entries are; brokers' clocks differ."""
    bench = Bench(Choosy())
    for offset, time_ms in enumerate((5, 9, 7)):
        bench.run(record(offset)._replace(timestamp_ms=time_ms))
    assert bench.task.time_ms == 9


def test_a_rejection_that_fails_ends_the_process_instead_of_losing_the_record() -> None:
    class Hopeless(Choosy):
        def reject(
            self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
        ) -> None:
            raise KeyError(code)

    bench = Bench(Hopeless(ValueError("bad")))
    with pytest.raises(FatalError, match="rejection of in/0@1"):
        bench.run(record(0), record(1))


def test_of_a_refused_batch_only_who_is_refused_alone_is_guilty() -> None:
    bench = Bench(Choosy())
    everyone = {(INPUT, 0), (INPUT, 1), (INPUT, 2)}
    bench.execution.refused(RefusedError(everyone, "too large"), records=3)
    assert bench.one_by_one()
    bench.run(record(0))
    bench.task.settle()
    bench.execution.committed(bench.task)
    bench.execution.refused(RefusedError({(INPUT, 1)}, "too large"), records=1)
    bench.run(record(1))
    bench.execution.committed(bench.task)
    assert bench.one_by_one()
    bench.run(record(2))
    bench.execution.committed(bench.task)
    assert not bench.one_by_one()
    assert [o.topic for o in bench.outputs()] == ["out", "rejected", "out"]


def test_suspects_on_a_partition_that_went_away_do_not_slow_down_the_others() -> None:
    bench = Bench(Choosy())
    bench.execution.refused(RefusedError({(INPUT, 0), (INPUT, 1)}, "too large"), records=2)
    bench.execution.closed(INPUT)
    assert not bench.one_by_one()


def test_a_refusal_by_the_client_itself_needs_no_trial() -> None:
    bench = Bench(Choosy())
    bench.execution.refused(RefusedError({(INPUT, 1)}, "too large", local=True), records=1)
    assert not bench.one_by_one()
    bench.run(record(0), record(1))
    assert [o.topic for o in bench.outputs()] == ["out", "rejected"]
