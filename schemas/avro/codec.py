"""Records to bytes and back, in the Confluent wire format.

Lives here: the five-byte header, provenance, whole bodies and slices of them through
fastavro, decoding by id. Must not live here: what a field means; hand-written layouts of
single records (they belong to the profile that is hot enough to need one).

Invariant: decode(frame(n) + encode_provenance(…) + encode_body(n, r)) gives back (n, r)
with its provenance, whichever version of n is the newest.
"""

import io
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import parse_schema
from fastavro.types import Schema

from schemas.avro import wire
from schemas.avro.registry import by_id, newest

_MAGIC: Final = b"\x00"
_HEADER_BYTES: Final = 5
_PRIMITIVES: Final = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
)
_NAMED: Final = frozenset({"record", "enum", "fixed"})


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an event came from: the first field of every record."""

    topic: str
    partition: int
    offset: int
    message_id: str
    source: str
    index: int


class WireFormatError(ValueError):
    """The bytes are not a record of a known schema in the Confluent wire format.

    Raised by `decode` and `split`. Readers of a log report the record and go on.
    """


@cache
def frame(name: str) -> bytes:
    """The five bytes before a record of schema `name`: zero, then the id, big-endian.

    Raises:
        KeyError: no schema has this name.
    """
    return _MAGIC + newest(name).id.to_bytes(4, "big")


def encode_provenance(
    topic: str, partition: int, offset: int, message_id: str, source: str, index: int
) -> bytes:
    """The first field of every record. `index` counts the events of one message from 0."""
    return b"".join(
        (
            wire.string(topic),
            wire.long(partition),
            wire.long(offset),
            wire.string(message_id),
            wire.string(source),
            wire.long(index),
        )
    )


def encode_body(name: str, record: dict[str, Any]) -> bytes:
    """All fields of a record but `provenance`. Times are ints, Unix epoch milliseconds."""
    fields = newest(name).raw["fields"]
    return encode_fields(name, fields[1]["name"], fields[-1]["name"], record)


def encode_fields(name: str, first: str, last: str, values: dict[str, Any]) -> bytes:
    """The fields `first` to `last` (inclusive, schema order) of a record of schema `name`.

    Avro writes a record as its fields one after the other, so slices joined in order are the
    record. A missing value takes the field's default; other keys are ignored.

    Raises:
        ValueError, TypeError: a value does not fit its field (a mistake of the caller).
    """
    buffer = io.BytesIO()
    schemaless_writer(buffer, _slice(name, first, last), values)
    return buffer.getvalue()


def decode_fields(name: str, first: str, last: str, data: bytes) -> dict[str, Any]:
    """The inverse of `encode_fields`. Times come back as in `decode`."""
    record = schemaless_reader(io.BytesIO(data), _slice(name, first, last), None)
    assert isinstance(record, dict)  # noqa: S101 - a slice is a record
    return record


@cache
def _slice(name: str, first: str, last: str) -> Schema:
    schema = newest(name)
    fields = schema.raw["fields"]
    names = [field["name"] for field in fields]
    chosen = fields[names.index(first) : names.index(last) + 1]
    space = schema.raw["namespace"]
    part = {
        "type": "record",
        "name": f"{space}.slice.{name}.{first}.{last}",
        "fields": [{**field, "type": _by_name(field["type"], space)} for field in chosen],
    }
    return parse_schema(part, dict(schema.names))


def _by_name(node: object, space: str) -> object:
    """The type with every definition replaced by its full name: they are all known already."""
    if isinstance(node, list):
        return [_by_name(item, space) for item in node]
    if isinstance(node, dict):
        if node["type"] in _NAMED:
            return f"{space}.{node['name']}"
        return {key: _by_name(value, space) if key == "items" else value
                for key, value in node.items()}  # fmt: skip
    return node if node in _PRIMITIVES or "." in str(node) else f"{space}.{node}"


def decode(value: bytes) -> tuple[str, dict[str, Any]]:
    """The schema's name and the record. Times come back as aware datetimes in UTC.

    Raises:
        WireFormatError: wrong first byte, unknown id, or bytes that are not the record.
    """
    if len(value) < _HEADER_BYTES or value[:1] != _MAGIC:
        raise WireFormatError("not in the Confluent wire format: the first byte is not zero")
    schema_id = int.from_bytes(value[1:_HEADER_BYTES], "big")
    try:
        schema = by_id(schema_id)
    except KeyError:
        raise WireFormatError(f"no schema has id {schema_id}") from None
    stream = io.BytesIO(value)
    stream.seek(_HEADER_BYTES)
    try:
        record = schemaless_reader(stream, schema.parsed, None)
    except (EOFError, IndexError, ValueError, OverflowError, MemoryError) as error:
        raise WireFormatError(f"the bytes are not a record of {schema.name}") from error
    if not isinstance(record, dict) or stream.tell() != len(value):
        raise WireFormatError(f"the bytes are not exactly one record of {schema.name}")
    return schema.name, record


def split(value: bytes) -> tuple[Provenance, bytes]:
    """Where the event came from, and all of the value that does not say so: frame and body.

    Two events of equal parts are the same event, read from two places. Only what stands
    before the body is looked at.

    Raises:
        WireFormatError: wrong first byte, or no provenance where it must be.
    """
    if len(value) < _HEADER_BYTES or value[:1] != _MAGIC:
        raise WireFormatError("not in the Confluent wire format: the first byte is not zero")
    reader = wire.Reader(value, _HEADER_BYTES)
    try:
        provenance = Provenance(
            reader.string(),
            reader.long(),
            reader.long(),
            reader.string(),
            reader.string(),
            reader.long(),
        )
    except ValueError as error:
        raise WireFormatError("the record does not begin with its provenance") from error
    return provenance, value[:_HEADER_BYTES] + value[reader.position :]
