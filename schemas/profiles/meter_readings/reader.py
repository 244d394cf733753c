"""MeterReadings: payload -> canonical events; the reference for what a message means.

Lives here: the rules of the noun beyond its XSD. Must not live here: speed (see `columns`),
the layout of records (see `series`).

Invariant: the readings of a series stand in the message's order; a reading without a value
stays one, and nothing is sorted, filled or rounded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lxml import etree

from schemas.errors import MessageError
from schemas.profiles import keys, parts
from schemas.profiles.definitions import kept_beside
from schemas.profiles.end_device_events import reader as end_device_events
from schemas.profiles.meter_readings import series, writer
from schemas.profiles.meter_readings.facts import (
    PLAIN,
    Block,
    Facet,
    MeterReading,
    Quality,
    Segment,
)
from schemas.profiles.meter_readings.numbers import NotANumberError, number
from schemas.profiles.model import Allowance, Outcome
from schemas.profiles.objects import Draft, read_objects
from schemas.profiles.parts import SPACE, Record
from schemas.profiles.places import Findings, local_name
from schemas.profiles.revisions import read_meant
from schemas.profiles.validation import ObjectSchema

Children = Mapping[str, etree._Element]  # noqa: SLF001 - its name in lxml

NOUN: Final = "MeterReadings"
_TYPE: Final = "ReadingType"
_IN_COLUMNS: Final = frozenset({"timeStamp", "value", _TYPE})
# A gap: NaN in the column, and nothing lost by it.
_NO_VALUE: Final = (float("nan"), True)


class MeterReadingsProfile:
    """See `schemas.profiles.model.Profile`."""

    noun: str = NOUN
    objects = frozenset({"MeterReading"})

    def __init__(self) -> None:
        self._schema = ObjectSchema(
            Path(__file__).with_name("profile.xsd"),
            NOUN,
            {
                "ReadingType": "reading_type_missing",
                "EndDeviceEventType": "event_type_missing",
            },
        )

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those it is known in, of any year, the one that is written first."""
        return self._schema.known

    def read(
        self,
        payload: etree._Element,
        verb: str = "",  # noqa: ARG002
        allowance: Allowance | None = None,
    ) -> Outcome:
        """Check and map each MeterReading: a series per block or reading type, and its events.

        An object is rejected with `profile_violation`, `meter_missing`,
        `reading_type_missing`, `event_type_missing`, `timestamp_invalid`,
        `timestamp_without_zone`, `value_not_number` or `interval_reversed`.

        Raises:
            MessageError: `noun_unknown`, `payload_namespace_unknown`.
        """
        return read_meant(payload, self._schema, self._read, allowance or Allowance())

    def _read(self, payload: etree._Element, allowance: Allowance) -> Outcome:
        reader = ObjectReader(payload, self._schema.namespace_of(payload))

        def drafts(element: etree._Element, findings: Findings) -> list[Draft]:
            facts = reader.meter_reading(element, findings)
            return [] if findings.problems else [*facts.events, *reader.series_of(facts)]

        outcome = read_objects(payload, self._schema, reader.carrier, drafts, allowance)
        return kept_beside(outcome, payload, reader.carrier)

    def write(self, record: Record) -> etree._Element:
        """The payload that says what a canonical event says.

        It takes a MeterReadingSeries, or an EndDeviceEvent that a MeterReading carried.
        """
        make = writer.write_series if "values" in record else writer.write_event
        return make(record, self._schema.namespace)

    def single(self, payload: etree._Element) -> "tuple[ObjectReader, MeterReading] | None":
        """What a payload with exactly one good MeterReading says; None for any other payload."""
        try:
            namespace = self._schema.namespace_of(payload)
        except MessageError:
            return None
        reader = ObjectReader(payload, namespace)
        carriers = [element for element in payload if element.tag == reader.carrier]
        findings = Findings()
        if len(carriers) != 1 or any(
            self._schema.problems(child, namespace, Findings(told=False)) for child in payload
        ):
            return None
        facts = reader.meter_reading(carriers[0], findings)
        return None if findings.problems else (reader, facts)


