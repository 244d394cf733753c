"""Is the glossary kept? `python -m schemas.glossary.check`, a part of `make lint`.

The exit status is 1 where a type or field of a schema links no term and is not listed as needing
none, links one that does not exist, or holds something else than another of the same term.

    --unlinked    the fields and types without a term, by name with their number, and what each
                  may mean: for whoever links a new profile

Lives here: what is a mistake, and what to do about it. Must not live here: reading the schemas
(`links`), the files of terms (`terms`).

Invariant: every finding names its place and the way out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.glossary import FOLDER, Glossary, GlossaryError, glossary
from schemas.glossary.links import Form, Slot, read_written, slots, stale
from schemas.glossary.plain import Plain, read_plain

PLAIN: Final = FOLDER / "plain.toml"
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# What stands at the end of names of fields and types, and not in terms.
_ENDINGS: Final = ("kind", "date time", "time", "number", "id")


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake: where, what, and what to do."""

    place: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n    {self.fix}"


def findings(known: Glossary, plain: Plain, found: Sequence[Slot]) -> list[Finding]:
    """Every mistake of the slots, in their order."""
    return [
        *_links(known, plain, found),
        *_stale(plain, found),
        *_forms(known, found),
        *_types(found),
        *_kinds(found),
    ]


def unlinked(plain: Plain, found: Iterable[Slot]) -> list[Slot]:
    """What links no term and is not listed as needing none."""
    return [slot for slot in found if not slot.term and not plain.covers(slot.owner, slot.name)]


def guess(known: Glossary, name: str) -> str:
    """The slug that a field or type of this name may mean; "" where none comes to mind."""
    cim = {cim: term.slug for term in known.terms.values() for cim in term.cim}
    words = " ".join(_WORD.findall(name)).lower()
    # An attribute of one word, such as `kind`, means something else in each class.
    attributes = {n.partition(".")[2]: slug for n, slug in cim.items()} if " " in words else {}
    tries = (words, words.removesuffix("s"), *(words.removesuffix(f" {end}") for end in _ENDINGS))
    titled = (terms[0].slug for text in tries if len(terms := known.find(text)) == 1)
    return (
        cim.get(name)
        or cim.get(name.removesuffix("s"))
        or next(titled, "")
        or attributes.get(name, "")
    )


def _links(known: Glossary, plain: Plain, found: Sequence[Slot]) -> Iterator[Finding]:
    for slot in unlinked(plain, found):
        name = slot.name or slot.owner
        slug = guess(known, name)
        way = f'link it, perhaps source="term:{slug}"' if slug else 'link it by source="term:…"'
        what = "the field links no term" if slot.name else "the type links no term"
        yield Finding(slot.place, what, f"{way}, or list {name} in schemas/glossary/plain.toml")
    for slot in found:
        if slot.own and slot.own not in known.terms:
            meant = known.find(slot.own.replace("-", " "))
            titles = known.near(slot.own.replace("-", " "))
            near = [term.slug for term in meant] or [known.find(title)[0].slug for title in titles]
            fix = f"write term:{' or term:'.join(near)}, or " if near else ""
            yield Finding(
                slot.place,
                f"there is no term {slot.own}",
                f"{fix}add it to a file of schemas/glossary",
            )


def _stale(plain: Plain, found: Sequence[Slot]) -> Iterator[Finding]:
    """Names of plain.toml that cover nothing: linked since, renamed or gone."""
    for name in plain.stale([(slot.owner, slot.name) for slot in found if not slot.term]):
        what = f"nothing without a term is called {name}"
        yield Finding("schemas/glossary/plain.toml", what, "remove it")


def _forms(known: Glossary, found: Sequence[Slot]) -> Iterator[Finding]:
    """Leaves of one term that hold different things."""
    first: dict[str, Slot] = {}
    for slot in found:
        if slot.form is None or slot.term not in known.terms:
            continue
        term = known.terms[slot.term]
        if term.type:
            said = Form(term.type, term.unit, term.codes)
            place = f"schemas/glossary/{term.area}.toml"
        else:
            earlier = first.setdefault(term.slug, slot)
            said, place = earlier.form or slot.form, earlier.place
        if slot.form != said:
            yield Finding(
                slot.place,
                f"{term.slug} is {slot.form} here, {said} in {place}",
                "make both the same, or give the one that means something else a term of its own",
            )


def _types(found: Sequence[Slot]) -> Iterator[Finding]:
    """Types of one name that mean different terms."""
    first: dict[str, Slot] = {}
    for slot in found:
        if slot.name:
            continue
        earlier = first.setdefault(slot.owner, slot)
        if slot.term != earlier.term:
            yield Finding(
                slot.place,
                f"the type means {slot.term or 'no term'} here, "
                f"{earlier.term or 'no term'} in {earlier.place}",
                "link both to the same term, or name one of the types otherwise",
            )


def _kinds(found: Sequence[Slot]) -> Iterator[Finding]:
    """Code lists and quantities of one name that differ."""
    first: dict[str, Slot] = {}
    for slot in found:
        if not slot.kind or slot.form is None:
            continue
        earlier = first.setdefault(slot.kind, slot)
        if slot.form != earlier.form:
            yield Finding(
                slot.place,
                f"{slot.kind} is {slot.form} here, {earlier.form} in {earlier.place}",
                "make both the same (schemas/profiles/common.xsd holds shared types), "
                "or name one otherwise",
            )


def report(known: Glossary, missing: Iterable[Slot]) -> list[str]:
    """Unlinked names, the most frequent first: number, name, guess, places."""
    places: dict[str, list[str]] = {}
    for slot in missing:
        places.setdefault(slot.name or f"type {slot.owner}", []).append(slot.place)
    rows = sorted(places.items(), key=lambda row: (-len(row[1]), row[0]))
    lines = []
    for name, where in rows:
        slug = guess(known, name.removeprefix("type "))
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        lines.append(f"{len(where):4} {name:32} {slug or '?':28} {where[0]}{more}")
    return lines


def main() -> int:
    """Report every mistake, or with --unlinked what is left to link."""
    try:
        known, plain = glossary(), read_plain(PLAIN)
    except GlossaryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    found = slots()
    if sys.argv[1:] == ["--unlinked"]:
        sys.stdout.writelines(f"{line}\n" for line in report(known, unlinked(plain, found)))
        return 0
    wrong = [str(finding) for finding in findings(known, plain, found)]
    rows = stale(read_written(), found)
    wrong += [f"schemas/glossary/written.toml: no schema has {row}\n    remove it" for row in rows]
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
