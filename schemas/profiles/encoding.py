"""Records of a shape to Avro, as fast as small messages need it.

Lives here: one function per shape, put together once. Must not live here: the schema (see
`derive`), which says the same; a test holds the two together.

A library finds the branch of a union by validating the value against each, and what is nested
again at every level: half the time of a small message. Here a field is there or it is not.

Invariant: the bytes are those that fastavro writes for the record and the schema.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from schemas.avro import wire
from schemas.profiles.derive import UNKNOWN
from schemas.profiles.mapping import DECIMAL_SCALE, EXACT, Value
from schemas.profiles.parts import Record
from schemas.profiles.shapes import NAME, DataType, Field, Scalar, Shape

_Encode = Callable[[Value], bytes]

_NULL: Final = b"\x00"
_THERE: Final = b"\x02"
_DOUBLE: Final = struct.Struct("<d")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def encoder(shape: Shape) -> Callable[[Record], bytes]:
    """What writes records of the shape; a field that is not in the record is absent."""
    if shape.name == NAME:
        return _name
    fields = [(f.key, _field(f), f.many or not f.required) for f in shape.fields]

    def encode(record: Record) -> bytes:
        get = record.get
        return b"".join(
            [
                # No branch of the union and no items are the same byte.
                _NULL if (value := get(key)) is None and optional else write(value)
                for key, write, optional in fields
            ]
        )

    return encode


def _field(field: Field) -> _Encode:
    kind = field.type
    one = encoder(kind) if isinstance(kind, Shape) else _leaf(kind)
    if field.many:
        return lambda values: wire.array([one(value) for value in values])
    if field.required:
        return one
    return lambda value: _THERE + one(value)


def _leaf(kind: DataType) -> _Encode:
    if kind.values:
        codes = {code: wire.long(n) for n, code in enumerate((*kind.values, UNKNOWN))}
        return codes.__getitem__
    match kind.scalar:
        case Scalar.STRING | Scalar.DURATION:
            return _text
        case Scalar.BOOLEAN:
            return lambda value: b"\x01" if value else b"\x00"
        case Scalar.INTEGER:
            return wire.long
        case Scalar.DOUBLE:
            return _DOUBLE.pack
        case Scalar.DATE:
            return _date
        case Scalar.DATE_TIME | Scalar.MINUTE:
            return _time
        case Scalar.DECIMAL:
            return _decimal


def _text(value: str | None) -> bytes:
    # A required text may be an empty element: it is there, and says nothing.
    return wire.string(value or "")


def _date(value: date) -> bytes:
    return wire.long(value.toordinal() - _EPOCH_DAY)


def _time(value: int | datetime) -> bytes:
    if isinstance(value, datetime):
        value = round((value - _EPOCH).total_seconds() * 1000)
    return wire.long(value)


def _decimal(value: Decimal) -> bytes:
    unscaled = int(value.scaleb(DECIMAL_SCALE, EXACT))
    length = (unscaled.bit_length() + 8) >> 3
    return wire.long(length) + unscaled.to_bytes(length, "big", signed=True)


def _name(name: Record) -> bytes:
    fields = ("type", "typeDescription", "authority", "authorityDescription")
    told = [name[field] for field in fields]
    return wire.string(name["name"]) + b"".join(
        _NULL if text is None else _THERE + wire.string(text) for text in told
    )
