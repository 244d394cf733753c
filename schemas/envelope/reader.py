"""Bytes -> Message: tolerant where real systems need it, strict everywhere else.

Lives here: roots, the message as a whole, and Reply. Must not live here: what the
catalogue allows, and what the payload says.

Tolerated, because it is met: the namespaces of all editions, misspelt or left out; typed roots;
any case in verbs; fields we do not know; any order of Header fields; a response without Noun
or with a request's verb; the pre-standard's Reply. Refused: a Timestamp without zone, a field
given twice, a root that contradicts its verb or noun.

Invariant: a message that is accepted has a kind, a known verb and, but for responses, a
noun; and root, Header and payload agree about them.
"""

import re
from typing import Final

from lxml import etree

from schemas.envelope.header import (
    HeaderFields,
    header_element,
    kind_of_name,
    place_of,
    read_header,
)
from schemas.envelope.model import Header, Kind, Message, ObjectId, Reply, ReplyError
from schemas.envelope.namespaces import (
    KIND_OF_ROOT,
    KIND_OF_VERB,
    ROOT_SUFFIXES,
    VERB_SPELLINGS,
    is_pre_standard,
    means_message,
)
from schemas.envelope.payload import (
    Payload,
    Place,
    integer,
    local_name,
    normal_verb,
    object_id,
    object_ids,
    read_payload,
    text_of,
)
from schemas.errors import raise_if_any
from schemas.xml import DEFAULT, XmlLimits, parse

_RESULTS: Final = {"OK": "OK", "SUCCESS": "OK", "PARTIAL": "PARTIAL", "FAILED": "FAILED"}
_LEVELS: Final = frozenset({"INFORM", "WARNING", "FATAL", "CATASTROPHIC"})

_VERB_PREFIXES: Final = "|".join(verb.capitalize() for verb in (*KIND_OF_VERB, *VERB_SPELLINGS))
_TYPED_ROOT: Final = re.compile(f"(?:{_VERB_PREFIXES})[A-Z].*|.+(?:{'|'.join(ROOT_SUFFIXES)})")


def read(data: bytes, limits: XmlLimits = DEFAULT, peeked: HeaderFields | None = None) -> Message:
    """The message that the bytes are. `peeked` is what `peek_fields` found in them, if asked.

    Raises:
        MessageError: with every problem of the Header at once, otherwise with the first
            that is met; codes of the sections "bytes", "envelope" and "payload".
    """
    return read_element(parse(data, limits), limits, peeked)


def read_element(
    root: etree._Element, limits: XmlLimits = DEFAULT, peeked: HeaderFields | None = None
) -> Message:
    """The message that the element is; raises as `read` does for one that is well-formed."""
    place = place_of(root)
    _check_root(root, place)
    body = _body(root, place)
    if kind_of_name(local_name(root)) is Kind.FAULT:
        return Message(Kind.FAULT, None, reply=_reply(root, body.get("Reply"), place))
    element = header_element(root)
    if element is None:
        raise place.error("header_missing", "", root)
    fields = read_header(element, place) if peeked is None else peeked
    header = fields.header
    _check_header(header, fields, root, place)
    raise_if_any(fields.problems)
    kind = _kind(root, header, place, replies="Reply" in body)
    request, reply = body.get("Request"), body.get("Reply")
    payload = Payload()
    if "Payload" in body:
        payload = read_payload(body["Payload"], header, place.below("Payload"), limits)
    return Message(
        kind,
        header,
        request=request,
        request_ids=() if request is None else _request_ids(request, place.below("Request")),
        reply=_reply(root, reply, place) if reply is not None or kind is Kind.RESPONSE else None,
        payload=payload.element,
        operation_set=payload.operation_set,
        payload_ids=payload.ids,
        format=payload.format,
        packed=payload.packed,
    )


def _check_root(root: etree._Element, place: Place) -> None:
    """Refuse what is no message at all, or one in a namespace of something else."""
    local = local_name(root)
    headed = header_element(root)
    if local in KIND_OF_ROOT:
        if place.namespace and not means_message(place.namespace):
            raise place.error("namespace_unknown", f"of {local}", root)
    elif headed is None and not _TYPED_ROOT.fullmatch(local):
        raise place.error("root_unknown", "", root)
    if headed is not None and not place.own_name(headed):
        raise place.below("Header").error("namespace_unknown", "of Header", headed)


def _body(root: etree._Element, place: Place) -> dict[str, etree._Element]:
    """Request, Reply and Payload, as far as they are there."""
    body: dict[str, etree._Element] = {}
    for child in root:
        name = place.own_name(child)
        if name not in ("Request", "Reply", "Payload"):
            continue
        if name in body:
            raise place.below(name).error("payload_mismatch", "given twice", child)
        body[name] = child
    return body


