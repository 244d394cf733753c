"""Messages as head-ends send them: IEC 61968-100 envelopes with IEC 61968-9 payloads.

Text in, bytes out; no library of ours, so that what is sent does not depend on what reads
it. Also the workload of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

ENVELOPE: Final = "http://iec.ch/TC57/2011/schema/message"
READINGS: Final = "http://iec.ch/TC57/2011/MeterReadings#"
EVENTS: Final = "http://iec.ch/TC57/2011/EndDeviceEvents#"
# 15-minute delta of energy, forward, kWh (18 fields of IEC 61968-9 Annex C).
KWH_15_MIN: Final = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
POWER_FAILED: Final = "3.26.0.85"
VALID: Final = "1.0.0"
DAY: Final = datetime(2026, 11, 1, tzinfo=UTC)
QUARTER: Final = timedelta(minutes=15)

_EVENTS: Final = ("created", "changed", "canceled", "closed", "deleted", "executed")
_ROOTS: Final = {"reply": "ResponseMessage", **dict.fromkeys(_EVENTS, "EventMessage")}


def envelope(
    payload: str,
    *,
    message_id: str = "",
    verb: str = "created",
    noun: str = "MeterReadings",
    source: str = "HES-1",
    timestamp: str = "2026-11-02T00:10:00Z",
    extra: str = "",
) -> bytes:
    """A message with `payload` in the Payload element (none where it is empty).

    `extra` goes into the Header in front of the MessageID.
    """
    root = _ROOTS.get(verb, "RequestMessage")
    body = f"<Payload>{payload}</Payload>" if payload else ""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<{root} xmlns="{ENVELOPE}"><Header><Verb>{verb}</Verb>',
        f"<Noun>{noun}</Noun>" if noun else "",
        "<Revision>2.0</Revision>",
        extra if extra.startswith("<Context>") else "",
        f"<Timestamp>{timestamp}</Timestamp><Source>{source}</Source>",
        "" if extra.startswith("<Context>") else extra,
        f"<MessageID>{message_id}</MessageID>" if message_id else "",
        f"</Header>{body}</{root}>",
    ]
    return "".join(parts).encode()


def values(meter: int, count: int) -> list[str]:
    """Plausible kWh of `count` intervals, different per meter, exact in three decimals."""
    return [f"{(meter * 7 + i * 3) % 997 / 1000:.3f}" for i in range(count)]


def times(count: int, start: datetime = DAY) -> list[str]:
    """Ends of `count` quarter hours after `start`, with zone."""
    return [(start + QUARTER * (i + 1)).strftime("%Y-%m-%dT%H:%M:%SZ") for i in range(count)]


def full_meter(mrid: str, numbers: Sequence[str], stamps: Sequence[str]) -> str:
    """A MeterReading in the Readings form, each value with type and quality."""
    readings = "".join(
        f"<Readings><timeStamp>{stamp}</timeStamp><value>{number}</value><ReadingQualities>"
        f'<ReadingQualityType ref="{VALID}"/></ReadingQualities><ReadingType ref="{KWH_15_MIN}"/>'
        "</Readings>"
        for number, stamp in zip(numbers, stamps, strict=True)
    )
    return f"<MeterReading><Meter><mRID>{mrid}</mRID></Meter>{readings}</MeterReading>"


def compact_meter(mrid: str, numbers: Sequence[str], stamps: Sequence[str]) -> str:
    """A MeterReading in the IntervalBlocks form."""
    readings = "".join(
        f"<IntervalReadings><timeStamp>{stamp}</timeStamp><value>{number}</value>"
        "</IntervalReadings>"
        for number, stamp in zip(numbers, stamps, strict=True)
    )
    return (
        f"<MeterReading><IntervalBlocks>{readings}"
        f'<ReadingType ref="{KWH_15_MIN}"/></IntervalBlocks>'
        f"<Meter><mRID>{mrid}</mRID></Meter></MeterReading>"
    )


def meter_readings(meters: Iterable[str]) -> str:
    """The payload with these MeterReading elements."""
    return f'<MeterReadings xmlns="{READINGS}">{"".join(meters)}</MeterReadings>'


def end_device_events(mrids: Iterable[str], code: str = POWER_FAILED) -> str:
    """The payload with one event per device."""
    events = "".join(
        f"<EndDeviceEvent><mRID>event-{mrid}</mRID>"
        "<createdDateTime>2026-11-01T03:14:15Z</createdDateTime>"
        f"<Assets><mRID>{mrid}</mRID></Assets>"
        f'<EndDeviceEventType ref="{code}"/></EndDeviceEvent>'
        for mrid in mrids
    )
    return f'<EndDeviceEvents xmlns="{EVENTS}">{events}</EndDeviceEvents>'


def reserialised(message: bytes) -> bytes:
    """The same content in another form: prefixes, white space, a fresh Timestamp."""
    text = message.decode()
    root = text[text.index("<", 5) + 1 :].split(" ", 1)[0]
    text = text.replace(f'xmlns="{ENVELOPE}"', f'xmlns:msg="{ENVELOPE}"')
    for name in (root, "Header", "Verb", "Noun", "Revision", "Context", "Timestamp", "Source",
                 "AckRequired", "MessageID", "Payload"):  # fmt: skip
        text = text.replace(f"<{name}>", f"<msg:{name}>").replace(f"<{name} ", f"<msg:{name} ")
        text = text.replace(f"</{name}>", f"</msg:{name}>")
    text = text.replace("2026-11-02T00:10:00Z", "2026-11-02T00:40:00Z")
    return text.replace("</msg:Header>", "</msg:Header>\n  <!-- sent again -->\n  ").encode()
