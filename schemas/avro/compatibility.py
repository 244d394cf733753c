"""Whether a schema can read what an older one has written.

Lives here: Avro's rules of schema resolution, as far as our schemas use them: records, enums,
arrays, unions, primitive and logical types. Must not live here: when it is asked.
Source: Avro 1.12 specification, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

Node: TypeAlias = Any
"""A part of a schema, as JSON."""

_PROMOTIONS: Final = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}


def refusals(reader: dict[str, Any], writer: dict[str, Any]) -> list[str]:
    """Why records of `writer` cannot be read as `reader`: a path and a reason each; [] if they can.

    Both are whole schemas as in their files. A changed logical type or unit counts: the bytes could
    be read, but would mean something else.
    """
    return list(_Comparison(reader, writer).differences(reader, writer, reader["name"]))


class _Comparison:
    def __init__(self, reader: dict[str, Any], writer: dict[str, Any]) -> None:
        self._named = (dict(_named(reader)), dict(_named(writer)))
        self._open: set[tuple[str, str]] = set()

    def differences(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        reader, writer = self._resolved(reader, 0), self._resolved(writer, 1)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.differences(reader, branch, path)
        elif isinstance(reader, list):
            tried = [list(self.differences(branch, writer, path)) for branch in reader]
            if all(tried):
                yield f"{path}: {_kind(writer)} is none of the types it may have now"
        elif _kind(reader) != _kind(writer):
            if _kind(reader) not in _PROMOTIONS.get(_kind(writer), set()):
                yield f"{path}: was {_kind(writer)}, is {_kind(reader)}"
        else:
            yield from self._same_kind(reader, writer, path)

    def _same_kind(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        if _property(reader, "name") != _property(writer, "name"):
            yield f"{path}: was {writer['name']}, is {reader['name']}"
        match _kind(reader):
            case "record":
                yield from self._records(reader, writer, path)
            case "enum":
                gone = set(writer["symbols"]) - set(reader["symbols"])
                if gone and "default" not in reader:
                    yield f"{path}: lost {', '.join(sorted(gone))} and has no default"
            case "array":
                yield from self.differences(reader["items"], writer["items"], f"{path}[]")
            case _:
                for key in ("logicalType", "precision", "scale", "unit"):
                    now, before = _property(reader, key), _property(writer, key)
                    if now != before:
                        yield f"{path}: {key} was {before}, is {now}"

    def _records(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        pair = (reader["name"], writer["name"])
        if pair in self._open:
            return
        self._open.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            below = f"{path}.{field['name']}"
            if field["name"] in written:
                yield from self.differences(field["type"], written[field["name"]]["type"], below)
            elif "default" not in field:
                yield f"{below}: is new and has no default"
        self._open.remove(pair)

    def _resolved(self, node: Node, side: int) -> Node:
        return self._named[side].get(node, node) if isinstance(node, str) else node


def _named(node: Node) -> Iterator[tuple[str, Any]]:
    """Every type with a name, by it."""
    if isinstance(node, list):
        for item in node:
            yield from _named(item)
    elif isinstance(node, dict):
        if node.get("type") in ("record", "enum"):
            yield node["name"], node
        for key in ("type", "items", "fields"):
            if isinstance(node.get(key), dict | list):
                yield from _named(node[key])


def _kind(node: Node) -> str:
    return str(node["type"]) if isinstance(node, dict) else str(node)


def _property(node: Node, key: str) -> Node:
    return node.get(key) if isinstance(node, dict) else None
