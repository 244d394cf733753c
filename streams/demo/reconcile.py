"""What was sent against what is there: message by message, by position in Kafka.

Reads the logs as any consumer would (read_committed) and attributes every record to the
message that caused it, by the provenance it carries. So an event too many is found as well
as one too few, and a repeat that had an effect is found by its own position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from schemas.avro import decode
from streams.demo.scenario import Sent
from streams.engine.record import Record

_READINGS: Final = "MeterReadingSeries"


@dataclass(slots=True)
class Found:
    """What one message led to."""

    events: Counter[str] = field(default_factory=Counter)
    readings: int = 0
    kwh: Decimal = Decimal(0)
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Row:
    """All messages of one kind: how many were sent, and expected / found figures."""

    kind: str
    messages: int = 0
    events: tuple[int, int] = (0, 0)
    readings: tuple[int, int] = (0, 0)
    kwh: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    rejected: tuple[int, int] = (0, 0)
    codes: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    @property
    def rejections_only(self) -> bool:
        """Whether nothing of this kind has or should have had an effect but a rejection."""
        return self.rejected != (0, 0) and self.events == (0, 0)

    @property
    def right(self) -> bool:
        """Whether every message of this kind came out as it must."""
        return not self.wrong


def attribute(
    logs: Iterable[Record],
    rejected: Iterable[Record],
    positions: Mapping[str, str],
    source: str,
) -> tuple[dict[str, Found], list[str]]:
    """Attribute events and rejections to messages.

    Args:
        logs: Records of noun logs.
        rejected: Records of rejected topics.
        positions: "topic/partition@offset" of each message's record to its name.
        source: The head-end's name; what others send on the same cluster is passed over.

    Returns:
        What each message led to, and what is wrong with the logs themselves: an event whose
        id is there twice, a record that no message caused.
    """
    found: dict[str, Found] = {}
    wrong: list[str] = []
    ids: Counter[tuple[str, bytes]] = Counter()
    for record in logs:
        name, event = decode(record.value or b"")
        origin = event["provenance"]
        at = f"{origin['topic']}/{origin['partition']}@{origin['offset']}"
        if origin["source"] != source:
            continue
        if at not in positions:
            wrong.append(f"{record}: no message at {at}")
            continue
        outcome = found.setdefault(positions[at], Found())
        outcome.events[record.topic] += 1
        ids[record.topic, _header(record, "ce_id") + _header(record, "ce_source")] += 1
        if name == _READINGS:
            outcome.readings += len(event["values"])
            outcome.kwh += sum((Decimal(repr(v)) for v in event["values"]), Decimal(0))
    wrong += [f"{topic}: event {i.decode()} is there {n} times" for (topic, i), n in ids.items()
              if n > 1]  # fmt: skip
    for record in rejected:
        at = _header(record, "cimstream_inbound").decode() or str(record)
        if at not in positions:
            continue
        code = _header(record, "cimstream_code").decode()
        found.setdefault(positions[at], Found()).rejected[code] += 1
    return found, wrong


def compare(sent: Iterable[Sent], found: Mapping[str, Found]) -> list[Row]:
    """One row per kind of message, in the order of sending."""
    rows: dict[str, Row] = {}
    for message in sent:
        row = rows.setdefault(message.kind, Row(message.kind))
        expected, outcome = message.expected, found.get(message.name, Found())
        row.messages += 1
        row.events = _plus(row.events, sum(expected.events.values()), outcome.events.total())
        row.readings = _plus(row.readings, expected.readings, outcome.readings)
        row.kwh = (row.kwh[0] + expected.kwh, row.kwh[1] + outcome.kwh)
        row.rejected = _plus(
            row.rejected, sum(expected.rejected.values()), outcome.rejected.total()
        )
        row.codes |= outcome.rejected.keys()
        if (
            dict(outcome.events) != expected.events
            or dict(outcome.rejected) != expected.rejected
            or (outcome.readings, outcome.kwh) != (expected.readings, expected.kwh)
        ):
            row.wrong.append(message.name)
    return list(rows.values())


def _plus(pair: tuple[int, int], expected: int, found: int) -> tuple[int, int]:
    return pair[0] + expected, pair[1] + found


def _header(record: Record, name: str) -> bytes:
    return next((value for key, value in record.headers if key == name), b"")
