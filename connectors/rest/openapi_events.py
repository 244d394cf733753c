"""The paths of subscriptions in the OpenAPI document, from the catalogue.

Lives here: which logs can be subscribed to, and how that is asked for. Must not live here: what a
stream says (`events`), components (`openapi_parts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.rest import openapi_parts as parts
from connectors.rest.events import EVENT_STREAM
from connectors.rest.openapi_parts import TEXT, Schema
from topics import Catalogue, Interface, Noun

_TEXTS: Final = {"type": "array", "items": TEXT}
_ASKED: Final[Mapping[str, tuple[str, Schema]]] = {
    "from": ("Where to begin: earliest, latest, a time, or the id of an event", TEXT),
    "mrid": ("Only about these objects", _TEXTS),
    "status": ("Only with one of these statuses", _TEXTS),
    "verb": ("Only of these verbs", _TEXTS),
    "source": ("Only of these sources", _TEXTS),
}
_ABOUT: Final = (
    "Server-sent events: `data` is the record as JSON, `id` is where to go on. A parameter "
    "`field.<path>` wants a field of the record to have its value."
)


def paths(interface: Interface, catalogue: Catalogue) -> Schema:
    """Those of the nouns that have their home on an interface."""
    nouns = sorted(name for name, noun in catalogue.nouns.items() if noun.home == interface.id)
    return {
        f"/v1/{interface.id}/{name}/events": {"get": _subscribe(catalogue.nouns[name])}
        for name in nouns
    }


def parameters() -> Schema:
    """The components that these paths refer to."""
    found = {
        f"subscription.{name}": {"name": name, "in": "query", "description": said, "schema": schema}
        for name, (said, schema) in _ASKED.items()
    }
    said = "The id of the last event that was worked on; before `from`"
    return found | {"Last-Event-ID": parts.header("Last-Event-ID", said)}


def _subscribe(noun: Noun) -> Schema:
    named = (*(f"subscription.{name}" for name in _ASKED), "context", "Last-Event-ID")
    return {
        "operationId": f"subscribe{noun.name}",
        "summary": f"The events of {noun.name}, as they become permanent",
        "description": _ABOUT,
        "tags": [noun.name],
        "parameters": [parts.reference("parameters", name) for name in named],
        "responses": {
            "200": {"description": "Until it is closed", "content": {EVENT_STREAM: {}}},
            **parts.any_refusal(),
        },
    }
