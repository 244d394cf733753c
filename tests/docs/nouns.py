"""Pages of docs/reference/nouns: what each noun's messages and events say, by interface.

Lives here: one page per interface, made from the catalogue and the profiles. Must not live here:
facts about a noun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from schemas import profiles
from schemas.avro.registry import newest
from schemas.profiles import declared, declared_names
from schemas.profiles.shapes import NAME, XS, Field, Shape, read_shape, source
from schemas.profiles.tidying import Synonyms
from tests.docs.layout import code, page, table
from topics import Catalogue, Noun, naming

PROFILES_FOLDER: Final = Path(profiles.__file__).parent


def pages(catalogue: Catalogue) -> dict[str, Callable[[], str]]:
    """The page of each interface that is home to a noun with a profile, by its name."""
    made: dict[str, Callable[[], str]] = {}
    for interface in catalogue.interfaces.values():
        homes = [n for n in catalogue.nouns.values() if n.home == interface.id]
        if nouns := [noun for noun in homes if noun.profile is not None]:
            title = f"Nouns of {interface.id}, {interface.title.lower()}"
            made[f"nouns/{interface.id.lower()}.md"] = partial(_page, title, nouns)
    return made


def _page(title: str, nouns: list[Noun]) -> str:
    return page(title, "schemas/profiles", *(part for n in nouns for part in _noun(n)), depth=1)


def _noun(noun: Noun) -> Iterator[str]:
    yield f"## {noun.name}"
    yield from _declared(noun) if noun.profile in declared_names() else _written(noun)


def _declared(noun: Noun) -> Iterator[str]:
    profile = declared(noun.profile or "")
    yield profile.shape.doc
    rows = [
        ("log", code(naming.noun_log(noun.home, noun.name))),
        ("schema", f"{code(profile.schema)}, {noun.kind}"),
        *_aliases(noun),
        ("namespaces", _namespaces(profile.namespaces)),
        ("needed to create", ", ".join(map(code, profile.required)) or "an identity"),
    ]
    yield table(("", ""), rows)
    yield table(
        ("field", "element", "type", "", "meaning"),
        list(_fields(profile.shape, "", "")),
    )
    if words := list(_words(profile.synonyms, _kinds(profile.shape))):
        yield "Words of others that are read as a code of these lists, in any capitals:"
        yield table(("code list", "code", "read too"), words)


def _kinds(shape: Shape) -> set[str]:
    """The names of the types in it."""
    below = (_kinds(field.type) for field in shape.fields if isinstance(field.type, Shape))
    return {field.type.name for field in shape.fields}.union(*below)


def _words(synonyms: Synonyms, kinds: set[str]) -> Iterator[tuple[str, str, str]]:
    for name, meant in sorted((name, synonyms[name]) for name in synonyms.keys() & kinds):
        for wanted in sorted(set(meant.values())):
            said = (code(word) for word, one in meant.items() if one == wanted)
            yield name, code(wanted), ", ".join(said)


def _aliases(noun: Noun) -> list[tuple[str, str]]:
    return [("also sent as", ", ".join(map(code, noun.aliases)))] if noun.aliases else []


def _namespaces(known: tuple[str, ...]) -> str:
    years = " of any year" if "/TC57/20" in known[0] else ""
    return f"{code(known[0])}{years}{''.join(f', {code(other)}' for other in known[1:])}"


def _written(noun: Noun) -> Iterator[str]:
    """Of a profile whose events are not one object each: the event, then the objects of the XML."""
    schema = newest(noun.schema or "").raw
    yield schema["doc"]
    rows = [
        ("log", code(naming.noun_log(noun.home, noun.name))),
        ("schema", f"{code(schema['name'])}, {noun.kind}"),
        *_aliases(noun),
        ("namespaces", _namespaces(noun.namespaces)),
    ]
    yield table(("", ""), rows)
    yield "The event:"
    yield table(("field", "type", "", "meaning"), list(_avro(schema, "")))
    if noun.profile in profiles.DOCUMENTS:
        yield (
            "The payload is one RDF/XML document. Its classes, and what may be said of them: "
            "[schemas/rdf](../../../schemas/rdf)."
        )
        return
    xsd = source(PROFILES_FOLDER / (noun.profile or "") / "profile.xsd")
    for element in xsd.iterchildren(f"{XS}element"):
        name = element.get("name", "")
        shape = read_shape(xsd, name)
        yield f"The element `{name}`: {shape.doc[0].lower()}{shape.doc[1:]}"
        rest = (row[1:] for row in _fields(shape, "", ""))
        yield table(("element", "type", "", "meaning"), list(rest))


def _avro(record: dict[str, Any], keys: str) -> Iterator[tuple[str, str, str, str]]:
    for field in record["fields"]:
        kind, count = field["type"], "1"
        if isinstance(kind, list):
            (kind,), count = [one for one in kind if one != "null"], "0..1"
        if isinstance(kind, dict) and kind["type"] == "array":
            kind, count = kind["items"], "0..n"
        yield code(f"{keys}{field['name']}"), _avro_type(kind), count, field.get("doc", "")
        if isinstance(kind, dict) and kind["type"] == "record" and kind["name"] != NAME:
            yield from _avro(kind, f"{keys}{field['name']}.")


def _avro_type(kind: str | dict[str, Any]) -> str:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "enum":
        return " | ".join(kind["symbols"])
    return str(kind.get("name") or kind.get("logicalType") or kind["type"])


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
