"""Terms, read from TOML and checked.

Lives here: a term's fields, from words to terms, every check of the files among themselves. Must
not live here: schemas, interfaces' catalogue.

    [outage]                      the slug: the title in kebab case
    title = "outage"
    definition = "…"              what it is, in sentences of our own
    not = "…"                     what it is not, above all what it is taken for
    cim = ["Outage"]              classes, attributes and codes of the CIM; empty where it has none
    interfaces = ["I1", "I6"]     where it is spoken, or "all"
    source = "…"                  where the meaning was read
    see = ["interruption"]        terms to read beside it
    synonyms = {field = ["…"]}    what people of each role say instead
    type = "decimal"              what every field that is linked to it holds; with a unit or a
    unit = "W"                    code list where it has one
    codes = ["planned", "…"]

Invariant: titles and synonyms are unique, but for those in ambiguous.toml, which names exactly the
terms that they lead to.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

INTERFACES: Final = tuple(f"I{number}" for number in range(1, 12))
ROLES: Final = (
    "control-room", "field", "planning", "assets", "metering", "customer-service", "der", "market",
    "regulation", "integration",
)  # fmt: skip
"""Who says a synonym. `integration` are those who connect systems."""
_TYPES: Final = frozenset({"string", "boolean", "long", "decimal", "double", "dateTime", "date"})
_NEEDED: Final = frozenset({"title", "definition", "not", "cim", "interfaces", "source"})
_KNOWN: Final = _NEEDED | {"see", "synonyms", "type", "unit", "codes"}
_AMBIGUOUS: Final = "ambiguous.toml"
RULES: Final = frozenset({_AMBIGUOUS, "plain.toml", "written.toml"})
"""The files of the folder that hold no terms."""
_NEAR: Final = 3


class GlossaryError(Exception):
    """The glossary's files have a mistake; `mistakes` are all of them. Never caught."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Term:
    """A term. `area` is the file it stands in; `excludes` says what it is not.

    `type`, `unit` and `codes` are what every leaf that is linked to it has; empty where the
    term says nothing about it.
    """

    slug: str
    area: str
    title: str
    definition: str
    excludes: str
    cim: tuple[str, ...]
    synonyms: Mapping[str, tuple[str, ...]]
    interfaces: tuple[str, ...]
    source: str
    see: tuple[str, ...] = ()
    type: str = ""
    unit: str = ""
    codes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Its synonyms of all roles, each once, in order."""
        return tuple(dict.fromkeys(word for words in self.synonyms.values() for word in words))


@dataclass(frozen=True, slots=True)
class Glossary:
    """All terms by slug; `ambiguous` says of a word that means several how they differ."""

    terms: Mapping[str, Term]
    ambiguous: Mapping[str, str]

    def find(self, word: str) -> tuple[Term, ...]:
        """The terms that a title, a slug or a synonym means: none, one, or several."""
        said = _plain(word)
        return tuple(
            term
            for term in self.terms.values()
            if said in (term.slug, *map(_plain, (term.title, *term.words)))
        )

    def difference(self, word: str) -> str:
        """How the terms that an ambiguous word means differ; "" for any other word."""
        said = _plain(word)
        return next((say for known, say in self.ambiguous.items() if _plain(known) == said), "")

    def titled(self, title: str) -> Term | None:
        """The term of exactly this title."""
        term = self.terms.get(slug_of(title))
        return term if term is not None and term.title == title else None

    def search(self, text: str) -> tuple[Term, ...]:
        """The terms in which the text occurs, those that are called so first."""
        said = _plain(text)

        def rank(term: Term) -> int:
            names = (term.title, *term.words)
            places = (names, term.cim, (term.definition, term.excludes))
            return next(
                (n for n, texts in enumerate(places) if any(said in _plain(t) for t in texts)),
                len(places),
            )

        ranked = sorted(((rank(t), t.slug, t) for t in self.terms.values()), key=lambda r: r[:2])
        return tuple(term for place, _, term in ranked if place < 3)

    def near(self, word: str) -> list[str]:
        """Titles of the terms that were perhaps meant."""
        names: dict[str, str] = {}
        for term in self.terms.values():
            for name in (term.title, term.slug, *term.words):
                names.setdefault(_plain(name), term.title)
        close = difflib.get_close_matches(_plain(word), names, n=_NEAR)
        return list(dict.fromkeys(names[name] for name in close))


def slug_of(title: str) -> str:
    """A title in kebab case: `remote connect/disconnect` gives `remote-connect-disconnect`."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def read_glossary(folder: Path) -> Glossary:
    """Read and check a folder.

    Raises:
        GlossaryError: something is missing, unknown, of the wrong type, double or dangling.
    """
    mistakes: list[str] = []
    terms: dict[str, Term] = {}
    for file in sorted(folder.glob("*.toml")):
        if file.name in RULES:
            continue
        for slug, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if wrong := _wrong(slug, entry):
                mistakes += [f"{file.name}, {slug}: {text}" for text in wrong]
            elif slug in terms:
                mistakes.append(f"{file.name}, {slug}: {terms[slug].area}.toml has it already")
            else:
                terms[slug] = _term(slug, file.stem, entry)
    ambiguous: dict[str, dict[str, Any]] = tomllib.loads(
        (folder / _AMBIGUOUS).read_text(encoding="utf-8")
    )
    mistakes += _dangling(terms)
    mistakes += _double(terms, ambiguous)
    if mistakes:
        raise GlossaryError(mistakes)
    return Glossary(
        MappingProxyType(terms),
        MappingProxyType({word: entry["say"] for word, entry in ambiguous.items()}),
    )


