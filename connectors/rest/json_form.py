"""Messages in JSON: the same header and records as in CIM XML, in another form.

Lives here: JSON message -> IEC 61968-100 message, and a reply in XML -> JSON. Must not live here:
HTTP, the JSON of one record (`schemas.avro.documents`).

    {"header": {"verb": "create", "noun": "MeterReadings", "messageID": "m-1", "source": "HES-1"},
     "payload": [{…}]}

Names are those of the XML, the first word in small letters, as in the canonical records. What
comes in as JSON lies on inbound as CIM XML: behind the door there is one form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lxml import etree

from connectors.http import RequestError
from schemas import strict_json
from schemas.avro.documents import DocumentError, document_of, reader_of, record_of
from schemas.envelope import Header, Message, ObjectId, write
from schemas.envelope.namespaces import EDITION_1, KIND_OF_VERB
from schemas.errors import MessageError, Problem
from schemas.profiles import profile
from schemas.profiles.payloads import UnwritableError, payload_of, records_of
from schemas.strict_json import Json, JsonError
from schemas.times import from_epoch_ms
from topics import Catalogue, Noun

Document = dict[str, Any]
_TEXT: Final = ["null", "string"]
_TIME: Final = ["null", {"type": "long", "logicalType": "timestamp-millis"}]
_FLAG: Final = ["null", "boolean"]


def _form(name: str, /, **fields: object) -> Document:
    """A record in the form of Avro; all fields may be left out."""
    said = [
        {"name": key, "type": kind, "default": [] if _is_array(kind) else None}
        for key, kind in fields.items()
    ]
    return {"type": "record", "name": name, "fields": said}


def _is_array(kind: object) -> bool:
    return isinstance(kind, dict) and kind["type"] == "array"


def _list(kind: object) -> Document:
    return {"type": "array", "items": kind}


_ID: Final = _form(
    "ObjectID", value=_TEXT, kind=_TEXT, idType=_TEXT, idAuthority=_TEXT, objectType=_TEXT
)
_PAIR: Final = _form("Property", name=_TEXT, value=_TEXT)
_USER: Final = _form("User", userID=_TEXT, organization=_TEXT)
_HEADER: Final = _form(
    "Header",
    verb=_TEXT,
    noun=_TEXT,
    revision=_TEXT,
    context=_TEXT,
    timestamp=_TIME,
    source=_TEXT,
    destination=_TEXT,
    asyncReplyFlag=_FLAG,
    replyAddress=_TEXT,
    ackRequired=_FLAG,
    user=["null", _USER],
    messageID=_TEXT,
    correlationID=_TEXT,
    comment=_TEXT,
    properties=_list(_PAIR),
)
_ERROR: Final = _form(
    "ReplyError",
    code=_TEXT,
    level=_TEXT,
    reason=_TEXT,
    details=_TEXT,
    xpath=_TEXT,
    id=["null", _ID],
    operationId=["null", "long"],
)
_REQUEST: Final = _form(
    "Request", startTime=_TIME, endTime=_TIME, options=_list(_PAIR), ids=_list(_ID)
)
MESSAGE: Final = _form(
    "Message", header=["null", _HEADER], request=["null", _REQUEST], ids=_list(_ID)
)
"""What comes in, but for `payload`: a record of the noun, or an array of them."""
REPLY: Final = _form(
    "Reply",
    header=["null", _HEADER],
    result=_TEXT,
    errors=_list(_ERROR),
    ids=_list(_ID),
)
"""What goes out, but for `payload`: an array of records."""

_read_message: Final = reader_of(MESSAGE, frozenset({"payload"}))
_ID_ATTRIBUTES: Final = ("kind", "idType", "idAuthority", "objectType")


def read_json(data: bytes) -> Json:
    """The document in a body.

    Raises:
        RequestError: json_invalid.
    """
    try:
        return strict_json.load(data)
    except JsonError as error:
        line = "" if error.line is None else f", line {error.line}"
        raise RequestError("json_invalid", error.why + line) from None


def message_of(data: bytes, interface: str, catalogue: Catalogue) -> bytes:
    """The message in XML that a message in JSON means.

    Raises:
        RequestError: json_invalid, json_unfit.
        MessageError: as `connectors.exchange.read_call` of the header.
    """
    document = read_json(data)
    try:
        said = _read_message(document, "")
    except DocumentError as error:
        raise RequestError("json_unfit", str(error)) from None
    header = _header(said["header"] or {})
    code = "verb_missing" if not header.verb else "noun_missing" if not header.noun else None
    code = code or catalogue.refusal(interface, header.noun, header.verb)
    entry = catalogue.noun(header.noun)
    if code is not None or entry is None:
        raise MessageError(Problem(code or "noun_unknown"))
    header = replace(header, noun=entry.name)  # its records are that noun's, whatever its alias
    kind = KIND_OF_VERB[header.verb]
    ids = tuple(_id(one) for one in said["ids"])
    payload = document.get("payload")
    if payload is not None and ids:
        raise RequestError("json_unfit", "/ids: there is a payload already")
    element = None if payload is None else payload_element(entry, payload, "/payload")
    request = None if said["request"] is None else _request(said["request"])
    message = Message(kind, header, request=request, payload=element, payload_ids=ids)
    return written(message)


def written(message: Message) -> bytes:
    """The message in XML.

    Raises:
        RequestError: json_unfit: it says what edition 1 cannot.
    """
    try:
        return write(message)
    except ValueError as error:
        raise RequestError("json_unfit", str(error)) from None


def payload_element(noun: Noun, document: object, pointer: str) -> etree._Element:
    """The payload that one record, or an array of them, says.

    Raises:
        RequestError: json_unfit.
    """
    if noun.profile is None or noun.schema is None or not has_json(noun):
        raise RequestError("json_unfit", f"{pointer}: {noun.name} have no JSON form")
    several = document if isinstance(document, list) else [document]
    if not several:
        raise RequestError("json_unfit", f"{pointer or '/'}: there is no record")
    try:
        records = [
            record_of(noun.schema, one, f"{pointer}/{n}" if several is document else pointer)
            for n, one in enumerate(several)
        ]
        return payload_of(noun.profile, records)
    except DocumentError as error:
        raise RequestError("json_unfit", str(error)) from None
    except UnwritableError as error:
        raise RequestError("json_unfit", f"{pointer or '/'}: {error}") from None


def has_json(noun: Noun) -> bool:
    """Whether the noun's payload can be records: a network model is a document of its own."""
    return noun.schema is not None and noun.schema != "CimObject"


