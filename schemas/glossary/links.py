"""Where the schemas say which term they mean.

Lives here: from profiles and Avro schemas to slots, each a type or a field with its term. Must
not live here: what is a mistake (`check`).

Profiles link by `source="term:…"` in their XSD. The Avro schemas of the two profiles that are
written by hand, and what every event has besides its object, are linked by written.toml:

    [Meter]                       a record of those schemas
    term = "meter"                of the record, where it has one
    fields = {serialNumber = "serial-number"}

Invariant: every type and field of every schema is exactly one slot.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from schemas.avro import registered
from schemas.avro.registry import newest
from schemas.profiles import DeclaredProfile, declared, declared_names
from schemas.profiles.shapes import TEXT, XS, DataType, Scalar, Shape, source

WRITTEN: Final = Path(__file__).with_name("written.toml")
_PROFILES: Final = "schemas/profiles"
_COMMON: Final = f"{_PROFILES}/common.xsd"
_AVRO: Final = "schemas/avro"
_TIMES: Final = frozenset({"timestamp-millis", "timestamp-micros"})
_AVRO_SCALARS: Final = {
    "boolean": Scalar.BOOLEAN, "bytes": Scalar.STRING, "double": Scalar.DOUBLE,
    "float": Scalar.DOUBLE, "int": Scalar.INTEGER, "long": Scalar.INTEGER, "string": Scalar.STRING,
}  # fmt: skip


class Form(NamedTuple):
    """What a leaf holds: two leaves of one term have the same."""

    type: str
    unit: str = ""
    codes: tuple[str, ...] = ()

    def __str__(self) -> str:
        unit = f" in {self.unit}" if self.unit else ""
        codes = f" of {', '.join(self.codes)}" if self.codes else ""
        return f"{self.type}{unit}{codes}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A type, or a field of one, that links a term or needs none.

    `own` is the slug that it links, `inherited` the one of the field's type; `name` is "" for a
    type itself. `form` is None for what is no leaf; `kind` the name of its code list or
    quantity.
    """

    file: str
    owner: str
    name: str
    own: str = ""
    inherited: str = ""
    form: Form | None = None
    kind: str = ""

    @property
    def term(self) -> str:
        """The slug that counts; "" where there is none."""
        return self.own or self.inherited

    @property
    def place(self) -> str:
        """File, type and field, for people."""
        return f"{self.file}: {self.owner}{'.' if self.name else ''}{self.name}"


@cache
def slots() -> tuple[Slot, ...]:
    """All of them, of profiles and of the other schemas."""
    shared = _types_of_common()
    found: dict[tuple[str, str, str], Slot] = {}
    links = read_written()
    for name in declared_names():
        profile = declared(name)
        file = f"{_PROFILES}/{name}/profile.xsd"
        for slot in (*_shape(profile.shape, file, shared), *_around(profile, links)):
            found.setdefault((slot.file, slot.owner, slot.name), slot)
    for slot in _written(links):
        found.setdefault((slot.file, slot.owner, slot.name), slot)
    return tuple(found.values())


def terms_of(profile: str, schema: str) -> frozenset[str]:
    """The slugs that the types and fields of a noun's profile link; without one, of its schema."""
    if profile in declared_names():
        found = _shape(declared(profile).shape, "", frozenset())
    else:
        found = _record(newest(schema).raw, "", read_written())
    return frozenset(slot.term for slot in found if slot.term)


def read_written(file: Path = WRITTEN) -> Mapping[str, Mapping[str, Any]]:
    """The links of written.toml, by record."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def stale(links: Mapping[str, Mapping[str, Any]], known: tuple[Slot, ...]) -> list[str]:
    """Rows of written.toml for records and fields that no schema has."""
    names = {(slot.owner, slot.name) for slot in known if slot.file.startswith(_AVRO)}
    rows = [(record, name) for record in links for name in ("", *links[record].get("fields", {}))]
    return [f"{record} {name}".strip() for record, name in rows if (record, name) not in names]


# --- profiles -----------------------------------------------------------------------------------


def _types_of_common() -> frozenset[str]:
    root = source(Path(__file__).parents[2] / _COMMON)
    return frozenset(element.get("name", "") for element in root.iterchildren(f"{XS}*"))


def _shape(shape: Shape, file: str, shared: frozenset[str]) -> Iterator[Slot]:
    """The slots of a type and of all that it is made of; a shared type stands in common.xsd."""
    place = _COMMON if shape.name in shared else file
    yield Slot(place, shape.name, "", shape.term)
    for field in shape.fields:
        kind = field.type
        name = field.tag or TEXT
        if isinstance(kind, DataType):
            form = Form(kind.scalar.value, kind.unit, kind.values)
            yield Slot(place, shape.name, name, field.term, kind.term, form, kind.name)
        else:
            yield Slot(place, shape.name, name, field.term, kind.term)
            yield from _shape(kind, file, shared)


# --- Avro ---------------------------------------------------------------------------------------

_EVENT: Final = "Event"
"""The record of written.toml for what an event has besides its object."""


def _around(profile: DeclaredProfile, links: Mapping[str, Mapping[str, Any]]) -> Iterator[Slot]:
    """What stands before the object in every event: provenance, revision, life cycle."""
    own = {field.key for field in profile.shape.fields}
    fields = [field for field in profile.avro()["fields"] if field["name"] not in own]
    yield from _record({"name": _EVENT, "fields": fields}, f"{_AVRO}, every event", links)


def _written(links: Mapping[str, Mapping[str, Any]]) -> Iterator[Slot]:
    """The schemas that follow from no profile."""
    derived = {declared(name).schema for name in declared_names()}
    newest = {known.name: known.raw for known in registered()}
    for name, schema in newest.items():
        if name not in derived:
            yield from _record(schema, f"{_AVRO}, {name}", links)


def _record(
    record: Mapping[str, Any], file: str, links: Mapping[str, Mapping[str, Any]]
) -> Iterator[Slot]:
    row = links.get(record["name"], {})
    yield Slot(file, record["name"], "", row.get("term", ""))
    for field in record["fields"]:
        own = row.get("fields", {}).get(field["name"], "")
        kind = _core(field["type"])
        name = kind if isinstance(kind, str) else kind.get("name", "")
        inherited = links.get(name, {}).get("term", "")
        yield Slot(file, record["name"], field["name"], own, inherited, _form(kind))
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from _record(kind, file, links)


def _core(kind: str | list[Any] | dict[str, Any]) -> str | dict[str, Any]:
    """A type without its null and its list."""
    if isinstance(kind, list):
        (one,) = [one for one in kind if one != "null"]
        return _core(one)
    if isinstance(kind, dict) and kind["type"] == "array":
        return _core(kind["items"])
    return kind


def _form(kind: str | dict[str, Any]) -> Form | None:
    if isinstance(kind, str):
        scalar = _AVRO_SCALARS.get(kind)
        return None if scalar is None else Form(scalar.value)
    if kind["type"] == "enum":
        return Form(Scalar.STRING.value, "", tuple(kind["symbols"]))
    if kind.get("logicalType") in _TIMES:
        return Form(Scalar.DATE_TIME.value)
    return None
