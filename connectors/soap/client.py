"""Calls to systems that are SOAP servers themselves.

Lives here: one message out and its answer in, over HTTP: forms, versions, UsernameToken, TLS, time
limits. Must not live here: when a call is made, how often, in what order, and what its outcome
means for the message (whoever calls decides).

Nothing is sent twice by itself. What went wrong before anything was sent and what may have had an
effect are different errors, because only the first is safe to repeat for everything.

Invariant: an answer costs no more memory than the endpoint allows, and no call more time.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import httpx

from connectors.http import RequestError
from connectors.soap.carried import OPERATIONS, Form, operation, put_out, take_out
from connectors.soap.envelope import read_envelope, version_of, write_envelope
from connectors.soap.namespaces import (
    ABSTRACT,
    ACTIONS,
    BASE64,
    PASSWORD_DIGEST,
    SOAP_11,
    SOAP_12,
    WSSE,
    WSU,
    Version,
)
from schemas.envelope import Header, fields_of
from schemas.envelope.namespaces import KIND_OF_VERB, Kind
from schemas.errors import MessageError
from schemas.times import from_epoch_ms
from schemas.xml import MIB, XmlLimits, parse

_NONCE_BYTES: Final = 16
_SOUND: Final = frozenset({200, 202, 204})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a system listens, and how it wants to be spoken to. Seconds and bytes.

    `namespace` is that of the server's typed messages or wrappers. `action` "": as our own WSDLs
    have it. With `username` a digest of `password` goes with every call. `ca_file` None: the
    authorities of this machine vouch for the server. `timeout_s` is for the whole call.
    """

    url: str
    version: Version = SOAP_11
    form: Form = "bare"
    namespace: str = ABSTRACT
    action: str = ""
    username: str = ""
    password: bytes = field(default=b"", repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_s: float = 30.0
    connect_timeout_s: float = 5.0
    answer_bytes_max: int = 8 * MIB


@dataclass(frozen=True, slots=True)
class Replied:
    """The server took the message. `data` is the message it answered with, b"" for none."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Faulted:
    """The server answered with a Fault; `detail` is the message in it, b"" for none."""

    code: str
    text: str
    at_sender: bool
    detail: bytes


@dataclass(frozen=True, slots=True)
class Declined:
    """HTTP itself said no, or what came is no answer of SOAP. `retry_after_s` None: not said."""

    status: int
    retry_after_s: int | None


Outcome = Replied | Faulted | Declined


class NotSentError(Exception):
    """The server was not reached: nothing happened there."""


class UncertainError(Exception):
    """The message may have arrived, and what became of it is not known."""


class SoapClient:
    """Connections to any number of endpoints, kept between calls. One event loop."""

    def __init__(self) -> None:
        self._clients: dict[Endpoint, httpx.AsyncClient] = {}

    async def call(self, endpoint: Endpoint, message: bytes) -> Outcome:
        """Send a message and give what came of it.

        Raises:
            MessageError: these bytes are no message with a Header.
            NotSentError: it certainly did not arrive.
            UncertainError: it may have.
        """
        root = parse(message)
        fields = fields_of(root)
        if fields is None or fields.header.verb not in KIND_OF_VERB:
            raise MessageError.of("header_missing")
        header = fields.header
        body = put_out(root, header, endpoint.form, endpoint.namespace)
        content = write_envelope(endpoint.version, body, _security(endpoint))
        client = self._clients.get(endpoint)
        if client is None:
            client = self._clients[endpoint] = _connected(endpoint)
        headers = _headers(endpoint, header)
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                return await _exchange(client, endpoint, content, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSentError(type(error).__name__) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise UncertainError(type(error).__name__) from error

    async def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


async def _exchange(
    client: httpx.AsyncClient, endpoint: Endpoint, content: bytes, headers: dict[str, str]
) -> Outcome:
    async with client.stream("POST", endpoint.url, content=content, headers=headers) as response:
        data = bytearray()
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > endpoint.answer_bytes_max:
                return _declined(response)
    if not data and response.status_code in _SOUND:
        return Replied(b"")
    try:
        return _understood(bytes(data), endpoint) or _declined(response)
    except (MessageError, RequestError):
        return _declined(response)


def _understood(data: bytes, endpoint: Endpoint) -> Outcome | None:
    """The outcome that an envelope tells; None where it tells none."""
    root = parse(data, XmlLimits(bytes_max=endpoint.answer_bytes_max))
    version = version_of(root)
    body = read_envelope(root, version).body
    if not len(body):
        return Replied(b"")
    if body[0].tag != f"{{{version.namespace}}}Fault":
        return Replied(take_out(body).data)
    fault = body[0]
    told = fault.itertext("faultcode", f"{{{version.namespace}}}Value")
    codes = [code for code in (str(text).strip() for text in told) if code]
    # Some put the fault of one version into the envelope of the other.
    text = fault.findtext("faultstring") or fault.findtext(f".//{{{version.namespace}}}Text") or ""
    detail = next(fault.iterchildren("detail", f"{{{version.namespace}}}Detail"), None)
    inside = b"" if detail is None or len(detail) != 1 else take_out(detail).data
    first = codes[0].rpartition(":")[2].partition(".")[0] if codes else ""
    return Faulted(
        codes[-1] if codes else "",
        text.strip(),
        first in (version.sender, "VersionMismatch", "MustUnderstand"),
        inside,
    )


def _declined(response: httpx.Response) -> Declined:
    said = response.headers.get("retry-after", "").strip()
    return Declined(response.status_code, int(said) if said.isdecimal() else None)


def _connected(endpoint: Endpoint) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    if endpoint.certificate_file is not None:
        context.load_cert_chain(endpoint.certificate_file, endpoint.key_file)
    limits = httpx.Timeout(endpoint.timeout_s, connect=endpoint.connect_timeout_s)
    return httpx.AsyncClient(
        verify=context, timeout=limits, follow_redirects=False, trust_env=False
    )


def _headers(endpoint: Endpoint, header: Header) -> dict[str, str]:
    action = endpoint.action or _action(endpoint, header)
    media = f"{endpoint.version.media}; charset=utf-8"
    if endpoint.version is SOAP_12:
        return {"Content-Type": f'{media}; action="{action}"'}
    return {"Content-Type": media, "SOAPAction": f'"{action}"'}


def _action(endpoint: Endpoint, header: Header) -> str:
    if endpoint.form == "typed":
        return f"{endpoint.namespace}/{operation(header.verb, header.noun)}"
    kinds = (Kind.REQUEST, Kind.RESPONSE, Kind.EVENT)
    return ACTIONS + OPERATIONS[kinds.index(KIND_OF_VERB[header.verb])]


def _security(endpoint: Endpoint) -> str:
    """The Header with a UsernameToken of this moment; "" where none is wanted."""
    if not endpoint.username:
        return ""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    created = from_epoch_ms(time.time_ns() // 1_000_000)
    made = nonce + created.encode() + endpoint.password
    digest = base64.b64encode(hashlib.sha1(made, usedforsecurity=False).digest()).decode()
    name = escape(endpoint.username)
    return (
        f'<soap:Header><wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"'
        f' soap:mustUnderstand="1"><wsse:UsernameToken><wsse:Username>{name}</wsse:Username>'
        f'<wsse:Password Type="{PASSWORD_DIGEST}">{digest}</wsse:Password>'
        f'<wsse:Nonce EncodingType="{BASE64}">{base64.b64encode(nonce).decode()}</wsse:Nonce>'
        f"<wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security></soap:Header>"
    )
