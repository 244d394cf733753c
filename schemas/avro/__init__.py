"""The canonical events in Avro: schemas with stable ids, and the Confluent wire format.

Lives here: the .avsc files and their ids (`registry`), encoding and decoding (`codec`),
the byte-level encoder of the hot columns (`wire`). Must not live here: what a message
means (see `profiles`), Kafka, a registry server.

Invariant: a value is 5 bytes of wire header, then the record; the record's first field is
`provenance`. So value = frame(name) + encode_provenance(…) + body, and the body never
depends on where the message lay.
"""

from schemas.avro.codec import (
    Provenance,
    WireFormatError,
    decode,
    decode_fields,
    encode_body,
    encode_fields,
    encode_provenance,
    frame,
    split,
)
from schemas.avro.registry import Registered, SchemaFileError, fingerprint, registered

__all__ = [
    "Provenance",
    "Registered",
    "SchemaFileError",
    "WireFormatError",
    "decode",
    "decode_fields",
    "encode_body",
    "encode_fields",
    "encode_provenance",
    "fingerprint",
    "frame",
    "registered",
    "split",
]
