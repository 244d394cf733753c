"""What the demonstration sends, and what each message must lead to.

The expectation is written down with the message, by hand, from the rules (docs/guarantees.md),
never computed by the code under demonstration.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from streams.demo import messages as m

METERS_PER_MESSAGE: Final = 10
VALUES_PER_METER: Final = 96
BULK_MESSAGES: Final = 300
EVENT_MESSAGES: Final = 100
DEVICES_PER_EVENT_MESSAGE: Final = 5
REPEAT_EVERY: Final = 25


@dataclass(frozen=True, slots=True)
class Expected:
    """The outcome of one message: canonical events by topic, repeats, rejections by code.

    `kwh` is the exact sum of the values that must be in a readings log.
    """

    events: dict[str, int] = field(default_factory=dict)
    readings: int = 0
    kwh: Decimal = Decimal(0)
    repeats: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    replies: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of the demonstration. `kind` is its row in the table."""

    name: str
    kind: str
    data: bytes
    expected: Expected


READINGS_LOG: Final = "cim.i7.meter-readings"
EVENTS_LOG: Final = "cim.i7.end-device-events"
TRAINING_LOG: Final = "cim.training.i7.meter-readings"
_REPEAT: Final = Expected(repeats=1)
_FOUR: Final = sum((Decimal(number) for number in m.values(1, 4)), Decimal(0))
_ACCEPTED: Final = Expected(events={READINGS_LOG: 1}, readings=4, kwh=_FOUR)


def scenario(source: str) -> Iterator[Sent]:
    """All messages in the order in which they are sent, from a head-end of this name.

    A name that was never used makes them new: it is part of every message's identity.
    """
    name = f"<Source>{source}</Source>".encode()
    messages = (*_bulk(), *_device_events(), *_special(), *_bad())
    for number, sent in enumerate(messages, 1):
        data = sent.data.replace(b"<Source>HES-1</Source>", name)
        data = data.replace(b"<msg:Source>HES-1</", name[:1] + b"msg:" + name[1:-9] + b"</")
        yield Sent(f"{number:05d}-{sent.name}", sent.kind, data, sent.expected)


def _bulk() -> Iterator[Sent]:
    stamps = m.times(VALUES_PER_METER)
    for i in range(BULK_MESSAGES):
        compact = i % 2 == 1
        form = m.compact_meter if compact else m.full_meter
        numbers = [
            m.values(i * METERS_PER_MESSAGE + k, VALUES_PER_METER)
            for k in range(METERS_PER_MESSAGE)
        ]
        meters = [form(f"meter-{i}-{k}", column, stamps) for k, column in enumerate(numbers)]
        data = m.envelope(m.meter_readings(meters), message_id=f"readings-{i}")
        kind = "MeterReadings, IntervalBlocks" if compact else "MeterReadings, Readings"
        expected = Expected(
            events={READINGS_LOG: METERS_PER_MESSAGE},
            readings=METERS_PER_MESSAGE * VALUES_PER_METER,
            kwh=sum((_kwh(column) for column in numbers), Decimal(0)),
        )
        yield Sent(f"readings-{i}", kind, data, expected)
        if i % REPEAT_EVERY == 0:
            yield Sent(f"readings-{i}-again", "repeated, same bytes", data, _REPEAT)
        if i % REPEAT_EVERY == 1:
            again = m.reserialised(data)
            yield Sent(f"readings-{i}-reserialised", "repeated, other form", again, _REPEAT)


def _device_events() -> Iterator[Sent]:
    for i in range(EVENT_MESSAGES):
        mrids = [f"device-{i}-{k}" for k in range(DEVICES_PER_EVENT_MESSAGE)]
        data = m.envelope(
            m.end_device_events(mrids), message_id=f"events-{i}", noun="EndDeviceEvents"
        )
        expected = Expected(events={EVENTS_LOG: DEVICES_PER_EVENT_MESSAGE})
        yield Sent(f"events-{i}", "EndDeviceEvents", data, expected)
        if i % REPEAT_EVERY == 0:
            yield Sent(f"events-{i}-again", "repeated, same bytes", data, _REPEAT)


def _special() -> Iterator[Sent]:
    """Good messages off the main road."""
    one = _readings("meter-x")
    acknowledged = m.envelope(one, message_id="ack-1", extra="<AckRequired>true</AckRequired>")
    answered = Expected(events={READINGS_LOG: 1}, readings=4, kwh=_FOUR, replies=1)
    yield Sent("acknowledged", "with receipt", acknowledged, answered)
    yield Sent(
        "acknowledged-again", "with receipt, repeated", acknowledged, Expected(repeats=1, replies=1)
    )
    yield Sent(
        "training",
        "context TRAINING",
        m.envelope(one, message_id="training-1", extra="<Context>TRAINING</Context>"),
        Expected(events={TRAINING_LOG: 1}, readings=4, kwh=_FOUR),
    )
    yield Sent("no-id", "without message ID", m.envelope(_readings("meter-y")), _ACCEPTED)
    yield Sent(
        "no-id-again",
        "without message ID, repeated",
        m.envelope(_readings("meter-y"), timestamp="2026-11-02T01:00:00Z"),
        _REPEAT,
    )
    compressed = base64.b64encode(gzip.compress(_readings("meter-z").encode(), mtime=0)).decode()
    yield Sent(
        "compressed",
        "compressed payload",
        m.envelope(
            f"<Compressed>{compressed}</Compressed><Format>XML</Format>", message_id="compressed-1"
        ),
        _ACCEPTED,
    )
    bad = _readings("meter-bad", numbers=["0.1", "n/a", "0.3", "0.4"], whole=False)
    good = _readings("meter-good", whole=False)
    yield Sent(
        "mixed",
        "good and bad meters in one",
        m.envelope(
            m.meter_readings([good, bad]),
            message_id="mixed-1",
            extra="<AckRequired>true</AckRequired>",
        ),
        Expected(
            events={READINGS_LOG: 1},
            readings=4,
            kwh=_FOUR,
            rejected={"value_not_number": 1},
            replies=1,
        ),
    )