def reply_document(message: Message, catalogue: Catalogue) -> Document:
    """A reply in JSON; what is no record of its payload is left out."""
    reply = message.reply
    document: Document = {
        "header": None if message.header is None else _header_document(message.header),
        "result": "" if reply is None else reply.result,
        "errors": [],
        "ids": [] if reply is None else [_id_document(one) for one in reply.ids],
        "payload": _payload_document(message, catalogue),
    }
    for error in () if reply is None else reply.errors:
        named = None if error.object_id is None else _id_document(error.object_id)
        document["errors"].append(
            {
                "code": error.code,
                "level": error.level or None,
                "reason": error.reason or None,
                "details": error.details or None,
                "xpath": error.xpath or None,
                "id": named,
                "operationId": error.operation_id,
            }
        )
    return document


def _payload_document(message: Message, catalogue: Catalogue) -> list[Any]:
    noun = None if message.header is None else catalogue.noun(message.header.noun)
    if message.payload is None or noun is None or noun.profile is None or not has_json(noun):
        return []
    schemas = {name: one.schema for name, one in catalogue.nouns.items() if one.schema}
    items = profile(noun.profile).read(message.payload).items
    return [document_of(record) for record in records_of(schemas, items)]


# --- the parts ---------------------------------------------------------------------------------


def _header(said: Mapping[str, Any]) -> Header:
    user = said.get("user") or {}
    return Header(
        verb=(said.get("verb") or "").strip().lower(),
        noun=said.get("noun") or "",
        revision=said.get("revision") or "",
        context=(said.get("context") or Header("", "").context).upper(),
        timestamp_ms=said.get("timestamp"),
        source=said.get("source") or "",
        destination=said.get("destination") or "",
        message_id=said.get("messageID") or "",
        correlation_id=said.get("correlationID") or "",
        reply_address=said.get("replyAddress") or "",
        ack_required=said.get("ackRequired"),
        async_reply=said.get("asyncReplyFlag"),
        user_id=user.get("userID") or "",
        organization=user.get("organization") or "",
        comment=said.get("comment") or "",
        properties=tuple(
            (pair["name"] or "", pair["value"] or "") for pair in said.get("properties") or ()
        ),
    )


def _header_document(header: Header) -> Document:
    time_ms = header.timestamp_ms
    return {
        "verb": header.verb,
        "noun": header.noun,
        "revision": header.revision or None,
        "context": header.context,
        "timestamp": None if time_ms is None else from_epoch_ms(time_ms),
        "source": header.source or None,
        "destination": header.destination or None,
        "messageID": header.message_id or None,
        "correlationID": header.correlation_id or None,
        "properties": [{"name": name, "value": value} for name, value in header.properties],
    }


def _id(said: Mapping[str, Any]) -> ObjectId:
    return ObjectId(
        said["value"] or "",
        said["kind"] or "",
        said["idType"] or "",
        said["idAuthority"] or "",
        said["objectType"] or "",
    )


def _id_document(one: ObjectId) -> Document:
    return {
        "value": one.value,
        "kind": one.kind or None,
        "idType": one.id_type or None,
        "idAuthority": one.id_authority or None,
        "objectType": one.object_type or None,
    }


def _request(said: Mapping[str, Any]) -> etree._Element:
    space = f"{{{EDITION_1}}}"
    request = etree.Element(f"{space}Request")
    for key, tag in (("startTime", "StartTime"), ("endTime", "EndTime")):
        if said[key] is not None:
            etree.SubElement(request, space + tag).text = from_epoch_ms(said[key])
    for pair in said["options"]:
        option = etree.SubElement(request, f"{space}Option")
        etree.SubElement(option, f"{space}name").text = pair["name"] or ""
        etree.SubElement(option, f"{space}value").text = pair["value"] or ""
    for one in said["ids"]:
        element = etree.SubElement(request, f"{space}ID")
        element.text = one["value"] or ""
        for name in _ID_ATTRIBUTES:
            if one[name]:
                element.set(name, one[name])
    return request
