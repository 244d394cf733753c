"""The reference page of the glossary.

Must not live here: terms (see `schemas.glossary`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.glossary import INTERFACES, Glossary, Term
from schemas.glossary import glossary as load_glossary
from schemas.glossary.links import Slot, slots
from tests.docs.layout import code, page, table


def glossary() -> str:
    """Every term by area, and where schemas use it."""
    known = load_glossary()
    used: dict[str, list[Slot]] = {}
    for slot in slots():
        used.setdefault(slot.own, []).append(slot)
    areas: dict[str, list[Term]] = {}
    for term in known.terms.values():
        areas.setdefault(term.area, []).append(term)
    sections = []
    for area, terms in sorted(areas.items()):
        parts = [_term(known, term, used.get(term.slug, [])) for term in terms]
        sections.append("\n\n".join([f"## {area}", *parts]))
    return page(
        "Glossary",
        "schemas/glossary",
        """What a word means on every interface; `cimstream glossary TERM` says the same. The
definitions are ours. A source names where the meaning was read: a package of the CIM, a part of
the standard, or general usage; it is not the text of IEC 61968-2. *Schemas* are the types and
fields that are linked to the term: `make lint` holds that each links one, or is listed as needing
none, and that what is linked to one term has one type, unit and code list.""",
        *sections,
        "## Words that mean more than one term\n\n"
        + table(("word", "which"), sorted(known.ambiguous.items())),
    )


def _term(known: Glossary, term: Term, used: Sequence[Slot]) -> str:
    spoken = "all" if term.interfaces == INTERFACES else ", ".join(term.interfaces)
    held = f"{term.type}{f' in {term.unit}' if term.unit else ''}"
    if term.codes:
        held += f": {', '.join(term.codes)}"
    names = sorted({f"{slot.owner}.{slot.name}".removesuffix(".") for slot in used})
    said = "; ".join(f"{role}: {', '.join(words)}" for role, words in term.synonyms.items())
    also = [known.terms[slug].title for slug in term.see]
    rows = [
        ("CIM", ", ".join(map(code, term.cim)) or "no class"), ("Also called", said),
        ("Interfaces", spoken), ("Values", held),
        ("See", ", ".join(f"[{title}](#{_anchor(title)})" for title in also)),
        ("Schemas", ", ".join(map(code, names))), ("Source", term.source),
    ]  # fmt: skip
    lines = "\n".join(f"- {label}: {text}" for label, text in rows if text)
    return f"### {term.title}\n\n{term.definition} {term.excludes}\n\n{lines}"


def _anchor(title: str) -> str:
    """What a link to the heading of this title ends with."""
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
