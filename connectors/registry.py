"""Finds connectors: a folder beside this file with a `manifest.toml` is one.

Lives here: reading manifests and making a source from settings. Must not live here: any
connector's name; adding a connector adds a folder and nothing else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from typing import Final, cast

from connectors.api import Source, SourceConfigError
from topics import Catalogue

# It becomes part of a transactional id and, before a slash, of the keys of positions.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)

SourceFactory = Callable[[str, Mapping[str, object], Catalogue], Source]
"""(source name, settings, catalogue) -> source; raises SourceConfigError."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a connector says of itself.

    `source` is "module:callable" of a `SourceFactory`; empty for one that the settings cannot name
    as a source, because a command of its own serves it.
    """

    name: str
    title: str
    owner: str
    level: str
    directions: tuple[str, ...]
    emits: tuple[str, ...]
    replayable: bool
    guarantee: str
    source: str = ""


def manifests() -> dict[str, Manifest]:
    """All connectors by name."""
    found = {}
    for folder in sorted(resources.files("connectors").iterdir(), key=lambda entry: entry.name):
        file = folder / "manifest.toml"
        if folder.is_dir() and file.is_file():
            manifest = _manifest(tomllib.loads(file.read_text(encoding="utf-8")))
            found[manifest.name] = manifest
    return found


def make_source(
    kind: str, name: str, settings: Mapping[str, object], catalogue: Catalogue
) -> Source:
    """A source of connector `kind`, named `name`.

    Raises:
        SourceConfigError: no such connector, or the name or the settings are wrong.
    """
    if not _NAME.fullmatch(name):
        raise SourceConfigError(
            name, what="this is no name", fix="use small letters, digits and hyphens, at most 64"
        )
    known = {name: manifest for name, manifest in manifests().items() if manifest.source}
    if kind not in known:
        raise SourceConfigError(
            name, what=f"there is no connector {kind!r}", fix=f"name one of {', '.join(known)}"
        )
    module, _, attribute = known[kind].source.partition(":")
    factory = cast(SourceFactory, getattr(import_module(module), attribute))
    return factory(name, settings, catalogue)


def _manifest(table: Mapping[str, object]) -> Manifest:
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    return Manifest(**values)  # type: ignore[arg-type]  # checked by the manifest test
