"""Message -> bytes: edition 1, generic form, nothing that its schema does not allow.

Lives here: the written form, and the messages that answer another one. Must not live
here: what is answered, and when. Invariant: what is written validates against
`message.xsd`, reads back as the same message, and is the same bytes every time.
"""

import binascii
import re
from typing import Final

from lxml import etree

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
from schemas.envelope.namespaces import EDITION_1, KIND_OF_VERB
from schemas.envelope.payload import RDF, Place, text_of
from schemas.errors import Problem
from schemas.times import from_epoch_ms

_ROOTS: Final = {
    Kind.REQUEST: "RequestMessage",
    Kind.RESPONSE: "ResponseMessage",
    Kind.EVENT: "EventMessage",
    Kind.FAULT: "FaultMessage",
}
_RESULTS: Final = frozenset({"OK", "PARTIAL", "FAILED"})
_LEVELS: Final = frozenset({"", "INFORM", "WARNING", "FATAL", "CATASTROPHIC"})
_ID_KINDS: Final = frozenset({"", "name", "uuid", "transaction", "other"})
_REQUEST_ORDER: Final = ("StartTime", "EndTime", "Option", "ID")
_PREFIX: Final = "msg"
_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def write(message: Message) -> bytes:
    """The message as UTF-8 XML: edition 1, generic root; compressed is only what is `packed`.

    Elements of the message are left as and where they are.

    Raises:
        ValueError: the message is one that edition 1 cannot say: a verb of another kind, a
            response without Reply, an element without a namespace of its own, a character
            that XML does not allow … Always a mistake of the caller.
    """
    _check(message)
    grafts = _Grafts()
    root = etree.Element(_name(_ROOTS[message.kind]), nsmap={_PREFIX: EDITION_1})
    if message.header is not None:
        _header(root, message.header)
    if message.request is not None:
        _request(root, message.request, grafts)
    if message.reply is not None:
        _reply(root, message.reply)
    _payload(root, message, grafts)
    return _DECLARATION + grafts.fill(etree.tostring(root, encoding="UTF-8"))


def reply_to(
    header: Header,
    reply: Reply,
    *,
    message_id: str,
    timestamp_ms: int,
    source: str = "",
    payload: etree._Element | None = None,
) -> Message:
    """The response to the request with this header.

    Its correlation ID is the request's own where it has one, otherwise the request's
    message ID: senders look for the one they gave. It goes to where the request came from,
    in the same context.
    """
    answer = Header(
        verb="reply",
        noun=header.noun,
        revision=header.revision,
        context=header.context,
        timestamp_ms=timestamp_ms,
        source=source,
        destination=header.source,
        message_id=message_id,
        correlation_id=header.correlation_id or header.message_id,
    )
    return Message(Kind.RESPONSE, answer, reply=reply, payload=payload)


def fault(reply: Reply) -> Message:
    """The answer to a message whose header could not be read."""
    return Message(Kind.FAULT, None, reply=reply)


def reply_error(
    problem: Problem, *, object_id: ObjectId | None = None, operation_id: int | None = None
) -> ReplyError:
    """A problem as an Error of a Reply: the standard's code, and ours with the place.

    The schema allows a single name as xpath, so the path itself is in the details.
    """
    return ReplyError(
        code=problem.definition.iec_code,
        level=problem.definition.level,
        reason=problem.definition.what,
        details=f"{problem}. {problem.definition.fix}",
        xpath=(problem.xpath or "").rpartition("/")[2].partition("[")[0],
        object_id=object_id,
        operation_id=operation_id,
    )


# --- checks ----------------------------------------------------------------------------------


