"""Records through the processor of a replay, as the engine runs them, without a group.

Lives here: one pass over records with the engine's own failure isolation, and the two layers
of marks. Must not live here: where outputs go (the outlet of the processor), transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

from streams.engine.errors import RefusedError
from streams.engine.events import Event, RecordRejected
from streams.engine.execution import Execution
from streams.engine.ports import Origin, Position, Produce, Reader, State, Writes
from streams.engine.processor import Processor
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.task import Task
from streams.processors.replay import Replay

# As many as the engine takes in a turn; at most about its bytes, too.
_CHUNK_RECORDS: Final = 500
_CHUNK_BYTES: Final = 8 * 1024 * 1024


class NoOutputs:
    """For passes that must not have any."""

    def produce(self, output: Output, _: Origin | None, /) -> None:
        """A fault of ours: the outlet let something pass."""
        raise AssertionError(f"a rehearsal would have written to {output.topic}")


class Layers:
    """The local store with a second layer over intake's marks.

    Below are the marks at the beginning of the range; a pass over the range writes above
    them, and the next pass begins with `clear`.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._above: set[TopicPartition] = set()
        self.layered = False

    def clear(self) -> None:
        """Take the upper layer away; from now on writes go there."""
        self.layered = True
        for store in self._above:
            self._state.wipe(store)
        self._above.clear()

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        """From above, else from below."""
        found = self._state.get(_above(store), key) if self.layered else None
        return self._state.get(store, key) if found is None else found

    def apply(self, writes: Writes, checkpoints: Mapping[TopicPartition, int]) -> None:
        """Write to the layer that is uppermost."""
        if self.layered:
            writes = {_above(store): written for store, written in writes.items()}
            self._above |= writes.keys()
        self._state.apply(writes, checkpoints)


class Passage:
    """One pass. What it did is kept by `settle` or undone by `drop`."""

    def __init__(self, processor: Replay, state: Layers, reader: Reader, produce: Produce) -> None:
        self._processor = processor
        self._state = state
        self._reader = reader
        self._refusals = _Refusals()
        self._execution = Execution(
            cast(Processor[object], processor),
            produce,
            state,
            reader,
            self._refusals,
        )
        self._tasks: dict[TopicPartition, Task] = {}

    @property
    def one_by_one(self) -> bool:
        """Whether a refused record is being looked for: run one at a time, each committed."""
        return self._execution.one_by_one

    @property
    def refused(self) -> int:
        """Records for which the broker took nothing but a rejection, since the pass began."""
        return len(self._refusals.places)

    def run(self, records: Sequence[Record]) -> None:
        """Lead records through the processor.

        Raises:
            EngineError: as `Execution.run`.
        """
        for record, prepared in zip(records, self._execution.prepare(records), strict=True):
            task = self._tasks.get(record.source)
            if task is None:
                stores = self._processor.inputs[record.topic]
                task = self._tasks[record.source] = Task(
                    record.source, Position(record.offset), stores
                )
            self._execution.run(task, record, prepared)

    def settle(self) -> None:
        """Keep it: later records see the marks."""
        for task in self._tasks.values():
            if task.moved:
                self._state.apply(task.buffer.writes, {})
                task.settle()
                self._execution.committed(task)

    def drop(self, refused: RefusedError, records: int) -> None:
        """Undo it: the broker refused a record of the transaction with so many inputs."""
        self._execution.refused(refused, records=records)
        for task in self._tasks.values():
            task.drop(task.committed)


class _Refusals:
    """Telemetry of a pass: which records the broker refused."""

    def __init__(self) -> None:
        self.places: set[Origin] = set()

    def emit(self, event: Event) -> None:
        if isinstance(event, RecordRejected) and event.code == RefusedError.code:
            self.places.add((event.partition, event.offset))


def chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records in portions of bounded number and size."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record.value or b"")
        if len(chunk) >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _above(store: TopicPartition) -> TopicPartition:
    return store._replace(topic=f"above {store.topic}")