def _check_header(header: Header, fields: HeaderFields, root: etree._Element, place: Place) -> None:
    """Add to the problems what the Header lacks; refuse at once what is no message."""
    local = local_name(root)
    if not (local in KIND_OF_ROOT or _TYPED_ROOT.fullmatch(local) or local == header.noun):
        raise place.error("root_unknown", "", root)
    at = place.below("Header")
    if not header.verb:
        fields.refuse("verb_missing", "", at, root[0])
    elif header.verb not in KIND_OF_VERB:
        fields.refuse("verb_unknown", "", at.below("Verb"), root[0])
    if not header.noun and kind_of_name(local) is not Kind.RESPONSE:
        fields.refuse("noun_missing", "", at, root[0])


def _kind(root: etree._Element, header: Header, place: Place, *, replies: bool) -> Kind:
    local = local_name(root)
    said = KIND_OF_VERB[header.verb]
    if local not in KIND_OF_ROOT:
        expected = _kind_of_typed(root, header, place)
    else:
        expected = KIND_OF_ROOT[local]
    if expected is None or expected is said:
        return said
    if expected is Kind.RESPONSE:
        return Kind.RESPONSE
    if said is Kind.RESPONSE and replies and is_pre_standard(place.namespace):
        return Kind.RESPONSE
    raise place.below("Header").below("Verb").error("verb_not_allowed", f"in {local}", root[0])


def _kind_of_typed(root: etree._Element, header: Header, place: Place) -> Kind | None:
    """The kind that a typed root says, None where the verb decides.

    Forms: the noun; verb + noun; either of them or nothing before RequestMessage and so on.
    """
    local = local_name(root)
    kind = kind_of_name(local)
    stem = local.removesuffix(f"{kind.capitalize()}Message") if kind else local
    verbs = {header.verb, *KIND_OF_VERB} if kind is Kind.RESPONSE else {header.verb}
    if header.noun and not stem.endswith(header.noun):
        raise place.error("payload_mismatch", "the root is not named after the Header's Noun", root)
    said = normal_verb(stem.removesuffix(header.noun)) if header.noun else ""
    if said and said not in verbs:
        raise place.error("payload_mismatch", "the root is not named after the Header's Verb", root)
    return kind


def _request_ids(request: etree._Element, place: Place) -> tuple[ObjectId, ...]:
    return object_ids([child for child in request if place.own_name(child) == "ID"], place)


# --- the Reply -------------------------------------------------------------------------------


def _reply(root: etree._Element, element: etree._Element | None, place: Place) -> Reply:
    place = place.below("Reply")
    if element is None:
        raise place.error("reply_invalid", "missing", root)
    texts: dict[str, str] = {}
    errors: list[ReplyError] = []
    ids: list[ObjectId] = []
    for child in element:
        name = place.own_name(child)
        if name == "Error":
            errors.append(_reply_error(child, place.below(name)))
        elif name == "ID":
            ids.append(object_id(child))
        elif name:
            texts.setdefault(name, text_of(child))
    result = _RESULTS.get(texts.get("Result", "").upper(), "")
    code = texts.get("ReplyCode", "")
    if code and not result and not texts.get("Result"):
        result = _result_of_code(code)
    if not result:
        raise place.error("reply_invalid", "Result", element)
    if code and result == "FAILED" and not errors:
        errors.append(ReplyError(code))
    operation_id = _operation_id(texts, element, place)
    return Reply(result, tuple(errors), tuple(ids), operation_id)


def _result_of_code(code: str) -> str:
    """The pre-standard's ReplyCode alone: 0 and 0.0 are good, 0.1 and 0.2 partial."""
    if code in ("0", "0.0", "0.3"):
        return "OK"
    return "PARTIAL" if code in ("0.1", "0.2") else "FAILED"


def _reply_error(element: etree._Element, place: Place) -> ReplyError:
    texts: dict[str, str] = {}
    ids: dict[str, ObjectId] = {}
    for child in element:
        name = place.own_name(child)
        if name in ("ID", "relatedID"):
            ids.setdefault(name, object_id(child))
        elif name:
            texts.setdefault(name, text_of(child))
    if not texts.get("code"):
        raise place.error("reply_invalid", "an Error without code", element)
    level = texts.get("level", "").upper()
    return ReplyError(
        code=texts["code"],
        level=level if level in _LEVELS else "",
        reason=texts.get("reason", ""),
        details=texts.get("details", ""),
        # A QName: without its scope the prefix says nothing.
        xpath=texts.get("xpath", "").rpartition(":")[2],
        object_id=ids.get("ID"),
        related_id=ids.get("relatedID"),
        operation_id=_operation_id(texts, element, place),
    )


def _operation_id(texts: dict[str, str], element: etree._Element, place: Place) -> int | None:
    text = texts.get("operationId", "")
    number = integer(text)
    if text and number is None:
        raise place.error("reply_invalid", "operationId is no integer", element)
    return number
