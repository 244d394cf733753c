"""The Avro schema of a profile's events, made from the shape of its objects.

Lives here: shape -> schema. Must not live here: ids and files of schemas (see `schemas.avro`).

What XML calls optional is a union with null, what may come several times an array, a code list
an enum. An enum has one symbol more, which a reader of an older schema takes in place of a code
that it does not know yet. A quantity has its unit beside the type.

Invariant: the fields are those of the shape, in its order, behind `provenance` and, of a
register, `revision` and `lifeCycle`.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from schemas.profiles.mapping import DECIMAL_DIGITS, DECIMAL_SCALE
from schemas.profiles.shapes import NAME, DataType, Field, ProfileFileError, Scalar, Shape

Node: TypeAlias = Any
"""A part of a schema, as JSON."""

UNKNOWN: Final = "_UNKNOWN"
_SYMBOL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_TIMESTAMP: Final = {"type": "long", "logicalType": "timestamp-millis"}
_TYPES: Final[dict[Scalar, Any]] = {
    Scalar.STRING: "string",
    Scalar.BOOLEAN: "boolean",
    Scalar.DURATION: "string",
    Scalar.INTEGER: "long",
    Scalar.DOUBLE: "double",
    Scalar.DATE_TIME: _TIMESTAMP,
    Scalar.MINUTE: _TIMESTAMP,
    Scalar.DATE: {"type": "int", "logicalType": "date"},
    Scalar.DECIMAL: {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": DECIMAL_DIGITS,
        "scale": DECIMAL_SCALE,
    },
}

_TIMES: Final = frozenset({Scalar.DATE_TIME, Scalar.MINUTE})


def _plain(name: str, kind: str, doc: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "doc": doc}


def _optional(name: str, doc: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", "string"], "default": None, "doc": doc}


_PROVENANCE: Final[dict[str, Any]] = {
    "name": "provenance",
    "type": {
        "type": "record",
        "name": "Provenance",
        "doc": "Which message on which inbound topic this event came from.",
        "fields": [
            _plain("topic", "string", "Inbound topic."),
            _plain("partition", "int", "Partition of the inbound topic."),
            _plain("offset", "long", "Offset of the message in that partition."),
            _plain(
                "messageID",
                "string",
                "Header MessageID, or sha256:<hex> of the content where the message has none.",
            ),
            _plain("source", "string", "Header Source; empty where the message names none."),
            _plain(
                "index", "int", "Position of this event among the events of its message, from 0."
            ),
        ],
    },
    "doc": "Where the event came from; always the first field.",
}

_OF_REGISTER: Final[list[dict[str, Any]]] = [
    _plain("revision", "long", "How often the object was changed, from 1 when it was created."),
    {
        "name": "lifeCycle",
        "type": {
            "type": "enum",
            "name": "LifeCycle",
            "symbols": ["open", "closed", "canceled", "deleted", "executing", UNKNOWN],
            "default": UNKNOWN,
        },
        "doc": "Where the object is in its life, after the event.",
    },
]

_NAME: Final[dict[str, Any]] = {
    "type": "record",
    "name": NAME,
    "doc": "A name of an object, with the kind of name and who gives it.",
    "fields": [
        _plain("name", "string", "The name itself."),
        _optional("type", "NameType.name: the kind of name."),
        _optional("typeDescription", "NameType.description."),
        _optional("authority", "NameTypeAuthority.name: who gives names of this kind."),
        _optional("authorityDescription", "NameTypeAuthority.description."),
    ],
}


def avro_schema(shape: Shape, name: str, namespace: str, *, register: bool) -> dict[str, Any]:
    """The schema `name` of events about objects of the shape.

    Raises:
        ProfileFileError: a code is no symbol of Avro.
    """
    known: set[str] = {"Provenance", "LifeCycle"} if register else {"Provenance"}
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "doc": shape.doc,
        "fields": [
            _PROVENANCE,
            *(_OF_REGISTER if register else ()),
            *(_field(field, known) for field in shape.fields),
        ],
    }


def _field(field: Field, known: set[str]) -> dict[str, Any]:
    kind = _type(field.type, known)
    doc = field.doc or field.type.doc
    if isinstance(field.type, DataType) and field.type.scalar in _TIMES:
        doc += " Unix epoch milliseconds UTC."
    if field.many:
        array = {"type": "array", "items": kind}
        return {"name": field.key, "type": array, "default": [], "doc": doc}
    if field.required:
        return {"name": field.key, "type": kind, "doc": doc}
    return {"name": field.key, "type": ["null", kind], "default": None, "doc": doc}


def _type(kind: DataType | Shape, known: set[str]) -> Node:
    if isinstance(kind, DataType) and not kind.values:
        plain = _TYPES[kind.scalar]
        if not kind.unit:
            return plain
        return {**(plain if isinstance(plain, dict) else {"type": plain}), "unit": kind.unit}
    if kind.name in known:
        return kind.name
    known.add(kind.name)
    if isinstance(kind, DataType):
        if wrong := [value for value in kind.values if not _SYMBOL.fullmatch(value)]:
            raise ProfileFileError(f"code list {kind.name}: no symbols of Avro: {wrong}")
        symbols = [*kind.values, UNKNOWN]
        return {
            "type": "enum",
            "name": kind.name,
            "doc": kind.doc,
            "symbols": symbols,
            "default": UNKNOWN,
        }
    if kind.name == NAME:
        return _NAME
    fields = [_field(field, known) for field in kind.fields]
    return {"type": "record", "name": kind.name, "doc": kind.doc, "fields": fields}
