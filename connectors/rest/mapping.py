"""Between HTTP and calls, both ways: headers to what is asked for, outcomes to responses.

Lives here: which headers mean what, which status an outcome has, the form of receipts, replies
and problems. Must not live here: sockets, waiting, Kafka, clocks.

Pure and total: whatever a client sends becomes an `Asking` or a `RequestError` with a stable code;
whatever happened to a message becomes a `Response`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from connectors.exchange import Call, Place
from connectors.http import (
    PROBLEMS,
    RETRY_S,
    STATUS_OF,
    Body,
    RequestError,
    Response,
    read_body_headers,
)
from connectors.rest.config import RestLimits
from connectors.rest.json_form import reply_document
from schemas.envelope import Message, read
from schemas.errors import CODES, MessageError
from topics import Catalogue, naming

XML: Final = "application/xml"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
_XML_TYPES: Final = (XML, "text/xml")
MEDIA_TYPES: Final = (*_XML_TYPES, JSON)
"""Those of bodies that are read."""
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_CHALLENGE: Final = 'ApiKey realm="cimstream", Bearer realm="cimstream"'
_ANSWER_ID: Final = re.compile(r"(\d{1,9})-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asking:
    """What the headers of a request with a message ask for. `wait_s` 0: no wait for the reply.

    `media` is the form of the body, `XML` or `JSON`, and of the reply where both are accepted.
    """

    body: Body
    media: str
    wait_s: float
    accept: str
    idempotency_key: str


def read_headers(headers: Mapping[str, str], bytes_max: int, limits: RestLimits) -> Asking:
    """What a POST asks for, decided before its body is read.

    Args:
        headers: By name in lower case.
        bytes_max: Of a body, packed or not.
        limits: Bounds of the wait.

    Raises:
        RequestError: media_type_unsupported, encoding_unsupported, length_required,
            preference_invalid.
        MessageError: message_too_large.
    """
    body = read_body_headers(headers, bytes_max, MEDIA_TYPES)
    return asked(headers, body, limits)


def asked(headers: Mapping[str, str], body: Body, limits: RestLimits) -> Asking:
    """What is asked for, of a body that is known.

    Raises:
        RequestError: preference_invalid.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Asking(
        body,
        JSON if media == JSON else XML,
        _wait_s(headers.get("prefer", ""), limits),
        headers.get("accept", "*/*"),
        headers.get("idempotency-key", "").strip().strip('"'),
    )


def check_call(asking: Asking, call: Call) -> None:
    """Refuse what could not be answered as asked, before anything is accepted.

    Raises:
        RequestError: idempotency_key_mismatch, not_acceptable.
    """
    if asking.idempotency_key and asking.idempotency_key != call.header.message_id:
        has = "another" if call.header.message_id else "none"
        raise RequestError("idempotency_key_mismatch", f"it has {has}")
    if call.asked is not None:
        choose(asking.accept, asking.media)


def choose(accept: str, otherwise: str) -> str:
    """`XML` or `JSON`, whichever `Accept` wants more; `otherwise` where it wants both as much.

    Raises:
        RequestError: not_acceptable: neither would be read.
    """
    xml = max(_quality(accept, media) for media in _XML_TYPES)
    json_ = _quality(accept, JSON)
    if not xml and not json_:
        raise RequestError("not_acceptable")
    return otherwise if xml == json_ else XML if xml > json_ else JSON


def accepted(call: Call, place: Place) -> Response:
    """The receipt of a message that is durable; with where its answer will be, if it gets one."""
    receipt: dict[str, object] = {
        "identity": call.message.identity,
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
    }
    headers = {"Content-Type": JSON}
    if call.asked is not None:
        receipt["answer"] = answer_path(call.interface, place)
        headers |= {"Location": answer_path(call.interface, place), "Retry-After": str(RETRY_S)}
    return Response(202, as_json(receipt), headers)


def pending(interface: str, place: Place) -> Response:
    """There is no answer yet."""
    return Response(
        202,
        as_json({"answer": answer_path(interface, place), "status": "pending"}),
        {"Content-Type": JSON, "Retry-After": str(RETRY_S)},
    )


def answered(
    reply: bytes,
    accept: str,
    instance: str,
    catalogue: Catalogue,
    *,
    otherwise: str = XML,
    created: str = "",
) -> Response:
    """The reply as it lies on outbound, or in JSON; a refusal as a problem to who names that form.

    `otherwise` is the form where `accept` wants both as much; `created` the path of the list
    that the message makes objects in, "" where it makes none.

    Raises:
        RequestError: reply_unreadable, not_acceptable.
    """
    message = _read_reply(reply)
    status, errors = _outcome(message)
    if status >= 400 and PROBLEM in accept.lower() and _quality(accept, PROBLEM):
        document = {
            "type": f"urn:cimstream:error:{errors[0]['code']}",
            "title": errors[0]["what"],
            "status": status,
            "code": errors[0]["code"],
            "detail": errors[0]["why"],
            "instance": instance,
            "errors": errors,
        }
        return Response(status, as_json(document), {"Content-Type": PROBLEM})
    headers = {"Vary": "Accept"}
    if created and message.reply is not None and message.reply.result == "OK":
        status = 201
        if len(message.reply.ids) == 1:
            headers["Location"] = f"{created}/{quote(message.reply.ids[0].value, safe='')}"
    form = choose(accept, otherwise)
    body = reply if form == XML else as_json(reply_document(message, catalogue))
    return Response(status, body, {**headers, "Content-Type": form})


