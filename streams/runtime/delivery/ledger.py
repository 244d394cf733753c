"""The ledger of deliveries: it holds partitions of outbound, and writes what becomes of messages.

Lives here: the order of a turn, its transaction, and what comes with partitions and goes with them.
Must not live here: what is decided (`book`), protocols (`attempts`), the records of an end
(`endings`).

    turn:  take records -> restore -> take outcomes -> choose -> commit -> begin attempts

One transaction has everything that a turn changes: what is pending (a compacted changelog beside
each partition of outbound), ends with their dead letters, replies and audit, and the offsets.

Invariant: behind a committed offset every message is pending in the changelog or has its end; and
an attempt that must not be repeated is begun only after the changelog says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    RefusedError,
    TransientError,
)
from streams.engine.note import Note
from streams.engine.ports import Clock, Input, Position, Transactions
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime.delivery.attempts import Attempts
from streams.runtime.delivery.book import Book, outbound_topics
from streams.runtime.delivery.endings import Endings
from streams.runtime.delivery.events import DeliveryTelemetry, Interrupted, Waiting
from streams.runtime.delivery.pending import changelog
from streams.runtime.rejections import Place
from topics import Catalogue

_RECORDS_MAX: Final = 500
# How long a turn waits for a first record: outcomes of attempts wait for it, too.
_POLL_S: Final = 0.02
_IDLE_S: Final = 0.1
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
# Offsets are committed up to the ends of logs now and then, so that retention never seems to have
# removed what was not read; as the engine's worker does.
_ENDS_S: Final = 60.0
_TELL_S: Final = 1.0
# The supervisor gives a process 20 s to end: half of it for attempts under way.
_WAIT_S: Final = 10.0

Fold = Callable[[Iterable[TopicPartition]], Mapping[bytes, bytes]]
"""The newest value per key of changelog partitions, up to their high watermarks."""


class Ledger:
    """One thread; listens to its own input (`streams.engine.ports.Listener`)."""

    def __init__(
        self,
        book: Book,
        attempts: Attempts,
        *,
        catalogue: Catalogue,
        source: Input,
        log: Transactions,
        fold: Fold,
        telemetry: DeliveryTelemetry,
        clock: Clock,
    ) -> None:
        self._book = book
        self._attempts = attempts
        self._source = source
        self._log = log
        self._fold = fold
        self._telemetry = telemetry
        self._clock = clock
        self._outbound = outbound_topics(catalogue)
        self._endings = Endings(self._outbound)
        self._positions: dict[TopicPartition, int] = {}
        self._moved: set[TopicPartition] = set()
        self._fresh: set[TopicPartition] = set()
        self._joined = False
        self._ends_at = self._told_at = clock.monotonic()

    @property
    def ready(self) -> bool:
        """Whether the group has spoken and nothing is left to restore."""
        return self._joined and not self._fresh

    def start(self, topics: Sequence[str]) -> None:
        """Settle what a predecessor of this slot left open, and join the group.

        Raises:
            EngineError: the process must end and begin again.
        """
        self._log.reset()
        self._source.subscribe(topics, self)

    def turn(self) -> None:
        """One bounded step of everything there is to do.

        Raises:
            FencedError: another process has this slot.
            EngineError: the process must end; a new one goes on from what is committed.
        """
        try:
            self._turn()
        except FencedError as error:
            raise self._fenced(error) from error

    def stop(self) -> None:
        """Let attempts under way come to their end, write it, give the partitions away."""
        self._finish(set(self._positions), drop=False)
        with suppress(EngineError):
            self._source.leave()
        self._source.close()
        self._log.close()

    def _turn(self) -> None:
        wait_s = _POLL_S if len(self._book.table) else _IDLE_S
        records = self._source.consume(1, wait_s)
        records += self._source.consume(_RECORDS_MAX, 0.0) if records else []
        self._restore()
        at_hand: dict[Place, Record] = {}
        for record in records:
            if record.offset < self._positions.get(record.source, record.offset + 1):
                continue  # given away inside the take, or handed out again
            self._position(record.source, record.offset + 1)
            self._book.hear(record)
            at_hand[Place(record.source, record.offset)] = record
        now_ms = self._clock.epoch_ms()
        for done in self._attempts.results():
            self._book.settle(done, now_ms)
        sends, reads = self._book.choose(now_ms)
        self._now_and_then(now_ms)
        self._commit()
        for entry in sends:
            self._attempts.send(entry, at_hand.get(entry.place))
        for entry in reads:
            self._attempts.fetch(entry)

    def _now_and_then(self, now_ms: int) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            self._telemetry.emit(Waiting(self._book.table.counted(), now_ms))
        if now - self._ends_at >= _ENDS_S:
            self._ends_at = now
            for partition, end in self._source.ends().items():
                if end > self._positions.get(partition, end):
                    self._position(partition, end)

    def _position(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset
        self._moved.add(partition)

    # -------------------------------------------------------------- the transaction

    def _commit(self) -> None:
        """Write the turn, again where it failed; of what the broker refuses, without the bytes."""
        changes = self._book.changes
        if not changes and not self._moved:
            return
        failures, with_value = 0, True
        while True:
            try:
                self._write(with_value=with_value)
                break
            except RefusedError as error:
                self._log.abort()
                if not with_value:
                    raise FatalError(f"the broker refuses even a part: {error.reason}") from error
                with_value = False
            except TransientError as error:
                self._log.abort()
                retry_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                failures += 1
                self._telemetry.emit(Interrupted(error.code, str(error), retry_s))
                self._clock.sleep(retry_s)
        self._book.committed()
        self._moved.clear()

    def _write(self, *, with_value: bool) -> None:
        changes, now_ms = self._book.changes, self._clock.epoch_ms()
        self._log.begin()
        for entry, record in changes.ends:
            origin = (entry.place.at, entry.place.offset)
            for output in self._endings.outputs(entry, record, now_ms, with_value=with_value):
                self._log.produce(output, origin)
        for output in changes.outputs:
            self._log.produce(output, None)
        for place, value in changes.pending.items():
            store = self._store(place.at)
            key = str(place).encode()
            self._log.produce(Output(store.topic, key, value, (), store.partition), None)
        # The group fences with these: who is no longer a member of its generation commits nothing.
        touched = self._moved | {place.at for place in changes.pending}
        note = Note(self._log.transactional_id).to_text()
        offsets = {
            partition: Position(self._positions[partition], note)
            for partition in touched or self._positions.keys()
        }
        self._log.send_offsets(offsets, self._source.group())
        self._log.commit()

    def _store(self, partition: TopicPartition) -> TopicPartition:
        """Where the pending entries of a partition of outbound are kept."""
        interface = self._outbound[partition.topic].interface
        return TopicPartition(changelog(interface), partition.partition)

    def _fenced(self, error: FencedError) -> EngineError:
        """As the engine's worker: the group says who has a slot."""
        if self._source.rivalled():
            return error
        return FatalError(f"{error}: our transaction was ended by another, but the slot is ours")

    # ------------------------------------------------------------------- assignment

    def inherited(self, slots: Sequence[str]) -> None:
        """Listener: end what slots that are gone left open; readers wait for it."""
        self._log.clear(slots)

    def assigned(self, partitions: Mapping[TopicPartition, Position]) -> None:
        """Listener: new partitions; what is pending on them is restored within this turn."""
        self._joined = True
        self._positions.update({at: start.offset for at, start in partitions.items()})
        self._fresh |= partitions.keys() & set(self._of_outbound(partitions))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: note what is known while we still may, then let go."""
        try:
            self._finish(set(partitions), drop=True)
        except FencedError as error:
            raise self._fenced(error) from error
        finally:
            self._let_go(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: too late to note anything."""
        places = [entry.place for entry in self._book.table.out(set(partitions))]
        self._attempts.drop(places)
        self._let_go(partitions)

    def _finish(self, partitions: set[TopicPartition], *, drop: bool) -> None:
        """Wait for attempts; `drop`: only for those that nobody may repeat."""
        out = self._book.table.out(partitions)
        dropped = [one.place for one in out if drop and not self._book.guarded(one)]
        self._attempts.drop(dropped)
        self._attempts.wait([entry.place for entry in out], _WAIT_S)
        now_ms = self._clock.epoch_ms()
        for done in self._attempts.results():
            self._book.settle(done, now_ms)
        self._commit()

    def _let_go(self, partitions: Iterable[TopicPartition]) -> None:
        gone = set(partitions)
        self._book.release(gone)
        self._fresh -= gone
        self._moved -= gone
        for partition in gone:
            self._positions.pop(partition, None)

    def _restore(self) -> None:
        if self._fresh:
            kept = self._fold({self._store(partition) for partition in self._fresh})
            self._book.restore(kept, self._fresh)
            self._fresh = set()

    def _of_outbound(self, partitions: Iterable[TopicPartition]) -> Iterator[TopicPartition]:
        return (partition for partition in partitions if partition.topic in self._outbound)
