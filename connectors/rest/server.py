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
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response as Sent
from starlette.routing import Route

from connectors.access import Gatekeeper, Principal
from connectors.exchange import (
    Call,
    CallExpiredError,
    CallUnknownError,
    Exchange,
    read_call,
)
from connectors.http import (
    ASIDE_BYTES,
    Entrance,
    Observe,
    RequestError,
    Response,
    Visit,
    place_of,
    sent,
    unpack,
)
from connectors.queries import Queries
from connectors.rest import mapping
from connectors.rest.config import RestLimits
from connectors.rest.description import Description
from connectors.rest.events import READING, WITHDRAWN, EventDoor
from connectors.rest.json_form import message_of
from connectors.rest.mapping import JSON, XML, Asking
from connectors.rest.resource_routes import ResourceRoutes
from connectors.trace import new_traceparent
from schemas.errors import MessageError
from topics import Catalogue

# JSON is checked field by field in Python: some ten times the time of XML.
_JSON_ASIDE_BYTES: Final = ASIDE_BYTES // 8
# Of a noun that may be none, for the audit.
_NOUN_CHARS: Final = 64


class RestDoor:
    """Serves requests on one event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        exchange: Exchange,
        gatekeeper: Gatekeeper,
        limits: RestLimits,
        observe: Observe,
        queries: Queries | None = None,
        events: EventDoor | None = None,
    ) -> None:
        """`queries` answers what is asked of resources; None: there is no view.

        `events` serves subscriptions; None: there are none.
        """
        self._catalogue = catalogue
        self._exchange = exchange
        self._gatekeeper = gatekeeper
        self._limits = limits
        self.entrance = Entrance(
            catalogue,
            exchange,
            gatekeeper,
            observe,
            requests_max=limits.requests_max,
            held_bytes_max=limits.held_bytes_max,
            body_s=limits.body_s,
        )
        self._resources = ResourceRoutes(catalogue, queries, limits, self._take)
        self._events = events
        self._description = Description(catalogue)

    def application(self, *others: Route) -> Starlette:
        """The application to serve, with what `others` serve beside."""
        routes = [
            Route("/v1/{interface}/messages", self._guarded(self._post), methods=["POST"]),
            Route("/v1/{interface}/answers/{answer}", self._guarded(self._get), methods=["GET"]),
            *self._description.routes(),
            *others,
            *self._subscriptions(),
            *self._resources.routes(self._guarded),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _unserved})
        # A path that is nearly right is told so, and not led elsewhere.
        application.router.redirect_slashes = False
        return application

    def _subscriptions(self) -> list[Route]:
        """Before the paths of resources, which fit any word."""
        events = self._events
        if events is None:
            return []

        async def subscribe(visit: Visit, principal: Principal) -> Sent:
            visit.body_read = True
            named = visit.request.path_params["noun"][:_NOUN_CHARS]
            visit.about = {"noun": named, "verb": READING}

            def withdrawn(noun: str) -> bool:
                if self._gatekeeper.holds(principal, visit.interface, noun, READING):
                    return False
                self.entrance.audit(visit, WITHDRAWN)
                return True

            return await events.subscribe(
                visit.request, visit.headers, visit.interface, principal, withdrawn
            )

        path = "/v1/{interface}/{noun:noun}/events"
        return [Route(path, self._guarded(subscribe), methods=["GET"])]

    def _guarded(
        self, handle: Callable[[Visit, Principal], Awaitable[Response | Sent]]
    ) -> Callable[[Request], Awaitable[Sent]]:
        """Served by way of the entrance; what it refuses becomes a problem."""

        async def handled(request: Request) -> Sent:
            visit = Visit(request, "rest")

            async def serve() -> Response | Sent:
                return await handle(visit, await self.entrance.enter(visit))

            def refuse(error: MessageError | RequestError) -> Response:
                if isinstance(error, RequestError):
                    return mapping.failed(error, visit.where, visit.instance)
                return mapping.refused(error, visit.where, visit.instance, visit.retry_s)

            return await self.entrance.lead(visit, serve, refuse)

        return handled

    async def _post(self, visit: Visit, principal: Principal) -> Response:
        bytes_max = self._catalogue.bytes_max(visit.interface)
        asking = mapping.read_headers(visit.headers, bytes_max, self._limits)
        if asking.media == JSON:
            understand = partial(message_of, interface=visit.interface, catalogue=self._catalogue)
            return await self._take(visit, principal, asking, understand)
        return await self._take(visit, principal, asking, _as_it_is)

    async def _take(
        self,
        visit: Visit,
        principal: Principal,
        asking: Asking,
        understand: Callable[[bytes], bytes],
        created: str = "",
    ) -> Response:
        """Make a message durable and give its reply; see `resource_routes.Take`."""
        bytes_max = self._catalogue.bytes_max(visit.interface)
        with self.entrance.room(asking.body, bytes_max):
            call = await self._read(visit, asking, understand)
            visit.call = call
            principal.check(call.header.source, call.interface, call.noun, call.header.verb)
            mapping.check_call(asking, call)
            place = await self._exchange.submit(call)
        if call.asked is None or not asking.wait_s:
            return mapping.accepted(call, place)
        reply = await self._exchange.reply(place, asking.wait_s)
        if reply is None:
            return mapping.accepted(call, place)
        return mapping.answered(
            reply,
            asking.accept,
            visit.instance,
            self._catalogue,
            otherwise=asking.media,
            created=created,
        )

    async def _read(
        self, visit: Visit, asking: Asking, understand: Callable[[bytes], bytes]
    ) -> Call:
        """The message that the body means."""
        body = await self.entrance.body(visit, asking.body)
        bytes_max = self._catalogue.bytes_max(visit.interface)
        traceparent = visit.traceparent or new_traceparent()

        def read() -> Call:
            return read_call(
                understand(unpack(body, bytes_max) if asking.body.gzip else body),
                visit.interface,
                self._catalogue,
                received_ms=time.time_ns() // 1_000_000,
                traceparent=traceparent,
            )

        aside = _JSON_ASIDE_BYTES if asking.media == JSON else ASIDE_BYTES
        if asking.body.gzip or len(body) > aside:
            return await asyncio.to_thread(read)
        return read()

    async def _get(self, visit: Visit, principal: Principal) -> Response:
        visit.body_read = True
        accept = visit.headers.get("accept", "*/*")
        mapping.choose(accept, XML)
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
        return mapping.answered(found.reply, accept, visit.instance, self._catalogue)


def _as_it_is(body: bytes) -> bytes:
    """A message in XML is what lies on inbound."""
    return body


async def _unserved(request: Request, error: Exception) -> Sent:
    """No such path, or not with this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    code = "method_not_allowed" if status == 405 else "path_unknown"
    refusal = RequestError(code, headers=headers)
    return sent(mapping.failed(refusal, place_of(request), f"urn:uuid:{uuid.uuid4()}"), close=True)
