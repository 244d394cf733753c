"""Fields and types that need no term.

Lives here: reading plain.toml. Must not live here: the names.

    [identification]
    reason = "…"                       why those of the group need none
    fields = ["mRID", "Status.value"]  a name everywhere, or in one type only; "Medium.*" is all
                                       fields of a type
    types = ["Name"]                   types that say nothing by themselves: what has such a type
                                       needs a term of its own

Invariant: every group has a reason.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from schemas.glossary.terms import GlossaryError


@dataclass(frozen=True, slots=True)
class Plain:
    """What needs no term."""

    fields: frozenset[str]
    types: frozenset[str]

    def covers(self, owner: str, name: str) -> bool:
        """Whether a field of a type needs no term; with no name, whether the type does not."""
        if not name:
            return owner in self.types
        return not self.fields.isdisjoint((name, f"{owner}.{name}", f"{owner}.*"))

    def stale(self, bare: Collection[tuple[str, str]]) -> list[str]:
        """The names that cover nothing: no type or field, as (owner, name), that links no term."""
        types = {owner for owner, name in bare if not name}
        fields = {(owner, name) for owner, name in bare if name}
        used = {key for o, n in fields for key in (n, f"{o}.{n}", f"{o}.*")}
        return sorted(self.fields - used) + sorted(self.types - types)


def read_plain(file: Path) -> Plain:
    """Read and check the file.

    Raises:
        GlossaryError: a group has no reason, or a name stands twice.
    """
    fields: list[str] = []
    types: list[str] = []
    mistakes = []
    for group, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
        if entry.keys() - {"reason", "fields", "types"} or not entry.get("reason", "").strip():
            mistakes.append(f"{file.name}, {group}: a reason, and fields or types")
        fields += entry.get("fields", ())
        types += entry.get("types", ())
    for names in (fields, types):
        twice = sorted({name for name in names if names.count(name) > 1})
        mistakes += [f"{file.name}: {name} stands twice" for name in twice]
    if mistakes:
        raise GlossaryError(mistakes)
    return Plain(frozenset(fields), frozenset(types))
