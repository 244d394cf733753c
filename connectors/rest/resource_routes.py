"""The routes of resources: see `resources` for what is where.

Lives here: the order of what happens to such a request.

    what is there? -> is that served? -> may they? -> what is asked? -> the view -> the form
                                               or: -> what is to be done? -> as every message

Must not live here: what paths, parameters and headers mean (`resources`, `changes`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response as Sent
from starlette.routing import Route

from connectors.access import Principal
from connectors.http import Body, RequestError, Response, Visit
from connectors.queries import Answer, NotAnsweredError, Queries, Question, QuestionError
from connectors.rest import changes, mapping, resources
from connectors.rest.config import RestLimits
from connectors.rest.mapping import XML, Asking
from connectors.rest.resources import Target
from schemas.errors import CODES, MessageError, Problem
from topics import Catalogue

Handler = Callable[[Visit, Principal], Awaitable[Response]]
_LIST: Final = "/v1/{interface}/{noun:noun}"
_OBJECT: Final = "/v1/{interface}/{noun:noun}/{mrid}"
_GET: Final = "get"
# All are led here: which of them are served depends on the noun.
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# Two say that it is not one.
_ONE: Final = 2


class _NounConvertor(Convertor[str]):
    """A word in capitals and small letters: those of the door itself are small (`messages`)."""

    regex = "[A-Z][A-Za-z0-9_]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("noun", _NounConvertor())


class Take(Protocol):
    """How the door takes a message in: `understand` makes it of the body."""

    def __call__(
        self,
        visit: Visit,
        principal: Principal,
        asking: Asking,
        understand: Callable[[bytes], bytes],
        created: str = "",
    ) -> Awaitable[Response]:
        """Make the message durable and give its reply; `created` as of `mapping.answered`."""


class ResourceRoutes:
    """`queries` None: there is no view, and nothing can be read."""

    def __init__(
        self, catalogue: Catalogue, queries: Queries | None, limits: RestLimits, take: Take
    ) -> None:
        self._catalogue = catalogue
        self._queries = queries
        self._limits = limits
        self._take = take

    def routes(
        self, guarded: Callable[[Handler], Callable[[Request], Awaitable[Sent]]]
    ) -> list[Route]:
        """Behind all paths that are fixed: these fit any word."""
        return [
            Route(path, guarded(self._serve), methods=list(_METHODS)) for path in (_LIST, _OBJECT)
        ]

    async def _serve(self, visit: Visit, principal: Principal) -> Response:
        path, method = visit.request.path_params, visit.request.method
        found = resources.target(
            visit.interface, path["noun"], path.get("mrid", ""), self._catalogue
        )
        methods = resources.methods(found, self._catalogue)
        verb = methods.get("GET" if method == "HEAD" else method)
        if verb is None:
            raise RequestError("method_not_allowed", headers={"Allow": ", ".join(methods)})
        visit.about = {"noun": found.noun.name, "verb": verb}
        # Before a body is read: the path says all that the rules ask for.
        principal.check(principal.source, found.interface, found.noun.name, verb)
        if verb == _GET:
            return await self._read(visit, found)
        return await self._change(visit, principal, found, verb)

    async def _read(self, visit: Visit, found: Target) -> Response:
        visit.body_read = True
        accept = visit.headers.get("accept", "*/*")
        mapping.choose(accept, XML)
        parameters = visit.request.query_params.multi_items()
        # What is found may be some megabytes to write; others do not wait for it.
        if found.mrid:
            question = resources.read_object(found, parameters, self._catalogue)
            answer = await self._ask(question, _ONE, "")
            known = visit.headers.get("if-none-match", "")
            return await asyncio.to_thread(resources.object_response, found, answer, accept, known)
        page = resources.read_page(found, parameters, self._catalogue)
        answer = await self._ask(page.question, page.limit, page.cursor)
        return await asyncio.to_thread(resources.page_response, found, page, answer, accept)

    async def _change(
        self, visit: Visit, principal: Principal, found: Target, verb: str
    ) -> Response:
        parameters = visit.request.query_params.multi_items()
        context = resources.read_context(parameters, self._catalogue)
        asking = self._asking(visit, verb)
        change = changes.read_change(
            found,
            verb,
            visit.headers,
            context,
            principal.source,
            now_ms=time.time_ns() // 1_000_000,
        )
        bytes_max = self._catalogue.bytes_max(visit.interface)
        understand = partial(changes.message, change, media=asking.media, bytes_max=bytes_max)
        return await self._take(visit, principal, asking, understand, change.created)

    def _asking(self, visit: Visit, verb: str) -> Asking:
        if verb != "delete":
            bytes_max = self._catalogue.bytes_max(visit.interface)
            return mapping.read_headers(visit.headers, bytes_max, self._limits)
        if visit.headers.get("content-length", "0") != "0" or "transfer-encoding" in visit.headers:
            raise RequestError("body_unexpected")
        return mapping.asked(visit.headers, Body(0, gzip=False), self._limits)

    async def _ask(self, question: Question, limit: int, cursor: str) -> Answer:
        if self._queries is None:
            raise RequestError("view_missing")
        try:
            return await self._queries.page(question, limit, cursor)
        except (QuestionError, NotAnsweredError) as error:
            if error.code in CODES:  # what messages that ask are refused with, too
                raise MessageError(Problem(error.code, error.why)) from None
            raise RequestError(error.code, error.why) from None
