"""The elements that several profiles share: names, meters, usage points, events.

Lives here: XML that has passed the XSD -> dicts with the field names of the Avro schemas.
Must not live here: the order of elements (the XSD has checked it), keys, encoding.

Invariant: a text is stripped of white space around it, and an empty text is None; times
are Unix epoch milliseconds UTC.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from schemas.codes import EventTypeCode
from schemas.profiles.places import Findings, local_name
from schemas.times import TimestampError, to_epoch_ms

Record = dict[str, Any]
Instant = int | datetime
"""A time of a record: Unix epoch milliseconds UTC, or what decoding makes of them."""
# XML's white space; str.strip() alone would also take characters that XML counts as text.
SPACE = " \t\r\n"
_LONG_DIGITS = 19
_OF_KIND = ("type", "typeDescription", "authority", "authorityDescription")
_NO_KIND: Record = dict.fromkeys(_OF_KIND)


def epoch_ms(instant: Instant) -> int:
    """The time in Unix epoch milliseconds UTC."""
    if isinstance(instant, int):
        return instant
    return round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def text_of(element: etree._Element | None) -> str | None:
    """The text of a leaf."""
    if element is None or element.text is None:
        return None
    return element.text.strip(SPACE) or None


def first(parent: etree._Element, tag: str) -> etree._Element | None:
    """The first child of this name; `find` reads a path, which takes three times as long."""
    return next(parent.iterchildren(tag), None)


def text(parent: etree._Element, tag: str) -> str | None:
    """The text of a child leaf."""
    return text_of(first(parent, tag))


def millis_of(element: etree._Element | None, findings: Findings) -> int | None:
    """The time in a leaf; None where it is absent, or wrong and noted in `findings`."""
    content = text_of(element)
    if element is None or content is None:
        return None
    return millis_in(content, element, findings)


def millis_in(
    content: str,
    element: etree._Element,
    findings: Findings,
    instant: Callable[[str], int] = to_epoch_ms,
) -> int | None:
    """The time in a text of the element; None where it is wrong and noted in `findings`."""
    try:
        return instant(content)
    except TimestampError as error:
        findings.add(error.code, element)
        return None


def millis(parent: etree._Element, tag: str, findings: Findings) -> int | None:
    """The time in a child leaf."""
    return millis_of(first(parent, tag), findings)


def flag(parent: etree._Element, tag: str) -> bool | None:
    """The xs:boolean in a child leaf."""
    content = text(parent, tag)
    return None if content is None else content in ("true", "1")


def whole(parent: etree._Element, tag: str) -> int | None:
    """The xs:long in a child leaf."""
    content = text(parent, tag)
    return None if content is None else integer(content)


def integer(content: str) -> int:
    """An xs:long or xs:integer that the XSD lets pass, whatever zeros stand before it.

    Beyond 64 bits it is only certain to be beyond: `int` refuses some thousand digits.
    """
    digits = content.lstrip("+-0")[: _LONG_DIGITS + 1]
    return (-1 if content.startswith("-") else 1) * int(digits or "0")


def period(
    element: etree._Element | None, space: str, findings: Findings
) -> tuple[int | None, int | None]:
    """Start and end of a DateTimeInterval; `interval_reversed` where it ends before it starts."""
    if element is None:
        return None, None
    start = millis(element, space + "start", findings)
    end = millis(element, space + "end", findings)
    if start is not None and end is not None and end < start:
        findings.add("interval_reversed", element)
    return start, end


def names(parent: etree._Element, space: str) -> list[Record]:
    """The Names children that have a name."""
    found = (name_of(element, space) for element in parent.iterfind(space + "Names"))
    return [name for name in found if name is not None]


def name_of(element: etree._Element, space: str) -> Record | None:
    """A Name with its kind and authority, flat; None where it has no name."""
    name = text(element, space + "name")
    if name is None:
        return None
    kind = first(element, space + "NameType")
    if kind is None:
        return {"name": name, **_NO_KIND}
    authority = first(kind, space + "NameTypeAuthority")
    return {
        "name": name,
        "type": text(kind, space + "name"),
        "typeDescription": text(kind, space + "description"),
        "authority": None if authority is None else text(authority, space + "name"),
        "authorityDescription": None
        if authority is None
        else text(authority, space + "description"),
    }


def write_name(element: etree._Element, record: Record, space: str) -> None:
    """Fill a Name element with what `name_of` gives."""

    def leaf(parent: etree._Element, tag: str, content: str | None) -> None:
        if content is not None:
            etree.SubElement(parent, space + tag).text = content

    leaf(element, "name", record["name"])
    if all(record[field] is None for field in _OF_KIND):
        return
    kind = etree.SubElement(element, space + "NameType")
    leaf(kind, "name", record["type"] or "")
    leaf(kind, "description", record["typeDescription"])
    if record["authority"] is not None or record["authorityDescription"] is not None:
        authority = etree.SubElement(kind, space + "NameTypeAuthority")
        leaf(authority, "name", record["authority"] or "")
        leaf(authority, "description", record["authorityDescription"])


def texts(element: etree._Element, space: str, *fields: str) -> Record:
    """The named leaves of an element as a record."""
    return {field: text(element, space + field) for field in fields}


def status(element: etree._Element | None, space: str, findings: Findings) -> Record | None:
    """A Status."""
    if element is None:
        return None
    return {
        "dateTime": millis(element, space + "dateTime", findings),
        **texts(element, space, "reason", "remark", "value"),
    }


def named(element: etree._Element | None, space: str) -> Record | None:
    """An object that is identified by mRID and names: usage point, asset."""
    if element is None:
        return None
    return {"mRID": text(element, space + "mRID"), "names": names(element, space)}


def meter(element: etree._Element | None, space: str, findings: Findings) -> Record | None:
    """A Meter."""
    if element is None:
        return None
    return {
        **texts(element, space, "mRID", "serialNumber"),
        "names": names(element, space),
        "status": status(first(element, space + "status"), space, findings),
    }


def definitions(payload: etree._Element, tag: str, space: str, *fields: str) -> dict[str, Record]:
    """The type definitions of one kind that a payload carries, by each mRID and name they have.

    The first definition of an identifier stands; an mRID goes before a name.
    """
    found: dict[str, Record] = {}
    records = []
    for element in payload.iterfind(space + tag):
        record = {**texts(element, space, *fields), "names": names(element, space)}
        for fraction in ("argument", "interharmonic"):
            part = first(element, space + fraction)
            if part is not None:
                record[fraction] = texts(part, space, "denominator", "numerator")
        records.append(record)
    for record in records:
        if record["mRID"] is not None:
            found.setdefault(record["mRID"], record)
    for record in records:
        for name in record["names"]:
            found.setdefault(name["name"], record)
    return found


EVENT_TYPE_FIELDS = ("mRID", "domain", "eventOrAction", "subDomain", "type")


def event(
    element: etree._Element, space: str, types: dict[str, Record], findings: Findings
) -> Record:
    """An EndDeviceEvent; `meter` is left to the caller."""
    type_element = first(element, space + "EndDeviceEventType")
    ref = "" if type_element is None else type_element.get("ref", "").strip(SPACE)
    if not ref:
        findings.add("event_type_missing", element, local_name(element))
    created = millis(element, space + "createdDateTime", findings)
    code = EventTypeCode.parse(ref)
    details = []
    for detail in element.iterfind(space + "EndDeviceEventDetails"):
        name = text(detail, space + "name")
        if name is not None:
            details.append({"name": name, "value": text(detail, space + "value")})
    return {
        **texts(element, space, "mRID", "issuerID", "issuerTrackingID", "reason", "severity"),
        "userID": text(element, space + "userID"),
        "createdDateTime": created,
        "assets": named(first(element, space + "Assets"), space),
        "endDeviceEventDetails": details,
        "endDeviceEventType": ref,
        "endDeviceEventTypeFields": [] if code is None else list(code),
        "endDeviceEventTypeDefinition": types.get(ref),
        "names": names(element, space),
        "status": status(first(element, space + "status"), space, findings),
        "usagePoint": named(first(element, space + "UsagePoint"), space),
        "meter": None,
    }
