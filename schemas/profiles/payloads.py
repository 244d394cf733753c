"""Several records of a noun as one payload of CIM XML, and back.

Lives here: one payload of many records. Must not live here: what a record means (its profile),
envelopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lxml import etree

from schemas import parsers
from schemas.avro import decode_fields
from schemas.avro.documents import set_here
from schemas.avro.registry import newest
from schemas.profiles import DeclaredProfile, profile
from schemas.profiles.end_device_events import EndDeviceEventsProfile
from schemas.profiles.meter_readings import MeterReadingsProfile
from schemas.profiles.model import Item
from schemas.profiles.parts import Record

# What is no definition in the payloads of the hand-written profiles.
_OBJECTS: Final = frozenset({"MeterReading", "EndDeviceEvent"})


class UnwritableError(ValueError):
    """The records cannot be one payload: the text says why, and holds no values."""


def payload_of(name: str, records: Sequence[Record]) -> etree._Element:
    """The payload that says what the records of profile `name` say, in their order.

    Takes what `schemas.avro.decode` and `schemas.avro.documents.record_of` give.

    Raises:
        UnwritableError: the noun's payload is one document and there are several records or none;
            the parts of a record contradict each other.
    """
    writing = profile(name)
    try:
        if isinstance(writing, DeclaredProfile):
            if writing.single and len(records) != 1:
                raise UnwritableError(f"a {writing.noun} is one document")
            return writing.write(list(records))
        if not isinstance(writing, MeterReadingsProfile | EndDeviceEventsProfile):
            raise UnwritableError(f"{writing.noun} are not written from records")
        return _together(writing, records)
    except (IndexError, OverflowError, ValueError) as error:
        if isinstance(error, UnwritableError):
            raise
        raise UnwritableError("the parts of a record contradict each other") from None


def _together(
    writing: MeterReadingsProfile | EndDeviceEventsProfile, records: Sequence[Record]
) -> etree._Element:
    """Payloads of one record each, in one; a definition that several repeat stands once.

    Put together as text: lxml takes the square of an element's size to move it.
    """
    if len(records) == 1:
        return writing.write(records[0])
    space = writing.namespaces[0]
    declared_above = f' xmlns="{space}"'.encode()
    objects: list[bytes] = []
    definitions: dict[bytes, None] = {}
    for record in records:
        for element in writing.write(record):
            text = etree.tostring(element).replace(declared_above, b"", 1)
            if etree.QName(element).localname in _OBJECTS:
                objects.append(text)
            else:
                definitions[text] = None
    name = writing.noun.encode()
    opening, end = b"<%b%b>" % (name, declared_above), b"</%b>" % name
    return parsers.element(b"".join((opening, *objects, *definitions, end)))


def records_of(schemas: dict[str, str], items: Sequence[Item]) -> list[Record]:
    """The records of what a profile has read; `schemas` are those of nouns."""
    return [_record(schemas[item.noun], item) for item in items]


def _record(schema: str, item: Item) -> Record:
    fields = [field["name"] for field in newest(schema).raw["fields"]]
    first = fields[len(set_here(schema))]
    return decode_fields(schema, first, fields[-1], item.body)
