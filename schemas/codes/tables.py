"""The name tables: what each number of a code's field is called, and where that was read.

Lives here: reading `tables/CODE/FIELD.toml` with its checks, number to name and back within one
field. Must not live here: whole codes (see `names`).

    12 = { name = "energy", text = "…", symbol = "…", sources = ["espi"], confidence = "X" }

    name        what CIM calls it; stable, for programs
    text        how it is written for people; left out where it is the name in words
    symbol      of a unit or a multiplier: how it is written in front of or behind another
    again       the number is a second one for a name that another row has
    sources     short names of `tables/sources.toml`
    confidence  X read in a schema, R read in one public source, K general knowledge
    note        where sources differ

A field whose meaning depends on another one has a heading per number of that one: `[4]`.

Invariant: every number has exactly one name and every name leads back to its number. A number
without a row is called by the field with the number behind it, `measurementKind(99)`, which
leads back to 99.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

Confidence = Literal["X", "R", "K"]

FOLDER: Final = Path(__file__).with_name("tables")

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,8}")
_CALLED_BY_NUMBER: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)\((0|-?[1-9][0-9]*)\)")
# "RCDSwitch" is three letters and a word, "PhaseAVoltage" has a letter between two words.
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NEEDED: Final = frozenset({"name", "sources", "confidence"})
_KEYS: Final = _NEEDED | {"text", "symbol", "again", "note"}


class TableError(ValueError):
    """A table of ours has a mistake: file, number, what."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one number means. `symbol` and `note` are "" where there is none."""

    number: int
    name: str
    text: str
    symbol: str
    again: bool
    sources: tuple[str, ...]
    confidence: Confidence
    note: str


class Table:
    """The rows of one field, for one number of the field it depends on if it does."""

    def __init__(self, field: str, rows: Mapping[int, Row]) -> None:
        self.field = field
        self.rows: Final = rows
        self._numbers = {row.name: row.number for row in rows.values() if not row.again}

    def name(self, number: int) -> str:
        """The name; where there is none, or it is another number's, with the number behind it."""
        row = self.rows.get(number)
        if row is None:
            return f"{self.field}({number})"
        return f"{row.name}({number})" if row.again else row.name

    def text(self, number: int) -> str:
        """The number in words; "" for a zero that says nothing."""
        row = self.rows.get(number)
        if row is None:
            return self.name(number) if number else ""
        return "" if row.name == "none" else row.text

    def number(self, name: str) -> int:
        """The inverse of `name`.

        Raises:
            ValueError: no number is called so.
        """
        found = self._numbers.get(name)
        if found is not None:
            return found
        called = _CALLED_BY_NUMBER.fullmatch(name)
        if called is None or self.name(int(called[2])) != name:
            raise ValueError(f"no number of {self.field} is called {name!r}")
        return int(called[2])


def camel(field: str) -> str:
    """`measurement_kind` as CIM writes it: `measurementKind`."""
    first, *others = field.split("_")
    return first + "".join(map(str.capitalize, others))


@cache
def load(code: str, field: str) -> Mapping[int | None, Table]:
    """The tables of a field by the number of the field it depends on; None where it does not.

    Read once, when first asked for. `code` and `field` name folder and file.

    Raises:
        TableError: the file breaks a rule of the module's docstring.
    """
    file = FOLDER / code / f"{field}.toml"
    entries = tomllib.loads(file.read_text(encoding="utf-8"))
    name = camel(field)
    if not any(isinstance(value, dict) for entry in entries.values() for value in entry.values()):
        return MappingProxyType({None: Table(name, _rows(entries, file))})
    groups: dict[int | None, Table] = {
        _number(key, file): Table(name, _rows(rows, file)) for key, rows in entries.items()
    }
    return MappingProxyType(groups)


@cache
def sources() -> Mapping[str, str]:
    """What the short names of sources stand for."""
    return MappingProxyType(tomllib.loads((FOLDER / "sources.toml").read_text(encoding="utf-8")))


def _rows(entries: Mapping[str, Mapping[str, Any]], file: Path) -> Mapping[int, Row]:
    rows = {}
    for row in (_row(_number(key, file), entry, file) for key, entry in entries.items()):
        rows[row.number] = row
    if list(rows) != sorted(rows):
        raise TableError(f"{file}: the numbers are not in order")
    _check_names(rows, file)
    return MappingProxyType(rows)


def _row(number: int, entry: Mapping[str, Any], file: Path) -> Row:
    if wrong := (entry.keys() - _KEYS) | (_NEEDED - entry.keys()):
        raise TableError(f"{file}: {number}: {', '.join(sorted(wrong))}: missing or not known")
    name, origin, confidence = entry["name"], entry["sources"], entry["confidence"]
    if not _NAME.fullmatch(name):
        raise TableError(f"{file}: {number}: {name!r} is not a name")
    if not origin or not sources().keys() >= set(origin):
        raise TableError(f"{file}: {number}: every row has sources, of sources.toml")
    if confidence not in get_args(Confidence):
        raise TableError(f"{file}: {number}: confidence {confidence!r} is not X, R or K")
    return Row(
        number,
        name,
        entry.get("text") or " ".join(_words(name)),
        entry.get("symbol", ""),
        entry.get("again", False),
        tuple(origin),
        confidence,
        entry.get("note", ""),
    )


def _check_names(rows: Mapping[int, Row], file: Path) -> None:
    own = [row.name for row in rows.values() if not row.again]
    if len(own) != len(set(own)):
        raise TableError(f"{file}: two numbers have one name, and neither is `again`")
    for row in rows.values():
        if row.again and row.name not in own:
            raise TableError(f"{file}: {row.number}: `again`, but the first one is missing")


def _number(key: str, file: Path) -> int:
    if not _NUMBER.fullmatch(key):
        raise TableError(f"{file}: {key!r} is not a number as codes write it")
    return int(key)


def _words(name: str) -> Iterator[str]:
    for word in _WORD.findall(name):
        yield word if word.isupper() else word.lower()
