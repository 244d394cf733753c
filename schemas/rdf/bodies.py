"""An object as the bytes of its Avro record, without provenance and version, and back.

Lives here: the layout of `CimObject` written by hand, because a large model has a million values.
Must not live here: what the fields mean (see `records`).

Invariant: exactly the bytes that fastavro writes for `records.record_of` of the same object.
"""

from functools import lru_cache
from typing import Final

from schemas.avro import decode_fields, wire
from schemas.rdf.model import CimObject, Values
from schemas.rdf.records import SCHEMA, object_of

_FIRST, _LAST = "cimNamespace", "references"
_ONE: Final = wire.long(1)
_BOOLEANS: Final = (b"\x00", b"\x01")
# Names of classes and attributes, and literals: there are some thousand in a model.
_name = lru_cache(16_384)(wire.string)


def body_of(item: CimObject, cim_namespace: str) -> bytes:
    """All that an object says; equal objects are equal bytes."""
    parts = [
        _name(cim_namespace), _name(item.cls), wire.string(item.mrid), _BOOLEANS[item.partial],
    ]  # fmt: skip
    _write(parts, item.attributes)
    _write(parts, item.enumerations)
    _write(parts, item.references)
    return b"".join(parts)


def object_in(body: bytes) -> CimObject:
    """The inverse of `body_of`, without the namespace."""
    return object_of(decode_fields(SCHEMA, _FIRST, _LAST, body))


def _write(parts: list[bytes], values: Values) -> None:
    """A map of arrays of strings, in order of the keys."""
    if values:
        parts.append(wire.long(len(values)))
        for key in sorted(values):
            found = values[key]
            parts.append(_name(key))
            if found:
                parts.append(_ONE if len(found) == 1 else wire.long(len(found)))
                parts += map(wire.string, found)
            parts.append(wire.END)
    parts.append(wire.END)
