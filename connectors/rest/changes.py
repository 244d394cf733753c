"""Requests that change a resource, as messages.

Lives here: the Header and payload that a POST, PUT or DELETE means. Must not live here: reading
(`resources`), the way a message goes (`server`), clocks.

What changes something becomes a message in the IEC 61968-100 envelope and goes the way of all
messages. Its Source is who was authenticated, its MessageID the Idempotency-Key, and the revision
in If-Match its Property ExpectedRevision.

Pure and total, as `mapping`; a MessageID that nobody gave is random.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from connectors.http import RequestError
from connectors.rest import json_form
from connectors.rest.mapping import JSON
from connectors.rest.resources import ETAG, Target
from schemas import mrids
from schemas.envelope import Header, Message, ObjectId
from schemas.envelope.namespaces import KIND_OF_VERB, means_message
from schemas.errors import MessageError, Problem
from schemas.profiles import declared
from schemas.xml import XmlLimits, parse
from topics import Noun

_REVISION: Final = re.compile(r"\d{1,18}", re.ASCII)
_EXPECTED_REVISION: Final = "ExpectedRevision"
_MESSAGE_ID: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to a resource, before its body is known."""

    target: Target
    header: Header

    @property
    def created(self) -> str:
        """The list that an object is created in; "" where nothing is."""
        return self.target.path if self.header.verb == "create" else ""


def read_change(
    found: Target,
    verb: str,
    headers: Mapping[str, str],
    context: str,
    source: str,
    *,
    now_ms: int,
) -> Change:
    """The Header of the message that a request means.

    Raises:
        RequestError: precondition_invalid, idempotency_key_invalid.
    """
    key = headers.get("idempotency-key", "").strip().strip('"')
    if "idempotency-key" in headers and not _MESSAGE_ID.fullmatch(key):
        raise RequestError("idempotency_key_invalid")
    expected = _expected(headers, verb)
    header = Header(
        verb=verb,
        noun=found.noun.name,
        context=context,
        timestamp_ms=now_ms,
        source=source,
        message_id=key or str(uuid.uuid4()),
        ack_required=True,
        properties=() if expected is None else ((_EXPECTED_REVISION, expected),),
    )
    return Change(found, header)


def _expected(headers: Mapping[str, str], verb: str) -> str | None:
    """The revision in If-Match; None where there is no condition."""
    if "if-none-match" in headers:
        raise RequestError("precondition_invalid", "If-None-Match is for GET")
    said = headers.get("if-match", "").strip()
    # What is changed or deleted must exist, also without being asked.
    if not said or (said == "*" and verb != "create"):
        return None
    etag = ETAG.fullmatch(said)
    if (
        verb == "create"
        or etag is None
        or said.startswith("W/")
        or not _REVISION.fullmatch(etag[1])
    ):
        raise RequestError("precondition_invalid")
    return etag[1]


def message(change: Change, body: bytes, media: str, bytes_max: int) -> bytes:
    """The message in its envelope.

    Args:
        change: What is to be done.
        body: The payload; of a deletion nothing.
        media: Whether it is `XML` or `JSON`.
        bytes_max: Of the body.

    Raises:
        RequestError: json_invalid, json_unfit, object_mismatch.
        MessageError: the XML cannot be read, or is no payload of the noun.
    """
    found, kind = change.target, KIND_OF_VERB[change.header.verb]
    if change.header.verb == "delete":
        ids = (ObjectId(found.mrid, "uuid"),)
        return json_form.written(Message(kind, change.header, payload_ids=ids))
    if media == JSON:
        payload = json_form.payload_element(found.noun, json_form.read_json(body), "")
    else:
        payload = _payload(found.noun, body, bytes_max)
    if found.mrid:
        _name(payload, found)
    return json_form.written(Message(kind, change.header, payload=payload))


def _payload(noun: Noun, body: bytes, bytes_max: int) -> etree._Element:
    payload = parse(body, XmlLimits(bytes_max=bytes_max))
    tag = etree.QName(payload)
    space = tag.namespace or ""
    if tag.localname != noun.name:
        raise MessageError(Problem("noun_unknown", f"the payload is no {noun.name}", "/*"))
    if not space or means_message(space):
        raise MessageError(Problem("payload_namespace_unknown", xpath="/*"))
    return payload


def _name(payload: etree._Element, found: Target) -> None:
    """Hold that the payload is about the one object of the path; where it does not say, it is told.

    Raises:
        RequestError: object_mismatch.
    """
    profile = declared(found.noun.profile or "")
    space = etree.QName(payload).namespace
    objects = [one for one in payload if etree.QName(one).localname == profile.object]
    if len(objects) != 1:
        raise RequestError("object_mismatch", f"it has {len(objects)} objects")
    own = objects[0]
    said = own.find(f"{{{space}}}mRID")
    if said is None:
        said = etree.Element(f"{{{space}}}mRID")
        own.insert(0, said)
        said.text = found.mrid
    if mrids.normal((said.text or "").strip()) != mrids.normal(found.mrid):
        raise RequestError("object_mismatch", "its mRID is another")
