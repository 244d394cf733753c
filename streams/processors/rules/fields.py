"""What an expression may name of an event: the fields of its noun's Avro schema, as flat names.

Lives here: names with their types, and the values of one record. Must not live here: the language
(see `expressions`).

    event.outageKind               a field; null where the event does not say it
    event.feeder.mRID              a field of a part; null where the part is not there
    event.usagePoints              a list of parts, each a map by its fields
    event.endDeviceEventTypeFields a list of numbers

A record is flat, so that a part that is not there needs no care: its fields are null. Decimals are
doubles, code lists and dates are text; so are times below a list.

Invariant: `values` gives a value for every name that `names_of` declares, and for no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Final

from schemas.avro.registry import newest
from schemas.times import from_epoch_ms

EVENT: Final = "event"
_MILLISECONDS: Final = 1000


class Scalar(Enum):
    """The types of single values."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Part:
    """The type of the items of a list: a record by its fields, each a type or a list of one."""

    name: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Field:
    """A type, whether there are many of it, and whether it may be null."""

    type: Scalar | Part
    many: bool = False
    optional: bool = False


@cache
def names_of(schema: str) -> Mapping[str, Field]:
    """The names that events of a schema have, e.g. `event.feeder.mRID`, with their types."""
    record = newest(schema).raw
    # Where an event came from is told by the names of its message.
    fields = [field for field in record["fields"] if field["name"] != "provenance"]
    return dict(_flat({**record, "fields": fields}, EVENT, {}, optional=False))


def _flat(
    record: Mapping[str, Any], above: str, definitions: dict[str, Any], *, optional: bool
) -> Iterator[tuple[str, Field]]:
    definitions[record["name"]] = record
    for entry in record["fields"]:
        name = f"{above}.{entry['name']}"
        type_, nullable = _resolved(entry["type"], definitions)
        nullable |= optional
        kind = type_.get("type") if isinstance(type_, dict) else type_
        if kind == "record":
            yield from _flat(type_, name, definitions, optional=nullable)
        elif (field := _field(type_, definitions, optional=nullable)) is not None:
            yield name, field


def _resolved(type_: Any, definitions: Mapping[str, Any]) -> tuple[Any, bool]:  # noqa: ANN401
    """The type itself, and whether null stands beside it."""
    nullable = isinstance(type_, list)
    if nullable:
        (type_,) = [option for option in type_ if option != "null"]
    return (definitions.get(type_, type_) if isinstance(type_, str) else type_), nullable


def _field(type_: Any, definitions: dict[str, Any], *, optional: bool) -> Field | None:  # noqa: ANN401
    """The field of an Avro type; None for one that has no place here (maps)."""
    if isinstance(type_, dict) and type_["type"] == "array":
        item, _ = _resolved(type_["items"], definitions)
        inner = _field(item, definitions, optional=False)
        # An event that does not say a list has an empty one, also where the part is not there.
        return None if inner is None or inner.many else Field(inner.type, many=True)
    if isinstance(type_, dict) and type_["type"] == "record":
        definitions[type_["name"]] = type_
        fields = {}
        for entry in type_["fields"]:
            part, nullable = _resolved(entry["type"], definitions)
            found = _field(part, definitions, optional=nullable)
            if found is not None:
                fields[entry["name"]] = _below(found)
        return Field(Part(type_["name"], fields), optional=optional)
    scalar = _scalar(type_, definitions)
    return None if scalar is None else Field(scalar, optional=optional)


def _below(field: Field) -> Field:
    time = field.type is Scalar.TIME
    return Field(Scalar.TEXT if time else field.type, field.many, field.optional)


def _scalar(type_: Any, definitions: dict[str, Any]) -> Scalar | None:  # noqa: ANN401
    kind = type_["type"] if isinstance(type_, dict) else type_
    if kind == "enum":
        definitions[type_["name"]] = type_
        return Scalar.TEXT
    logical = type_.get("logicalType") if isinstance(type_, dict) else None
    match logical or kind:
        case "string" | "date":
            return Scalar.TEXT
        case "timestamp-millis":
            return Scalar.TIME
        case "int" | "long":
            return Scalar.WHOLE
        case "float" | "double" | "decimal":
            return Scalar.NUMBER
        case "boolean":
            return Scalar.FLAG
    return None


def values(schema: str, record: Mapping[str, Any]) -> dict[str, object]:
    """The value of every name, of a record as `schemas.avro.decode` gives it."""
    found: dict[str, object] = {}
    for name, field in names_of(schema).items():
        value: Any = record
        for step in name.split(".")[1:]:
            value = None if value is None else value[step]
        found[name] = [_plain(item) for item in value or ()] if field.many else _single(value)
    return found


def _single(value: object) -> object:
    return value if isinstance(value, datetime) else _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return from_epoch_ms(round(value.timestamp() * _MILLISECONDS))
    return value.isoformat() if isinstance(value, date) else value
