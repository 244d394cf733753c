"""What is pending, in memory: which delivery may be tried now, and which has to wait.

Lives here: order per object, back-off, the room of each destination, expiry. Must not live here:
Kafka, protocols, threads, clocks (times come in).

    a message waits for   every earlier one to the same destination that is about its object;
                          about no single object, it is about all of its noun
    a destination waits   behind failures, twice as long each time, then one message tries;
                          never for another destination

Invariant: of two pending messages to one destination about one object, only the earlier one is ever
given out.
"""

from __future__ import annotations

import heapq
import zlib
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from connectors.destinations import Destination
from streams.engine.record import TopicPartition
from streams.runtime.delivery.entry import Entry
from streams.runtime.rejections import Place

# Attempts of many messages that failed together are spread over so much of their back-off.
_SPREAD: Final = 0.2
# Expiries of what is over are removed when there are so many more of them than of what is pending.
_STALE_MAX: Final = 1_000


class Counted(NamedTuple):
    """What waits for one destination; `oldest_ms` is since when, 0 where nothing does."""

    pending: int
    oldest_ms: int


class _At(Enum):
    WAITING = "waiting for its turn"
    OUT = "being tried"
    ENDING = "decided, not written yet"


@dataclass(slots=True, eq=False)
class _Held:
    """An entry in the table. `number` is its order of arrival."""

    entry: Entry
    number: int
    at: _At = _At.WAITING


@dataclass(slots=True)
class _Stream:
    """What is pending for one destination about one noun, in order of arrival."""

    pending: OrderedDict[Place, _Held] = field(default_factory=OrderedDict)
    lanes: dict[str, deque[_Held]] = field(default_factory=dict)

    def add(self, held: _Held) -> None:
        self.pending[held.entry.place] = held
        self.lanes.setdefault(held.entry.subject, deque()).append(held)

    def remove(self, held: _Held) -> None:
        del self.pending[held.entry.place]
        lane = self.lanes[held.entry.subject]
        lane.remove(held)
        if not lane:
            del self.lanes[held.entry.subject]

    def leads(self, held: _Held) -> bool:
        """Whether nothing earlier is about what it is about."""
        if not held.entry.subject:
            return next(iter(self.pending.values())) is held
        barrier = self.lanes.get("")
        first = self.lanes[held.entry.subject][0] is held
        return first and (barrier is None or barrier[0].number > held.number)

    def leaders(self, behind: _Held) -> Iterator[_Held]:
        """Those that may lead now that `behind` is gone."""
        subject = behind.entry.subject
        if not self.pending:
            return
        if not subject:
            heads = [lane[0] for lane in self.lanes.values()]
        else:
            lane = self.lanes.get(subject)
            heads = [*([lane[0]] if lane else []), next(iter(self.pending.values()))]
        yield from (head for head in heads if self.leads(head))


@dataclass(slots=True)
class _Line:
    """A destination: its streams, what may be tried when, and how it went lately."""

    settings: Destination
    streams: dict[str, _Stream] = field(default_factory=dict)
    due: list[tuple[int, int, Place]] = field(default_factory=list)
    out: int = 0
    failures: int = 0
    closed_until_ms: int = 0

    @property
    def room(self) -> int:
        """How many more may be tried at once: behind a failure, one tells whether it is over."""
        return (1 if self.failures else self.settings.in_flight_max) - self.out


