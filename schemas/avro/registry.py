"""Which schemas exist, under which stable id, and proof that none was edited in place.

Lives here: reading `ids.toml` and the .avsc files beside it, once. Must not live here:
encoding; talking to a registry server.

Invariant: an id means one schema for ever. `ids.toml` records the fingerprint of each; a
schema file that no longer has its fingerprint is refused, so whoever changes a schema gives
it a new id and keeps the old file under a new name.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastavro.schema import parse_schema
from fastavro.types import Schema

FOLDER: Final = Path(__file__).parent


class SchemaFileError(Exception):
    """A schema file does not match `ids.toml`.

    The installation is damaged, or a schema was edited without a new id. Raised on first use of
    the registry; nothing can be encoded or decoded. Never caught.
    """


@dataclass(frozen=True, slots=True)
class Registered:
    """One schema version.

    `file` is its name in the folder, `raw` the JSON in it, `parsed` fastavro's form of it, `names`
    every named type.
    """

    name: str
    id: int
    file: str
    raw: dict[str, Any]
    parsed: Schema
    names: Mapping[str, Any]


def fingerprint(schema: object) -> str:
    """SHA-256 (hex) of everything in a schema that changes bytes or their meaning.

    Avro's parsing canonical form drops defaults and logical types; both matter to readers,
    so only `doc` is dropped here. Order of keys and white space do not count.
    """
    text = json.dumps(_without_docs(schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _without_docs(node: object) -> object:
    if isinstance(node, dict):
        return {key: _without_docs(value) for key, value in node.items() if key != "doc"}
    if isinstance(node, list):
        return [_without_docs(item) for item in node]
    return node


def load(folder: Path) -> tuple[Registered, ...]:
    """Read `ids.toml` and the schemas it lists, oldest version of a name first.

    Raises:
        SchemaFileError: a fingerprint differs, an id or a version is given twice, or a
            schema's name is not the entry's.
    """
    entries = tomllib.loads((folder / "ids.toml").read_text(encoding="utf-8"))["schema"]
    loaded: list[Registered] = []
    for entry in sorted(entries, key=lambda item: int(item["id"])):
        raw = json.loads((folder / entry["file"]).read_text(encoding="utf-8"))
        if fingerprint(raw) != entry["sha256"]:
            raise SchemaFileError(
                f"{entry['file']} does not have the fingerprint of id {entry['id']} in ids.toml; "
                "a changed schema needs a new id, the old file stays under another name"
            )
        if raw["name"] != entry["name"]:
            raise SchemaFileError(f"{entry['file']} is not the schema {entry['name']}")
        if any(other.id == entry["id"] for other in loaded):
            raise SchemaFileError(f"ids.toml gives id {entry['id']} twice")
        names: dict[str, Any] = {}
        parsed = parse_schema(raw, names)
        loaded.append(Registered(entry["name"], entry["id"], entry["file"], raw, parsed, names))
    return tuple(loaded)


@cache
def registered() -> tuple[Registered, ...]:
    """All schema versions of this installation, ascending by id.

    Raises:
        SchemaFileError: see `load`.
    """
    return load(FOLDER)


@cache
def newest(name: str) -> Registered:
    """The version of schema `name` that is written today.

    Raises:
        KeyError: no schema has this name.
    """
    for entry in reversed(registered()):
        if entry.name == name:
            return entry
    raise KeyError(name)


@cache
def by_id(schema_id: int) -> Registered:
    """The schema version with this id.

    Raises:
        KeyError: no schema has this id.
    """
    for entry in registered():
        if entry.id == schema_id:
            return entry
    raise KeyError(schema_id)
