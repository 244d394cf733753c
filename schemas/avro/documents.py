"""Canonical records as JSON, both ways.

Lives here: the JSON form of a record, and a document of outside checked against a schema. Must
not live here: bytes of JSON (see `schemas.strict_json`), what a record means.

    record                   JSON
    time                     "2026-01-31T12:00:00Z", UTC; with any zone where it comes in
    date                     "2026-01-31"
    decimal                  "12.5": a text, since readers of JSON make doubles of numbers
    number without a value   null (NaN)
    anything else            as Avro has it, without the name of a union's branch

Invariant: `record_of(name, document_of(record))` is the record, but for the fields that only
cimstream sets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import cache
from typing import Any, Final, TypeAlias

from schemas.avro.registry import newest
from schemas.times import TimestampError, from_epoch_ms, to_epoch_ms

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_INT: Final = 1 << 31
_LONG: Final = 1 << 63
# Python's own context would round to 28 digits; numbers of outside have up to 64.
_EXACT: Final = Context(prec=128)
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
# As long as a decimal of the schemas with sign and point.
_DECIMAL_CHARS_MAX: Final = 40
# What XML 1.0 cannot say; a record is written as CIM XML before it means anything.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_SHOWN: Final = 64

Json: TypeAlias = Any
"""A value of JSON: text, number, truth value, None, array, object."""
Record = dict[str, Any]
Read = Callable[[Json, str], Record]
"""(document, JSON pointer to it) to the record. Raises DocumentError."""
Node: TypeAlias = Any
_Read = Callable[[Json, str], Any]


class DocumentError(ValueError):
    """A document that is no record of its schema: where (a JSON pointer) and why, no values."""

    def __init__(self, pointer: str, why: str) -> None:
        super().__init__(f"{pointer or '/'}: {why}")
        self.pointer = pointer
        self.why = why


def document_of(value: object) -> Json:
    """The JSON form of a decoded record, or of any part of one."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): document_of(inner) for key, inner in value.items()}
        case list() | tuple():
            return [document_of(inner) for inner in value]
        case datetime():
            return from_epoch_ms((value - _EPOCH) // _MILLISECOND)
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value.normalize(_EXACT):f}"
        case bytes():
            return value.hex()
        case _:
            return value


def record_of(name: str, document: object, pointer: str = "") -> Record:
    """The record of schema `name` that a document of outside says, without `set_here`.

    Numbers may be `Decimal`; times are Unix epoch milliseconds. What is optional may be left out.

    Raises:
        DocumentError: the document is none of the schema.
        KeyError: no schema has this name.
    """
    return _reader(name)(document, pointer)


def reader_of(schema: Mapping[str, Any], passed: frozenset[str] = frozenset()) -> Read:
    """What reads documents of a record that is no event; fields `passed` are not looked at.

    The schema is in the form of Avro; named types are given where they are used.
    """
    return _record(schema, {}, passed)


@cache
def set_here(name: str) -> tuple[str, ...]:
    """The fields that only cimstream sets: a document may have them, and they are passed over."""
    names = [field["name"] for field in newest(name).raw["fields"]]
    of_register = ("revision", "lifeCycle")
    return ("provenance", *of_register) if tuple(names[1:3]) == of_register else ("provenance",)


@cache
def _reader(name: str) -> Read:
    schema = newest(name)
    return _record(schema.parsed, schema.names, frozenset(set_here(name)))


def _type(node: Node, names: Mapping[str, Any]) -> _Read:
    if isinstance(node, str) and node in names:
        node = names[node]
    if isinstance(node, list):
        (other,) = (branch for branch in node if branch != "null")
        read = _type(other, names)
        return lambda value, pointer: None if value is None else read(value, pointer)
    if isinstance(node, str):
        return _PLAIN[node]
    match node.get("logicalType", node["type"]):
        case "record":
            return _record(node, names)
        case "array":
            return _array(_type(node["items"], names))
        case "enum":
            return _enum(frozenset(node["symbols"]))
        case "decimal":
            return _decimal(node["precision"] - node["scale"], node["scale"])
        case kind:
            return _PLAIN[kind]


