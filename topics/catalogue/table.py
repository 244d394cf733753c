"""One TOML table and its place, so that every complaint names file and key.

Lives here: typed, strict access. Must not live here: what a key means (`loader`).

Invariant: a value is given only when it has the type and the bounds that were asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

from topics.catalogue.model import CatalogueError


class Table:
    """A table of a TOML file. `path` is its dotted key, "" at the top."""

    def __init__(self, file: str, path: str, values: Mapping[str, object]) -> None:
        self._file = file
        self._path = path
        self._values = values

    def error(self, key: str, reason: str) -> CatalogueError:
        """Give the error to raise about `key` here; "" is the table itself."""
        return CatalogueError(self._file, ".".join(filter(None, (self._path, key))), reason)

    def only(self, *known: str) -> None:
        """Refuse keys that are not among these, with the nearest that is."""
        for key in self._values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                raise self.error(key, f"there is no such key{hint}")

    def has(self, key: str) -> bool:
        """Say whether the key is given."""
        return key in self._values

    def names(self) -> Iterator[str]:
        """Give the keys in the file's order."""
        yield from self._values

    def string(self, key: str) -> str:
        """Give a text that is not empty."""
        value = self._value(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"expected a text, found {_shown(value)}")
        return value

    def strings(self, key: str, *, empty: bool = False) -> tuple[str, ...]:
        """Give a list of different texts; a list without any only where `empty` allows it."""
        value = self._value(key)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.error(key, f"expected a list of texts, found {_shown(value)}")
        if not value and not empty:
            raise self.error(key, "the list is empty")
        if len(set(value)) < len(value):
            raise self.error(key, "the list names something twice")
        return tuple(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """Give a whole number between the bounds, both included."""
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, f"expected a whole number, found {_shown(value)}")
        if not low <= value <= high:
            raise self.error(key, f"{value} is not between {low} and {high}")
        return value

    def boolean(self, key: str) -> bool:
        """Give true or false."""
        value = self._value(key)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, found {_shown(value)}")
        return value

    def tristate(self, key: str) -> frozenset[bool | None]:
        """Give what of true, false and "absent" is meant; "absent" becomes None."""
        value = self._value(key)
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, bool) or item == "absent" for item in items):
            raise self.error(key, f'expected true, false or "absent", found {_shown(value)}')
        return frozenset(None if item == "absent" else bool(item) for item in items)

    def choice(self, key: str, allowed: Collection[str]) -> str:
        """Give one of the allowed texts."""
        return self._allowed(key, self.string(key), allowed)

    def choices(self, key: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Give a list of allowed texts; a single text is a list of one."""
        value = self._value(key)
        items = (self.string(key),) if isinstance(value, str) else self.strings(key)
        return tuple(self._allowed(key, item, allowed) for item in items)

    def table(self, key: str) -> Table:
        """Give the table under this key."""
        value = self._value(key)
        if not isinstance(value, dict):
            raise self.error(key, f"expected a table, found {_shown(value)}")
        return Table(self._file, self.error(key, "").key, value)

    def tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """Give the tables under this key by name; none where the key is not given."""
        if self.has(key):
            parent = self.table(key)
            for name in parent.names():
                yield name, parent.table(name)

    def list_of_tables(self, key: str) -> Iterator[Table]:
        """Give the tables of an array, their place counted from 0."""
        value = self._value(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(key, f"expected tables, found {_shown(value)}")
        for index, item in enumerate(value):
            yield Table(self._file, f"{key}[{index}]", item)

    def _value(self, key: str) -> object:
        if key not in self._values:
            raise self.error(key, "the key is missing")
        return self._values[key]

    def _allowed(self, key: str, value: str, allowed: Collection[str]) -> str:
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(allowed))}"
            raise self.error(key, f"{value!r} is not known here; {hint}")
        return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
