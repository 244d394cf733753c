"""The newest events of one log, as this process has read them: what all who keep up share.

Lives here: a window on the end of a log, and the place of a reader in it. Must not live here:
Kafka, threads, waiting.

Memory is that of the window, however many read from it. Whoever falls behind its beginning reads
for itself (`slices`) until it is back; so nobody is lost to slowness, and nobody is waited for.

Invariant: the window holds every event between `_tail` and `_head` of each partition, in the
order of each partition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from connectors.subscriptions import Batch, Event, Position

# What is kept of one log: some seconds of a busy one. As JSON an event of 200 bytes has about 2 KB,
# so this is some 10 MB; four times that where somebody's criteria look into records.
EVENTS_MAX: Final = 4_000
BYTES_MAX: Final = 4 * 1024 * 1024
BATCH: Final = 250


class Feed:
    """One log. One event loop."""

    def __init__(
        self, start: Position, *, events_max: int = EVENTS_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        """Empty, at this position."""
        self.log = start.log
        self._tail = list(start.offsets)
        self._head = list(start.offsets)
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._first = 0

    def arrived(self, events: Iterable[Event], positions: Mapping[int, int]) -> None:
        """These came, in order of each partition; `positions` is where each stands now."""
        for event in events:
            self._events.append(event)
            self._bytes += len(event.value)
            self._head[event.partition] = event.offset + 1
        for partition, offset in positions.items():
            self._head[partition] = max(self._head[partition], offset)
        while len(self._events) > self._events_max or (
            self._bytes > self._bytes_max and len(self._events) > 1
        ):
            gone = self._events.popleft()
            self._first += 1
            self._bytes -= len(gone.value)
            self._tail[gone.partition] = gone.offset + 1

    def read(self, position: Position, place: int | None) -> tuple[Batch, int] | None:
        """What comes behind `position`, and the place to go on from; None: read for yourself.

        `place` is that of the read before; None for one who comes from elsewhere.
        """
        if place is None or place < self._first:
            if any(at < tail for at, tail in zip(position.offsets, self._tail, strict=True)):
                return None
            place = self._first
        offsets = list(position.offsets)
        taken = []
        end = self._first + len(self._events)
        chosen = islice(self._events, place - self._first, place - self._first + BATCH)
        for event in chosen:
            place += 1
            # Who came from elsewhere may have had it already.
            if event.offset >= offsets[event.partition]:
                offsets[event.partition] = event.offset + 1
                taken.append(event)
        if place == end:
            # Behind the last event may lie what is no event: the mark of a transaction.
            offsets = [max(pair) for pair in zip(offsets, self._head, strict=True)]
        return Batch(taken, position._replace(offsets=tuple(offsets))), place
