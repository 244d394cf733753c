"""What the engine needs from the world outside: four doors to Kafka, one to the disk.

`streams.engine.kafka` and `streams.engine.rocks` implement them. Every method says what it
raises by `streams.engine.errors`; no other exception may cross.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from streams.engine.record import Output, Record, TopicPartition

Origin = tuple[TopicPartition, int]
"""The input record (partition, offset) on whose behalf something is produced."""


class Position(NamedTuple):
    """A committed input offset with its note (see `note`); None: nothing was ever committed."""

    offset: int
    note: str | None = None


class Delivered(NamedTuple):
    """Where a produced record is, and its time by the log (epoch ms UTC, -1 if not told)."""

    offset: int
    time_ms: int


class Bounds(NamedTuple):
    """A changelog partition: log start, high watermark, and the id of its topic."""

    start: int
    end: int
    topic_id: str


class Stretch(NamedTuple):
    """A read piece of a changelog partition, folded: what a restore needs of its records.

    `records` is their number, `end` the offset behind the last one and `time_ms` that one's
    time by the log. Making a `Record` of each would take more than half of a restore's time.
    """

    writes: Mapping[bytes, bytes | None]
    records: int
    end: int
    time_ms: int


class Listener(Protocol):
    """Told of changes to the assignment, inside `Input.consume`."""

    def inherited(self, slots: Sequence[str]) -> None:
        """Partitions come to us from these slots, which the group no longer knows.

        What they left open is to be ended; they may only be asleep. Told before `assigned`,
        and before the offsets are read.
        """

    def assigned(self, partitions: Mapping[TopicPartition, Position]) -> None:
        """These partitions are ours now, each to be read from the given offset."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These are about to go: last chance to commit."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are gone already: nothing of theirs may be committed."""


class Input(Protocol):
    """The consumer group side: records in, assignment, positions."""

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        """Join the group for these topics."""

    def consume(self, records_max: int, timeout_s: float) -> list[Record]:
        """Up to `records_max` committed records, waiting at most `timeout_s` for the first.

        Raises:
            FencedError: our group instance id was taken.
            FatalError: a partition cannot be read at the offset we are bound to.
        """

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop handing out records of these partitions."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Hand them out again."""

    def rewind(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Position]:
        """Seek each back to its committed offset (or the log's start); give those positions.

        Waits until offsets of an undecided transaction are decided.

        Raises:
            TransientError: the broker did not answer.
        """

    def lag(self) -> Mapping[TopicPartition, int]:
        """Offsets not yet handed out, per assigned partition, as last heard of."""

    def ends(self) -> Mapping[TopicPartition, int]:
        """Per partition the end of the log (control records included) when it was last reached.

        Everything below it was handed out since the last assignment or rewind.
        """

    def group(self) -> object:
        """Opaque group membership, to be passed to `Transactions.send_offsets`."""

    def rivalled(self) -> bool:
        """Whether another process has our slot; asked when a fence leaves it open."""

    def leave(self) -> None:
        """Go silent and give the partitions away at once, in a bounded time.

        Raises:
            EngineError: we could not; the partitions are given away after the session time-out.
        """

    def close(self) -> None:
        """Go silent, without a last word to the listener or the group. Idempotent."""


class Produce(Protocol):
    """Where outputs are put: all that running a record asks of a transaction."""

    def produce(self, output: Output, origin: Origin | None, /) -> None:
        """Take `output`, made on behalf of `origin`.

        Raises:
            RefusedError: too large for the client to send at all.
            TransientError: no room to queue it in time.
        """