class Table:
    """All pending deliveries of the partitions that this process holds. One thread."""

    def __init__(self, destinations: Mapping[str, Destination]) -> None:
        self._lines = {name: _Line(settings) for name, settings in destinations.items()}
        self._held: dict[Place, _Held] = {}
        self._expiries: list[tuple[int, int, Place]] = []
        self._named: dict[tuple[str, str], list[Place]] = {}
        self._arrived = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, place: Place) -> Entry | None:
        """The entry of this place, None where it is none of ours, or over."""
        held = self._held.get(place)
        return None if held is None else held.entry

    def full(self, destination: str) -> bool:
        """Whether no more may wait for it."""
        line = self._lines[destination]
        pending = sum(len(stream.pending) for stream in line.streams.values())
        return pending >= line.settings.pending_max

    def add(self, entry: Entry) -> None:
        """One more; those of a partition come in order of their offsets."""
        self._arrived += 1
        held = self._held[entry.place] = _Held(entry, self._arrived)
        heapq.heappush(self._expiries, (entry.expires_ms, held.number, entry.place))
        for name in {entry.message_id, entry.correlation_id} - {""}:
            self._named.setdefault((entry.destination, name), []).append(entry.place)
        line = self._lines.get(entry.destination)
        if line is None:  # no longer in the file: it waits for its expiry
            return
        stream = line.streams.setdefault(entry.noun, _Stream())
        stream.add(held)
        self._offer(line, stream, held)

    def remove(self, place: Place) -> None:
        """It is over; what waited for it may go."""
        held = self._held.pop(place)
        entry = held.entry
        if len(self._expiries) > 2 * len(self._held) + _STALE_MAX:
            self._expiries = [one for one in self._expiries if one[2] in self._held]
            heapq.heapify(self._expiries)
        for name in {entry.message_id, entry.correlation_id} - {""}:
            places = self._named[entry.destination, name]
            places.remove(place)
            if not places:
                del self._named[entry.destination, name]
        line = self._lines.get(entry.destination)
        if line is None:
            return
        line.out -= held.at is _At.OUT
        stream = line.streams[entry.noun]
        stream.remove(held)
        for leader in stream.leaders(held):
            self._offer(line, stream, leader)

    def out(self, partitions: set[TopicPartition]) -> list[Entry]:
        """Those of the partitions that are being tried."""
        held = (one for one in self._held.values() if one.entry.place.at in partitions)
        return [one.entry for one in held if one.at is _At.OUT]

    def release(self, partitions: set[TopicPartition]) -> None:
        """These are no longer ours."""
        for place in [place for place in self._held if place.at in partitions]:
            self.remove(place)

    def take(self, now_ms: int) -> Iterator[Entry]:
        """Those whose time has come, as far as their destinations have room; they are out then."""
        for line in self._lines.values():
            if now_ms < line.closed_until_ms:
                continue
            while line.due and line.due[0][0] <= now_ms and line.room > 0:
                _, _, place = heapq.heappop(line.due)
                held = self._held.get(place)
                if held is None or held.at is not _At.WAITING or held.entry.due_ms > now_ms:
                    continue
                held.at = _At.OUT
                line.out += 1
                yield held.entry

    def expired(self, now_ms: int) -> Iterator[Entry]:
        """Those that must not be delivered any more, and are not being tried."""
        due: list[tuple[int, int, Place]] = []
        while self._expiries and self._expiries[0][0] <= now_ms:
            due.append(heapq.heappop(self._expiries))
        for one in due:
            held = self._held.get(one[2])
            if held is None:
                continue
            heapq.heappush(self._expiries, one)
            if held.at is _At.WAITING:
                yield held.entry

    def back(self, place: Place, failed_ms: int | None, after_s: float = 0.0) -> None:
        """It was tried and is still pending; where it failed, at that time, it waits.

        `after_s` is how long its destination asks for.
        """
        held = self._held[place]
        line = self._lines[held.entry.destination]
        line.out -= held.at is _At.OUT
        held.at = _At.WAITING
        if failed_ms is not None:
            own_s = line.settings.backoff_s(held.entry.attempts) * (1 + _SPREAD * _share(place))
            held.entry.due_ms = failed_ms + int(max(own_s, after_s) * 1000)
        self._offer(line, line.streams[held.entry.noun], held)

    def decide(self, place: Place) -> None:
        """How it ends is known: it is not tried any more, and stays in the way until it is over."""
        held = self._held[place]
        line = self._lines.get(held.entry.destination)
        if line is not None:
            line.out -= held.at is _At.OUT
        held.at = _At.ENDING

    def answered(self, destination: str) -> None:
        """The destination is there: what it said does not matter."""
        line = self._lines[destination]
        line.failures, line.closed_until_ms = 0, 0

    def failed(self, destination: str, now_ms: int, after_s: float) -> None:
        """An attempt failed: the destination is left alone for a while, longer each time.

        Attempts that were under way together count as one.
        """
        line = self._lines[destination]
        line.failures += now_ms >= line.closed_until_ms
        pause_s = max(line.settings.backoff_s(line.failures), after_s)
        line.closed_until_ms = now_ms + int(pause_s * 1000)

    def failures(self, destination: str) -> int:
        """How many attempts in a row have failed."""
        return self._lines[destination].failures

    def named(self, destination: str, name: str) -> Entry | None:
        """The oldest pending one with this message or correlation ID."""
        places = self._named.get((destination, name), ())
        return self._held[places[0]].entry if places else None

    def counted(self) -> Mapping[str, Counted]:
        """Per destination what waits; also for those that are no longer in the file."""
        counts = dict.fromkeys(self._lines, Counted(0, 0))
        for held in self._held.values():
            name, since_ms = held.entry.destination, held.entry.since_ms
            before = counts.get(name, Counted(0, 0))
            oldest_ms = min(before.oldest_ms or since_ms, since_ms)
            counts[name] = Counted(before.pending + 1, oldest_ms)
        return counts

    def _offer(self, line: _Line, stream: _Stream, held: _Held) -> None:
        if line.settings.kind == "pull":
            return
        if held.at is _At.WAITING and not held.entry.taken and stream.leads(held):
            heapq.heappush(line.due, (held.entry.due_ms, held.number, held.entry.place))


def _share(place: Place) -> float:
    """Of each place another part of 1, the same each time."""
    return zlib.crc32(str(place).encode()) / 2**32
