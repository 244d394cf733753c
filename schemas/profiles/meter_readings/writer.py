"""A canonical event of MeterReadings -> the payload that says the same.

Lives here: one series, or one event that a MeterReading carried, as a payload with one
MeterReading. Must not live here: what the record means (see `reader`, `series`).

Invariant: the payload reads as the record that it was made from, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from schemas import parsers
from schemas.profiles.meter_readings import series
from schemas.profiles.meter_readings.selection import times_of
from schemas.profiles.parts import Instant, Record, epoch_ms
from schemas.profiles.writing import Writer
from schemas.times import from_epoch_ms

READING_TYPE_FIELDS: Final = (
    "mRID",
    "accumulation",
    "aggregate",
    "commodity",
    "consumptionTier",
    "cpp",
    "currency",
    "flowDirection",
    "macroPeriod",
    "measurementKind",
    "measuringPeriod",
    "multiplier",
    "phases",
    "tou",
    "unit",
)
QUALITY_TYPE_FIELDS: Final = ("mRID", "category", "subCategory", "systemId")


def write_series(record: Record, namespace: str) -> etree._Element:
    """The payload that says what a MeterReadingSeries says.

    The readings are hundreds of elements: as text they take a third of the time that they take
    one by one.

    Raises:
        ValueError: the parts of the record contradict each other, or cannot be said in XML.
    """
    tag = "IntervalReadings" if record["shape"] == series.INTERVAL_BLOCK else "Readings"
    around = etree.tostring(_around(record, namespace, tag), encoding="UTF-8")
    readings = "".join(_readings(tag, record)).encode()
    # Once: what stands in a text has no "<".
    try:
        return parsers.element(around.replace(f"<{tag}/>".encode(), readings, 1))
    except etree.XMLSyntaxError:
        raise ValueError("a text holds what XML cannot say") from None


def _around(record: Record, namespace: str, tag: str) -> etree._Element:
    """The payload with one empty element in the place of the readings."""
    make = Writer(namespace)
    payload = make.payload("MeterReadings")
    reading = make.child(payload, "MeterReading")
    make.flag(reading, "isCoincidentTrigger", record["isCoincidentTrigger"])
    in_block = tag == "IntervalReadings"
    if in_block:
        block = make.child(reading, "IntervalBlocks")
        make.child(block, tag)
        _pending(make, block, record["pendingCalculation"])
        make.reference(block, "ReadingType", record["readingType"])
    make.meter(reading, record["meter"])
    if not in_block:
        make.child(reading, tag)
    make.named(reading, "UsagePoint", record["usagePoint"])
    if record["valuesInterval"] is not None:
        interval = record["valuesInterval"]
        make.period(reading, "valuesInterval", interval["start"], interval["end"])
    for kind in record["readingQualityTypes"]:
        make.definition(payload, "ReadingQualityType", kind, *QUALITY_TYPE_FIELDS)
    if record["readingTypeDefinition"] is not None:
        definition = record["readingTypeDefinition"]
        make.definition(payload, "ReadingType", definition, *READING_TYPE_FIELDS)
    return payload


def write_event(record: Record, namespace: str) -> etree._Element:
    """The payload of an EndDeviceEvent that a MeterReading carried, with its meter."""
    make = Writer(namespace)
    payload = make.payload("MeterReadings")
    make.event_type(payload, record)
    reading = make.child(payload, "MeterReading")
    make.event(reading, "EndDeviceEvents", record)
    make.meter(reading, record["meter"])
    return payload


def _readings(tag: str, record: Record) -> Iterator[str]:
    """Each reading, as text."""
    times, texts = times_of(record), record["valueTexts"]
    notes = {note["index"]: note for note in record["annotations"]}
    qualities = [""] * len(times)
    for run in record["qualities"]:
        text = _quality(run)
        for index in range(run["from"], run["from"] + run["count"]):
            qualities[index] += text
    of_type = _reference("ReadingType", record["readingType"]) if tag == "Readings" else ""
    for index, (instant, value) in enumerate(zip(times, record["values"], strict=True)):
        before, after = _note(notes[index], tag) if index in notes else ("", "")
        said = _leaf("value", texts[index] or None if texts else _text(value))
        yield (
            f"<{tag}>{before}{_time('timeStamp', instant)}{said}{qualities[index]}{of_type}"
            f"{after}</{tag}>"
        )


def _note(note: Record, tag: str) -> tuple[str, str]:
    """What is said of one reading alone: the elements before its time, and its period."""
    reason = _leaf("reason", note["reason"]) if tag == "Readings" else ""
    reported = _time("reportedDateTime", note["reportedDateTime"])
    period = _time("end", note["periodEnd"]) + _time("start", note["periodStart"])
    return (
        f"{reason}{reported}{_leaf('source', note['source'])}",
        f"<timePeriod>{period}</timePeriod>" if period else "",
    )


def _quality(run: Record) -> str:
    said = _leaf("comment", run["comment"]) + _leaf("source", run["source"])
    of_type = _reference("ReadingQualityType", run["ref"])
    time = _time("timeStamp", run["timeStamp"])
    return f"<ReadingQualities>{said}{time}{of_type}</ReadingQualities>"


def _leaf(tag: str, text: str | None) -> str:
    # A bare carriage return is read as a line feed.
    return "" if text is None else f"<{tag}>{escape(text, {chr(13): '&#13;'})}</{tag}>"


def _time(tag: str, instant: Instant | None) -> str:
    return "" if instant is None else f"<{tag}>{from_epoch_ms(epoch_ms(instant))}</{tag}>"


def _reference(tag: str, ref: str) -> str:
    return f"<{tag} ref={quoteattr(ref)}/>"


def _text(value: float) -> str | None:
    """The shortest text of a value without texts, which has at most 15 digits; None for a gap."""
    return None if math.isnan(value) else repr(value)


def _pending(make: Writer, block: etree._Element, record: Record | None) -> None:
    if record is None:
        return
    element = make.child(block, "PendingCalculation")
    make.flag(element, "multiplyBeforeAdd", record["multiplyBeforeAdd"])
    for field in ("offset", "scalarDenominator", "scalarFloat", "scalarNumerator"):
        if record[field] is not None:
            make.leaf(element, field, _SPECIAL.get(repr(record[field]), repr(record[field])))
    make.reference(element, "ReadingType", record["readingType"])


# XML Schema's words for what Python calls otherwise.
_SPECIAL: Final = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}