def _record(node: Node, names: Mapping[str, Any], passed: frozenset[str] = frozenset()) -> Read:
    fields = {
        field["name"]: (_type(field["type"], names), "default" not in field, field.get("default"))
        for field in node["fields"]
        if field["name"] not in passed
    }

    def read(value: Json, pointer: str) -> Record:
        if not isinstance(value, dict):
            raise DocumentError(pointer, "it is no object")
        for name in value:
            if name not in fields and name not in passed:
                shown = name[:_NAME_SHOWN].encode("unicode_escape").decode()
                raise DocumentError(pointer, f"it has no field {shown!r}")
        record = {}
        for name, (read_field, needed, default) in fields.items():
            if name in value:
                record[name] = read_field(value[name], f"{pointer}/{name}")
            elif needed:
                raise DocumentError(pointer, f"the field {name!r} is missing")
            else:
                record[name] = [] if default == [] else default
        return record

    return read


def _array(read_item: _Read) -> _Read:
    def read(value: Json, pointer: str) -> list[Any]:
        if not isinstance(value, list):
            raise DocumentError(pointer, "it is no array")
        return [read_item(item, f"{pointer}/{n}") for n, item in enumerate(value)]

    return read


def _enum(symbols: frozenset[str]) -> _Read:
    def read(value: Json, pointer: str) -> str:
        if not isinstance(value, str) or value not in symbols:
            raise DocumentError(pointer, "it is no word of the code list")
        return value

    return read


def _decimal(digits: int, scale: int) -> _Read:
    bound, last = Decimal(10) ** digits, Decimal(1).scaleb(-scale)

    def read(value: Json, pointer: str) -> Decimal:
        if (
            isinstance(value, str)
            and len(value) <= _DECIMAL_CHARS_MAX
            and _DECIMAL.fullmatch(value)
        ) or _is_number(value):
            number = Decimal(value)
        else:
            raise DocumentError(pointer, "it is no decimal number")
        if number.copy_abs() >= bound or number != number.quantize(last, context=_EXACT):
            raise DocumentError(pointer, f"it has more than {digits}.{scale} digits")
        return number

    return read


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _integer(bound: int) -> _Read:
    def read(value: Json, pointer: str) -> int:
        if not _is_number(value) or value != int(value):
            raise DocumentError(pointer, "it is no whole number")
        if not -bound <= value < bound:
            raise DocumentError(pointer, "it is too large or too small")
        return int(value)

    return read


def _double(value: Json, pointer: str) -> float:
    """Null is a number without a value. What no double is exactly would be another number."""
    if value is None:
        return math.nan
    if isinstance(value, float):  # of `document_of`, which has finite ones only
        return value
    if not _is_number(value):
        raise DocumentError(pointer, "it is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or Decimal(repr(number)) != value:
        raise DocumentError(pointer, "it has more digits than can be kept")
    return number


def _text(value: Json, pointer: str) -> str:
    if not isinstance(value, str):
        raise DocumentError(pointer, "it is no text")
    if _NOT_XML.search(value):
        raise DocumentError(pointer, "it has a character that XML does not allow")
    return value


def _boolean(value: Json, pointer: str) -> bool:
    if not isinstance(value, bool):
        raise DocumentError(pointer, "it is neither true nor false")
    return value


def _time(value: Json, pointer: str) -> int:
    try:
        return to_epoch_ms(_text(value, pointer))
    except TimestampError as error:
        zone = error.code == "timestamp_without_zone"
        why = "it is a time without a zone" if zone else "it is no time"
        raise DocumentError(pointer, why) from None


def _date(value: Json, pointer: str) -> date:
    text = _text(value, pointer)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DocumentError(pointer, "it is no date") from None


_PLAIN: Final[Mapping[str, _Read]] = {
    "string": _text,
    "boolean": _boolean,
    "int": _integer(_INT),
    "long": _integer(_LONG),
    "float": _double,
    "double": _double,
    "timestamp-millis": _time,
    "date": _date,
}
