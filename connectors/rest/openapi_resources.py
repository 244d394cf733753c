"""The paths of resources in the OpenAPI document, from the catalogue.

Lives here: which resources there are, with which methods. Must not live here: components
(`openapi_parts`), what happens to such a request (`resource_routes`).

Invariant: a method is in the document exactly where the catalogue lets such a message enter, or
the noun be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from connectors.queries import PAGE_DEFAULT, PAGE_MAX
from connectors.rest import openapi_parts as parts
from connectors.rest.json_form import has_json
from connectors.rest.mapping import JSON, XML
from connectors.rest.openapi_parts import TEXT, Schema
from connectors.rest.resources import Target, methods
from topics import Catalogue, Interface, Noun

_TIME: Final = {"type": "string", "format": "date-time"}
_TEXTS: Final = {"type": "array", "items": TEXT}
_CRITERIA: Final[Mapping[str, tuple[str, Schema]]] = {
    "mrid": ("The object; of a history, the event or what it is about", _TEXTS),
    "name": ("The same, by a name", _TEXTS),
    "feeder": ("The feeder it is on, by mRID or name", _TEXTS),
    "status": ("Its status", _TEXTS),
    "life": (
        "Where an object of a register is in its life",
        {"type": "array", "items": {"enum": ["open", "closed", "canceled"]}},
    ),
    "reading_type": ("The type of readings, as written", _TEXTS),
    "since": ("After this time", _TIME),
    "until": ("Up to and including this time", _TIME),
    "limit": (
        "How many at most",
        {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT},
    ),
    "cursor": ("Of the link to the next page", TEXT),
}
_ONLY: Final = {"life": "register", "reading_type": "MeterReadings"}


def parameters(catalogue: Catalogue) -> Schema:
    """The components that paths of resources refer to."""
    contexts = ["PRODUCTION", *catalogue.contexts]
    found = {name: _query(name, said, schema) for name, (said, schema) in _CRITERIA.items()}
    found["context"] = _query(
        "context", "Beside production, the parallel contexts", {"enum": contexts}
    )
    found["Idempotency-Key"] = parts.header(
        "Idempotency-Key",
        "The MessageID, by which a repeat is recognised; made where it is missing",
        {"type": "string", "pattern": "^[!-~]{1,256}$"},
    )
    found["If-Match"] = parts.header(
        "If-Match", "The ETag that GET gave: refused with 412 where there is a newer revision"
    )
    found["If-None-Match"] = parts.header("If-None-Match", "The ETag that the client has: 304")
    found["mRID"] = {
        "name": "mrid",
        "in": "path",
        "required": True,
        "description": "Of the object, without a slash",
        "schema": {"type": "string", "minLength": 1, "maxLength": 1024},
    }
    return found


def paths(interface: Interface, catalogue: Catalogue) -> Schema:
    """Those of an interface."""
    found: Schema = {}
    for name in sorted(interface.accepts):
        noun = catalogue.nouns[name]
        if noun.profile is None or not has_json(noun):
            continue
        here = Target(interface.id, noun)
        served: Schema = {
            method.lower(): _OF_LISTS[method](here) for method in methods(here, catalogue)
        }
        if served:
            found[here.path] = served
        if noun.kind == "register":
            one = Target(interface.id, noun, "{mrid}")
            served = {
                method.lower(): _OF_OBJECTS[method](one) for method in methods(one, catalogue)
            }
            if served:
                shared = {"parameters": [parts.reference("parameters", "mRID")]}
                found[f"{here.path}/{{mrid}}"] = shared | served
    return found


def _list(here: Target) -> Schema:
    noun = here.noun
    names = [name for name in _CRITERIA if _ONLY.get(name, noun.kind) in (noun.kind, noun.name)]
    items = {"type": "array", "items": _record(noun)}
    page = {"allOf": [parts.component("Page"), {"properties": {"items": items}}]}
    return {
        **_operation(here, "list", f"{noun.name} that fit the criteria"),
        "parameters": [parts.reference("parameters", name) for name in (*names, "context")],
        "responses": {
            "200": {
                "description": "A page",
                "headers": _of_answers({"Link": "rel=next: where the next page is"}),
                "content": {**parts.XML_CONTENT, JSON: {"schema": page}},
            },
            **parts.any_refusal(),
        },
    }


def _read(here: Target) -> Schema:
    return {
        **_operation(here, "read", f"One object of {here.noun.name}"),
        "parameters": [
            parts.reference("parameters", name) for name in ("context", "If-None-Match")
        ],
        "responses": {
            "200": {
                "description": "The object as it is",
                "headers": _of_answers({"ETag": "Its revision"}),
                "content": {**parts.XML_CONTENT, JSON: {"schema": _record(here.noun)}},
            },
            "304": {"description": "It is still the revision in If-None-Match"},
            **parts.any_refusal(),
        },
    }


def _create(here: Target) -> Schema:
    noun = here.noun
    content: Schema = {media: {"schema": TEXT} for media in (XML, "text/xml")}
    several = {"type": "array", "items": _record(noun), "minItems": 1}
    content[JSON] = {"schema": {"oneOf": [_record(noun), several]}}
    location = {"description": "The object, where it is one with an mRID", "schema": TEXT}
    return {
        **_operation(here, "create", f"Create {noun.name}"),
        "parameters": _of_changes(),
        "requestBody": _body(noun, content),
        "responses": {
            "200": parts.reply("Result PARTIAL: some objects were refused"),
            "201": {**parts.reply("Result OK"), "headers": {"Location": location}},
            "202": parts.accepted(),
            **parts.any_refusal(),
        },
    }


def _change(here: Target) -> Schema:
    content: Schema = {media: {"schema": TEXT} for media in (XML, "text/xml")}
    content[JSON] = {"schema": _record(here.noun)}
    return {**_changing(here, "change"), "requestBody": _body(here.noun, content)}


def _changing(here: Target, verb: str) -> Schema:
    return {
        **_operation(here, verb, f"{verb.capitalize()} one object of {here.noun.name}"),
        "parameters": [*_of_changes(), parts.reference("parameters", "If-Match")],
        "responses": {
            "200": parts.reply("Result OK"),
            "202": parts.accepted(),
            **parts.any_refusal(),
        },
    }


_Describe = Callable[[Target], Schema]
_OF_LISTS: Final[Mapping[str, _Describe]] = {"GET": _list, "POST": _create}
_OF_OBJECTS: Final[Mapping[str, _Describe]] = {
    "GET": _read,
    "PUT": _change,
    "DELETE": partial(_changing, verb="delete"),
}


def _body(noun: Noun, content: Schema) -> Schema:
    said = f"The payload {noun.name} of CIM XML, or its records in JSON; plain or gzip"
    return {"required": True, "description": said, "content": content}


def _operation(here: Target, does: str, summary: str) -> Schema:
    return {
        "operationId": f"{does}{here.noun.name.replace('_', '')}On{here.interface}",
        "summary": summary,
        "tags": [here.noun.name],
    }


def _record(noun: Noun) -> Schema:
    return parts.record(noun.schema or "")


def _of_answers(more: dict[str, str]) -> Schema:
    said = {
        **more,
        "Cimstream-Code": "0.0, 0.1 or 0.2, as in the page",
        "Cimstream-Gaps": "Why something may be missing",
        "Cimstream-Lag": "How many offsets the view is behind",
    }
    return {name: {"description": text, "schema": TEXT} for name, text in said.items()}


def _of_changes() -> list[Schema]:
    names = ("context", "Idempotency-Key")
    return [*(parts.reference("parameters", name) for name in names), *parts.common()]


def _query(name: str, said: str, schema: Schema) -> Schema:
    found: Schema = {"name": name, "in": "query", "description": said, "schema": schema}
    return found
