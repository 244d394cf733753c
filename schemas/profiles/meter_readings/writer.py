"""A canonical event of MeterReadings -> the payload that says the same.

Lives here: one series, or one event that a MeterReading carried, as a payload with one
MeterReading. Must not live here: what the record means (see `reader`, `series`).

Invariant: the payload reads as the record that it was made from, byte for byte.
"""

from __future__ import annotations

import math
from typing import Final

from lxml import etree

from schemas.profiles.meter_readings import series
from schemas.profiles.meter_readings.selection import times_of
from schemas.profiles.parts import Record
from schemas.profiles.writing import Writer

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
    """The payload that says what a MeterReadingSeries says."""
    make = Writer(namespace)
    payload = make.payload("MeterReadings")
    reading = make.child(payload, "MeterReading")
    make.flag(reading, "isCoincidentTrigger", record["isCoincidentTrigger"])
    in_block = record["shape"] == series.INTERVAL_BLOCK
    if in_block:
        block = make.child(reading, "IntervalBlocks")
        _readings(make, block, "IntervalReadings", record)
        _pending(make, block, record["pendingCalculation"])
        make.reference(block, "ReadingType", record["readingType"])
    make.meter(reading, record["meter"])
    if not in_block:
        _readings(make, reading, "Readings", record)
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


def _readings(make: Writer, parent: etree._Element, tag: str, record: Record) -> None:
    times, texts = times_of(record), record["valueTexts"]
    notes = {note["index"]: note for note in record["annotations"]}
    qualities: list[list[Record]] = [[] for _ in times]
    for run in record["qualities"]:
        for index in range(run["from"], run["from"] + run["count"]):
            qualities[index].append(run)
    for index, (instant, value) in enumerate(zip(times, record["values"], strict=True)):
        element = make.child(parent, tag)
        note = notes.get(index)
        if note is not None:
            make.texts(element, note, *(["reason"] if tag == "Readings" else []))
            make.time(element, "reportedDateTime", note["reportedDateTime"])
            make.texts(element, note, "source")
        make.time(element, "timeStamp", instant)
        make.leaf(element, "value", texts[index] or None if texts else _text(value))
        for quality in qualities[index]:
            _quality(make, element, quality)
        if tag == "Readings":
            make.reference(element, "ReadingType", record["readingType"])
        if note is not None and (note["periodStart"], note["periodEnd"]) != (None, None):
            make.period(element, "timePeriod", note["periodStart"], note["periodEnd"])


def _text(value: float) -> str | None:
    """The shortest text of a value without texts, which has at most 15 digits; None for a gap."""
    return None if math.isnan(value) else repr(value)


def _quality(make: Writer, parent: etree._Element, run: Record) -> None:
    element = make.child(parent, "ReadingQualities")
    make.texts(element, run, "comment", "source")
    make.time(element, "timeStamp", run["timeStamp"])
    make.reference(element, "ReadingQualityType", run["ref"])


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
