"""Between what an application says and HTTP, both ways: messages, receipts, replies, refusals.

Lives here: the forms. Must not live here: sending, waiting, trying again (`flows`).

Pure, but for the ID and the time of a message that is made here. Total: whatever a gateway, or
something before it, answers becomes a value or a `ClientError`.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree

from connectors.client.errors import (
    ClientError,
    ConflictError,
    ExpiredError,
    NotAllowedError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from schemas.envelope import Header, Message, ObjectId, ReplyError, read, write
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.errors import MessageError
from schemas.xml import parse

XML: Final = "application/xml"
# Replies as they are; refusals with what to do about them.
ACCEPT: Final = f"{XML}, application/problem+json, application/json"
_INTERFACE: Final = re.compile(r"[Ii]\d{1,2}", re.ASCII)

_REFUSALS: Final[Mapping[int, type[RefusedError]]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    412: ConflictError,
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `read_s` is how long its answer, or more of it, may not come."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    read_s: float = 30.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The message is durable, at this place on inbound; `answer` is where its reply will be.

    `answer` is "" where the pattern of the message has no reply.
    """

    identity: str
    topic: str
    partition: int
    offset: int
    answer: str = ""

    @property
    def place(self) -> str:
        """As `cimstream tail` and `dlq` name it."""
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a request that took effect: `result` is OK or PARTIAL.

    `errors` says what did not (PARTIAL), or what is to be known; `ids` are the objects that were
    made or changed; `payload` is what was asked for; `data` is the ResponseMessage itself.
    """

    result: str
    errors: tuple[ReplyError, ...]
    ids: tuple[ObjectId, ...]
    payload: etree._Element | None = field(repr=False)
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a log. Who keeps `position` with its work goes on behind it, whenever.

    `document` is the record with where it lies and its headers, as `cimstream tail -o json`.
    """

    position: str
    document: Mapping[str, Any] = field(repr=False)

    @property
    def record(self) -> Mapping[str, Any]:
        """What the event says; empty where it is none of cimstream's."""
        found: Mapping[str, Any] = self.document.get("event", {})
        return found

    @property
    def verb(self) -> str:
        """What was done."""
        return str(self.document["headers"].get("ce_verb", ""))

    @property
    def id(self) -> str:
        """Unique among the events of its source."""
        return str(self.document["headers"].get("ce_id", ""))


def compose(
    verb: str,
    noun: str,
    what: bytes | str | None = None,
    *,
    source: str,
    message_id: str = "",
    expected_revision: int | None = None,
    context: str = "PRODUCTION",
    ack_required: bool | None = None,
) -> bytes:
    """A message in the IEC 61968-100 envelope.

    Args:
        verb: As the standard has it, in small letters.
        noun: As the catalogue has it.
        what: XML of the noun, e.g. `<Outages xmlns="…">…`; or the mRID of an object, where the
            verb needs no more than its name.
        source: Who sends it.
        message_id: Keep it to send the same message again from another process; without one it
            gets a new one.
        expected_revision: The revision that is to be changed; refused if there is a newer one.
        context: PRODUCTION, TRAINING, …
        ack_required: Ask for a reply where the pattern leaves it open.

    Raises:
        ClientError: payload_invalid, verb_unknown.
    """
    kind = KIND_OF_VERB.get(verb)
    if kind is None:
        raise ClientError("verb_unknown", f"{verb[:32]!r} is no verb of IEC 61968-100")
    revision = () if expected_revision is None else (("ExpectedRevision", str(expected_revision)),)
    header = Header(
        verb=verb,
        noun=noun,
        context=context,
        timestamp_ms=time.time_ns() // 1_000_000,
        source=source,
        message_id=message_id or str(uuid.uuid4()),
        ack_required=ack_required,
        properties=revision,
    )
    ids = (ObjectId(what),) if isinstance(what, str) else ()
    try:
        element = parse(what) if isinstance(what, bytes) else None
        return write(Message(kind, header, payload=element, payload_ids=ids))
    except MessageError as error:
        raise ClientError("payload_invalid", "the payload is no XML", why=str(error)) from None
    except ValueError as error:
        raise ClientError("message_invalid", str(error)) from None


def to_path(interface: str, rest: str) -> str:
    """The path of something of an interface.

    Raises:
        ClientError: interface_unknown.
    """
    if not _INTERFACE.fullmatch(interface):
        raise ClientError("interface_unknown", f"{interface[:16]!r} is no interface: I1 to I11")
    return f"/v1/{interface.upper()}/{rest}"


def to_receipt(answer: HttpAnswer) -> Receipt:
    """What 202 says.

    Raises:
        ClientError: answer_unreadable.
    """
    try:
        said = json.loads(answer.body)
        return Receipt(
            str(said["identity"]),
            str(said["topic"]),
            int(said["partition"]),
            int(said["offset"]),
            str(said.get("answer", "")),
        )
    except (ValueError, KeyError, TypeError):
        raise _unreadable(answer) from None


def to_reply(answer: HttpAnswer) -> Reply:
    """What 200 says.

    Raises:
        ClientError: answer_unreadable.
    """
    try:
        message = read(answer.body)
    except MessageError:
        raise _unreadable(answer) from None
    if message.reply is None:
        raise _unreadable(answer)
    reply = message.reply
    return Reply(reply.result, reply.errors, reply.ids, message.payload, answer.body)


def to_error(answer: HttpAnswer) -> ClientError:
    """What a refusal says; of something that is not the gateway, only its status."""
    said = problem(answer)
    kind = _REFUSALS.get(answer.status, RefusedError)
    if said is None:
        what = f"HTTP status {answer.status}, and it is not the gateway that says so"
        return UnavailableError("answer_foreign", what, status=answer.status)
    errors = [one for one in said.get("errors", ()) if isinstance(one, dict)]
    first = errors[0] if errors else {}
    error = kind(
        said["code"],
        str(said.get("title", "")),
        why=str(said.get("detail", "")),
        fix=str(said.get("fix", first.get("fix", ""))),
        status=answer.status,
        instance=str(said.get("instance", "")),
    )
    error.errors = tuple(errors)
    return error


def problem(answer: HttpAnswer) -> Mapping[str, Any] | None:
    """The problem (RFC 9457) of our kind that an answer is; None where it is none."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        said = json.loads(answer.body)
    except ValueError:
        return None
    return said if isinstance(said, dict) and isinstance(said.get("code"), str) else None


def _unreadable(answer: HttpAnswer) -> ClientError:
    what = "the answer is not one of the gateway"
    return ClientError("answer_unreadable", what, status=answer.status)
