"""What paths of the OpenAPI document have in common: parameters, responses, schemas.

Lives here: the components of the document, and how paths refer to them. Must not live here: paths
(`openapi`, `openapi_resources`).
"""

from __future__ import annotations

from typing import Any, Final

from connectors.http import HTTP_PROBLEMS, STATUS_OF
from connectors.rest.json_form import MESSAGE, REPLY
from connectors.rest.mapping import JSON, PROBLEM, XML
from schemas.avro.json_schema import plain_schema

Schema = dict[str, Any]

TEXT: Final = {"type": "string"}
XML_CONTENT: Final = {XML: {"schema": TEXT}}
_SPANS: Final = {"4XX": "Refused, by the codes under its status", "5XX": "Not now, or not here"}


def header(name: str, said: str, schema: Schema | None = None) -> Schema:
    """A header of a request."""
    return {"name": name, "in": "header", "description": said, "schema": schema or TEXT}


def reference(kind: str, name: str) -> Schema:
    """Where a component is."""
    return {"$ref": f"#/components/{kind}/{name}"}


def component(name: str) -> Schema:
    """A schema of the document."""
    return reference("schemas", name)


def record(schema: str) -> Schema:
    """The schema of a canonical record; each is a document of its own, beside this one."""
    return {"$ref": f"schemas/{schema}.json"}


def statuses() -> dict[int, list[str]]:
    """Codes by status, in order."""
    found: dict[int, list[str]] = {422: ["foreign"]}
    for code, status in STATUS_OF.items():
        found.setdefault(status, []).append(code)
    for code, known in HTTP_PROBLEMS.items():
        found.setdefault(known["status"], []).append(code)
    return {status: found[status] for status in sorted(found)}


def refusals(*without: int) -> Schema:
    """All that can be refused, without some statuses."""
    return {
        str(status): reference("responses", str(status))
        for status in statuses()
        if status not in without
    }


def any_refusal() -> Schema:
    """Whatever is refused, without a word on which statuses there are."""
    return {span: reference("responses", span) for span in _SPANS}


def reply(said: str) -> Schema:
    """A response with a reply, in both forms."""
    return {
        "description": said,
        "content": {**XML_CONTENT, JSON: {"schema": component("Reply")}},
    }


def accepted() -> Schema:
    """The response of a message that is durable and has no reply, or none yet."""
    location = {"description": "Where the reply will be", "schema": TEXT}
    return {
        "description": "Durable. With Location where a reply is still to come",
        "headers": {"Location": location},
        "content": {JSON: {"schema": component("Receipt")}},
    }


def components() -> Schema:
    """All of them."""
    return {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "certificate": {"type": "mutualTLS"},
        },
        "schemas": {
            "Message": _with_payload(MESSAGE, "A record of the noun, or an array of them"),
            "Page": _page(),
            "Pending": _pending(),
            "Problem": _problem(),
            "Receipt": _receipt(),
            "Reply": _with_payload(REPLY, "Records of the noun"),
        },
        "responses": {
            **{
                str(status): _refusal("Codes: " + ", ".join(sorted(codes)))
                for status, codes in statuses().items()
            },
            **{span: _refusal(said) for span, said in _SPANS.items()},
        },
        "parameters": {
            "Prefer": header(
                "Prefer", "`wait=N` waits N seconds for the reply; `respond-async` does not"
            ),
            "traceparent": header("traceparent", "W3C trace context, passed on"),
        },
    }


def common() -> list[Schema]:
    """The headers that every request with a message may have."""
    return [reference("parameters", name) for name in ("Prefer", "traceparent")]


def _with_payload(form: Schema, said: str) -> Schema:
    found = plain_schema(form)
    found["properties"]["payload"] = {"description": said}
    return found


def _refusal(said: str) -> Schema:
    return {
        "description": said,
        "content": {
            PROBLEM: {"schema": component("Problem")},
            **XML_CONTENT,
            JSON: {"schema": component("Reply")},
        },
    }


def _page() -> Schema:
    lag = {
        "type": "object",
        "required": ["offsets", "caughtUp"],
        "properties": {
            "offsets": {"type": "integer"},
            "caughtUp": {"type": ["string", "null"], "format": "date-time"},
        },
    }
    return {
        "type": "object",
        "description": "A page of what fits, in a fixed order",
        "required": ["code", "next", "gaps", "lag", "items"],
        "properties": {
            "code": {
                "enum": ["0.0", "0.1", "0.2"],
                "description": "0.0 whole; 0.1 more follows; 0.2 something may be missing",
            },
            "next": {"type": ["string", "null"], "description": "Where the next page is"},
            "gaps": {
                "type": "array",
                "items": {"enum": ["behind", "window"]},
                "description": "Why something may be missing: the view is behind its logs; "
                "histories are kept from a time on, and older ones were asked for",
            },
            "lag": {
                "type": "object",
                "additionalProperties": lag,
                "description": "How far the view is behind each log that the answer rests on",
            },
            "items": {"type": "array"},
        },
    }


def _pending() -> Schema:
    return {
        "type": "object",
        "required": ["answer", "status"],
        "properties": {"answer": TEXT, "status": {"const": "pending"}},
    }


def _receipt() -> Schema:
    return {
        "type": "object",
        "required": ["identity", "topic", "partition", "offset"],
        "properties": {
            "identity": {"type": "string", "description": "What a repeat is recognised by"},
            "topic": TEXT,
            "partition": {"type": "integer", "minimum": 0},
            "offset": {"type": "integer", "minimum": 0},
            "answer": {"type": "string", "description": "Where the reply will be"},
        },
    }


def _problem() -> Schema:
    return {
        "type": "object",
        "description": "RFC 9457, with the stable code and what to do",
        "required": ["type", "title", "status", "code", "detail", "instance"],
        "properties": {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "code": TEXT,
            "iec_code": TEXT,
            "where": TEXT,
            "detail": TEXT,
            "fix": TEXT,
            "instance": TEXT,
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
