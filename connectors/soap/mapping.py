"""Between outcomes and SOAP: replies, acknowledgements and faults.

Lives here: the form of an answer, and which fault an outcome is. Must not live here: sockets,
waiting, Kafka, clocks.

A reply is an answer whatever its Result says: FAILED is what the pipeline decided, and no Fault. A
Fault says that the message was not taken, or that its reply is still to come; its detail is a
FaultMessage with the same code, place and remedy as everywhere.

Pure and total: whatever happened to a message becomes a `Response`.
"""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from connectors.exchange import Call, Place
from connectors.http import PROBLEMS, STATUS_OF, RequestError, Response
from connectors.soap.carried import Carried, put_in, put_in_fault
from connectors.soap.envelope import Addressing, SoapError, relating, write_envelope
from connectors.soap.namespaces import ACTIONS, SOAP_12, WSSE, WSU, Version
from schemas.envelope import Reply, ReplyError, fault, reply_error, reply_to, write
from schemas.envelope.payload import local_name
from schemas.errors import MessageError
from schemas.xml import parse

_TABLE: Final[Mapping[str, Any]] = tomllib.loads(
    Path(__file__).with_name("problems.toml").read_text(encoding="utf-8")
)
SOAP_PROBLEMS: Final[Mapping[str, Mapping[str, str]]] = _TABLE["problem"]
"""Codes that only SOAP has: what, fix, fault."""
FAULT_OF: Final[Mapping[str, str]] = _TABLE["fault"]
"""Fault codes of WS-Security by stable code."""

_ACKNOWLEDGED: Final = ReplyError("0.3", "INFORM", "simple acknowledgement")
_SENDER: Final = "cimstream"
_NOT_ATTEMPTED: Final = "5.2"
_TIMED_OUT: Final = "4.1"
# The answer to what is too large or too much is a fault too; HTTP's status says only whose it is.
_RETRY: Final = frozenset({429, 503})


@dataclass(slots=True)
class Asked:
    """What is known of a request by the time it is answered; more with every step."""

    version: Version
    addressing: Addressing = field(default_factory=Addressing)
    carried: Carried | None = None


def answered(reply: bytes, asked: Asked, noun: str) -> Response:
    """The reply as it lies on outbound, in the form of the request.

    Raises:
        RequestError: reply_unreadable.
    """
    assert asked.carried is not None  # noqa: S101 - there is a reply to a message only
    try:
        element = parse(reply)
    except MessageError as unreadable:
        raise RequestError("reply_unreadable", unreadable.code) from None
    if local_name(element) not in ("ResponseMessage", "FaultMessage"):
        raise RequestError("reply_unreadable", "no ResponseMessage")
    body = put_in(element, asked.carried, noun)
    return _sent(asked, body, 200, relating(asked.addressing, fault=False))


def acknowledged(call: Call, place: Place, asked: Asked, now_ms: int) -> Response:
    """The receipt of a message that is durable and gets no reply."""
    told = ReplyError(_ACKNOWLEDGED.code, _ACKNOWLEDGED.level, _ACKNOWLEDGED.reason, str(place))
    message = reply_to(
        call.header,
        Reply("OK", (told,)),
        message_id=str(uuid.uuid4()),
        timestamp_ms=now_ms,
        source=_SENDER,
    )
    return answered(write(message), asked, call.header.noun)


def unanswered() -> Response:
    """The answer to who wants none: the message is durable."""
    return Response(202, b"", {})


def refused(error: MessageError | RequestError, asked: Asked, noun: str, retry_s: int) -> Response:
    """The fault of what was refused, or of what has no reply yet.

    `noun` is that of a message that was understood; "" of another.
    """
    errors, status = _errors(error)
    detail = put_in_fault(parse(write(fault(Reply("FAILED", errors)))), asked.carried, noun)
    told = errors[0].details
    headers = {"Retry-After": str(retry_s)} if status in _RETRY else {}
    name = _fault_name(error, status)
    at_sender = status < 500 and name != "receiver"
    if asked.version is SOAP_12:
        body = _fault_12(name, told, detail, at_sender=at_sender)
        http_status = 400 if at_sender else 500
    else:
        body = _fault_11(name, told, detail, at_sender=at_sender)
        http_status = 500  # Of SOAP 1.1 the only one that clients take for a fault.
    strange = error.not_understood if isinstance(error, SoapError) else ()
    header = (
        _not_understood(strange)
        if strange and asked.version is SOAP_12
        else relating(asked.addressing, fault=True)
    )
    return _sent(asked, body, http_status, header, headers)


