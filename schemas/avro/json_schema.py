"""JSON Schemas of canonical records: the documents that `documents` writes and reads.

Lives here: from the form of Avro to JSON Schema 2020-12. Must not live here: reading documents.

Invariant: what `document_of` writes is valid, and what is not valid `record_of` refuses. The
other way round not quite: it also refuses what JSON Schema cannot say (a number that no double is
exactly, a character that XML does not have).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from schemas.avro.documents import set_here
from schemas.avro.registry import newest

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
Node: TypeAlias = Any

_TIME: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"
_DECIMAL: Final = r"^[+-]?(\d+\.?\d*|\.\d+)$"
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_PLAIN: Final[Mapping[str, Schema]] = {
    "string": _TEXT,
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "minimum": -(1 << 31), "maximum": (1 << 31) - 1},
    "long": {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "float": {"type": ["number", "null"]},
    "double": {"type": ["number", "null"]},
    "timestamp-millis": {"type": "string", "format": "date-time", "pattern": _TIME},
    "date": {"type": "string", "format": "date"},
    "decimal": {"anyOf": [{"type": "string", "pattern": _DECIMAL, "maxLength": 40}, _NUMBER]},
}


def json_schema(name: str) -> Schema:
    """The schema of documents of the newest schema `name`, complete in itself.

    Raises:
        KeyError: no schema has this name.
    """
    registered = newest(name)
    definitions: dict[str, Schema] = {}
    found = _record(registered.raw, definitions)
    for field in set_here(name):
        found["properties"][field] = {**found["properties"][field], "readOnly": True}
    found["required"] = [one for one in found["required"] if one not in set_here(name)]
    return {"$schema": DIALECT, "title": name, **found, "$defs": dict(sorted(definitions.items()))}


def plain_schema(schema: Mapping[str, Any]) -> Schema:
    """That of a record in the form of Avro whose parts are all given where they are used."""
    definitions: dict[str, Schema] = {}
    found: Schema = _inlined(_record(schema, definitions), definitions)
    return found


def _record(node: Mapping[str, Any], definitions: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        **({"description": node["doc"]} if node.get("doc") else {}),
        "required": [field["name"] for field in node["fields"] if "default" not in field],
        "properties": {
            field["name"]: _described(_type(field["type"], definitions), field.get("doc", ""))
            for field in node["fields"]
        },
        "additionalProperties": False,
    }


def _described(schema: Schema, doc: str) -> Schema:
    return {**schema, "description": doc} if doc else schema


def _type(node: Node, definitions: dict[str, Schema]) -> Schema:
    if isinstance(node, list):
        (other,) = (branch for branch in node if branch != "null")
        return _nullable(_type(other, definitions))
    if isinstance(node, str):
        return _PLAIN.get(node) or {"$ref": f"#/$defs/{node.rpartition('.')[2]}"}
    match node.get("logicalType", node["type"]):
        case "record":
            definitions[node["name"]] = {}  # its place is taken before its parts are seen
            definitions[node["name"]] = _record(node, definitions)
            return {"$ref": f"#/$defs/{node['name']}"}
        case "enum":
            definitions[node["name"]] = {"type": "string", "enum": list(node["symbols"])}
            return {"$ref": f"#/$defs/{node['name']}"}
        case "array":
            return {"type": "array", "items": _type(node["items"], definitions)}
        case "map":
            values = _type(node["values"], definitions)
            return {"type": "object", "additionalProperties": values}
        case kind:
            return _PLAIN[kind]


def _nullable(schema: Schema) -> Schema:
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _inlined(schema: Node, definitions: Mapping[str, Schema]) -> Node:
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**_inlined(found, definitions), **rest}
    return {key: _inlined(value, definitions) for key, value in schema.items()}
