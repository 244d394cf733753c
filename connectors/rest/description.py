"""What the door says of itself: the OpenAPI document, the schemas beside it, and a page for people.

Lives here: `/openapi.json`, `/schemas/{name}.json`, `/docs`. Must not live here: what is in the
document (`openapi`).

The page is made of the document alone: no script, nothing from elsewhere. It is served to whoever
reaches the door, as it says nothing that is not in the published documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response as Sent
from starlette.routing import Route

from connectors.http import RequestError, place_of, sent
from connectors.rest import mapping, openapi
from connectors.rest.openapi_parts import Schema
from schemas.avro.json_schema import json_schema
from topics import Catalogue

_METHODS: Final = ("get", "post", "put", "delete")
_HEADERS: Final = {
    # A page without script needs none, whatever somebody gets into it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}code{background:#f2f2f2;padding:0 .2rem}
details{margin:.4rem 0;border:1px solid #ddd;border-radius:4px;padding:.3rem .7rem}
summary{cursor:pointer}b{display:inline-block;min-width:4.2rem}
td,th{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0}pre{white-space:pre-wrap}
"""


class Description:
    """Made once: it is a function of the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        document = openapi.document(catalogue)
        self._document = openapi.render(document).encode()
        self._page = page(document).encode()
        self._schemas = {
            noun.schema: json.dumps(json_schema(noun.schema), ensure_ascii=False).encode()
            for noun in catalogue.nouns.values()
            if noun.schema is not None
        }

    def routes(self) -> list[Route]:
        """Outside of `/v1`."""
        return [
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Route("/schemas/{name}.json", self._schema, methods=["GET"]),
            Route("/docs", self._docs, methods=["GET"]),
        ]

    async def _openapi(self, request: Request) -> Sent:  # noqa: ARG002 - Starlette's signature
        return Sent(self._document, media_type=mapping.JSON)

    async def _schema(self, request: Request) -> Sent:
        found = self._schemas.get(request.path_params["name"])
        if found is None:
            where = place_of(request)
            return sent(mapping.failed(RequestError("path_unknown"), where, where), close=False)
        return Sent(found, media_type="application/schema+json")

    async def _docs(self, request: Request) -> Sent:  # noqa: ARG002 - Starlette's signature
        return Sent(self._page, media_type="text/html", headers=_HEADERS)


def page(document: Schema) -> str:
    """The document for people, as HTML."""
    return "\n".join(_page(document))


def _page(document: Schema) -> Iterator[str]:
    info = document["info"]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}'
    yield f"</title><style>{_STYLE}</style><h1>{escape(info['title'])}</h1>"
    yield f'<p>{escape(info["summary"])}. <a href="openapi.json">OpenAPI 3.1</a>.</p>'
    interface = ""
    for path, methods in document["paths"].items():
        if path.split("/")[2] != interface:
            interface = path.split("/")[2]
            yield f'<h2 id="{escape(interface)}">{escape(interface)}</h2>'
        for method in _METHODS:
            if method in methods:
                shared = methods.get("parameters", [])
                yield from _operation(document, path, method, methods[method], shared)
    yield "<h2>Refusals</h2><table>"
    for status, response in document["components"]["responses"].items():
        yield f"<tr><th>{escape(status)}</th><td>{escape(response['description'])}</td></tr>"
    yield "</table></html>"


def _operation(
    document: Schema, path: str, method: str, operation: Schema, shared: list[Schema]
) -> Iterator[str]:
    yield f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code>"
    yield f" {escape(operation['summary'])}</summary>"
    if "description" in operation:
        yield f"<pre>{escape(operation['description'])}</pre>"
    yield "<table>"
    for given in (*shared, *operation.get("parameters", ())):
        parameter = _resolved(document, given)
        name, said = escape(parameter["name"]), escape(parameter["description"])
        yield f"<tr><td><code>{name}</code></td><td>{parameter['in']}</td><td>{said}</td></tr>"
    body = operation.get("requestBody")
    if body is not None:
        yield f"<tr><td>body</td><td></td><td>{escape(body['description'])}"
        yield f"{''.join(_links(body['content']))}</td></tr>"
    for status, given in operation["responses"].items():
        response = _resolved(document, given)
        if given is response:
            yield f"<tr><td>{status}</td><td></td><td>{escape(response['description'])}"
            yield f"{''.join(_links(response.get('content', {})))}</td></tr>"
    yield "</table></details>"


def _links(node: object) -> Iterator[str]:
    """The schemas of records in a part of the document, each once."""
    text = json.dumps(node)
    for name in dict.fromkeys(part.partition('"')[0] for part in text.split('"schemas/')[1:]):
        yield f' <a href="schemas/{escape(name)}">{escape(name.removesuffix(".json"))}</a>'


def _resolved(document: Schema, node: Schema) -> Schema:
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)