def _bad() -> Iterator[Sent]:
    """Everything that must be rejected, and with which code."""
    one = _readings("meter-r")
    good = m.envelope(one, message_id="bad-truncated")
    conflict = m.envelope(_readings("meter-other"), message_id="readings-2")
    entity = f'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/hostname">]>{_root("&e;")}'
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(10))
    bomb = base64.b64encode(gzip.compress(b" " * 64_000_000, mtime=0)).decode()
    cases: dict[str, tuple[str, bytes]] = {
        "same ID, other content": ("identity_conflict", conflict),
        "not XML": ("xml_not_wellformed", b"OBIS 1.8.0 = 17 kWh"),
        "truncated": ("xml_not_wellformed", good[: len(good) // 2]),
        "not UTF-8": ("xml_encoding", good.replace(b"HES-1", b"HES-\xff\xfe")),
        "foreign root": ("root_unknown", b"<html><body>502</body></html>"),
        "external entity": ("xml_forbidden", entity.encode()),
        "billion laughs": ("xml_forbidden", f"<!DOCTYPE r [{laughs}]>{_root('&l9;')}".encode()),
        "depth 10,000": ("xml_too_deep", _root("<a>" * 10_000 + "</a>" * 10_000).encode()),
        "gzip bomb": (
            "compressed_ratio",
            m.envelope(
                f"<Compressed>{bomb}</Compressed><Format>XML</Format>", message_id="bad-bomb"
            ),
        ),
        "10 MB": ("message_too_large", good.replace(b"<Header>", b"<Header>" + b" " * 10_000_000)),
        "unknown noun": ("noun_unknown", m.envelope(one, message_id="bad-noun", noun="Toasters")),
        "verb of a later release": (
            "verb_planned",
            m.envelope("", message_id="bad-plan", verb="reply", noun="MeterConfig"),
        ),
        "noun of another interface": (
            "interface_not_allowed",
            m.envelope("<Crews/>", message_id="bad-home", verb="create", noun="Crews"),
        ),
        "unknown verb": ("verb_unknown", m.envelope(one, message_id="bad-verb", verb="explode")),
        "envelope without noun": ("noun_missing", m.envelope(one, message_id="bad-none", noun="")),
        "no payload": ("payload_missing", m.envelope("", message_id="bad-empty")),
        "execute without message ID": (
            "message_id_missing",
            m.envelope("<EndDeviceControls/>", verb="execute", noun="EndDeviceControls"),
        ),
        "value not a number": (
            "value_not_number",
            m.envelope(
                _readings("meter-q", numbers=["1", "2", "three", "4"]), message_id="bad-value"
            ),
        ),
        "timestamp without zone": (
            "timestamp_without_zone",
            m.envelope(
                _readings("meter-p", stamps=[t.rstrip("Z") for t in m.times(4)]),
                message_id="bad-zone",
            ),
        ),
        "end before start": (
            "interval_reversed",
            m.envelope(
                _readings("meter-o").replace(
                    "</MeterReading>",
                    "<valuesInterval><end>2026-11-01T00:00:00Z</end>"
                    "<start>2026-11-02T00:00:00Z</start></valuesInterval></MeterReading>",
                ),
                message_id="bad-interval",
            ),
        ),
    }
    for kind, (code, data) in cases.items():
        # Requests are answered, so a rejected one gets a FAILED reply.
        replies = 1 if b"<RequestMessage" in data[:200] and code not in _UNANSWERED else 0
        name = kind.replace(" ", "-").replace(",", "")
        yield Sent(name, kind, data, Expected(rejected={code: 1}, replies=replies))


# Where header or kind could not be read there is nobody to answer.
_UNANSWERED: Final = frozenset({"verb_unknown"})


def _kwh(numbers: list[str]) -> Decimal:
    return sum((Decimal(number) for number in numbers), Decimal(0))


def _readings(
    mrid: str,
    *,
    numbers: list[str] | None = None,
    stamps: list[str] | None = None,
    whole: bool = True,
) -> str:
    """One meter with four readings: a whole payload, or just the MeterReading."""
    meter = m.full_meter(mrid, numbers or m.values(1, 4), stamps or m.times(4))
    return m.meter_readings([meter]) if whole else meter


def _root(content: str) -> str:
    root = f'EventMessage xmlns="{m.ENVELOPE}"'
    return f"<{root}><Header><Verb>{content}</Verb></Header></EventMessage>"
