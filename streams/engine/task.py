"""One input partition at work: its stores, its position, its uncommitted writes.

Lives here: the life cycle and what belongs to one partition. Must not live here: Kafka,
the transaction (see `commit`), the order of things (see `worker`).

    CREATED -> RESTORING -> RUNNING ; both back to CREATED when local state is in doubt ;
    any may go to CLOSED

Invariant: only a RUNNING task is given records, and a task runs only when its local state
equals the fold of its committed changelogs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from streams.engine.errors import StateLostError
from streams.engine.note import LogEnd, Note
from streams.engine.ports import Delivered, Position, Reader, Values
from streams.engine.processor import COUNTERS, Buffer, Context, StoreSpec
from streams.engine.record import TopicPartition

WAY_OUT: Final = (
    "Restore the topic from a backup of the cluster; or accept that repeats of what is lost take "
    "effect again: stop every `cimstream run` and use `cimstream state accept-loss`"
)


class Phase(StrEnum):
    """Where a task is in its life."""

    CREATED = "created"
    RESTORING = "restoring"
    RUNNING = "running"
    CLOSED = "closed"


_NEXT: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.CREATED: frozenset({Phase.RESTORING, Phase.CLOSED}),
    Phase.RESTORING: frozenset({Phase.RUNNING, Phase.CREATED, Phase.CLOSED}),
    Phase.RUNNING: frozenset({Phase.CREATED, Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}


class Task:
    """State of the work on one input partition.

    `position` is the next input offset to process; it may be ahead of what is committed
    only while a transaction is open. `paused` says whether the input holds back its records.
    `time_ms` is the append time of the newest record processed, -1 before the first.
    `logs` is how far each changelog was known to be; `expected`, at first, what the note
    beside the committed offset says of that.
    """

    def __init__(
        self, source: TopicPartition, start: Position, stores: tuple[StoreSpec, ...]
    ) -> None:
        self.source = source
        self.position = start.offset
        self.committed = start.offset
        self.specs = {TopicPartition(s.changelog, source.partition): s for s in stores}
        self.stores = {spec.name: store for store, spec in self.specs.items()}
        self.fresh = start.note is None
        self.time_ms = -1
        note = Note.from_text(start.note or "")
        self.loss_accepted = note.loss_accepted
        self.logs = {
            self.stores[name]: end for name, end in note.logs.items() if name in self.stores
        }
        self.buffer = Buffer()
        self.phase = Phase.CREATED
        self.paused = False

    def become(self, phase: Phase) -> None:
        """Go to `phase`; an illegal step is a programmer's error."""
        if phase not in _NEXT[self.phase]:
            raise ValueError(f"task {self.source} cannot go from {self.phase} to {phase}")
        self.phase = phase

    def context(self, state: Values, reader: Reader) -> Context:
        """A context for one record of this task."""
        return Context(self.stores, self.buffer, state, reader)

    def settle_counts(self, state: Values) -> None:
        """Turn the counts of the transaction into writes of the counters store."""
        store = self.stores.get(COUNTERS)
        if store is None or not self.buffer.counts:
            return
        writes = self.buffer.writes.setdefault(store, {})
        for key, increment in self.buffer.counts.items():
            name = "|".join(key).encode()
            before = state.get(store, name)
            total = (int.from_bytes(before, "big") if before else 0) + increment
            writes[name] = total.to_bytes(8, "big")

    def note(self, by: str) -> str:
        """What is written beside the committed offset."""
        logs = {spec.name: self.logs[at] for at, spec in self.specs.items() if at in self.logs}
        return Note(by, logs).to_text()

    def extend_logs(self, delivered: Mapping[TopicPartition, Delivered]) -> None:
        """The changelogs have grown by a committed transaction.

        Raises:
            StateLostError: one has begun anew since we wrote to it.
        """
        for store in self.buffer.writes:
            known, last = self.logs.get(store), delivered.get(store)
            if known is None or last is None:
                continue
            if last.offset < known.end:
                raise StateLostError(
                    f"changelog {store} was at {known.end} and a record was now written at "
                    f"{last.offset}: it was deleted and created again. {WAY_OUT}"
                )
            self.logs[store] = LogEnd(known.topic_id, last.offset + 1, last.time_ms)

    def extend_log(self, store: TopicPartition, end: int, time_ms: int) -> None:
        """A restore has read the changelog up to `end`; its last record is of `time_ms`."""
        known = self.logs[store]
        self.logs[store] = LogEnd(known.topic_id, end, max(time_ms, known.time_ms))

    @property
    def moved(self) -> bool:
        """Whether records were processed since the last commit."""
        return self.position != self.committed

    def settle(self) -> None:
        """The transaction is permanent: forget the buffer."""
        self.committed = self.position
        self.fresh = self.loss_accepted = False
        self.buffer = Buffer()

    def rewound(self, position: Position) -> None:
        """The input goes on at what is committed: by us, or by a commit nobody heard of."""
        self.drop(position.offset)
        self.fresh = position.note is None

    def drop(self, position: int) -> None:
        """The transaction is undone: forget the buffer, go back to `position`."""
        self.position = self.committed = position
        self.buffer = Buffer()