def check_action(action: str, carried: Carried, call: Call, known: frozenset[str]) -> None:
    """Refuse an action of one of our operations for the message of another.

    What else senders write there is no matter: stacks and gateways have habits of their own.

    Raises:
        SoapError: action_mismatch.
    """
    said = action.strip().strip('"').removeprefix(ACTIONS).rpartition("/")[2]
    if said in known and said not in carried.operations(call.header.verb, call.header.noun):
        raise SoapError("action_mismatch", said)


def action_of(headers: Mapping[str, str]) -> str:
    """What HTTP says the operation is: SOAPAction of 1.1, the parameter action of 1.2."""
    if found := headers.get("soapaction", ""):
        return found
    for parameter in headers.get("content-type", "").split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "action":
            return value
    return ""


def _sent(
    asked: Asked,
    body: bytes,
    status: int,
    header: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    media = {"Content-Type": f"{asked.version.media}; charset=utf-8"}
    return Response(status, write_envelope(asked.version, body, header), {**media, **headers})


def _errors(error: MessageError | RequestError) -> tuple[tuple[ReplyError, ...], int]:
    """The Errors of a Reply, and the HTTP status that REST would have."""
    if isinstance(error, MessageError):
        return tuple(map(reply_error, error.problems)), STATUS_OF[error.code]
    if isinstance(error, SoapError):
        known, status = SOAP_PROBLEMS[error.code], 400
    else:
        known = PROBLEMS[error.code]
        status = int(known["status"])
    said = f"{error.code}: {known['what']}"
    details = (
        f"{said} ({error.detail}). {known['fix']}" if error.detail else f"{said}. {known['fix']}"
    )
    code = _TIMED_OUT if error.code in ("reply_pending", "request_timeout") else _NOT_ATTEMPTED
    return (ReplyError(code, "FATAL", known["what"], details),), status


def _fault_name(error: MessageError | RequestError, status: int) -> str:
    """The name of a fault code: of SOAP or WS-Security, else whose fault it is."""
    if isinstance(error, SoapError):
        return SOAP_PROBLEMS[error.code]["fault"]
    return FAULT_OF.get(error.code, "sender" if status < 500 else "receiver")


def _fault_11(name: str, told: str, detail: bytes, *, at_sender: bool) -> bytes:
    whose = "Client" if at_sender else "Server"
    code = name if ":" in name else f"soap:{whose if name in ('sender', 'receiver') else name}"
    return (
        (
            f"<soap:Fault{_security_names(name)}><faultcode>{code}</faultcode>"
            f'<faultstring xml:lang="en">{escape(told)}</faultstring><detail>'
        ).encode()
        + detail
        + b"</detail></soap:Fault>"
    )


def _fault_12(name: str, told: str, detail: bytes, *, at_sender: bool) -> bytes:
    whose = "Sender" if at_sender else "Receiver"
    inner = f"<soap:Subcode><soap:Value>{name}</soap:Value></soap:Subcode>" if ":" in name else ""
    own = name in ("VersionMismatch", "MustUnderstand")
    return (
        (
            f"<soap:Fault{_security_names(name)}>"
            f"<soap:Code><soap:Value>soap:{name if own else whose}</soap:Value>{inner}</soap:Code>"
            f'<soap:Reason><soap:Text xml:lang="en">{escape(told)}</soap:Text></soap:Reason>'
            "<soap:Detail>"
        ).encode()
        + detail
        + b"</soap:Detail></soap:Fault>"
    )


def _security_names(name: str) -> str:
    return f' xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"' if ":" in name else ""


def _not_understood(tags: tuple[str, ...]) -> str:
    """The Header of a fault that names the blocks nobody knows, as SOAP 1.2 has it."""
    blocks = []
    for number, tag in enumerate(tags):
        name = etree.QName(tag)
        space = quoteattr(name.namespace or "")
        blocks.append(
            f'<soap:NotUnderstood xmlns:n{number}={space} qname="n{number}:{name.localname}"/>'
        )
    return f"<soap:Header>{''.join(blocks)}</soap:Header>"