def _require(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(f"edition 1 cannot say this: {what}")


def _check(message: Message) -> None:
    kind, header = message.kind, message.header
    _require((header is None) == (kind is Kind.FAULT), "all but faults have a Header")
    answers = kind in (Kind.RESPONSE, Kind.FAULT)
    _require((message.reply is not None) == answers, "responses and faults have a Reply")
    _require(message.request is None or kind is Kind.REQUEST, "only requests have a Request")
    payloads = (message.payload is not None, message.operation_set is not None)
    others = (bool(message.payload_ids), bool(message.packed))
    _require(sum((*payloads, *others)) <= 1, "more than one payload")
    _require(not message.packed or message.format == RDF, "what is packed is of format RDF")
    if header is None:
        _require(not any(payloads) and not message.payload_ids, "a fault has no payload")
        return
    _require(KIND_OF_VERB.get(header.verb) is kind, f"the verb is not one of a {kind}")
    _require(header.noun or kind is Kind.RESPONSE, "the Header has no Noun")
    _require(
        not any(name.lower() == "destination" for name, _ in header.properties),
        "Destination is a field of the Header here, not a Property",
    )


# --- elements of other namespaces ------------------------------------------------------------


class _Grafts:
    """Elements that are written as they are, at marks in the envelope.

    As bytes, because lxml, moving an element to another tree, may bind it to a prefix that
    the element itself declares for another namespace, and loses prefixes that only values
    (such as xsi:type) use.
    """

    _MARK = re.compile(rb"<\?graft (\d+)\?>")
    _IN_SCOPE = f' xmlns:{_PREFIX}="{EDITION_1}"'.encode()

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def add(self, parent: etree._Element, element: etree._Element) -> None:
        """Put a mark for the element under `parent`."""
        namespace = element.tag.rpartition("}")[0][1:]
        _require(namespace and namespace != EDITION_1, "an element without a namespace of its own")
        start_tag, end, rest = etree.tostring(element, encoding="UTF-8", with_tail=False).partition(
            b">"
        )
        # All declarations in the element's scope are repeated on it; the envelope's own
        # would come again with every reading and writing.
        self._written.append(start_tag.replace(self._IN_SCOPE, b"") + end + rest)
        parent.append(etree.ProcessingInstruction("graft", str(len(self._written) - 1)))

    def fill(self, envelope: bytes) -> bytes:
        """The envelope with the elements in place of their marks."""
        return self._MARK.sub(lambda mark: self._written[int(mark[1])], envelope)


# --- parts -----------------------------------------------------------------------------------


def _name(local: str) -> str:
    return f"{{{EDITION_1}}}{local}"


def _add(parent: etree._Element, local: str, text: str = "") -> etree._Element:
    element = etree.SubElement(parent, _name(local))
    if text:
        element.text = text
    return element


def _add_if(parent: etree._Element, local: str, text: str) -> None:
    if text:
        _add(parent, local, text)


def _add_flag(parent: etree._Element, local: str, flag: bool | None) -> None:
    if flag is not None:
        _add(parent, local, "true" if flag else "false")


def _header(root: etree._Element, header: Header) -> None:
    element = _add(root, "Header")
    _add(element, "Verb", header.verb)
    _add(element, "Noun", header.noun)
    _add_if(element, "Revision", header.revision)
    if header.replay_nonce or header.replay_created_ms is not None:
        created_ms = header.replay_created_ms
        if created_ms is None or not header.replay_nonce:
            raise ValueError("edition 1 cannot say this: ReplayDetection without both its parts")
        replay = _add(element, "ReplayDetection")
        _add(replay, "Nonce", header.replay_nonce)
        _add(replay, "Created", from_epoch_ms(created_ms))
    _add_if(element, "Context", header.context)
    if header.timestamp_ms is not None:
        _add(element, "Timestamp", from_epoch_ms(header.timestamp_ms))
    _add_if(element, "Source", header.source)
    _add_flag(element, "AsyncReplyFlag", header.async_reply)
    _add_if(element, "ReplyAddress", header.reply_address)
    _add_flag(element, "AckRequired", header.ack_required)
    if header.user_id or header.organization:
        _require(header.user_id, "an Organization without UserID")
        user = _add(element, "User")
        _add(user, "UserID", header.user_id)
        _add_if(user, "Organization", header.organization)
    _add_if(element, "MessageID", header.message_id)
    _add_if(element, "CorrelationID", header.correlation_id)
    _add_if(element, "Comment", header.comment)
    destination = (("Destination", header.destination),) if header.destination else ()
    for name, value in (*destination, *header.properties):
        _require(name, "a Property without Name")
        pair = _add(element, "Property")
        _add(pair, "Name", name)
        _add_if(pair, "Value", value)


def _request(root: etree._Element, request: etree._Element, grafts: _Grafts) -> None:
    """The Request with its own elements in edition 1's namespace and order."""
    element = _add(root, "Request")
    own_namespace = request.tag.rpartition("}")[0][1:]
    place = Place(own_namespace, "/RequestMessage/Request")
    named = [(place.own_name(child), child) for child in request]
    for local in _REQUEST_ORDER:
        for name, child in named:
            if name != local:
                continue
            copied = _add(element, name, text_of(child))
            copied.attrib.update(child.attrib)
            for part in child:
                _require(place.own_name(part), f"an element of another namespace in {name}")
                _add(copied, place.own_name(part), text_of(part))
    for name, child in named:
        _require(name in ("", *_REQUEST_ORDER), f"{name} in Request")
        if not name:
            grafts.add(element, child)


def _reply(root: etree._Element, reply: Reply) -> None:
    _require(reply.result in _RESULTS, "a Result that is not OK, PARTIAL or FAILED")
    element = _add(root, "Reply")
    _add(element, "Result", reply.result)
    for error in reply.errors:
        _reply_error(element, error)
    for object_id in reply.ids:
        _id(element, "ID", object_id)
    if reply.operation_id is not None:
        _add(element, "operationId", str(reply.operation_id))


def _reply_error(parent: etree._Element, error: ReplyError) -> None:
    _require(error.code, "an Error without code")
    _require(error.level in _LEVELS, "an Error with an unknown level")
    element = _add(parent, "Error")
    _add(element, "code", error.code)
    _add_if(element, "level", error.level)
    _add_if(element, "reason", error.reason)
    _add_if(element, "details", error.details)
    if _is_name(error.xpath):
        _add(element, "xpath", error.xpath)
    if error.object_id is not None:
        _id(element, "ID", error.object_id)
    if error.related_id is not None:
        _id(element, "relatedID", error.related_id)
    if error.operation_id is not None:
        _add(element, "operationId", str(error.operation_id))


def _is_name(text: str) -> bool:
    """Whether the text is a name without prefix, which is a QName wherever it stands."""
    try:
        return bool(text) and etree.QName(text).text == text and ":" not in text
    except ValueError:
        return False


def _id(parent: etree._Element, local: str, object_id: ObjectId) -> None:
    _require(object_id.kind in _ID_KINDS, "an ID of an unknown kind")
    element = _add(parent, local, object_id.value)
    attributes = {
        "idType": object_id.id_type,
        "idAuthority": object_id.id_authority,
        "kind": object_id.kind,
        "objectType": object_id.object_type,
    }
    for name, value in attributes.items():
        if value:
            element.set(name, value)


def _payload(root: etree._Element, message: Message, grafts: _Grafts) -> None:
    content = (message.payload, message.operation_set, message.payload_ids or None)
    if not message.format and content == (None, None, None):
        return
    element = _add(root, "Payload")
    if message.payload is not None:
        grafts.add(element, message.payload)
    if message.operation_set is not None:
        _operation_set(element, message.operation_set, grafts)
    for object_id in message.payload_ids:
        _id(element, "ID", object_id)
    if message.packed:
        _add(element, "Compressed", binascii.b2a_base64(message.packed, newline=False).decode())
    _add_if(element, "Format", message.format)


def _operation_set(parent: etree._Element, operation_set: OperationSet, grafts: _Grafts) -> None:
    element = _add(parent, "OperationSet")
    _add_flag(element, "enforceMsgSequence", operation_set.enforce_sequence)
    _add_flag(element, "enforceTransactionalIntegrity", operation_set.enforce_integrity)
    for operation in operation_set.operations:
        _operation(element, operation, grafts)


def _operation(parent: etree._Element, operation: Operation, grafts: _Grafts) -> None:
    element = _add(parent, "Operation")
    _add(element, "operationId", str(operation.operation_id))
    _add_if(element, "noun", operation.noun)
    _add_if(element, "verb", operation.verb)
    if operation.element_operation:
        _add_flag(element, "elementOperation", flag=True)
    if operation.payload is not None:
        grafts.add(element, operation.payload)
