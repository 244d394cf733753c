"""What all doors over HTTP share: how many come in, how large a body is, what a refusal is.

    path -> room for one more? -> who? -> too fast? -> headers -> room for the body? -> body -> ...

Lives here: the entrance of one process (places, room, rates, audit of the refused), one request on
its way, and the table of refusals. Must not live here: what an answer looks like
(`connectors/<door>`), Kafka, sockets and their time limits (`streams.runtime.gateway`).

Invariant: every request gets one response and is counted once, whatever happens to it; a system
that is refused leaves an audit record, without key or payload.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
import tomllib
import uuid
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response as Sent

from connectors.access import Gatekeeper, Pace, Principal
from connectors.credentials import shown
from connectors.exchange import Call, Exchange, UnavailableError
from schemas.errors import CODES, MessageError, Problem
from topics import Catalogue

Observe = Callable[[str, str, float], None]
"""(interface or "", stable code or outcome, seconds): told of every request."""

RETRY_S: Final = 1
"""After how many seconds it is worth trying again, where nothing better is known."""
ASIDE_BYTES: Final = 64 * 1024
"""Above this a message is parsed beside the loop, so that others do not wait for it: 64 KiB of XML
are parsed in less than a millisecond."""

_TABLE: Final[Mapping[str, Any]] = tomllib.loads(
    Path(__file__).with_name("problems.toml").read_text(encoding="utf-8")
)
STATUS_OF: Final[Mapping[str, int]] = {
    code: int(status) for status, codes in _TABLE["status"].items() for code in codes
}
"""HTTP status by stable code of schemas/errors.toml."""
HTTP_PROBLEMS: Final[Mapping[str, Mapping[str, Any]]] = _TABLE["problem"]
"""Codes that only HTTP has: status, what, fix."""
PROBLEMS: Final[Mapping[str, Mapping[str, Any]]] = {
    code: {"status": status, "what": CODES[code].what, "fix": CODES[code].fix}
    for code, status in STATUS_OF.items()
} | dict(HTTP_PROBLEMS)
"""Whatever a door can refuse a request with: those, and the codes of messages."""

_SECURITY: Final = frozenset({*_TABLE["status"]["401"], "source_mismatch", "not_authorised"})
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_PATH_CHARS_MAX: Final = 200
# A flood of strangers must not become one of audit records, which are kept for ten years.
_STRANGERS_PER_S: Final = 10
_STRANGERS_BURST: Final = 100
_NOBODY: Final = "unknown"
_LOGGER: Final = logging.getLogger("cimstream.http")


class RequestError(Exception):
    """The HTTP request is at fault, or cannot be worked on now; `code` is in `PROBLEMS`."""

    def __init__(self, code: str, detail: str = "", headers: Mapping[str, str] | None = None):
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Body(NamedTuple):
    """What the headers say of a body: how many bytes come at most, and whether they are packed."""

    length: int
    gzip: bool


class Visit:
    """One request on its way through the door of that name."""

    def __init__(self, request: Request, door: str) -> None:
        self.request = request
        self.door = door
        self.begun = time.monotonic()
        self.interface = str(request.path_params.get("interface", "")).upper()
        # Names are in lower case, by ASGI. A header that comes twice is a list (RFC 9110), so
        # that one that may hold no list is refused and never read as one of its values.
        self.headers: dict[str, str] = {}
        for name_bytes, value_bytes in request.scope["headers"]:
            name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
            before = self.headers.get(name)
            self.headers[name] = value if before is None else f"{before}, {value}"
        self.peer = request.client.host if request.client else ""
        self.retry_s = RETRY_S
        self.source = ""  # who was authenticated
        self.call: Call | None = None
        self.about: dict[str, str] = {}  # noun and verb, where no message says them
        self.body_read = False

    @property
    def where(self) -> str:
        """What was asked for."""
        return place_of(self.request)

    @property
    def traceparent(self) -> str:
        """The trace context that came with it; "" where there is none."""
        found = self.headers.get("traceparent", "")
        return found if _TRACEPARENT.fullmatch(found) else ""

    @cached_property
    def instance(self) -> str:
        """The name of this request in a problem and in the audit, where there is one."""
        return f"urn:uuid:{uuid.uuid4()}"


class Entrance:
    """What one process takes on, through all its doors. One event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        exchange: Exchange,
        gatekeeper: Gatekeeper,
        observe: Observe,
        *,
        requests_max: int,
        held_bytes_max: int,
        body_s: float,
    ) -> None:
        """`body_s` bounds the arrival of a body, `held_bytes_max` all bodies that are worked on."""
        self._catalogue = catalogue
        self._exchange = exchange
        self._gatekeeper = gatekeeper
        self._observe = observe
        self._requests_max = requests_max
        self._held_bytes_max = held_bytes_max
        self._body_s = body_s
        self._held_bytes = 0
        self._requests = 0
        self._strangers = Pace(_STRANGERS_PER_S, _STRANGERS_BURST, time.monotonic)
        self._unrecorded = 0

    @property
    def open_requests(self) -> int:
        """Requests being worked on."""
        return self._requests

    async def lead(
        self,
        visit: Visit,
        serve: Callable[[], Awaitable[Response | Sent]],
        refuse: Callable[[MessageError | RequestError], Response],
    ) -> Sent:
        """Serve a request. Every outcome becomes a response, is counted, audited where it must be.

        A response that goes on (a stream) is no request any more that is worked on.
        `refuse` makes the response of what `serve` raises, in the words of the door.
        """
        outcome = "served"
        try:
            with self._counted():
                response = await serve()
        except Exception as error:  # noqa: BLE001 - the last place where it can become a response
            failure = _failure(error, visit)
            outcome = "disconnected" if isinstance(error, ClientDisconnect) else failure.code
            if isinstance(failure, MessageError):
                self.audit(visit, failure.code)
            response = refuse(failure)
        known = visit.interface if visit.interface in self._catalogue.interfaces else ""
        self._observe(known, outcome, time.monotonic() - visit.begun)
        if isinstance(response, Sent):  # it goes on
            return response
        return sent(response, close=not visit.body_read)

    async def enter(self, visit: Visit) -> Principal:
        """Who is it, does the interface exist, is it too fast.

        Raises:
            MessageError: those of `Gatekeeper.identify`, rate_exceeded.
            RequestError: interface_unknown.
        """
        principal = await self.authenticate(visit)
        self.check_interface(visit)
        self.pace(visit, principal)
        return principal

    async def authenticate(self, visit: Visit) -> Principal:
        """Who it is, as far as HTTP says.

        Raises:
            MessageError: those of `Gatekeeper.identify`.
        """
        principal = await self._gatekeeper.identify(shown(visit.headers, visit.request.scope))
        visit.source = principal.source
        return principal

    def check_interface(self, visit: Visit) -> None:
        """Refuse a path to nowhere.

        Raises:
            RequestError: interface_unknown.
        """
        if visit.interface not in self._catalogue.interfaces:
            raise RequestError("interface_unknown")

    def pace(self, visit: Visit, principal: Principal) -> None:
        """Count a request of somebody who is known.

        Raises:
            MessageError: rate_exceeded.
        """
        wait_s = self._gatekeeper.wait_s(principal)
        if wait_s:
            visit.retry_s = math.ceil(wait_s)
            raise MessageError(Problem("rate_exceeded"))

    @contextmanager
    def room(self, body: Body, bytes_max: int) -> Iterator[None]:
        """Hold the room that a body may take, unpacked; one body always fits.

        Raises:
            RequestError: overloaded.
        """
        size = body.length + (bytes_max if body.gzip else 0)
        if self._held_bytes and self._held_bytes + size > self._held_bytes_max:
            raise RequestError("overloaded")
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    async def body(self, visit: Visit, expected: Body) -> bytes:
        """The bytes of the body, as they came.

        Raises:
            RequestError: request_timeout.
            MessageError: message_too_large, of a body in chunks.
        """
        data = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                async for piece in visit.request.stream():
                    data += piece
                    if len(data) > expected.length:
                        raise _too_large(f"more than {expected.length}", expected.length)
        except TimeoutError:
            raise RequestError("request_timeout") from None
        visit.body_read = True
        return bytes(data)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Hold one of the places for open requests.

        Raises:
            RequestError: overloaded.
        """
        if self._requests >= self._requests_max:
            raise RequestError("overloaded")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    def audit(self, visit: Visit, code: str) -> None:
        """Note the refusal of a system: who, what, when; never the key or the payload.

        Of strangers above a rate only the number is noted, in the next record of one.
        """
        if code not in _SECURITY:
            return
        if not visit.source and self._strangers.wait_s():
            self._unrecorded += 1
            return
        call = visit.call
        details: dict[str, object] = {
            "code": code,
            "door": visit.door,
            "interface": visit.interface,
            "peer": visit.peer,
            "request": visit.instance,
        }
        details |= visit.about
        if call is not None:
            said = {"noun": call.header.noun, "verb": call.header.verb}
            details |= {**said, "identity": call.message.identity}
        if not visit.source and self._unrecorded:
            details["unrecorded"] = self._unrecorded
            self._unrecorded = 0
        self._exchange.audit("refused", visit.instance, visit.source or _NOBODY, details)


def read_body_headers(
    headers: Mapping[str, str],
    bytes_max: int,
    media_types: tuple[str, ...],
    *,
    chunks: bool = False,
) -> Body:
    """Decide about a body before it is read.

    Args:
        headers: By name in lower case.
        bytes_max: Of a body, packed or not.
        media_types: Those that the door reads.
        chunks: Whether a body may come in chunks; it is then as large as it may be.

    Raises:
        RequestError: media_type_unsupported, encoding_unsupported, length_required.
        MessageError: message_too_large.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in media_types:
        raise RequestError("media_type_unsupported", headers={"Accept": ", ".join(media_types)})
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise RequestError("encoding_unsupported", headers={"Accept-Encoding": "gzip"})
    if chunks and headers.get("transfer-encoding", "").strip().lower() == "chunked":
        return Body(bytes_max, encoding == "gzip")
    length = headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in headers:
        raise RequestError("length_required")
    if int(length) > bytes_max:
        raise _too_large(length, bytes_max)
    return Body(int(length), encoding == "gzip")


