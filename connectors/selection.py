"""Which events of a log somebody wants: equality of what headers and records say.

Lives here: the criteria by name, where each is found in an event, and whether an event meets them.
Must not live here: how a protocol writes them (`connectors/<system>`), reading.

All criteria must hold; of several values for one, one must. A list in a record meets a criterion
with any of its items. Texts are compared as the JSON form of the record has them, numbers by value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from connectors.subscriptions import Event
from schemas.avro.registry import newest
from schemas.mrids import normal
from schemas.profiles.keys import of_mrid

# Criterion to the header that says it.
_HEADERS: Final[Mapping[str, str]] = {"verb": "ce_verb", "source": "ce_source"}
# Where the nouns of the standards say their status; the same places as in the view.
_STATUS: Final[tuple[str, ...]] = (
    "status.value",
    "statusKind",
    "stateKind",
    "eventStatusKind",
    "docStatus",
)
_MRID: Final = "mrid"
_FIELD: Final = "field."
NAMES: Final = (_MRID, "status", *_HEADERS, f"{_FIELD}<path>")


class SelectionError(ValueError):
    """A criterion that no event of the log can meet; says which, not its value."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted. Empty: everything.

    `mrids` are in their normal form. `fields` are dotted paths in the record, one of which must
    lead to one of the values.
    """

    mrids: frozenset[str] = frozenset()
    headers: tuple[tuple[str, frozenset[str]], ...] = ()
    fields: tuple[tuple[tuple[str, ...], frozenset[str]], ...] = ()

    def meets(self, event: Event) -> bool:
        """Whether the event is wanted; what can be seen without its record is looked at first."""
        if any(event.headers.get(name, "") not in wanted for name, wanted in self.headers):
            return False
        if self.mrids and not self._is_about(event):
            return False
        return all(
            any(_equals(value, wanted) for path in paths for value in _values(_record(event), path))
            for paths, wanted in self.fields
        )

    def _is_about(self, event: Event) -> bool:
        """By its key, which names the object or what an event is about, or by its own mRID."""
        if event.key.decode("utf-8", "replace") in map(of_mrid, self.mrids):
            return True
        own = _record(event).get("mRID")
        return own is not None and normal(own) in self.mrids


def select(criteria: Iterable[tuple[str, str]], schema: str | None) -> Selection:
    """What these criteria (name, value) want of a log whose records are of this schema.

    `schema` None: the noun has no records yet, so there is nothing to hold a path against.

    Raises:
        SelectionError: there is no criterion of that name, or the record has no such field.
    """
    given: dict[str, set[str]] = {}
    for name, value in criteria:
        given.setdefault(name, set()).add(value)
    mrids = frozenset(map(normal, given.pop(_MRID, ())))
    headers = tuple(
        (header, frozenset(given.pop(name))) for name, header in _HEADERS.items() if name in given
    )
    known = frozenset() if schema is None else _paths(schema)
    fields = []
    for name, values in given.items():
        path = name.removeprefix(_FIELD)
        if name == "status":
            paths = tuple(one for one in _STATUS if one in known)
        elif path == name:
            raise SelectionError(f"{name[:64]!r} is none of {', '.join(NAMES)}")
        else:
            paths = (path,) if path in known else ()
        if schema is not None and not paths:
            raise SelectionError(f"its records have no {path[:64]!r}")
        fields.append((paths, frozenset(values)))
    return Selection(mrids, headers, tuple(fields))


def _record(event: Event) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event.document.get("event", {})
    return found


def _values(value: object, path: str) -> Iterator[object]:
    """The scalars at a path, all of them where there are lists on the way."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        name, _, rest = path.partition(".")
        yield from _values(value.get(name), rest)


def _equals(value: object, wanted: frozenset[str]) -> bool:
    if value is None or isinstance(value, Mapping):
        return False
    if isinstance(value, bool):
        return str(value).lower() in wanted
    text = str(value)
    return text in wanted or any(_same_number(text, one) for one in wanted)


def _same_number(one: str, other: str) -> bool:
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


@cache
def _paths(schema: str) -> frozenset[str]:
    """The dotted paths of all scalars in records of a schema."""
    found = newest(schema)
    return frozenset(_below(found.parsed, found.names, "", ()))


def _below(
    node: object, names: Mapping[str, object], path: str, within: tuple[str, ...]
) -> Iterator[str]:
    """`within` are the records on the way: a type inside itself is looked into once."""
    if isinstance(node, str) and node in names:
        node = names[node]
    if isinstance(node, list):
        for branch in node:
            if branch != "null":
                yield from _below(branch, names, path, within)
    elif isinstance(node, Mapping) and node["type"] == "array":
        yield from _below(node["items"], names, path, within)
    elif isinstance(node, Mapping) and node["type"] == "record":
        if node["name"] not in within:
            for entry in node["fields"]:
                below = f"{path}.{entry['name']}" if path else entry["name"]
                yield from _below(entry["type"], names, below, (*within, node["name"]))
    elif path:
        yield path
