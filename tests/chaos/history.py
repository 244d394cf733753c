"""What was sent and what was seen, and everything that is wrong with it.

Lives here: a history as plain values, and `check`, which names every anomaly, in the style of
Jepsen's checker for Kafka, for the way from inbound to the event logs. Must not live here:
Kafka, clocks, processes (see `observer`), what a message says (see `recompute`).

What is legitimate and therefore no anomaly: a repeat adds nothing; a rejected message has no
event, one that passed in part has those of its good objects only, so the history lists only
what must be there; a message whose sending was never acknowledged is there as a whole or not
at all; offsets have gaps, where control records and aborted ones lie; a message that the group
has not committed yet need not be visible.

Invariant: `check` is pure and judges from outside: it believes offsets, CloudEvents headers,
keys and bytes, and nothing that intake says about itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from streams.engine.record import TopicPartition


class Kind(StrEnum):
    """The anomalies."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    ABORTED_READ = "aborted read"
    TORN = "torn transaction"
    REORDERED = "reordered within a key"
    NON_MONOTONIC = "non-monotonic poll"
    UNEXPECTED = "unexpected"


class EventId(NamedTuple):
    """What makes an event one: its log, `ce_source` and `ce_id`."""

    log: str
    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source} {self.id}"


class Event(NamedTuple):
    """An event that a message must give, and under which key."""

    id: EventId
    key: bytes


class Position(NamedTuple):
    """Where a record lies."""

    partition: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Sent:
    """One sending of a message.

    `identity` is what repeats have in common. `events` are those it gives where it is the first
    of its identity, in the message's order; a rejected message and a conflict have none.
    `position` is where the acknowledged record lies on its home partition of inbound; None
    where no acknowledgement came, so that it may be there or not.
    """

    identity: str
    events: tuple[Event, ...]
    position: Position | None


class Seen(NamedTuple):
    """A record of an event log as a reader saw it; `digest` is one of key, value and headers."""

    offset: int
    source: str
    id: str
    key: bytes
    digest: str


Logs = Mapping[TopicPartition, Sequence[Seen]]
"""Records of each partition, by offset."""


class Poll(NamedTuple):
    """What one poll brought of one partition; polls are numbered as the reader made them."""

    number: int
    partition: TopicPartition
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader that followed the logs without a group: from where, what came, up to where.

    `ends` are the positions, behind the last record or marker, at which it stopped.
    """

    name: str
    starts: Mapping[TopicPartition, int]
    polls: tuple[Poll, ...]
    ends: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All committed records of the logs at one moment.

    `processed` is the group's committed offset per inbound partition, asked **before** the
    ends of the logs, which were then waited for: what lies below it must be visible in full.
    """

    name: str
    processed: Mapping[TopicPartition, int]
    logs: Logs


