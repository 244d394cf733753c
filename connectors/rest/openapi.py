"""The OpenAPI 3.1 document of the REST door, from the catalogue.

Lives here: the document, and the paths of messages. Must not live here: facts about interfaces and
nouns (`topics.catalogue`), statuses and problems (`connectors.http`), paths of resources.

Invariant: a function of the catalogue and the tables of codes; the same ones give the same text.
"""

from __future__ import annotations

import json

from connectors.rest import openapi_events, openapi_resources, outbound
from connectors.rest import openapi_parts as parts
from connectors.rest.mapping import JSON, XML
from connectors.rest.openapi_parts import TEXT, Schema
from topics import Catalogue, Interface


def document(catalogue: Catalogue) -> Schema:
    """Give the document."""
    paths: Schema = {}
    for interface in catalogue.interfaces.values():
        paths[f"/v1/{interface.id}/messages"] = {"post": _post(interface, catalogue)}
        paths[f"/v1/{interface.id}/answers/{{answer}}"] = {"get": _get(interface)}
        paths |= openapi_resources.paths(interface, catalogue)
        paths |= openapi_events.paths(interface, catalogue)
    paths |= outbound.openapi_paths()
    components = parts.components()
    components["parameters"] |= openapi_resources.parameters(catalogue)
    components["parameters"] |= openapi_events.parameters()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cimstream gateway",
            "version": "1",
            "summary": "IEC 61968-100 messages over HTTP, and what they made",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"token": []}, {"certificate": []}],
        "paths": paths,
        "components": components,
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
    key = parts.header("Idempotency-Key", "If given, the message's own MessageID")
    return {
        "operationId": f"send{interface.id}",
        "summary": f"Send a message on {interface.id}, {interface.title.lower()}",
        "description": "Nouns and the verbs they come with:\n\n" + "\n".join(lines),
        "tags": ["Messages"],
        "parameters": [*parts.common(), key],
        "requestBody": {
            "required": True,
            "description": "One message in the IEC 61968-100 envelope, or in JSON; plain or gzip",
            "content": {
                **{media: {"schema": TEXT} for media in (XML, "text/xml")},
                JSON: {"schema": parts.component("Message")},
            },
        },
        "responses": {
            "200": parts.reply("The reply: Result OK or PARTIAL"),
            "202": parts.accepted(),
            **parts.refusals(410),
        },
    }


def _get(interface: Interface) -> Schema:
    return {
        "operationId": f"answer{interface.id}",
        "summary": "The reply to a message that was sent before",
        "tags": ["Messages"],
        "parameters": [
            {
                "name": "answer",
                "in": "path",
                "required": True,
                "description": "As in the Location of the receipt",
                "schema": TEXT,
            }
        ],
        "responses": {
            "200": parts.reply("The reply: Result OK or PARTIAL"),
            "202": {
                "description": "No reply yet; ask again after Retry-After seconds",
                "content": {JSON: {"schema": parts.component("Pending")}},
            },
            # A reply that refuses has the status of its code, also when it is fetched.
            **parts.refusals(408, 411, 415),
        },
    }
