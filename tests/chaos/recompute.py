"""What must have come of the inbound topic, recomputed from it, against what is there.

Lives here: the recompute check, after Kafka's EosTestDriver. From inbound up to the committed
offsets of group `intake` follow the dedup marks, the counters, the events, the rejections, and
per meter and reading type count, minimum, maximum and sum. They are compared with the event
logs, `rejected`, the folded changelogs, and a stopped worker's local state. Must not live here:
what one message means (see `ruling`), how readers behave (see `history`).

A cut of a running system can be judged too, because of the order in which it is taken: first
the last stable offsets of the logs, then the group's offsets, then the logs up to their high
watermarks, where open transactions are waited for.

- Below the stable offsets every transaction is decided, and its input offsets, being part of
  it, are what the group answers (or it waits, KIP-447). So what lies there came of inbound
  records **below** the group's offsets; else an event was visible before its input was committed.
- A transaction whose offsets the group answers was decided before its events were read, and
  they were written before that. So what is below the group's offsets has **all** its events in
  the cut. Events of later records may be there in part, and are left out.

Hence the invariant in every cut, whatever is killed meanwhile: of the inbound records below the
group's offsets the event logs hold exactly the events, and so the energy, that these must give.
Only the counters, one total over all, have no cut while the system runs.

Invariant: it believes the records of inbound and the offsets of the group, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import fastavro
from aiokafka.partitioner import murmur2

from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record, TopicPartition
from streams.engine.rocks import RocksState
from streams.runtime.reading import TopicReader
from tests.chaos.history import EventId
from tests.chaos.observer import committed_records, stable_ends
from tests.chaos.ruling import Accepted, Readings, Refused, rule

GROUP: Final = "intake"
INBOUND: Final = "cim.i7.inbound"
MARKS: Final = "cim.intake.dedup-i7.changelog"
COUNTERS: Final = "cim.intake.counters-i7.changelog"
_CONTEXTS: Final = ("", "training.", "testing.", "development.", "study.")
LOGS: Final = tuple(
    f"cim.{context}i7.{log}"
    for context in _CONTEXTS
    for log in ("meter-readings", "end-device-events")
)
REJECTED: Final = tuple(f"cim.{context}i7.rejected" for context in _CONTEXTS)
_COUNTED: Final = {"received", "produced", "duplicates", "rejected", "rerouted"}
_HORIZON_MS: Final = 7 * 24 * 3600 * 1000
_MARK: Final = struct.Struct(">Bqq16s")
_SCHEMAS: Final = {1001: "meter-reading-series.avsc", 1002: "end-device-event.avsc"}
_AVRO: Final = Path(__file__).resolve().parents[2] / "schemas" / "avro"
_UNKNOWN_SOURCE: Final = "urn:cimstream:unknown-source"

Records = Mapping[TopicPartition, list[Record]]


class Difference(NamedTuple):
    """One fact that is not as it must be; None where it must not be, or is not there."""

    what: str
    place: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.what} {self.place}: {self.expected} expected, {self.found} found"


class Statistics(NamedTuple):
    """Of the values of one meter and reading type; gaps are not counted."""

    readings: int
    minimum: Decimal
    maximum: Decimal
    sum: Decimal

    def plus(self, other: Statistics) -> Statistics:
        """Both together."""
        return Statistics(
            self.readings + other.readings,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.sum + other.sum,
        )


@dataclass(slots=True)
class Facts:
    """What is compared, each by where it stands.

    `marks`: partition and store key to offset, append time and digest. `counters`: partition,
    name and code. `events`: each to the places of inbound, with keys, that gave it, so that
    one that is there twice has two. `rejections`: place of inbound, object, code. `forwards`:
    place of inbound to the partitions it was sent on to. `energy`: kWh of each log.
    """

    events: dict[EventId, list[str]] = field(default_factory=lambda: defaultdict(list))
    statistics: dict[tuple[str, str, str], Statistics] = field(default_factory=dict)
    energy: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    rejections: dict[tuple[str, str, str], int] = field(default_factory=Counter)
    forwards: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    marks: dict[tuple[int, str], tuple[int, int, str]] = field(default_factory=dict)
    counters: dict[tuple[int, str, str], int] = field(default_factory=Counter)

    def add(self, event: EventId, place: str, key: str, readings: Readings | None) -> None:
        """An event and what it says."""
        self.events[event].append(f"{place} under {key}")
        if readings is None:
            return
        self.energy[event.log] += readings.kwh
        values = [value for value in readings.values if value is not None]
        if values:
            at = (event.log, readings.meter, readings.reading_type)
            new = Statistics(len(values), min(values), max(values), sum(values, Decimal(0)))
            self.statistics[at] = self.statistics[at].plus(new) if at in self.statistics else new


@dataclass(frozen=True, slots=True)
class Cut:
    """All that is needed, read in the order that the module explains."""

    stable: Mapping[TopicPartition, int]
    processed: Mapping[TopicPartition, int]
    records: Records

    def of(self, *topics: str) -> Iterator[Record]:
        """The records of these topics, by partition and offset."""
        for at, records in sorted(self.records.items()):
            if at.topic in topics:
                yield from records

    def has_processed(self, place: str) -> bool:
        """Whether the group has committed this record of inbound."""
        partition, _, offset = place.removeprefix(f"{INBOUND}/").partition("@")
        return int(offset) < self.processed.get(TopicPartition(INBOUND, int(partition)), 0)


def take(bootstrap: str) -> Cut:
    """A cut of the cluster now."""
    stable = stable_ends(bootstrap, LOGS)
    with TopicReader(KafkaSettings(bootstrap)) as reader:
        processed = reader.group_offsets(GROUP, reader.topics()[INBOUND])
    topics = (INBOUND, *LOGS, *REJECTED, MARKS, COUNTERS)
    return Cut(stable, processed, committed_records(bootstrap, topics))


def differences_while_running(cut: Cut) -> list[Difference]:
    """Everything that is wrong in a cut of a system at work."""
    wanted, there = expected(cut), found(cut)
    wanted.counters.clear()
    there.counters.clear()
    return [*too_early(cut), *compare(wanted, there)]


def differences(cut: Cut, state_folder: Path | None = None) -> list[Difference]:
    """Everything that is wrong in a cut of a system at rest.

    Args:
        cut: Taken when no worker ran, or none had anything to do.
        state_folder: That of a stopped `cimstream run`: its local state is compared with the
            changelogs at its checkpoints. For that they must not have been compacted.
    """
    wrong = [*too_early(cut), *compare(expected(cut), found(cut))]
    for folder in sorted(state_folder.glob("intake-*")) if state_folder else ():
        wrong += _local(folder, cut)
    return wrong


def compare(wanted: Facts, there: Facts) -> list[Difference]:
    """The facts in which the two are not equal."""
    wrong = []
    for part in fields(Facts):
        mine, others = getattr(wanted, part.name), getattr(there, part.name)
        for key in sorted(mine.keys() | others.keys()):
            one, other = mine.get(key), others.get(key)
            if one != other:
                place = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
                wrong.append(Difference(part.name, place, one, other))
    return wrong


def too_early(cut: Cut) -> Iterator[Difference]:
    """Events that were visible before the input that they came of was committed."""
    for record in cut.of(*LOGS):
        origin = _origin(_decoded(record))
        if record.offset < cut.stable[record.source] and not cut.has_processed(origin):
            yield Difference("event before its input is committed", str(record), None, origin)


# ---------------------------------------------------------------------------------- expected


def expected(cut: Cut) -> Facts:
    """What the processed records of inbound must have led to."""
    facts = Facts()
    partitions = sum(at.topic == INBOUND for at in cut.records)
    contents: dict[tuple[int, str], bytes] = {}
    for record in cut.of(INBOUND):
        if not cut.has_processed(str(record)):
            continue
        ruling = rule(record.value)
        if isinstance(ruling, Refused):
            facts.counters[record.partition, "received", ""] += 1
            _reject(facts, record, ruling.code)
            continue
        home = (murmur2(ruling.identity) & 0x7FFFFFFF) % partitions
        if home != record.partition:
            facts.counters[record.partition, "rerouted", ""] += 1
            facts.forwards[str(record)].append(home)
            continue
        facts.counters[record.partition, "received", ""] += 1
        at = (record.partition, ruling.store_key)
        _, time_ms, digest = facts.marks.get(at, (0, 0, ""))
        if record.timestamp_ms - time_ms > _HORIZON_MS:
            _take_effect(facts, record, ruling, contents)
        elif digest == _digest(record) or contents[at] == ruling.content:
            facts.counters[record.partition, "duplicates", ""] += 1
        else:
            _reject(facts, record, "identity_conflict")
    return facts


def _take_effect(
    facts: Facts, record: Record, ruling: Accepted, contents: dict[tuple[int, str], bytes]
) -> None:
    """The first of its identity: good objects are events, bad ones rejected each by itself."""
    for number, code in ruling.rejected:
        _reject(facts, record, code, number=str(number))
    if ruling.rejected and not ruling.events:
        return
    for index, event in enumerate(ruling.events):
        source = ruling.source or _UNKNOWN_SOURCE
        event_id = EventId(ruling.log(event), source, f"{ruling.message_id}#{index}")
        facts.add(event_id, str(record), event.key, event.readings)
        facts.counters[record.partition, "produced", ""] += 1
    at = (record.partition, ruling.store_key)
    facts.marks[at] = (record.offset, record.timestamp_ms, _digest(record))
    contents[at] = ruling.content


def _reject(facts: Facts, record: Record, code: str, *, number: str = "") -> None:
    facts.counters[record.partition, "rejected", code] += 1
    facts.rejections[str(record), number, code] += 1


def _digest(record: Record) -> str:
    return hashlib.sha256(record.value or b"").digest()[:16].hex()


# ------------------------------------------------------------------------------------- found


def found(cut: Cut) -> Facts:
    """What is there that came of processed records of inbound."""
    facts = Facts()
    for record in cut.of(*LOGS):
        event = _decoded(record)
        if cut.has_processed(_origin(event)):
            headers = dict(record.headers)
            event_id = EventId(
                record.topic, headers["ce_source"].decode(), headers["ce_id"].decode()
            )
            key = (record.key or b"").decode()
            facts.add(event_id, _origin(event), key, _readings(event, key))
    for record in cut.of(*REJECTED):
        headers = dict(record.headers)
        place = headers.get("cimstream_inbound", b"").decode()
        if place and cut.has_processed(place):  # without a place it never entered
            number = headers.get("cimstream_object", b"").decode()
            facts.rejections[place, number, headers["cimstream_code"].decode()] += 1
    for record in cut.of(INBOUND):
        came_from = dict(record.headers).get("cimstream_reroutedfrom", b"").decode()
        if came_from and cut.has_processed(came_from):
            facts.forwards[came_from].append(record.partition)
    for at, value in _folded(cut.of(MARKS)).items():
        version, time_ms, offset, digest = _MARK.unpack_from(value)
        assert version == 1
        if cut.has_processed(f"{INBOUND}/{at[0]}@{offset}"):
            facts.marks[at[0], at[1].hex()] = (offset, time_ms, digest.hex())
    for (partition, name), value in _folded(cut.of(COUNTERS)).items():
        what, _interface, _context, _noun, code = name.decode().split("|")
        if what in _COUNTED:
            facts.counters[partition, what, code] += int.from_bytes(value, "big")
    return facts


def _folded(changelog: Iterable[Record]) -> dict[tuple[int, bytes], bytes]:
    """The newest value of each key of each partition."""
    state: dict[tuple[int, bytes], bytes] = {}
    for record in changelog:
        at = (record.partition, record.key or b"")
        if record.value is None:
            state.pop(at, None)
        else:
            state[at] = record.value
    return state


def _decoded(record: Record) -> dict[str, Any]:
    value = record.value or b""
    magic, schema_id = struct.unpack_from(">bI", value)
    assert magic == 0
    event = fastavro.schemaless_reader(BytesIO(value[5:]), _schema(schema_id), None)
    assert isinstance(event, dict)
    return event


@cache
def _schema(schema_id: int) -> Any:
    return fastavro.parse_schema(json.loads((_AVRO / _SCHEMAS[schema_id]).read_text("utf-8")))


def _origin(event: Mapping[str, Any]) -> str:
    """The place of inbound that the event says it came of."""
    place = event["provenance"]
    return f"{place['topic']}/{place['partition']}@{place['offset']}"


def _readings(event: Mapping[str, Any], key: str) -> Readings | None:
    if "readingType" not in event:
        return None
    exact = event["valueTexts"] or [repr(value) for value in event["values"]]
    values = tuple(None if text in ("nan", "") else Decimal(text) for text in exact)
    return Readings(key, event["readingType"], values)


# --------------------------------------------------------------------------------- the store


def _local(folder: Path, cut: Cut) -> Iterator[Difference]:
    """Where a local store is not the fold of its changelog up to its checkpoint."""
    state = RocksState(folder)
    try:
        for at in sorted(at for at in cut.records if at.topic in (MARKS, COUNTERS)):
            checkpoint = state.checkpoint(at) or 0
            mine = {(at.partition, key): value for key, value in state.items(at)}
            logged = _folded(r for r in cut.records[at] if r.offset < checkpoint)
            for key in sorted(mine.keys() | logged.keys()):
                if mine.get(key) != logged.get(key):
                    place = f"{folder.name} {at}@{checkpoint} {key[1].hex()}"
                    yield Difference(
                        "local state", place, _hex(logged.get(key)), _hex(mine.get(key))
                    )
    finally:
        state.close()


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
