"""Which rejected messages may enter again, and why others may not.

Lives here: the judgement of one rejection, and the plan of a redrive: places and counts. Must
not live here: sending (`redrive`), the filter (`rejections`), what is printed (`streams.cli`).

Invariant: nothing that could act on the field at the wrong time, that could stand in for
another message or that is not whole is ever redrivable, whatever an operator asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.envelope import peek_header, read
from schemas.errors import MessageError
from schemas.xml import XmlLimits, as_utf8, encoding_of
from streams.engine.record import Record, TopicPartition
from streams.runtime.headers import headers
from streams.runtime.rejections import Place, rejected_topics
from topics import Catalogue

PLACES_SHOWN: Final = 3

# An earlier message has the identity, or this one took effect: within the dedup horizon it would
# be recognised as such, past it the message would take effect beside the one that stands.
_SETTLED: Final = frozenset({"identity_conflict", "identity_uncomparable", "reply_failed"})


class LeftOut(StrEnum):
    """Why a rejection is not redriven."""

    INCOMPLETE = "incomplete"
    TOO_LARGE = "too_large"
    SETTLED = "settled"
    CONTROL = "control"
    REDRIVEN = "redriven"

    @property
    def why(self) -> str:
        """For people: a clause."""
        return _WHY[self]

    @property
    def fix(self) -> str:
        """For people: what to do instead."""
        return _FIX[self]


_WHY: Final = {
    LeftOut.INCOMPLETE: "its bytes were not kept whole",
    LeftOut.TOO_LARGE: "it is larger than the limit of today",
    LeftOut.SETTLED: "the message that has its identity stands",
    LeftOut.CONTROL: "it is a control, and nobody knows whether it has expired",
    LeftOut.REDRIVEN: "it was redriven already",
}
_FIX: Final = {
    LeftOut.INCOMPLETE: "have the sender send it again",
    LeftOut.TOO_LARGE: "have the sender split it",
    LeftOut.SETTLED: "have the sender send it under a new message ID, if it is still to be sent",
    LeftOut.CONTROL: "have the sender issue it anew, if it is still to be done",
    LeftOut.REDRIVEN: "look for what became of it; --again redrives it once more",
}


class About(NamedTuple):
    """What many rejections have in common."""

    code: str
    interface: str
    source: str
    noun: str


class Candidate(NamedTuple):
    """A rejection that may be redriven; small, because there may be a million of them."""

    time_ms: int
    place: Place
    about: About


@dataclass(slots=True)
class Tally:
    """How many, and the first few of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: Place) -> None:
        """Count one."""
        self.count += 1
        if self.count <= PLACES_SHOWN:
            self.first.append(str(place))


@dataclass(slots=True)
class Plan:
    """What a redrive would do.

    `beyond` counts what is redrivable but over the limit. `old` counts what was rejected longer
    ago than messages are remembered.
    """

    candidates: list[Candidate] = field(default_factory=list)
    left_out: dict[LeftOut, Tally] = field(default_factory=dict)
    beyond: int = 0
    old: int = 0

    @property
    def matched(self) -> int:
        """All that the filter let through."""
        left_out = sum(tally.count for tally in self.left_out.values())
        return len(self.candidates) + self.beyond + left_out

    def groups(self) -> dict[About, Tally]:
        """The candidates by what they have in common, in order of time."""
        found: dict[About, Tally] = {}
        for candidate in self.candidates:
            found.setdefault(candidate.about, Tally()).add(candidate.place)
        return found

    def leave_out(self, reason: LeftOut, place: Place) -> None:
        """Note one that is not redriven."""
        self.left_out.setdefault(reason, Tally()).add(place)


Redriven = Callable[[Collection[Place]], Collection[Place]]
"""Which of these places were redriven already, as far as is committed."""


def make_plan(
    records: Iterable[Record],
    catalogue: Catalogue,
    redriven: Redriven,
    *,
    now_ms: int,
    limit: int | None = None,
) -> Plan:
    """Judge each of the records; of the redrivable take the oldest `limit`.

    `redriven` is asked once, after all were read: it costs the reading of a log.
    """
    plan = Plan()
    interfaces = {name: spec.interface for name, spec in rejected_topics(catalogue).items()}
    # Equal parts are shared: measured 0.3 kB a candidate, of which there may be a million.
    same: dict[About, About] = {}
    partitions: dict[TopicPartition, TopicPartition] = {}
    found: list[Candidate] = []
    for record in records:
        at = partitions.setdefault(record.source, record.source)
        place = Place(at, record.offset)
        reason = why_not(record, catalogue, interfaces[record.topic])
        if reason is not None:
            plan.leave_out(reason, place)
            continue
        about = _about(record, interfaces[record.topic])
        found.append(Candidate(record.timestamp_ms, place, same.setdefault(about, about)))
    done = redriven({candidate.place for candidate in found}) if found else ()
    found.sort()
    for candidate in found:
        if candidate.place in done:
            plan.leave_out(LeftOut.REDRIVEN, candidate.place)
        elif limit is not None and len(plan.candidates) >= limit:
            plan.beyond += 1
        else:
            plan.candidates.append(candidate)
            plan.old += now_ms - candidate.time_ms > catalogue.dedup_horizon_ms
    return plan


def why_not(record: Record, catalogue: Catalogue, interface: str) -> LeftOut | None:
    """Why this rejection may not enter again by what it holds; None if it may. Pure."""
    told, value = headers(record), record.value or b""
    if not _whole(value, told):
        return LeftOut.INCOMPLETE
    if len(value) > catalogue.bytes_max(interface):
        return LeftOut.TOO_LARGE
    if told.get("cimstream_code", "") in _SETTLED:
        return LeftOut.SETTLED
    limits = XmlLimits(bytes_max=catalogue.bytes_max(interface))
    asked = {
        (told.get("ce_noun", ""), told.get("ce_verb", "").lower()),
        *_asked(value, limits),
    }
    if any(catalogue.commands(noun, verb) for noun, verb in asked):
        return LeftOut.CONTROL
    return None


def _about(record: Record, interface: str) -> About:
    told = headers(record)
    return About(
        told.get("cimstream_code", ""),
        interface,
        told.get("ce_source", ""),
        told.get("ce_noun", ""),
    )


def _whole(value: bytes, told: dict[str, str]) -> bool:
    """Size and digest are told where a record may hold only the head of a message, or nothing."""
    if not value:
        return False
    size, sha256 = told.get("cimstream_size"), told.get("cimstream_sha256")
    return (size is None or size == str(len(value))) and (
        sha256 is None or sha256 == hashlib.sha256(value).hexdigest()
    )


def _asked(value: bytes, limits: XmlLimits) -> Iterator[tuple[str, str]]:
    """Noun and verb of the message and of each of its operations.

    The header that the record has was told by whoever wrote to inbound, so the message itself
    is asked too. One that cannot be read can do nothing.
    """
    header = peek_header(value, limits)
    if header is None:
        return
    yield header.noun, header.verb
    yield from _operations(value, limits)


def _operations(value: bytes, limits: XmlLimits) -> Iterator[tuple[str, str]]:
    try:
        text = value if encoding_of(value) == "utf-8" else as_utf8(value)
        if b"OperationSet" not in text:
            return
        message = read(value, limits)
    except MessageError:
        return
    if message.operation_set is not None:
        for operation in message.operation_set.operations:
            yield operation.noun, operation.verb
