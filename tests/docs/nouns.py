"""Pages of docs/reference/nouns: what each noun's messages and events say, by interface.

Lives here: one page per interface, made from the catalogue and the profiles. Must not live here:
facts about a noun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from schemas.profiles import declared, declared_names
from schemas.profiles.shapes import NAME, Field, Shape
from tests.docs.layout import code, page, table
from topics import Catalogue, Noun, naming


def pages(catalogue: Catalogue) -> dict[str, Callable[[], str]]:
    """The page of each interface that is home to a declared noun, by its name."""
    made: dict[str, Callable[[], str]] = {}
    for interface in catalogue.interfaces.values():
        homes = [n for n in catalogue.nouns.values() if n.home == interface.id]
        nouns = [noun for noun in homes if noun.profile in declared_names()]
        if nouns:
            title = f"Nouns of {interface.id}, {interface.title.lower()}"
            made[f"nouns/{interface.id.lower()}.md"] = partial(_page, title, nouns)
    return made


def _page(title: str, nouns: list[Noun]) -> str:
    return page(title, "schemas/profiles", *(part for n in nouns for part in _noun(n)), depth=1)


def _noun(noun: Noun) -> Iterator[str]:
    profile = declared(noun.profile or "")
    yield f"## {noun.name}"
    yield profile.shape.doc
    rows = [
        ("log", code(naming.noun_log(noun.home, noun.name))),
        ("schema", f"{code(profile.schema)}, {noun.kind}"),
        *([("also sent as", ", ".join(map(code, noun.aliases)))] if noun.aliases else []),
        ("namespaces", ", ".join(map(code, profile.namespaces))),
        ("needed to create", ", ".join(map(code, profile.required)) or "an identity"),
    ]
    yield table(("", ""), rows)
    yield table(
        ("field", "element", "type", "", "meaning"),
        list(_fields(profile.shape, "", "")),
    )


def _fields(shape: Shape, keys: str, tags: str) -> Iterator[tuple[str, str, str, str, str]]:
    for field in shape.fields:
        key, tag = f"{keys}{field.key}", f"{tags}{field.tag}" if field.tag else tags.rstrip("/")
        shown = f"{tags}@{field.tag}" if field.attribute else tag
        doc = field.doc or field.type.doc
        yield code(key), code(shown), _type(field), _count(field), doc
        if isinstance(field.type, Shape) and field.type.name != NAME:
            yield from _fields(field.type, f"{key}.", f"{tag}/")


def _type(field: Field) -> str:
    kind = field.type
    if isinstance(kind, Shape):
        return kind.name
    if kind.values:
        return " | ".join(kind.values)
    return f"{kind.scalar.value} in {kind.unit}" if kind.unit else kind.scalar.value


def _count(field: Field) -> str:
    if field.many:
        return "1..n" if field.required else "0..n"
    return "1" if field.required else "0..1"