@dataclass(frozen=True, slots=True)
class History:
    """A run. `final` and `uncommitted` were read when nothing was written any more."""

    sent: tuple[Sent, ...]
    readers: tuple[Reader, ...]
    final: Snapshot
    uncommitted: Logs
    during: tuple[Snapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that must not be. `place` is a position or, where there is none, a name."""

    kind: Kind
    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.kind} at {self.place}: {self.sentence}"


def check(history: History) -> list[Anomaly]:
    """Every anomaly of the history; the final state's first. The same one is named once.

    Raises:
        ValueError: the history contradicts itself: one identity with two sets of events, an
            event of two messages.
    """
    effects = _effects(history.sent)
    found: dict[tuple[Kind, str], Anomaly] = {}
    for anomaly in _anomalies(history, effects):
        found.setdefault((anomaly.kind, anomaly.place), anomaly)
    return list(found.values())


def _anomalies(history: History, effects: Sequence[_Effect]) -> Iterator[Anomaly]:
    owners = {event.id: effect for effect in effects for event in effect.events}
    for snapshot in (history.final, *history.during):
        yield from _missing(snapshot, effects, history)
        yield from _duplicated(snapshot)
        yield from _unexpected(snapshot, owners)
    yield from _reordered(history.final, owners)
    yield from _phantoms(history)
    for reader in history.readers:
        yield from _not_monotonic(reader, history.final.logs)


# ------------------------------------------------------------------------ what must be there


@dataclass(frozen=True, slots=True)
class _Effect:
    """What the sendings of one identity must lead to together.

    `positions` are those of acknowledged sendings that may be the first; `first` is the one
    that is, None where a sending without acknowledgement may lie before it.
    """

    identity: str
    events: tuple[Event, ...]
    positions: tuple[Position, ...]
    first: Position | None

    @property
    def place(self) -> str:
        """The message's position, as far as it is known."""
        return str(self.positions[0]) if self.positions else self.identity

    def processed(self, snapshot: Snapshot) -> bool:
        """Whether the group had committed a sending of it when the snapshot was taken."""
        return any(at.offset < snapshot.processed.get(at.partition, 0) for at in self.positions)


def _effects(sent: Iterable[Sent]) -> list[_Effect]:
    by_identity: dict[str, list[Sent]] = defaultdict(list)
    for sending in sent:
        if sending.events:
            by_identity[sending.identity].append(sending)
    effects = []
    taken: dict[EventId, str] = {}
    for identity, sendings in by_identity.items():
        if len({sending.events for sending in sendings}) > 1:
            raise ValueError(f"{identity} was sent with two sets of events")
        for event in sendings[0].events:
            if taken.setdefault(event.id, identity) != identity:
                raise ValueError(f"{event.id} is of {identity} and of {taken[event.id]}")
        known = sorted(s.position for s in sendings if s.position is not None)
        first = known[0] if len(known) == len(sendings) else None
        effects.append(_Effect(identity, sendings[0].events, tuple(known), first))
    return effects


def _missing(snapshot: Snapshot, effects: Iterable[_Effect], history: History) -> Iterator[Anomaly]:
    """Messages of which nothing is visible, or not all.

    Before the end a message may be visible in part without being torn: its transaction is
    committed after the group's offsets were asked, and its events lie on several partitions,
    whose ends are asked one after the other. At the end there is no such excuse.
    """
    there = {_id(at, seen) for at, records in snapshot.logs.items() for seen in records}
    for effect in effects:
        missing = [event for event in effect.events if event.id not in there]
        processed = effect.processed(snapshot)
        torn = len(missing) < len(effect.events)
        if not missing or not (processed or (torn and snapshot is history.final)):
            continue
        count = f"{len(missing)} of {len(effect.events)} events"
        sentence = (
            f"{count} of {effect.identity}{', which was processed,' if processed else ''} are "
            f"missing in {snapshot.name}, first {missing[0].id}: "
            f"{_traces(missing, history.uncommitted)}"
        )
        yield Anomaly(Kind.TORN if torn else Kind.LOST, effect.place, sentence)


def _traces(missing: Sequence[Event], uncommitted: Logs) -> str:
    """Where the missing events were written all the same."""
    wanted = {event.id for event in missing}
    places = [
        str(Position(at, seen.offset))
        for at, records in uncommitted.items()
        for seen in records
        if _id(at, seen) in wanted
    ]
    return f"written at {', '.join(places)}, not committed" if places else "never written"


def _duplicated(snapshot: Snapshot) -> Iterator[Anomaly]:
    first: dict[EventId, Position] = {}
    for at, records in sorted(snapshot.logs.items()):
        for seen in records:
            here = Position(at, seen.offset)
            before = first.setdefault(_id(at, seen), here)
            if before != here:
                sentence = f"event {_id(at, seen)} is already at {before} in {snapshot.name}"
                yield Anomaly(Kind.DUPLICATED, str(here), sentence)


def _unexpected(snapshot: Snapshot, owners: Mapping[EventId, _Effect]) -> Iterator[Anomaly]:
    keys = {event.id: event.key for effect in owners.values() for event in effect.events}
    for at, records in snapshot.logs.items():
        for seen in records:
            event = _id(at, seen)
            if event not in keys:
                sentence = f"nobody sent what gives event {event}"
            elif seen.key != keys[event]:
                sentence = f"event {event} has another key than it must have"
            else:
                continue
            yield Anomaly(Kind.UNEXPECTED, str(Position(at, seen.offset)), sentence)


# ------------------------------------------------------------------------------------- order


def _reordered(final: Snapshot, owners: Mapping[EventId, _Effect]) -> Iterator[Anomaly]:
    """Events of a key, or of a message, that lie in another order than that of inbound.

    Only what came over one inbound partition has an order, and only the first of an event that
    is there twice takes part: the other is named as a duplicate.
    """
    ranks = {
        event.id: (effect.first, rank)
        for effect in owners.values()
        for rank, event in enumerate(effect.events)
        if effect.first is not None
    }
    for at, records in final.logs.items():
        sequences: dict[tuple[object, ...], dict[EventId, int]] = defaultdict(dict)
        for seen in sorted(records):
            event = _id(at, seen)
            if event in ranks:
                came_over = ranks[event][0].partition
                sequences["key", seen.key, came_over].setdefault(event, seen.offset)
                sequences["message", owners[event].identity].setdefault(event, seen.offset)
        for sequence in sequences.values():
            for before, after in pairwise(sequence):
                if ranks[after] < ranks[before]:
                    sentence = (
                        f"event {after} of {ranks[after][0]} lies behind {before} of "
                        f"{ranks[before][0]}, which was sent later"
                    )
                    yield Anomaly(Kind.REORDERED, str(Position(at, sequence[after])), sentence)


# ----------------------------------------------------------------------------------- readers


def _phantoms(history: History) -> Iterator[Anomaly]:
    """Records that a committed reader saw and that the final log does not have.

    A committed record stays. So whoever saw one that is not in the final log, or is another
    there, saw what was aborted. The final log itself is held against the uncommitted read.
    """
    final, written = _by_offset(history.final.logs), _by_offset(history.uncommitted)
    for name, at, seen in _sightings(history):
        kept = final.get(at, {}).get(seen.offset)
        if kept != seen:
            yield _phantom(name, at, seen, kept, written.get(at, {}).get(seen.offset))
    for at, records in history.final.logs.items():
        for seen in records:
            kept = written.get(at, {}).get(seen.offset)
            if kept != seen:
                yield _phantom(history.final.name, at, seen, kept, kept)


def _sightings(history: History) -> Iterator[tuple[str, TopicPartition, Seen]]:
    for reader in history.readers:
        for poll in reader.polls:
            for seen in poll.seen:
                yield f"{reader.name}, poll {poll.number},", poll.partition, seen
    for snapshot in history.during:
        for at, records in snapshot.logs.items():
            for seen in records:
                yield snapshot.name, at, seen


def _phantom(
    name: str, at: TopicPartition, seen: Seen, kept: Seen | None, written: Seen | None
) -> Anomaly:
    if kept is not None:
        fate = f"where {_id(at, kept)} is now, with digest {kept.digest} against {seen.digest}"
    elif written is not None:
        fate = "which was written and never committed"
    else:
        fate = "which the log does not have at all"
    sentence = f"{name} saw event {_id(at, seen)}, {fate}"
    return Anomaly(Kind.ABORTED_READ, str(Position(at, seen.offset)), sentence)


def _not_monotonic(reader: Reader, final: Logs) -> Iterator[Anomaly]:
    """Steps of a reader backwards, and over committed records that are there."""
    committed = {at: sorted(seen.offset for seen in records) for at, records in final.items()}
    positions = dict(reader.starts)
    steps = [
        (f"{reader.name}, poll {poll.number},", poll.partition, seen.offset, seen.offset + 1)
        for poll in sorted(reader.polls, key=lambda poll: poll.number)
        for seen in poll.seen
    ]
    steps += [(f"{reader.name}, at its end,", at, end, end) for at, end in reader.ends.items()]
    for who, at, offset, behind in steps:
        position, there = positions[at], committed.get(at, [])
        if offset < position:
            sentence = f"{who} went back from {position} to {offset}"
            yield Anomaly(Kind.NON_MONOTONIC, str(Position(at, offset)), sentence)
        skipped = there[bisect_left(there, position) : bisect_left(there, offset)]
        if skipped:
            sentence = f"{who} skipped {len(skipped)} committed records on its way to {offset}"
            yield Anomaly(Kind.NON_MONOTONIC, str(Position(at, skipped[0])), sentence)
        positions[at] = behind


def _by_offset(logs: Logs) -> dict[TopicPartition, dict[int, Seen]]:
    return {at: {seen.offset: seen for seen in records} for at, records in logs.items()}


def _id(at: TopicPartition, seen: Seen) -> EventId:
    return EventId(at.topic, seen.source, seen.id)
