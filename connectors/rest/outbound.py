"""Pulling over HTTP: a destination fetches its messages and acknowledges them.

    GET  /v1/outbound?max=N              -> 200, messages with their ids; `Prefer: wait=N` waits
    POST /v1/outbound/acknowledgements   -> 200, those ids that were not known

Lives here: what these requests say and what is answered. Must not live here: who may ask
(`connectors.http`), what lies ready (`connectors.outbound.Outbox`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response as Sent
from starlette.routing import Route

from connectors.access import Principal
from connectors.http import Entrance, RequestError, Response, Visit, read_body_headers, unpack
from connectors.outbound import Handed, Outbox
from connectors.rest import mapping
from connectors.rest.config import RestLimits
from connectors.rest.mapping import JSON
from connectors.rest.openapi_parts import any_refusal
from schemas.errors import MessageError, Problem
from schemas.times import from_epoch_ms

MESSAGES: Final = "/v1/outbound"
ACKNOWLEDGEMENTS: Final = "/v1/outbound/acknowledgements"
_MAX: Final = 100
_BODY_BYTES_MAX: Final = 256 * 1024
_WHY_CHARS_MAX: Final = 200


class _Acknowledgement(BaseModel):
    """`done` has arrived, `refused` (id to why) will never be taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    done: tuple[str, ...] = Field(default=(), max_length=10 * _MAX)
    refused: Mapping[str, str] = Field(default_factory=dict, max_length=10 * _MAX)


class OutboundRoutes:
    """The two paths, behind the entrance that all doors share."""

    def __init__(self, outbox: Outbox, entrance: Entrance, limits: RestLimits) -> None:
        self._outbox = outbox
        self._entrance = entrance
        self._limits = limits

    def routes(self) -> list[Route]:
        """To be served beside the others."""
        return [
            Route(MESSAGES, self._guarded(self._messages), methods=["GET"]),
            Route(ACKNOWLEDGEMENTS, self._guarded(self._acknowledge), methods=["POST"]),
        ]

    def _guarded(
        self, handle: Callable[[Visit, Principal], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Sent]]:
        async def handled(request: Request) -> Sent:
            visit = Visit(request, "rest")

            async def serve() -> Response:
                principal = await self._entrance.authenticate(visit)
                self._entrance.pace(visit, principal)
                return await handle(visit, principal)

            def refuse(error: MessageError | RequestError) -> Response:
                if isinstance(error, RequestError):
                    return mapping.failed(error, visit.where, visit.instance)
                return mapping.refused(error, visit.where, visit.instance, visit.retry_s)

            return await self._entrance.lead(visit, serve, refuse)

        return handled

    async def _messages(self, visit: Visit, principal: Principal) -> Response:
        visit.body_read = True
        destination = self._destination(visit.request, principal)
        count_max = visit.request.query_params.get("max", "1")
        if not (count_max.isascii() and count_max.isdecimal() and 1 <= int(count_max[:9]) <= _MAX):
            raise RequestError("body_invalid", f"max is a number from 1 to {_MAX}")
        wait_s = mapping.read_wait(visit.headers.get("prefer", ""), self._limits)
        handed = await self._outbox.take(destination, int(count_max), wait_s)
        return _json({"messages": [_shown(one) for one in handed]})

    async def _acknowledge(self, visit: Visit, principal: Principal) -> Response:
        destination = self._destination(visit.request, principal)
        expected = read_body_headers(visit.headers, _BODY_BYTES_MAX, (mapping.JSON,))
        with self._entrance.room(expected, _BODY_BYTES_MAX):
            body = await self._entrance.body(visit, expected)
            if expected.gzip:
                body = unpack(body, _BODY_BYTES_MAX)
            try:
                said = _Acknowledgement.model_validate_json(body)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False, include_context=False)[
                    0
                ]
                at = ".".join(str(part) for part in first["loc"]) or "the body"
                raise RequestError("body_invalid", f"{at}: {first['type']}") from None
        refused = {name: why[:_WHY_CHARS_MAX] for name, why in said.refused.items()}
        unknown = await self._outbox.acknowledge(destination, said.done, refused)
        return _json({"unknown": list(unknown)})

    def _destination(self, request: Request, principal: Principal) -> str:
        """For whom is asked: for oneself; at a door without keys, for whom one says."""
        asked = request.query_params.get("destination", "")
        if principal.source and asked not in ("", principal.source):
            raise MessageError(Problem("source_mismatch", xpath="destination"))
        destination = principal.source or asked
        if not self._outbox.serves(destination):
            raise RequestError("outbound_unknown")
        return destination


def openapi_paths() -> dict[str, Any]:
    """These paths in the OpenAPI document."""
    refusals = any_refusal()
    destination = _parameter("destination", "At a door without keys: who asks")
    ids = {"type": "array", "items": {"type": "string"}}
    return {
        MESSAGES: {
            "get": {
                "operationId": "pull",
                "summary": "Fetch messages that wait for the system that asks",
                "parameters": [
                    _parameter("max", f"At most so many messages, 1 to {_MAX}; 1 by default"),
                    destination,
                    {
                        "name": "Prefer",
                        "in": "header",
                        "description": "`wait=N` waits N seconds for a first message",
                        "schema": {"type": "string"},
                    },
                ],
                "responses": {"200": _answer("messages", {"type": "array", "items": _message()})}
                | refusals,
            }
        },
        ACKNOWLEDGEMENTS: {
            "post": {
                "operationId": "acknowledge",
                "summary": "Say of messages that were fetched that they arrived, or are refused",
                "parameters": [destination],
                "requestBody": {
                    "required": True,
                    "description": "Ids of messages that arrived, and of those that are refused",
                    "content": {
                        JSON: {
                            "schema": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {
                                    "done": ids,
                                    "refused": {
                                        "type": "object",
                                        "description": "id to the reason",
                                        "additionalProperties": {"type": "string"},
                                    },
                                },
                            }
                        }
                    },
                },
                "responses": {"200": _answer("unknown", ids)} | refusals,
            }
        },
    }


def _parameter(name: str, said: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": said, "schema": {"type": "string"}}


def _answer(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    whole = {"type": "object", "required": [name], "properties": {name: schema}}
    return {"description": "Done", "content": {JSON: {"schema": whole}}}


def _message() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["id", "again_at"],
        "properties": {
            "id": {**text, "description": "To be named in the acknowledgement"},
            "again_at": {**text, "description": "When it comes again without one"},
            "message_id": text,
            "source": text,
            "noun": text,
            "verb": text,
            "message": {**text, "description": "The XML"},
            "message_base64": {**text, "description": "Instead, where it is not in UTF-8"},
        },
    }


def _shown(handed: Handed) -> dict[str, str]:
    told = handed.parcel.attributes
    shown = {
        "id": handed.id,
        "again_at": from_epoch_ms(handed.again_ms),
        "message_id": told.get("ce_id", ""),
        "source": told.get("ce_source", ""),
        "noun": told.get("ce_noun", ""),
        "verb": told.get("ce_verb", ""),
    }
    try:
        return {**shown, "message": handed.parcel.message.decode()}
    except UnicodeDecodeError:
        return {**shown, "message_base64": base64.b64encode(handed.parcel.message).decode()}


def _json(document: Mapping[str, Sequence[object]]) -> Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(200, body, {"Content-Type": JSON})
