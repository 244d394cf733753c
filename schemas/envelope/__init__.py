"""IEC 61968-100: the envelope that every message comes in.

`read` takes bytes of any edition and form and gives a `Message`; `write` gives bytes of
edition 1. `peek_header` is for routing without reading the payload, `excerpt` cuts objects out
of a message. `message.xsd` is the schema of what is written.
"""

from schemas.envelope.excerpt import excerpt
from schemas.envelope.header import HeaderFields, fields_of, peek_fields, peek_header
from schemas.envelope.model import (
    Header,
    Kind,
    Message,
    ObjectId,
    Operation,
    OperationSet,
    Reply,
    ReplyError,
)
from schemas.envelope.reader import read
from schemas.envelope.writer import fault, reply_error, reply_to, write

__all__ = [
    "Header",
    "HeaderFields",
    "Kind",
    "Message",
    "ObjectId",
    "Operation",
    "OperationSet",
    "Reply",
    "ReplyError",
    "excerpt",
    "fault",
    "fields_of",
    "peek_fields",
    "peek_header",
    "read",
    "reply_error",
    "reply_to",
    "write",
]