class Transactions(Produce, Protocol):
    """The only owner of a transactional producer."""

    transactional_id: str

    def begin(self, *, long: bool = False) -> None:
        """Start a transaction; a `long` one may stay open for longer before the broker ends it.

        Raises:
            TransientError: the broker did not answer.
        """

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        """Bind next input offsets, each with its note, to the transaction."""

    def commit(self) -> None:
        """Make the transaction permanent; returns only when it is.

        Raises:
            RefusedError: the broker refused records of it; abort.
            TransientError: the broker asked for an abort.
            UnknownOutcomeError: no answer in time; `reset`.
            FencedError: another producer has our id.
            FatalError: a record of it names a topic or partition that does not exist.
        """

    def abort(self) -> None:
        """Undo the open transaction. Raises UnknownOutcomeError if unsure: then `reset`."""

    def delivered(self) -> Mapping[TopicPartition, Delivered]:
        """Last record per partition of those of the last commit that were pinned to one.

        A partition is left out where the broker did not tell.
        """

    def reset(self) -> None:
        """Throw the producer away; a new one with the same id settles what it left open."""

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        """End what producers of other ids left open; they are fenced.

        Give the ids that could not be, each with the reason: theirs end after their time-out.
        """

    def close(self) -> None:
        """End without a farewell transaction. Idempotent."""


class Changelogs(Protocol):
    """Reads changelog partitions for a restore, never joining a group."""

    def bounds(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Log start, high watermark (read_uncommitted end) and topic id of each.

        Raises:
            FatalError: one does not exist.
            TransientError: the broker did not answer.
        """

    def follow(self, positions: Mapping[TopicPartition, int]) -> None:
        """From now on `poll` reads exactly these partitions from these offsets."""

    def poll(self, records_max: int, timeout_s: float) -> Mapping[TopicPartition, Stretch]:
        """Up to so many committed records of the followed partitions.

        Raises:
            StateCorruptError: an offset we asked for is no longer in the log.
        """

    def reached(self) -> Mapping[TopicPartition, int]:
        """Position per followed partition, past control records; only once its end was seen."""

    def close(self) -> None:
        """Idempotent."""


class Reader(Protocol):
    """Reads single records back."""

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        """The record at `offset`, or None where the log no longer has it.

        Raises:
            TransientError: the broker did not answer in time.
        """

    def close(self) -> None:
        """Idempotent."""


Writes = Mapping[TopicPartition, Mapping[bytes, bytes | None]]
"""Per changelog partition: key to value, None deletes."""


class Values(Protocol):
    """What a processor may ask of the state."""

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        """Present value of `key` in the store of that changelog partition."""


class State(Values, Protocol):
    """The slot's local database: the fold of each changelog partition up to its checkpoint.

    Any call raises FatalError where the database is found damaged; it is then removed when
    it is opened next, and restored.
    """

    def checkpoint(self, store: TopicPartition) -> int | None:
        """Changelog offset up to which (exclusive) the store holds the fold; None if empty."""

    def apply(self, writes: Writes, checkpoints: Mapping[TopicPartition, int]) -> None:
        """Write data and checkpoints in one atomic step.

        Raises:
            FatalError: the database cannot be written (disk full, read-only). What it holds
                is older than what is committed, so it must not be read again before a
                restore: the process ends, and the next one restores.
        """

    def items(self, store: TopicPartition) -> Iterator[tuple[bytes, bytes]]:
        """All pairs in key order."""

    def wipe(self, store: TopicPartition) -> None:
        """Forget the store and its checkpoint."""

    def sweep(
        self,
        store: TopicPartition,
        expired: Callable[[bytes], bool],
        after: bytes | None,
        keys_max: int,
    ) -> tuple[bytes | None, int]:
        """Look at up to `keys_max` pairs behind key `after` and remove those whose value expired.

        Gives the last key looked at (None: the store's end was reached) and how many were
        removed. The changelog is not told: it forgets the same entries by its retention.
        """

    def size_bytes(self) -> int:
        """What the database takes on the disk."""

    def close(self) -> None:
        """Idempotent."""


class Clock(Protocol):
    """Monotonic time for what lasts; the time of day only for what lasts days."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never steps back."""

    def epoch_ms(self) -> int:
        """Milliseconds UTC; may be wrong and may step. Nothing that is produced depends on it."""

    def sleep(self, seconds: float) -> None:
        """Wait, for back-off only."""
