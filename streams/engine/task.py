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

from streams.engine.ports import Reader, State
from streams.engine.processor import COUNTERS, Buffer, Context, StoreSpec
from streams.engine.record import TopicPartition


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
    """

    def __init__(
        self, source: TopicPartition, position: int, stores: tuple[StoreSpec, ...]
    ) -> None:
        self.source = source
        self.position = position
        self.committed = position
        self.stores = {s.name: TopicPartition(s.changelog, source.partition) for s in stores}
        self.buffer = Buffer()
        self.phase = Phase.CREATED
        self.paused = False

    def become(self, phase: Phase) -> None:
        """Go to `phase`; an illegal step is a programmer's error."""
        if phase not in _NEXT[self.phase]:
            raise ValueError(f"task {self.source} cannot go from {self.phase} to {phase}")
        self.phase = phase

    def context(self, state: State, reader: Reader) -> Context:
        """A context for one record of this task."""
        return Context(self.stores, self.buffer, state, reader)

    def settle_counts(self, state: State) -> None:
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

    @property
    def moved(self) -> bool:
        """Whether records were processed since the last commit."""
        return self.position != self.committed

    def settle(self) -> None:
        """The transaction is permanent: forget the buffer."""
        self.committed = self.position
        self.buffer = Buffer()

    def drop(self, position: int) -> None:
        """The transaction is undone: forget the buffer, go back to `position`."""
        self.position = self.committed = position
        self.buffer = Buffer()