def refused(error: MessageError, where: str, instance: str, retry_s: int = RETRY_S) -> Response:
    """The problem of a message that was refused at the door."""
    first = error.problems[0]
    status = STATUS_OF[first.code]
    headers = {"WWW-Authenticate": _CHALLENGE} if status == 401 else {}
    if status in (429, 503):
        headers["Retry-After"] = str(retry_s)
    place = "".join((first.xpath or "", f" line {first.line}" if first.line else "")).strip()
    code = first.definition
    said = {"iec_code": code.iec_code, "what": code.what, "fix": code.fix}
    return _problem(status, first.code, first.detail, place or where, instance, said, headers)


def failed(error: RequestError, where: str, instance: str) -> Response:
    """The problem of a request that HTTP's own rules refuse."""
    known = PROBLEMS[error.code]
    said = {"what": known["what"], "fix": known["fix"]}
    headers = dict(error.headers)
    if known["status"] in (429, 503):
        headers["Retry-After"] = str(RETRY_S)
    return _problem(known["status"], error.code, error.detail, where, instance, said, headers)


def answer_path(interface: str, place: Place) -> str:
    """Where the answer to the message at this place is."""
    return f"/v1/{interface}/answers/{place.partition}-{place.offset}"


def read_answer_id(interface: str, text: str) -> Place:
    """The place that `answer_path` wrote.

    Raises:
        RequestError: call_unknown.
    """
    found = _ANSWER_ID.fullmatch(text)
    if found is None:
        raise RequestError("call_unknown")
    return Place(naming.inbound(interface), int(found[1]), int(found[2]))


def read_wait(prefer: str, limits: RestLimits) -> float:
    """How long `Prefer` waits, where nobody waits unless it says so.

    Raises:
        RequestError: preference_invalid.
    """
    return _wait_s(prefer, replace(limits, wait_s=0.0))


def _wait_s(prefer: str, limits: RestLimits) -> float:
    """Of `Prefer` (RFC 7240): `respond-async` does not wait, `wait=N` so many seconds."""
    wait = limits.wait_s
    for token in re.split(r"[,;]", prefer) if prefer else ():
        name, _, value = token.strip().lower().partition("=")
        if name.strip() == "respond-async":
            return 0.0
        if name.strip() == "wait":
            text = value.strip().strip('"')
            if not (text.isascii() and text.isdecimal() and len(text) <= 9):
                raise RequestError("preference_invalid")
            wait = min(float(text), limits.wait_max_s)
    return wait


def _quality(accept: str, media: str) -> float:
    """How much `Accept` (RFC 9110) wants a media type; the most exact range decides; 0: not."""
    kind = media.partition("/")[0]
    best = (-1, 0.0)
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        exactness = {"*/*": 0, f"{kind}/*": 1, media: 2}.get(name, -1)
        if exactness > best[0]:
            best = (exactness, _q(parameters))
    return best[1]


def _q(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def _read_reply(reply: bytes) -> Message:
    try:
        return read(reply)
    except MessageError as unreadable:
        raise RequestError("reply_unreadable", unreadable.code) from None


def _outcome(message: Message) -> tuple[int, list[dict[str, str]]]:
    """The status of a reply, and of one that refuses, what it says.

    A reply that none of us wrote may have errors without our code: 422 then, its own words kept.
    """
    if message.reply is None or message.reply.result != "FAILED":
        return 200, []
    errors = []
    status = 0
    for error in message.reply.errors:
        code = error.details.partition(":")[0]
        status = status or STATUS_OF.get(code, 422)
        known = CODES.get(code)
        errors.append(
            {
                "code": code if known else "foreign",
                "iec_code": error.code,
                "what": error.reason,
                "why": error.details,
                **({"fix": known.fix} if known else {}),
                **({"object": error.object_id.value} if error.object_id else {}),
            }
        )
    return status or 422, errors or [{"code": "foreign", "what": "FAILED", "why": ""}]


def _problem(
    status: int,
    code: str,
    why: str,
    where: str,
    instance: str,
    said: Mapping[str, str],
    headers: Mapping[str, str],
) -> Response:
    document = {
        "type": f"urn:cimstream:error:{code}",
        "title": said["what"],
        "status": status,
        "code": code,
        "where": where,
        "detail": why or said["what"],
        "instance": instance,
        **{key: text for key, text in said.items() if key != "what"},
    }
    return Response(status, as_json(document), {"Content-Type": PROBLEM, **headers})


def as_json(document: object) -> bytes:
    """A document as bytes."""
    return _ENCODER.encode(document).encode()
