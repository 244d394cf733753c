"""A message as the rest of the product sees it, whatever form it came in.

Lives here: frozen values. Must not live here: XML names and namespaces of the envelope
(see `reader` and `writer`). Invariant: a text that is absent or empty is "", so there is
one way to say "not there"; verbs are lower-case; contexts are upper-case.

Payload and request are lxml elements and compare by identity; compare messages by
`schemas.identity.content_digest`.
"""

from dataclasses import dataclass, field

from lxml import etree

from schemas.envelope.namespaces import PRODUCTION, Kind

__all__ = [
    "Header",
    "Kind",
    "Message",
    "ObjectId",
    "Operation",
    "OperationSet",
    "Reply",
    "ReplyError",
]


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a Header that mean something here; the others are not kept.

    Times are Unix epoch milliseconds. `destination` is the Property "Destination", which
    is not repeated in `properties`. None in a flag or a time: the field is absent.
    """

    verb: str
    noun: str
    revision: str = ""
    context: str = PRODUCTION
    timestamp_ms: int | None = None
    source: str = ""
    destination: str = ""
    message_id: str = ""
    correlation_id: str = ""
    reply_address: str = ""
    ack_required: bool | None = None
    async_reply: bool | None = None
    user_id: str = ""
    organization: str = ""
    comment: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    replay_nonce: str = ""
    replay_created_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectId:
    """An ID element: the name of an object and what sort of name it is.

    `kind` is name, uuid, transaction or other. `xpath` and `line` are where it was read, which is
    no part of what it says.
    """

    value: str
    kind: str = ""
    id_type: str = ""
    id_authority: str = ""
    object_type: str = ""
    xpath: str | None = field(default=None, compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ReplyError:
    """One Error of a Reply. `code` is a number of the standard's list, such as "2.4".

    `xpath` is a single qualified name, because that is what the schema allows there.
    `operation_id` names the Operation of the request's OperationSet.
    """

    code: str
    level: str = ""
    reason: str = ""
    details: str = ""
    xpath: str = ""
    object_id: ObjectId | None = None
    related_id: ObjectId | None = None
    operation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request came out: `result` is OK, PARTIAL or FAILED."""

    result: str
    errors: tuple[ReplyError, ...] = ()
    ids: tuple[ObjectId, ...] = ()
    operation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of an OperationSet; verb and noun are the Header's where it names none.

    `xpath` and `line` are where it was read.
    """

    operation_id: int
    noun: str
    verb: str
    element_operation: bool = False
    payload: etree._Element | None = None
    xpath: str | None = field(default=None, compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OperationSet:
    """Several operations in one message, in their order of appearance.

    `enforce_integrity`: all of them take effect or none does. `enforce_sequence`: they
    take effect in this order.
    """

    enforce_sequence: bool
    enforce_integrity: bool
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `header` is None in a fault only, `reply` is there in responses and faults.

    `payload` is the element named like the noun, already decompressed where it came
    Compressed. `request` is the whole Request element, `request_ids` are the IDs in it. At most
    one of `payload`, `operation_set`, `payload_ids` and `packed` is there. `packed` is the gzip
    stream of a Compressed payload whose `format` is RDF: a document and no element, left to
    whoever reads it piece by piece.
    """

    kind: Kind
    header: Header | None
    request: etree._Element | None = None
    reply: Reply | None = None
    payload: etree._Element | None = None
    operation_set: OperationSet | None = None
    payload_ids: tuple[ObjectId, ...] = ()
    format: str = ""
    request_ids: tuple[ObjectId, ...] = ()
    packed: bytes = b""
