"""The REST door: a Starlette application made of a catalogue, an exchange and a gatekeeper.

Lives here: the order of what happens to a request.

    path -> who? -> too fast? -> headers -> room? -> body -> message -> allowed? -> durable -> reply

Must not live here: what headers and outcomes mean (`mapping`), Kafka, sockets and their time
limits (`streams.runtime.gateway`).

Invariant: nothing of a refused request reaches Kafka but the audit record of a refused system;
and a status below 400 to a POST is sent only after the message is durable.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.access import Gatekeeper, Pace, Principal
from connectors.exchange import (
    Call,
    CallExpiredError,
    CallUnknownError,
    Exchange,
    UnavailableError,
    read_call,
)
from connectors.rest import mapping, openapi
from connectors.rest.config import RestLimits
from connectors.rest.mapping import Asking, RequestError
from connectors.trace import new_traceparent
from schemas.errors import MessageError, Problem
from topics import Catalogue

Observe = Callable[[str, str, float], None]
"""(interface or "", stable code or outcome, seconds): told of every request."""

# Above this a message is parsed beside the loop, so that others do not wait for it: 64 KiB of XML
# are parsed in less than a millisecond.
_ASIDE_BYTES: Final = 64 * 1024
_SECURITY: Final = frozenset(
    {"authentication_needed", "authentication_failed", "source_mismatch", "not_authorised"}
)
_PATH_CHARS_MAX: Final = 200
# A flood of strangers must not become one of audit records, which are kept for ten years.
_STRANGERS_PER_S: Final = 10
_STRANGERS_BURST: Final = 100
_NOBODY: Final = "unknown"
_LOGGER: Final = logging.getLogger("cimstream.rest")


class RestDoor:
    """Serves requests on one event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        exchange: Exchange,
        gatekeeper: Gatekeeper,
        limits: RestLimits,
        observe: Observe,
    ) -> None:
        self._catalogue = catalogue
        self._exchange = exchange
        self._gatekeeper = gatekeeper
        self._limits = limits
        self._observe = observe
        self._held_bytes = 0
        self._requests = 0
        self._strangers = Pace(_STRANGERS_PER_S, _STRANGERS_BURST, time.monotonic)
        self._unrecorded = 0
        self._document = openapi.render(openapi.document(catalogue)).encode()

    @property
    def open_requests(self) -> int:
        """Requests being worked on."""
        return self._requests

    def application(self) -> Starlette:
        """The application to serve."""
        routes = [
            Route("/v1/{interface}/messages", self._guarded(self._post), methods=["POST"]),
            Route("/v1/{interface}/answers/{answer}", self._guarded(self._get), methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _unserved})
        # A path that is nearly right is told so, and not led elsewhere.
        application.router.redirect_slashes = False
        return application

    def _guarded(
        self, handle: Callable[[_Visit, Principal], Awaitable[mapping.Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Every outcome becomes a response, and is counted and audited where it must be."""

        async def handled(request: Request) -> Response:
            visit = _Visit(request)
            outcome = "served"
            try:
                with self._counted():
                    response = await handle(visit, self._enter(visit))
            except MessageError as error:
                outcome = error.code
                self._audit(visit, outcome)
                response = mapping.refused(error, visit.where, visit.instance, visit.retry_s)
            except UnavailableError as error:
                outcome = "unavailable"
                refusal = MessageError(Problem(outcome, str(error)))
                response = mapping.refused(refusal, visit.where, visit.instance)
            except RequestError as error:
                outcome = error.code
                response = mapping.failed(error, visit.where, visit.instance)
            except ClientDisconnect:
                outcome = "disconnected"
                response = mapping.failed(
                    RequestError("request_timeout"), visit.where, visit.instance
                )
            except Exception as error:  # noqa: BLE001 - the last place where it can become a response
                outcome = "processing_failed"
                # Its text may hold what a message said.
                fields = {"kind": type(error).__name__, "request": visit.instance}
                _LOGGER.error("request failed", extra={"fields": fields})  # noqa: TRY400
                refusal = MessageError(Problem(outcome))
                response = mapping.refused(refusal, visit.where, visit.instance)
            known = visit.interface if visit.interface in self._catalogue.interfaces else ""
            self._observe(known, outcome, time.monotonic() - visit.begun)
            return _sent(response, close=not visit.body_read)

        return handled

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Hold one of the places for open requests.

        Raises:
            RequestError: overloaded.
        """
        if self._requests >= self._limits.requests_max:
            raise RequestError("overloaded")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Hold so many bytes of the room for bodies; one body always fits.

        Raises:
            RequestError: overloaded.
        """
        if self._held_bytes and self._held_bytes + size > self._limits.held_bytes_max:
            raise RequestError("overloaded")
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    def _enter(self, visit: _Visit) -> Principal:
        """Who is it, does the interface exist, is it too fast.

        Raises:
            MessageError: those of `Gatekeeper.authenticate`, rate_exceeded.
            RequestError: interface_unknown.
        """
        principal = self._gatekeeper.authenticate(visit.headers.get("x-api-key", ""))
        visit.source = principal.source
        if visit.interface not in self._catalogue.interfaces:
            raise RequestError("interface_unknown")
        wait_s = self._gatekeeper.wait_s(principal)
        if wait_s:
            visit.retry_s = math.ceil(wait_s)
            raise MessageError(Problem("rate_exceeded"))
        return principal

    async def _post(self, visit: _Visit, principal: Principal) -> mapping.Response:
        bytes_max = self._catalogue.bytes_max(visit.interface)
        asking = mapping.read_headers(visit.headers, bytes_max, self._limits)
        with self._room(asking.length + (bytes_max if asking.gzip else 0)):
            call = await self._read(visit, asking)
            visit.call = call
            header = call.header
            principal.check(header.source, call.interface, header.noun, header.verb)
            mapping.check_call(asking, call)
            place = await self._exchange.submit(call)
        if call.asked is None or not asking.wait_s:
            return mapping.accepted(call, place)
        reply = await self._exchange.reply(place, asking.wait_s)
        if reply is None:
            return mapping.accepted(call, place)
        return mapping.answered(reply, asking.accept, visit.instance)

    async def _read(self, visit: _Visit, asking: Asking) -> Call:
        """The message in the body."""
        try:
            async with asyncio.timeout(self._limits.body_s):
                body = await visit.request.body()
        except TimeoutError:
            raise RequestError("request_timeout") from None
        visit.body_read = True
        bytes_max = self._catalogue.bytes_max(visit.interface)
        traceparent = asking.traceparent or new_traceparent()

        def understand() -> Call:
            return read_call(
                mapping.unpack(body, bytes_max) if asking.gzip else body,
                visit.interface,
                self._catalogue,
                received_ms=time.time_ns() // 1_000_000,
                traceparent=traceparent,
            )

        if asking.gzip or len(body) > _ASIDE_BYTES:
            return await asyncio.to_thread(understand)
        return understand()

    async def _get(self, visit: _Visit, principal: Principal) -> mapping.Response:
        visit.body_read = True
        accept = visit.headers.get("accept", "*/*")
        mapping.check_accept(accept)
        place = mapping.read_answer_id(visit.interface, visit.request.path_params["answer"])
        try:
            found = await self._exchange.recall(place)
        except CallUnknownError:
            raise RequestError("call_unknown") from None
        except CallExpiredError:
            raise RequestError("call_expired") from None
        # Whose call it is not, does not learn that there is one.
        stranger = principal.source not in ("", found.source)
        if found.asked is None or stranger:
            raise RequestError("call_unknown")
        if found.reply is None:
            return mapping.pending(visit.interface, place)
        return mapping.answered(found.reply, accept, visit.instance)

    async def _openapi(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        return Response(self._document, media_type=mapping.JSON)

    def _audit(self, visit: _Visit, code: str) -> None:
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
            "door": "rest",
            "interface": visit.interface,
            "peer": visit.peer,
            "request": visit.instance,
        }
        if call is not None:
            said = {"noun": call.header.noun, "verb": call.header.verb}
            details |= {**said, "identity": call.message.identity}
        if not visit.source and self._unrecorded:
            details["unrecorded"] = self._unrecorded
            self._unrecorded = 0
        self._exchange.audit("refused", visit.instance, visit.source or _NOBODY, details)


class _Visit:
    """One request on its way."""

    def __init__(self, request: Request) -> None:
        self.request = request
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
        self.retry_s = 1
        self.source = ""  # who was authenticated
        self.call: Call | None = None
        self.body_read = False

    @property
    def where(self) -> str:
        """What was asked for."""
        return _place(self.request)

    @cached_property
    def instance(self) -> str:
        """The name of this request in a problem and in the audit, where there is one."""
        return f"urn:uuid:{uuid.uuid4()}"


def _place(request: Request) -> str:
    return f"{request.method} {request.url.path[:_PATH_CHARS_MAX]}"


def _sent(response: mapping.Response, *, close: bool) -> Response:
    """As Starlette has it. What was not read of a body would be taken for the next request."""
    headers = dict(response.headers)
    if close:
        headers["Connection"] = "close"
    return Response(response.body, response.status, headers)


async def _unserved(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    code = "method_not_allowed" if status == 405 else "path_unknown"
    refusal = RequestError(code, headers=headers)
    return _sent(mapping.failed(refusal, _place(request), f"urn:uuid:{uuid.uuid4()}"), close=True)
