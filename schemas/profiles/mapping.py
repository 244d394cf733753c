"""Objects of XML to records and back, by the shape of their class.

Lives here: what every profile that is declared by its XSD does. Must not live here: whether an
object is valid (see `validation`), anything about one noun.

A record has the fields of the shape by their keys: None or [] where the object says nothing, a
text without the white space around it, Unix epoch milliseconds UTC for a time, a `Decimal` for
a decimal. Absent and empty are one.

Invariant: `write(read(x))` says what x says: it reads as the same record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Context, Decimal
from functools import partial
from typing import Any, Final, TypeAlias

from lxml import etree

from schemas.profiles import parts
from schemas.profiles.parts import Record
from schemas.profiles.places import Findings
from schemas.profiles.shapes import INTERVALS, NAME, REFERENCE, Field, Scalar, Shape
from schemas.times import from_epoch_ms, minute_from_epoch_ms, minute_to_epoch_ms

# What an exact decimal holds: 26 digits before the point and 12 behind it. The public market
# documents have up to 5 behind it.
DECIMAL_DIGITS: Final = 38
DECIMAL_SCALE: Final = 12
# Python's own context would round to 28 digits.
EXACT: Final = Context(prec=2 * DECIMAL_DIGITS)
_DECIMAL_BOUND: Final = Decimal(10) ** (DECIMAL_DIGITS - DECIMAL_SCALE)
_LONG_BOUND: Final = 1 << 63
# The CIM's UnitMultiplier, as powers of ten.
_MULTIPLIERS: Final = {
    "y": -24, "z": -21, "a": -18, "f": -15, "p": -12, "n": -9, "micro": -6, "m": -3, "c": -2,
    "d": -1, "none": 0, "da": 1, "h": 2, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
    "Z": 21, "Y": 24,
}  # fmt: skip

Value: TypeAlias = Any
"""What a field holds: text, number, time, record, or a list of them."""
_Read = Callable[[etree._Element, Findings], Value]  # noqa: SLF001 - its name in lxml


def reader(shape: Shape, namespace: str) -> Callable[[etree._Element, Findings], Record]:
    """Make what reads elements of the shape in this namespace; it is kept by whoever asks.

    It expects what the XSD has let pass, and notes in the findings what that cannot say:
    `timestamp_without_zone`, `timestamp_invalid`, `value_not_number`, `interval_reversed`,
    `profile_violation` (a text that must be there is empty).
    """
    space = f"{{{namespace}}}" if namespace else ""
    own = [f for f in shape.fields if f.attribute or not f.tag]
    elements = {
        # Most fields are texts that may be absent; these are read here, without a call.
        space + f.tag: (f.key, f.many, None if _is_plain(f) else _read(f, namespace))
        for f in shape.fields
        if f not in own
    }
    texts = [(f.key, _read(f, namespace)) for f in own]
    empty: Record = {f.key: None for f in shape.fields if not f.many}
    lists = [f.key for f in shape.fields if f.many]
    is_interval = shape.name in INTERVALS

    def read(element: etree._Element, findings: Findings) -> Record:
        record = empty.copy()
        for key in lists:
            record[key] = []
        for child in element:
            entry = elements.get(child.tag)
            if entry is None:
                continue
            key, many, convert = entry
            if convert is None:
                text = child.text
                value = text.strip(parts.SPACE) or None if text else None
            else:
                value = convert(child, findings)
            if many:
                if value is not None:
                    record[key].append(value)
            else:
                record[key] = value
        for key, convert in texts:
            record[key] = convert(element, findings)
        if is_interval:
            _in_order(record, element, findings)
        return record

    return read


def write(record: Record, shape: Shape, tag: str, namespace: str) -> etree._Element:
    """The element that says what the record says; times in UTC, to the millisecond.

    Takes what `reader` gives and what `schemas.avro.decode` gives.
    """
    space = f"{{{namespace}}}" if namespace else ""
    element = etree.Element(space + tag, nsmap={None: namespace} if namespace else None)  # type: ignore[dict-item]
    _fill(element, record, shape, space)
    return element


def _in_order(period: Record, element: etree._Element, findings: Findings) -> None:
    start, end = period["start"], period["end"]
    if start is not None and end is not None and end < start:
        findings.add("interval_reversed", element)


def _needed(read: _Read) -> _Read:
    """`read` for what must say something: the XSD lets it be there and be blank."""

    def read_needed(element: etree._Element, findings: Findings) -> Value:
        before = len(findings.problems)
        value = read(element, findings)
        if value is None and len(findings.problems) == before:
            findings.add("profile_violation", element, "it is empty")
        return value

    return read_needed


def _read(field: Field, namespace: str) -> _Read:
    """What reads the field: an element, the element that has the attribute, or its text."""
    read = _read_any(field, namespace)
    return _needed(read) if field.required and not field.many else read


def _is_plain(field: Field) -> bool:
    """Whether an element of the field says no more than its text."""
    kind = field.type
    needed = field.required and not field.many
    if needed or isinstance(kind, Shape) or kind.name == REFERENCE:
        return False
    return kind.scalar not in _VALUES


def _read_any(field: Field, namespace: str) -> _Read:
    kind = field.type
    space = f"{{{namespace}}}" if namespace else ""
    if isinstance(kind, Shape):
        if kind.name == NAME:
            return lambda element, _: parts.name_of(element, space)
        return reader(kind, namespace)
    if kind.name == REFERENCE:
        return lambda element, _: element.get("ref", "").strip(parts.SPACE) or None
    content_of = _attribute(field.tag) if field.attribute else parts.text_of
    value_of = _VALUES.get(kind.scalar)
    if value_of is None:
        return lambda element, _: content_of(element)
    scaled = kind.scaled

    def read(element: etree._Element, findings: Findings) -> Value:
        content = content_of(element)
        if content is None:
            return None
        if scaled:
            content += f"E{_MULTIPLIERS[element.get('multiplier', 'none')]}"
        return value_of(content, element, findings)

    return read


def _attribute(name: str) -> Callable[[etree._Element], str | None]:
    return lambda element: element.get(name, "").strip(parts.SPACE) or None


def _integer(content: str, element: etree._Element, findings: Findings) -> int:
    number = parts.integer(content)
    if not -_LONG_BOUND <= number < _LONG_BOUND:
        findings.add("value_not_number", element, "it does not fit into 64 bits")
    return number


def _decimal(content: str, element: etree._Element, findings: Findings) -> Decimal:
    exact = Decimal(content)
    exponent = exact.normalize(EXACT).as_tuple().exponent
    if exact.copy_abs() >= _DECIMAL_BOUND or -int(exponent) > DECIMAL_SCALE:
        detail = f"it has more than {DECIMAL_DIGITS - DECIMAL_SCALE}.{DECIMAL_SCALE} digits"
        findings.add("value_not_number", element, detail)
    return exact


def _date(content: str, element: etree._Element, findings: Findings) -> date | None:
    try:
        return date.fromisoformat(content[:10])
    except ValueError:  # XML Schema has years before 1 and after 9999
        findings.add("timestamp_invalid", element)
        return None


# What becomes of a text that the XSD lets pass; any other scalar stays the text.
_VALUES: Final[Mapping[Scalar, Callable[[str, etree._Element, Findings], Value]]] = {
    Scalar.BOOLEAN: lambda content, _element, _findings: content in ("true", "1"),
    Scalar.DOUBLE: lambda content, _element, _findings: float(content),
    Scalar.DATE: _date,
    Scalar.INTEGER: _integer,
    Scalar.DECIMAL: _decimal,
    Scalar.DATE_TIME: parts.millis_in,
    Scalar.MINUTE: partial(parts.millis_in, instant=minute_to_epoch_ms),
}


def _fill(element: etree._Element, record: Record, shape: Shape, space: str) -> None:
    for field in shape.fields:
        value = record.get(field.key)
        if value is None:
            continue
        if field.attribute:
            element.set(field.tag, _text(value))
        elif not field.tag:
            element.text = _text(value)
        else:
            for one in value if field.many else (value,):
                _append(element, field, one, space)


def _append(parent: etree._Element, field: Field, value: Value, space: str) -> None:
    child = etree.SubElement(parent, space + field.tag)
    kind = field.type
    if isinstance(kind, Shape):
        if kind.name == NAME:
            parts.write_name(child, value, space)
        else:
            _fill(child, value, kind, space)
    elif kind.name == REFERENCE:
        child.set("ref", value)
    else:
        say = _TIMES.get(kind.scalar)
        child.text = _text(value) if say is None else say(parts.epoch_ms(value))


_TIMES: Final = {Scalar.DATE_TIME: from_epoch_ms, Scalar.MINUTE: minute_from_epoch_ms}


def _text(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if math.isfinite(value) else _SPECIAL.get(value, "NaN")
        case Decimal():
            return f"{value.normalize(EXACT):f}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


_SPECIAL: Final = {math.inf: "INF", -math.inf: "-INF"}