class ObjectReader:
    """Reads the MeterReading elements of one payload, which the XSD has accepted.

    It knows the type definitions that the payload carries beside them.
    """

    def __init__(self, payload: etree._Element, namespace: str) -> None:
        self._space = f"{{{namespace}}}"
        self.carrier = self._space + "MeterReading"
        self._reading_types = self._definitions(payload, "ReadingType", *writer.READING_TYPE_FIELDS)
        self._quality_types = self._definitions(
            payload, "ReadingQualityType", *writer.QUALITY_TYPE_FIELDS
        )
        self._event_types = self._definitions(
            payload, "EndDeviceEventType", *parts.EVENT_TYPE_FIELDS
        )

    def _definitions(self, payload: etree._Element, tag: str, *fields: str) -> dict[str, Record]:
        return parts.definitions(payload, tag, self._space, *fields)

    def meter_reading(self, element: etree._Element, findings: Findings) -> MeterReading:
        """What the element says. The result is of use only where `findings` stays empty."""
        space = self._space
        meter = parts.meter(parts.first(element, space + "Meter"), space, findings)
        usage_point = parts.named(parts.first(element, space + "UsagePoint"), space)
        key = keys.first_key(usage_point, meter)
        if key is None:
            findings.add("meter_missing", element)
        interval = parts.first(element, space + "valuesInterval")
        start, end = parts.period(interval, space, findings)
        facts = MeterReading(
            meter=meter,
            usage_point=usage_point,
            key=key or b"",
            is_coincident_trigger=parts.flag(element, space + "isCoincidentTrigger"),
            values_interval=None if interval is None else {"start": start, "end": end},
        )
        for event in element.iterfind(space + "EndDeviceEvents"):
            record = parts.event(event, space, self._event_types, findings)
            record["meter"] = meter
            facts.events += end_device_events.draft(record, event, findings)
        for block in element.iterfind(space + "IntervalBlocks"):
            self._interval_block(block, facts, findings)
        self._readings(element, facts, findings)
        return facts

    def _interval_block(
        self, element: etree._Element, facts: MeterReading, findings: Findings
    ) -> None:
        reading_type = self._reading_type(
            element, parts.first(element, self._space + _TYPE), findings
        )
        block = Block(series.INTERVAL_BLOCK, reading_type)
        block.pending = self._pending(element, findings)
        facts.blocks.append(block)
        for reading in element.iterfind(self._space + "IntervalReadings"):
            self._reading(reading, self._children(reading), block, findings)

    def _readings(self, element: etree._Element, facts: MeterReading, findings: Findings) -> None:
        blocks: dict[str, Block] = {}
        for reading in element.iterfind(self._space + "Readings"):
            said = self._children(reading)
            reading_type = self._reading_type(reading, said.get(_TYPE), findings)
            block = blocks.get(reading_type)
            if block is None:
                block = blocks[reading_type] = Block(series.READINGS, reading_type)
                facts.blocks.append(block)
            self._reading(reading, said, block, findings)

    def _children(self, element: etree._Element) -> Children:
        """The children by local name; of several with one name the last, see `_facet`."""
        start = len(self._space)
        return {child.tag[start:]: child for child in element}

    def _reading_type(
        self, element: etree._Element, reference: etree._Element | None, findings: Findings
    ) -> str:
        ref = _ref(reference)
        if not ref:
            findings.add("reading_type_missing", element, local_name(element))
        return ref

    def _reading(
        self, element: etree._Element, said: Children, block: Block, findings: Findings
    ) -> None:
        """Append one Readings or IntervalReadings element to its block."""
        facet = PLAIN if said.keys() <= _IN_COLUMNS else self._facet(element, said, findings)
        if "timeStamp" in said:
            time_ms = parts.millis_of(said["timeStamp"], findings)
        else:
            time_ms = facet.period_end_ms
            if time_ms is None:
                detail = "neither timeStamp nor the end of timePeriod"
                findings.add("profile_violation", element, detail)
        text = parts.text_of(said.get("value")) or ""
        block.times_ms.append(time_ms or 0)
        block.facets.append(facet)
        block.texts.append(text)
        try:
            value, exact = number(text) if text else _NO_VALUE
        except NotANumberError:
            findings.add("value_not_number", said["value"])
            return
        block.values.append(value)
        block.exact = block.exact and exact

    def _facet(self, element: etree._Element, said: Children, findings: Findings) -> Facet:
        qualities: tuple[Quality, ...] = ()
        if "ReadingQualities" in said:
            tag = said["ReadingQualities"].tag
            qualities = tuple(
                self._quality(child, findings) for child in element if child.tag == tag
            )
        start, end = parts.period(said.get("timePeriod"), self._space, findings)
        return Facet(
            qualities,
            parts.millis_of(said.get("reportedDateTime"), findings),
            parts.text_of(said.get("source")),
            parts.text_of(said.get("reason")),
            start,
            end,
        )

    def _quality(self, element: etree._Element, findings: Findings) -> Quality:
        said = self._children(element)
        return Quality(
            _ref(said.get("ReadingQualityType")),
            parts.text_of(said.get("comment")),
            parts.text_of(said.get("source")),
            parts.millis_of(said.get("timeStamp"), findings),
        )

    def _pending(self, block: etree._Element, findings: Findings) -> Record | None:
        space = self._space
        element = parts.first(block, space + "PendingCalculation")
        if element is None:
            return None
        scalar = parts.text(element, space + "scalarFloat")
        return {
            "multiplyBeforeAdd": parts.flag(element, space + "multiplyBeforeAdd"),
            "offset": parts.whole(element, space + "offset"),
            "scalarDenominator": parts.whole(element, space + "scalarDenominator"),
            "scalarFloat": None if scalar is None else float(scalar),
            "scalarNumerator": parts.whole(element, space + "scalarNumerator"),
            "readingType": self._reading_type(
                element, parts.first(element, self._space + _TYPE), findings
            ),
        }

    def series_of(self, facts: MeterReading) -> list[Draft]:
        """The events of a MeterReading, one per block that has readings."""
        return [
            Draft(
                NOUN,
                facts.key,
                self.head(facts, block)
                + series.columns(block)
                + self.tail(facts, block, series.segments(block.facets)),
            )
            for block in facts.blocks
            if block.times_ms
        ]

    def head(self, facts: MeterReading, block: Block) -> bytes:
        """The fields of a series before its times: see `series.head`."""
        definition = self._reading_types.get(block.reading_type)
        return series.head(
            facts.meter, facts.usage_point, block.reading_type, definition, block.shape
        )

    def tail(self, facts: MeterReading, block: Block, runs: list[Segment]) -> bytes:
        """The fields of a series after its values: see `series.tail`."""
        return series.tail(
            runs,
            self._quality_types,
            block.pending,
            facts.values_interval,
            facts.is_coincident_trigger,
        )


def _ref(reference: etree._Element | None) -> str:
    return "" if reference is None else (reference.get("ref") or "").strip(SPACE)
