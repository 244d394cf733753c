"""What a view keeps of a record: rows, and the terms by which they are found.

Lives here: which logs a view is fed from, and from a decoded event to a row. Must not live
here: databases (`store`, `sql`), offsets (`follow`).

Invariant: a row is a function of its record alone, so that a view that is built again from the
same records has the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from schemas import mrids
from schemas.avro import decode
from schemas.profiles.keys import identity
from streams.engine.record import Record
from topics import Catalogue

Event = Mapping[str, Any]
Kind = Literal["register", "readings", "events"]

READINGS: Final = "MeterReadings"
# Registers that say which names and which feeder a usage point or a meter has.
SUBJECT_REGISTERS: Final = ("UsagePointConfig", "MeterConfig")

DAY_MS: Final = 86_400_000
# Longest text in an index, in bytes: of an index row of PostgreSQL (2,704) two may be in one.
_TEXT_MAX: Final = 512
_SHORTENED: Final = 64
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# Where an event says when it happened and an object how long it holds; the first that is there.
_TIMES: Final = (
    "timeStamp", "occurredDateTime", "createdDateTime", "calculatedDateTime",
    "predictionCreationDate", "start",
)  # fmt: skip
_PERIODS: Final = (
    "actualPeriod", "actualExecutionInterval", "plannedPeriod", "plannedExecutionInterval",
    "scheduledPeriod", "scheduledInterval", "estimatedPeriod", "requiredPeriod",
    "requestedPeriod", "validityInterval", "scheduleInterval", "studyInterval",
    "reportingPeriod", "period_timeInterval", "reserveBid_Period_timeInterval",
    "activation_Time_Period_timeInterval",
)  # fmt: skip
_STATUSES: Final = ("statusKind", "stateKind", "eventStatusKind", "docStatus")
_FEEDERS: Final = ("feeder", "feeders")
# What an event of a history is about, beside itself.
_ABOUT: Final = (
    "meter", "usagePoint", "assets", "measurement", "powerSystemResource", "area",
    "endDeviceGroup",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Log:
    """A topic that a view is fed from."""

    topic: str
    context: str
    noun: str
    kind: Kind


class Term(NamedTuple):
    """One thing that a row can be found by: `mrid`, `name`, `feeder`, `status` or `life`.

    Long values are `short`.
    """

    kind: str
    value: str


class ObjectId(NamedTuple):
    """An object of a register; the key is that of its record, `short`."""

    context: str
    noun: str
    key: str


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """An object of a register as it is. `first_ms` and `last_ms`: its period, as far as known."""

    revision: int
    first_ms: int | None
    last_ms: int | None
    terms: tuple[Term, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of a history other than readings."""

    context: str
    noun: str
    key: str
    time_ms: int
    partition: int
    offset: int
    appended_ms: int
    terms: tuple[Term, ...]
    body: bytes


class ReadingRow(NamedTuple):
    """A series: the readings of one subject and type from one block, `first_ms` to `last_ms`.

    `meter` is the identity of the meter, "" where the series names none. `step_ms` is the time
    from one value to the next, 0 of a single one, -1 where it is not constant: others with the
    same subject, type, first and last time and step have the same times.
    """

    context: str
    key: str
    reading_type: str
    first_ms: int
    last_ms: int
    step_ms: int
    partition: int
    offset: int
    appended_ms: int
    meter: str
    body: bytes


class Subject(NamedTuple):
    """Another way to name the subject of readings: by `name`, or by the `meter` it had.

    `day` is that of the newest series that says so, by append time, in days since 1970.
    """

    context: str
    kind: str
    value: str
    key: str
    day: int


def logs(catalogue: Catalogue, nouns: Collection[str] = ()) -> Mapping[str, Log]:
    """The topics a view is fed from; `nouns` empty: of every noun that has a profile."""
    found = {}
    for spec in catalogue.topics():
        noun = catalogue.nouns.get(spec.noun)
        if noun is None or noun.profile is None or (nouns and noun.name not in nouns):
            continue
        if spec.purpose != ("current" if noun.kind == "register" else "log"):
            continue
        kind: Kind = "register" if noun.kind == "register" else "events"
        if noun.name == READINGS:
            kind = "readings"
        found[spec.name] = Log(spec.name, spec.context, noun.name, kind)
    return found


def object_row(event: Event, body: bytes) -> ObjectRow:
    """A register's event as the row of its object."""
    first_ms, last_ms = _period(event)
    terms = (
        *_named(event),
        *_feeders(event),
        *_status(event),
        Term("life", str(event["lifeCycle"])),
    )
    return ObjectRow(event["revision"], first_ms, last_ms, tuple(dict.fromkeys(terms)), body)