def _plain(word: str) -> str:
    return " ".join(word.casefold().split())


def _wrong(slug: str, entry: Mapping[str, Any]) -> list[str]:
    """What is wrong with one term by itself."""
    if bad := (entry.keys() - _KNOWN) | (_NEEDED - entry.keys()):
        return [f"{', '.join(sorted(bad))}: missing or not known"]
    wrong = [f"{key} is empty" for key in ("definition", "not", "source") if not entry[key].strip()]
    if slug_of(entry["title"]) != slug:
        wrong.append(f"the slug of {entry['title']!r} is {slug_of(entry['title'])}")
    if entry["interfaces"] != "all":
        unknown = [name for name in entry["interfaces"] if name not in INTERFACES]
        wrong += [f"there is no interface {name}" for name in unknown]
        if not entry["interfaces"]:
            wrong.append('it is spoken on no interface; say "all" where it is on each')
    roles = entry.get("synonyms", {})
    wrong += [f"there is no role {role}" for role in roles if role not in ROLES]
    if "type" in entry and entry["type"] not in _TYPES:
        wrong.append(f"there is no type {entry['type']}")
    if entry.keys() & {"unit", "codes"} and "type" not in entry:
        wrong.append("a unit or code list needs a type")
    return wrong


def _term(slug: str, area: str, entry: Mapping[str, Any]) -> Term:
    said = entry["interfaces"]
    return Term(
        slug=slug,
        area=area,
        title=entry["title"],
        definition=" ".join(entry["definition"].split()),
        excludes=" ".join(entry["not"].split()),
        cim=tuple(entry["cim"]),
        synonyms=MappingProxyType({r: tuple(w) for r, w in entry.get("synonyms", {}).items()}),
        interfaces=INTERFACES if said == "all" else tuple(said),
        source=entry["source"],
        see=tuple(entry.get("see", ())),
        type=entry.get("type", ""),
        unit=entry.get("unit", ""),
        codes=tuple(entry.get("codes", ())),
    )


def _dangling(terms: Mapping[str, Term]) -> list[str]:
    return [
        f"{term.area}.toml, {term.slug}: see {other!r}: there is no such term"
        for term in terms.values()
        for other in term.see
        if other not in terms or other == term.slug
    ]


def _double(terms: Mapping[str, Term], ambiguous: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Words that mean several terms without saying so, or say so wrongly."""
    meant: dict[str, list[str]] = {}
    for term in terms.values():
        for word in dict.fromkeys(map(_plain, (term.title, *term.words))):
            meant.setdefault(word, []).append(term.slug)
    listed = {_plain(word): entry for word, entry in ambiguous.items()}
    wrong = [
        f"{_AMBIGUOUS}, {word}: it does not mean more than one term"
        for word in listed
        if len(meant.get(word, ())) < 2
    ]
    for word, slugs in meant.items():
        entry = listed.get(word)
        if len(slugs) > 1 and (entry is None or _differ(slugs, entry.get("terms", ()))):
            wrong.append(
                f"{word!r} means {', '.join(sorted(slugs))}: take it from all but one, or list it "
                f"in {_AMBIGUOUS} with exactly these terms"
            )
        elif entry is not None and not entry.get("say", "").strip():
            wrong.append(f"{_AMBIGUOUS}, {word}: it does not say how to tell the terms apart")
    return wrong


def _differ(one: Iterable[str], other: Iterable[str]) -> bool:
    return sorted(one) != sorted(other)