def unpack(body: bytes, bytes_max: int) -> bytes:
    """The bytes in a gzip stream, never more than one above `bytes_max` of them held.

    Raises:
        RequestError: encoding_invalid.
        MessageError: message_too_large.
    """
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = stream.decompress(body, bytes_max + 1)
    except zlib.error:
        raise RequestError("encoding_invalid") from None
    if len(data) > bytes_max:
        raise MessageError.of("message_too_large", f"unpacked it is above {bytes_max} bytes")
    if not stream.eof or stream.unused_data:
        raise RequestError("encoding_invalid")
    return data


def _too_large(length: str, bytes_max: int) -> MessageError:
    return MessageError.of("message_too_large", f"it has {length} bytes, the limit is {bytes_max}")


def place_of(request: Request) -> str:
    """What was asked for, for people."""
    return f"{request.method} {request.url.path[:_PATH_CHARS_MAX]}"


def sent(response: Response, *, close: bool) -> Sent:
    """As Starlette has it. What was not read of a body would be taken for the next request."""
    headers = dict(response.headers)
    if close:
        headers["Connection"] = "close"
    return Sent(response.body, response.status, headers)


def _failure(error: Exception, visit: Visit) -> MessageError | RequestError:
    """What went wrong, as a code. What nobody foresaw is a line in the log, without its text."""
    if isinstance(error, MessageError | RequestError):
        return error
    if isinstance(error, UnavailableError):
        return MessageError(Problem("unavailable", str(error)))
    if isinstance(error, ClientDisconnect):
        return RequestError("request_timeout")
    # Its text may hold what a message said.
    fields = {"kind": type(error).__name__, "request": visit.instance}
    _LOGGER.error("request failed", extra={"fields": fields})
    return MessageError(Problem("processing_failed"))
