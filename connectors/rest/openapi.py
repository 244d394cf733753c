"""The OpenAPI 3.1 document of the REST door, from the catalogue.

Lives here: paths, parameters and responses, and the text of the document. Must not live here:
facts about interfaces and nouns (`topics.catalogue`), statuses and problems (`connectors.http`).

Invariant: a function of the catalogue and the tables of codes; the same ones give the same text.
"""

from __future__ import annotations

import json
from typing import Any, Final

from connectors.http import HTTP_PROBLEMS, STATUS_OF
from connectors.rest.mapping import JSON, PROBLEM, XML
from topics import Catalogue, Interface

Schema = dict[str, Any]

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_RECEIPT: Final = {"$ref": "#/components/schemas/Receipt"}


def document(catalogue: Catalogue) -> Schema:
    """Give the document."""
    paths: Schema = {}
    for interface in catalogue.interfaces.values():
        paths[f"/v1/{interface.id}/messages"] = {"post": _post(interface, catalogue)}
        paths[f"/v1/{interface.id}/answers/{{answer}}"] = {"get": _get(interface)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cimstream gateway",
            "version": "1",
            "summary": "IEC 61968-100 messages over HTTP",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": {"Problem": _problem_schema(), "Receipt": _receipt_schema()},
            "responses": _responses(),
        },
    }


def render(found: Schema) -> str:
    """Give the document as text, two spaces a level."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _post(interface: Interface, catalogue: Catalogue) -> Schema:
    accepts = {
        noun: sorted(verb for verb in verbs if catalogue.refusal(interface.id, noun, verb) is None)
        for noun, verbs in sorted(interface.accepts.items())
    }
    lines = [f"- {noun}: {', '.join(verbs)}" for noun, verbs in accepts.items() if verbs]
    return {
        "operationId": f"send{interface.id}",
        "summary": f"Send a message on {interface.id}, {interface.title.lower()}",
        "description": "Nouns and the verbs they come with:\n\n" + "\n".join(lines),
        "parameters": [
            _header("Prefer", "`wait=N` waits N seconds for the reply; `respond-async` does not"),
            _header("Idempotency-Key", "If given, the message's own MessageID"),
            _header("traceparent", "W3C trace context, passed on"),
        ],
        "requestBody": {
            "required": True,
            "description": "One message in the IEC 61968-100 envelope, plain or gzip",
            "content": {media: {"schema": {"type": "string"}} for media in (XML, "text/xml")},
        },
        "responses": {
            "200": _reply("The reply: Result OK or PARTIAL"),
            "202": _accepted("Durable. With Location where a reply is still to come"),
            **_refusals(frozenset(_statuses()) - {410}),
        },
    }


def _get(interface: Interface) -> Schema:
    return {
        "operationId": f"answer{interface.id}",
        "summary": "The reply to a message that was sent before",
        "parameters": [
            {
                "name": "answer",
                "in": "path",
                "required": True,
                "description": "As in the Location of the receipt",
                "schema": {"type": "string"},
            }
        ],
        "responses": {
            "200": _reply("The reply: Result OK or PARTIAL"),
            "202": {
                "description": "No reply yet; ask again after Retry-After seconds",
                "content": {JSON: {"schema": {"type": "object"}}},
            },
            # A reply that refuses has the status of its code, also when it is fetched.
            **_refusals(frozenset(_statuses()) - {408, 411, 415}),
        },
    }


def _header(name: str, said: str) -> Schema:
    return {"name": name, "in": "header", "description": said, "schema": {"type": "string"}}


def _reply(said: str) -> Schema:
    return {"description": said, "content": {XML: {"schema": {"type": "string"}}}}


def _accepted(said: str) -> Schema:
    location = {"description": "Where the reply will be", "schema": {"type": "string"}}
    return {
        "description": said,
        "headers": {"Location": location},
        "content": {JSON: {"schema": _RECEIPT}},
    }


def _statuses() -> dict[int, list[str]]:
    """Codes by status, in order."""
    found: dict[int, list[str]] = {422: ["foreign"]}
    for code, status in STATUS_OF.items():
        found.setdefault(status, []).append(code)
    for code, known in HTTP_PROBLEMS.items():
        found.setdefault(known["status"], []).append(code)
    return {status: found[status] for status in sorted(found)}


def _refusals(wanted: frozenset[int]) -> Schema:
    return {
        str(status): {"$ref": f"#/components/responses/{status}"}
        for status in _statuses()
        if status in wanted
    }


def _responses() -> Schema:
    return {
        str(status): {
            "description": "Codes: " + ", ".join(sorted(codes)),
            "content": {
                PROBLEM: {"schema": _PROBLEM},
                XML: {"schema": {"type": "string"}},
            },
        }
        for status, codes in _statuses().items()
    }


def _receipt_schema() -> Schema:
    return {
        "type": "object",
        "required": ["identity", "topic", "partition", "offset"],
        "properties": {
            "identity": {"type": "string", "description": "What a repeat is recognised by"},
            "topic": {"type": "string"},
            "partition": {"type": "integer", "minimum": 0},
            "offset": {"type": "integer", "minimum": 0},
            "answer": {"type": "string", "description": "Where the reply will be"},
        },
    }


def _problem_schema() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457, with the stable code and what to do",
        "required": ["type", "title", "status", "code", "detail", "instance"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": text,
            "iec_code": text,
            "where": text,
            "detail": text,
            "fix": text,
            "instance": text,
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