def event_row(log: Log, record: Record, event: Event) -> EventRow:
    """An event of a history; found by what it is about, too."""
    about = [term for part in _parts(event, _ABOUT) for term in _named(part)]
    terms = (*_named(event), *about, *_feeders(event), *_status(event))
    return EventRow(
        log.context,
        log.noun,
        key_text(record),
        _first_time(event, _TIMES, record.timestamp_ms),
        record.partition,
        record.offset,
        record.timestamp_ms,
        tuple(dict.fromkeys(terms)),
        record.value or b"",
    )


def reading_row(log: Log, record: Record, event: Event) -> ReadingRow:
    """A series of readings."""
    times = event["timeStamps"]
    first = epoch_ms(min(times, default=event["firstTimeStamp"]))
    last = (
        epoch_ms(max(times))
        if times
        else first + event["intervalMs"] * (max(len(event["values"]), 1) - 1)
    )
    return ReadingRow(
        log.context,
        key_text(record),
        short(event["readingType"]),
        first,
        last,
        0 if first == last else -1 if times else event["intervalMs"],
        record.partition,
        record.offset,
        record.timestamp_ms,
        short(identity(event["meter"]) or ""),
        record.value or b"",
    )


def subjects(row: ReadingRow, event: Event) -> Iterator[Subject]:
    """How else its subject can be named: by the names of what the key is of, and by its meter."""
    day = row.appended_ms // DAY_MS
    named = event["usagePoint"]
    if short(identity(named) or "") != row.key:
        named = event["meter"]
    for name in named["names"] if named else ():
        yield Subject(row.context, "name", short(name["name"]), row.key, day)
    if row.meter and row.meter != row.key:
        yield Subject(row.context, "meter", row.meter, row.key, day)


def short(text: str) -> str:
    """The text, or what stands for it in an index: its beginning and digest where it is long."""
    encoded = text.encode()
    if len(encoded) <= _TEXT_MAX:
        return text
    return f"{text[:_SHORTENED]}…{hashlib.sha256(encoded).hexdigest()}"


def key_text(record: Record) -> str:
    """A record's key, as rows have it."""
    return short((record.key or b"").decode("utf-8", "replace"))


def times_of(event: Event) -> Sequence[int]:
    """The time of each value of a series, in the order of its values; epoch milliseconds."""
    if event["timeStamps"]:
        return [epoch_ms(time) for time in event["timeStamps"]]
    first, step = epoch_ms(event["firstTimeStamp"]), event["intervalMs"]
    return range(first, first + step * len(event["values"]), step) if step else [first]


def read(body: bytes) -> Event:
    """The event in a record's value.

    Raises:
        WireFormatError: it is none.
    """
    return decode(body)[1]


def epoch_ms(time: datetime) -> int:
    """Milliseconds since 1970 UTC of a decoded Avro time."""
    return (time - _EPOCH) // _MILLISECOND


def _named(part: Event) -> Iterator[Term]:
    if part.get("mRID"):
        for spelling in dict.fromkeys((part["mRID"], mrids.normal(part["mRID"]))):
            yield Term("mrid", short(spelling))
    for name in part.get("names") or ():
        yield Term("name", short(name["name"]))


def _feeders(event: Event) -> Iterator[Term]:
    for part in _parts(event, _FEEDERS):
        for term in _named(part):
            yield Term("feeder", term.value)


def _status(event: Event) -> Iterator[Term]:
    for field in _STATUSES:
        if isinstance(event.get(field), str):
            yield Term("status", event[field])
    status = event.get("status")
    if isinstance(status, Mapping) and status.get("value"):
        yield Term("status", short(status["value"]))


def _parts(event: Event, fields: Sequence[str]) -> Iterator[Event]:
    """The records in these fields, whether one or many."""
    for field in fields:
        found = event.get(field)
        for part in found if isinstance(found, list) else [found]:
            if isinstance(part, Mapping):
                yield part


def _period(event: Event) -> tuple[int | None, int | None]:
    for field in _PERIODS:
        found = event.get(field)
        if isinstance(found, Mapping) and ("start" in found or "end" in found):
            start, end = found.get("start"), found.get("end")
            if start is not None or end is not None:
                return _ms(start), _ms(end)
    created = _ms(event.get("createdDateTime"))
    return created, None


def _first_time(event: Event, fields: Sequence[str], otherwise: int) -> int:
    for field in fields:
        if (found := _ms(event.get(field))) is not None:
            return found
    return otherwise


def _ms(time: object) -> int | None:
    return epoch_ms(time) if isinstance(time, datetime) else None
