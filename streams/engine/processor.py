"""The contract between the engine and what runs in it.

A processor is pure: given the same records and the same state it emits the same bytes. It
has no clock, no randomness, no I/O but what the context offers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from streams.engine.ports import Reader, Values
from streams.engine.record import Output, Record, TopicPartition

P = TypeVar("P")
"""What `prepare` makes of one record."""

COUNTERS = "counters"
"""Name of the store in which the engine keeps what `Context.count` counted, if declared."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long the entries of a store are of use.

    `time_of` reads an entry's time (epoch ms UTC) from its value. Past `horizon_ms` it means
    nothing any more; `slack_ms` later store and changelog may forget it. The slack is what the
    clocks of brokers and workers may differ by without harm.
    """

    horizon_ms: int
    slack_ms: int
    time_of: Callable[[bytes], int]

    def expired(self, value: bytes, now_ms: int) -> bool:
        """Whether the entry may be forgotten."""
        return self.time_of(value) + self.horizon_ms + self.slack_ms < now_ms


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A store and its changelog topic (as many partitions as the input topic has).

    Without a `horizon` its entries are kept for ever.
    """

    name: str
    changelog: str
    horizon: Horizon | None = None


class Processor(Protocol[P]):
    """Turns input records into outputs and state changes.

    `name` prefixes the transactional and group instance ids. `inputs` maps each input
    topic to the stores that go with its partitions.
    """

    name: str
    inputs: Mapping[str, tuple[StoreSpec, ...]]

    def heavy(self, record: Record) -> bool:
        """Whether the record may take longer than a transaction otherwise lasts; at a glance.

        It is prepared while no transaction is open, and has a long one to itself.
        """

    def prepare(self, records: Sequence[Record]) -> Sequence[P]:
        """Work on many records that needs no state: parsing, validating. Total and pure.

        Gives one result per record, same order. Runs before `process` on the same records.
        """

    def process(self, record: Record, prepared: P, context: Context) -> None:
        """Handle one record: read and write state, emit outputs.

        An exception undoes what this record did, and nothing else: the engine then calls
        `reject`. TransientError is passed on and repeats the batch.
        """

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        """Emit what is written instead when a record could not be processed.

        Must not fail. `with_value` False asks for an output that surely fits.
        """


class Buffer:
    """Uncommitted writes and counts of one task since the last commit."""

    __slots__ = ("counts", "writes")

    def __init__(self) -> None:
        self.writes: dict[TopicPartition, dict[bytes, bytes | None]] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()


class Context:
    """What a processor sees while it handles one record.

    Writes and outputs are kept apart until the record is done, so that a failing record
    leaves no trace. Reads see the record's own writes, then those of records before it in
    the transaction, then the local state.
    """

    __slots__ = (
        "_buffer",
        "_counts",
        "_reader",
        "_state",
        "_stores",
        "_writes",
        "later",
        "outputs",
    )

    def __init__(
        self, stores: Mapping[str, TopicPartition], buffer: Buffer, state: Values, reader: Reader
    ) -> None:
        self._stores = stores
        self._buffer = buffer
        self._state = state
        self._reader = reader
        self._writes: dict[TopicPartition, dict[bytes, bytes | None]] = {}
        self._counts: Counter[tuple[str, ...]] = Counter()
        self.outputs: list[Output] = []
        self.later: list[Iterable[Output]] = []

    def get(self, store: str, key: bytes) -> bytes | None:
        """Present value of `key`, None where there is none."""
        partition = self._stores[store]
        for layer in (self._writes, self._buffer.writes):
            written = layer.get(partition)
            if written is not None and key in written:
                return written[key]
        return self._state.get(partition, key)

    def put(self, store: str, key: bytes, value: bytes) -> None:
        """Set `key`; becomes permanent with the transaction."""
        self._writes.setdefault(self._stores[store], {})[key] = value

    def delete(self, store: str, key: bytes) -> None:
        """Remove `key`; becomes permanent with the transaction."""
        self._writes.setdefault(self._stores[store], {})[key] = None

    def emit(self, output: Output) -> None:
        """Produce `output` in the transaction, after those emitted before."""
        self.outputs.append(output)

    def emit_later(self, outputs: Iterable[Output]) -> None:
        """Produce these behind those of `emit`, each made only when its turn comes.

        So a hundred thousand of them are never in memory together. Making them is a function of
        what the processor holds already: it asks nothing of the context.
        """
        self.later.append(outputs)

    def count(self, *key: str, times: int = 1) -> None:
        """Count one, or more; exact, because it is committed with the record."""
        self._counts[key] += times

    def read_back(self, topic: str, partition: int, offset: int) -> Record | None:
        """An earlier record of a log, None where retention has removed it.

        Raises:
            TransientError: the broker did not answer; the batch will be repeated.
        """
        return self._reader.read(TopicPartition(topic, partition), offset)

    def accept(self) -> None:
        """Merge the record's writes and counts into its task's buffer (engine only)."""
        for partition, written in self._writes.items():
            self._buffer.writes.setdefault(partition, {}).update(written)
        self._buffer.counts.update(self._counts)
