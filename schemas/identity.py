"""Who a message is: the identity that recognises it when it arrives again.

Lives here: (context, source, noun, message ID), the keys made of it, and the digests
that tell a repeat from a conflict. Must not live here: the memory of what was seen
(see the intake processor). Invariant: different identities have different keys, and no
identity has the key of unreadable bytes.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from lxml import etree

from schemas.canonical import canonical_form, pieces_form
from schemas.envelope.model import Header, Message, ObjectId, OperationSet, Reply, ReplyError
from schemas.envelope.namespaces import EDITION_1, MESSAGE_NAMESPACES, PRODUCTION
from schemas.envelope.packing import digest
from schemas.envelope.reader import read
from schemas.xml import DEFAULT, XmlLimits

# Changing what goes into the digest needs a new one: old marks are compared with it.
_CONTENT_DIGEST_VERSION: Final = "cimstream content 1"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a message this one. `message_id` is "sha256:<hex>" where it has none."""

    context: str
    source: str
    noun: str
    message_id: str

    @property
    def key(self) -> bytes:
        """The key of the inbound record: "HES-1|MeterReadings|6c1e…".

        Outside production the context stands before it. `%` and `|` in a part are
        percent-escaped, so three parts are production and four are not.
        """
        parts = [self.source, self.noun, self.message_id]
        if self.context != PRODUCTION:
            parts.insert(0, self.context)
        return "|".join(map(escaped, parts)).encode("utf-8")

    @property
    def store_key(self) -> bytes:
        """16 bytes that stand for `key` in a store."""
        return hashlib.blake2b(self.key, digest_size=16).digest()


def escaped(part: str) -> str:
    """A part of a key, without the mark that stands between parts."""
    return part.replace("%", "%25").replace("|", "%7C")


def identify(header: Header, data: bytes, limits: XmlLimits = DEFAULT) -> Identity:
    """The identity of the message `data` with this header.

    Parses the message only where it has no MessageID, for the digest of its content.

    Raises:
        MessageError: there is no MessageID and the message cannot be read.
    """
    message_id = header.message_id
    if not message_id:
        message_id = f"sha256:{content_digest(read(data, limits), limits).hex()}"
    return Identity(header.context, header.source, header.noun, message_id)


def raw_digest(data: bytes) -> bytes:
    """16 bytes that tell whether two messages are the same bytes.

    SHA-256, cut: processors have instructions for it, so it is the fastest strong one here.
    """
    return hashlib.sha256(data).digest()[:16]


def unreadable_key(data: bytes) -> bytes:
    """The inbound key of bytes whose identity cannot be read: "sha256|<hex>" of the bytes.

    Two parts, so it is never the key of an identity.
    """
    return b"sha256|" + hashlib.sha256(data).hexdigest().encode("ascii")


def content_digest(message: Message, limits: XmlLimits = DEFAULT) -> bytes:
    """32 bytes that are the same for two messages that say the same.

    Content is verb, noun, Request, Reply and payload. It does not depend on how they are
    serialised, on compression, on the edition and form of the envelope, or on any other
    field of the Header. A document of format RDF is compared as its bytes.

    Raises:
        MessageError: such a document cannot be unpacked within the limits.
    """
    header = message.header
    pieces = [
        _CONTENT_DIGEST_VERSION,
        header.verb if header else "",
        header.noun if header else "",
        _request_form(message.request),
        _payload_form(message.payload),
        pieces_form(*map(_id_form, message.payload_ids)),
        _operation_set_form(message.operation_set),
        _reply_form(message.reply),
    ]
    if message.packed:
        pieces.append(digest(message.packed, limits).hex())
    return hashlib.sha256(pieces_form(*pieces).encode("utf-8")).digest()


def _payload_form(payload: etree._Element | None) -> str:
    """The form of an element; "" for none, which no element has."""
    return "" if payload is None else canonical_form(payload)


def _request_form(request: etree._Element | None) -> str:
    """The form of a Request, whatever edition or typed root it belongs to.

    The envelope's own names in it are in the namespace of an edition, or in that of the
    typed root, which the Request itself is in.
    """
    if request is None:
        return ""
    typed = request.tag.rpartition("}")[0][1:]
    return canonical_form(request, merged=MESSAGE_NAMESPACES | {typed}, into=EDITION_1)


def _operation_set_form(operation_set: OperationSet | None) -> str:
    if operation_set is None:
        return ""
    return pieces_form(
        str(operation_set.enforce_sequence),
        str(operation_set.enforce_integrity),
        *(
            pieces_form(
                str(operation.operation_id),
                operation.noun,
                operation.verb,
                str(operation.element_operation),
                _payload_form(operation.payload),
            )
            for operation in operation_set.operations
        ),
    )


def _reply_form(reply: Reply | None) -> str:
    if reply is None:
        return ""
    return pieces_form(
        reply.result,
        str(reply.operation_id),
        pieces_form(*map(_id_form, reply.ids)),
        pieces_form(*map(_error_form, reply.errors)),
    )


def _error_form(error: ReplyError) -> str:
    return pieces_form(
        error.code,
        error.level,
        error.reason,
        error.details,
        error.xpath,
        _id_form(error.object_id),
        _id_form(error.related_id),
        str(error.operation_id),
    )


def _id_form(object_id: ObjectId | None) -> str:
    if object_id is None:
        return ""
    return pieces_form(
        object_id.value,
        object_id.kind,
        object_id.id_type,
        object_id.id_authority,
        object_id.object_type,
    )
