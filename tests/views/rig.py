"""Records and databases for the tests of views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.avro import encode_body, encode_provenance, frame
from streams.engine.record import Record, TopicPartition
from streams.views.criteria import Criteria
from streams.views.follow import FollowEvent, changes
from streams.views.model import DAY_MS, logs
from streams.views.query import Page, View
from streams.views.reading import SqlReader
from streams.views.store import Position
from streams.views.tables import Database
from streams.views.writing import SqlWriter
from topics import load_catalogue

CATALOGUE = load_catalogue()
LOGS = logs(CATALOGUE)
READINGS, OUTAGES = "cim.i7.meter-readings", "cim.i1.outages.current"
METERS, USAGE_POINTS = "cim.i7.meter-config.current", "cim.i7.usage-point-config.current"
ALARMS, DEVICE_EVENTS = "cim.i1.alarms", "cim.i7.end-device-events"
KWH = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
KW = "0.0.2.4.1.1.8.0.0.0.0.0.0.0.0.3.38.0"
QUARTER = 900_000
# A time of the tests: midnight of a day, epoch milliseconds UTC.
MIDNIGHT = 1_790_000_000_000 // DAY_MS * DAY_MS


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": None, "authority": None, **fields}


def event(schema: str, **fields: Any) -> bytes:
    return frame(schema) + encode_provenance("t", 0, 0, "m", "s", 0) + encode_body(schema, fields)


def series(
    values: Sequence[float] = (1.0,),
    *,
    first: int = MIDNIGHT,
    meter: dict[str, Any] | None = None,
    usage_point: dict[str, Any] | None = None,
    reading_type: str = KWH,
    stamps: Sequence[int] = (),
) -> bytes:
    """A series; of quarter hours where no times are given."""
    return event(
        "MeterReadingSeries",
        meter=meter,
        usagePoint=usage_point,
        readingType=reading_type,
        shape="INTERVAL_BLOCK",
        firstTimeStamp=stamps[0] if stamps else first,
        intervalMs=0 if stamps or len(values) == 1 else QUARTER,
        timeStamps=list(stamps),
        values=list(values),
    )


def outage(mrid: str, life: str = "open", revision: int = 1, **fields: Any) -> bytes:
    return event("Outage", revision=revision, lifeCycle=life, mRID=mrid, **fields)


def alarm(mrid: str, time_ms: int, state: str = "unacknowledged", **fields: Any) -> bytes:
    return event(
        "Alarm", mRID=mrid, stateKind=state, timeStamp=time_ms,
        severityKind="critical", **fields,
    )  # fmt: skip


def record(
    topic: str,
    offset: int,
    key: str,
    value: bytes | None,
    *,
    partition: int = 0,
    at: int = MIDNIGHT,
) -> Record:
    return Record(topic, partition, offset, at, key.encode(), value, ())


class Silent:
    """Keeps the events of a follower."""

    def __init__(self) -> None:
        self.events: list[FollowEvent] = []

    def emit(self, event: FollowEvent) -> None:
        self.events.append(event)


class Bench:
    """A view that takes records without a follower, and is asked."""

    def __init__(self, write: Database, read: Database, now_ms: int = MIDNIGHT) -> None:
        self.writer = SqlWriter(write)
        self.writer.take()
        self.reader = SqlReader(read)
        self.now_ms = now_ms
        self._offsets: dict[str, int] = {}
        topics = {entry.topic for entry in LOGS.values()}
        self.writer.begin(
            {TopicPartition(t, 0): Position("id", 0, 0, now_ms, now_ms) for t in topics}
        )

    def add(self, topic: str, key: str, value: bytes | None, *, at: int = MIDNIGHT) -> int:
        """One record; gives its offset."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        moved = {TopicPartition(topic, 0): offset + 1}
        records = [record(topic, offset, key, value, at=at)]
        self.writer.apply(changes(records, moved, LOGS, 0, Silent()))
        return offset

    def page(self, noun: str, *, limit: int = 100, cursor: str | None = None, **how: Any) -> Page:
        view = View(self.reader, LOGS, fresh_ms=1_000, clock_ms=lambda: self.now_ms)
        return view.page(Criteria(noun, **how), limit=limit, cursor=cursor)

    def keys(self, noun: str, **how: Any) -> list[str]:
        return [row.key for row in self.page(noun, **how).rows]

    def values(self, **how: Any) -> list[float]:
        """The readings that answer, in order."""
        return [
            row.event()["values"][position]
            for row in self.page("MeterReadings", **how).rows
            for position in row.chosen or ()
        ]
