"""The messages of the document: headers, payload, key, correlation.

Lives here: one message per noun and kind of record, and the schemas they refer to. Must not live
here: which topic holds a message (see `document`).

Invariant: a noun's events have the schema that is written today, under its id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.avro.registry import newest
from topics.asyncapi.headers import AVRO, KINDS, XML, header_schema
from topics.asyncapi.parts import BINDING, Part, marks, named, ref
from topics.catalogue import Catalogue, Interface, Noun

_AVRO_FORMAT: Final = "application/vnd.apache.avro;version=1.9.0"
# From docs/reference, where the document lies. Inline they were nine tenths of it.
_AVRO_FILES: Final = "../../schemas/avro"
_ENVELOPE_XSD: Final = "schemas/envelope/message.xsd"
_IDENTITY: Final = "source|noun|message ID"


def received(interface: str, noun: str) -> str:
    """Name what systems send of a noun on an interface."""
    return f"received.{interface}.{noun}"


def accepted(noun: str) -> str:
    """Name what intake lets through of a register noun."""
    return f"accepted.{noun}"


def event(noun: str) -> str:
    """Name what the log of a noun holds."""
    return f"event.{noun}"


def current(noun: str) -> str:
    """Name what the present state of a register noun holds."""
    return f"current.{noun}"


QUERY: Final = "query"
REPLY: Final = "reply"
ADDRESSED: Final = "addressed"
FATE: Final = "fate"
REJECTION: Final = "rejection"


def every(catalogue: Catalogue) -> Iterator[tuple[str, Part]]:
    """Give every message by its name among the components."""
    for interface in catalogue.interfaces.values():
        for name in interface.accepts:
            yield received(interface.id, name), _received(interface, catalogue.nouns[name])
    for noun in catalogue.nouns.values():
        yield event(noun.name), _event(noun, f"{noun.name}: event")
        if noun.kind == "register":
            yield accepted(noun.name), _accepted(noun)
        if noun.kind == "register" and noun.profile is not None:
            said = "The object's newest event; no value once it is deleted."
            yield current(noun.name), {**_event(noun, f"{noun.name}: state"), "description": said}
    system = "the system addressed"
    reply = _message("reply", "Reply", XML, _envelope(), key=system)
    told = "A ResponseMessage; no value where it was given before, to the record that is named."
    yield REPLY, {**reply, "description": told}
    addressed = _message("addressed", "Message to one system", XML, _envelope(), key=system)
    yield ADDRESSED, {**addressed, "description": "As received, in the order of its object."}
    fate = _message("fate", "Fate of a delivery", XML, _envelope(), key=system)
    yield FATE, {**fate, "description": "A ResponseMessage to who sent it; it answers no call."}
    query = _message("query", "Query", XML, _envelope(), key=_IDENTITY)
    yield QUERY, {**query, "description": "A RequestMessage with verb get, as received."}
    rejected = _message("rejection", "Rejection", XML, _envelope(), key="the inbound record's key")
    said = "The original bytes, or a message with one bad object of them; the headers say why."
    yield REJECTION, {**rejected, "description": said}


def schemas(catalogue: Catalogue) -> Part:
    """Give what the messages refer to: envelope, headers, and the events of live nouns."""
    live = sorted({noun.schema for noun in catalogue.nouns.values() if noun.schema})
    envelope = {
        "type": "string",
        "description": f"A message of IEC 61968-100 in XML, as in {_ENVELOPE_XSD}.",
        "contentMediaType": XML,
        "x-xsd": _ENVELOPE_XSD,
    }
    return {
        "Envelope": envelope,
        **{_headers(kind): header_schema(kind) for kind in KINDS},
        **{name: _avro(name) for name in live},
    }


def _avro(name: str) -> Part:
    file = f"{_AVRO_FILES}/{newest(name).file}"
    return {"schemaFormat": _AVRO_FORMAT, "schema": {"$ref": file}}


def _received(interface: Interface, noun: Noun) -> Part:
    verbs = interface.accepts[noun.name]
    today = verbs if noun.profile is None else verbs - noun.planned_verbs
    key = _IDENTITY
    if noun.kind == "register":
        key = f"the noun; of a query {_IDENTITY}" if "get" in verbs else "the noun"
    message = _message(
        "received",
        f"{noun.name} on {interface.id}",
        XML,
        _envelope(),
        key=key,
        tags=marks(noun),
        ce_interface=[interface.id],
        ce_noun=[noun.name],
        ce_verb=sorted(today or verbs),
    )
    return {**message, **_payload(noun)}


def _accepted(noun: Noun) -> Part:
    title = f"{noun.name}: accepted"
    message = _message("accepted", title, XML, _envelope(), key="the noun", tags=marks(noun))
    return {**message, **_payload(noun)}


def _payload(noun: Noun) -> Part:
    """Say what the Payload of a noun's envelope holds: the envelope's schema does not."""
    said = f"Payload: {noun.name} of the namespace {' or '.join(noun.namespaces)}"
    about: Part = {"description": f"{said}.", "x-namespaces": list(noun.namespaces)}
    if noun.profile is not None:
        xsd = f"schemas/profiles/{noun.profile}/profile.xsd"
        about |= {"description": f"{said}, as in {xsd}.", "x-xsd": xsd}
    return about


def _event(noun: Noun, title: str) -> Part:
    message = _message(
        "event",
        title,
        AVRO,
        None if noun.schema is None else ref("components", "schemas", noun.schema),
        key=noun.key,
        tags=marks(noun),
        ce_interface=[noun.home],
        ce_noun=[noun.name],
    )
    if noun.schema is not None:
        message["x-schema-id"] = newest(noun.schema).id
        message["bindings"]["kafka"] |= {
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
        }
    return message


def _message(
    kind: str,
    title: str,
    media: str,
    payload: Part | None,
    *,
    key: str,
    tags: Sequence[str] = (),
    **headers: list[str],
) -> Part:
    """A message with the headers of its kind; `headers` are the values that some may have."""
    narrowed = {name: {"enum": values} for name, values in headers.items()}
    message: Part = {
        "title": title,
        "contentType": media,
        "headers": {
            "type": "object",
            "allOf": [ref("components", "schemas", _headers(kind))],
            **({"properties": narrowed} if narrowed else {}),
        },
        "correlationId": ref("components", "correlationIds", "correlation"),
        "tags": named(*tags),
        "bindings": {
            "kafka": {"key": {"type": "string", "description": key}, "bindingVersion": BINDING}
        },
    }
    return message if payload is None else {**message, "payload": payload}


def _headers(kind: str) -> str:
    return f"headers.{kind}"


def _envelope() -> Part:
    return ref("components", "schemas", "Envelope")
