"""Do catalogue, glossary and profiles speak of the same? `python -m topics.catalogue.meaning`.

A part of `make lint`; the exit status is 1 where they do not.

Must not live here: what a term or a schema means by itself (see `schemas.glossary.check`).

Invariant: every finding names its place and the way out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from schemas.glossary import Glossary, glossary
from schemas.glossary.links import read_written, terms_of
from schemas.profiles import DeclaredProfile, declared, declared_names, profile
from topics.catalogue.loader import load_catalogue
from topics.catalogue.model import Catalogue, CatalogueError, Noun


def findings(catalogue: Catalogue, known: Glossary) -> Iterator[str]:
    """What does not fit together, noun by noun."""
    for noun in catalogue.nouns.values():
        yield from _unspoken(catalogue, noun, known)
        yield from _of_profile(noun)
        slug = object_term(noun)
        if slug in known.terms and known.terms[slug].title not in noun.glossary:
            yield (
                f"the objects of {noun.name} are linked to the term {known.terms[slug].title!r}: "
                f"add it to the noun's glossary in topics/catalogue, or link its profile otherwise"
            )


def _unspoken(catalogue: Catalogue, noun: Noun, known: Glossary) -> Iterator[str]:
    """Terms of the noun that are not spoken on an interface which sends it."""
    spoken = [i.id for i in catalogue.interfaces.values() if noun.name in i.accepts]
    slugs = {term.slug for title in noun.glossary if (term := known.titled(title)) is not None}
    if noun.profile is not None:
        slugs |= terms_of(noun.profile, noun.schema or "") & known.terms.keys()
    for term in (known.terms[slug] for slug in sorted(slugs)):
        if missing := [
            one for one in dict.fromkeys((noun.home, *spoken)) if one not in term.interfaces
        ]:
            yield (
                f"{noun.name} has the term {term.title!r}, which is not spoken on "
                f"{', '.join(missing)}: add that to its interfaces in "
                f"schemas/glossary/{term.area}.toml"
            )


def _of_profile(noun: Noun) -> Iterator[str]:
    """Where the noun's entry and its profile say different things."""
    if noun.profile is None:
        return
    reader = profile(noun.profile)
    pairs: dict[str, tuple[object, object]] = {
        "name": (noun.name, reader.noun),
        "namespaces": (set(noun.namespaces), set(reader.namespaces)),
    }
    if isinstance(reader, DeclaredProfile):
        pairs["kind"] = (noun.kind, "register" if reader.register else "history")
        pairs["schema"] = (noun.schema, reader.schema)
    for what, (entry, said) in pairs.items():
        if entry != said:
            yield (
                f"{noun.name}: the {what} in topics/catalogue and that in schemas/profiles/"
                f"{noun.profile} differ: make both the same"
            )


def object_term(noun: Noun) -> str:
    """The slug that the type of a noun's objects is linked to; "" while the noun is planned."""
    if noun.profile is None:
        return ""
    if noun.profile in declared_names():
        return declared(noun.profile).shape.term
    return str(read_written()[noun.schema or ""].get("term", ""))


def main() -> int:
    """Report every finding about the catalogue that ships."""
    try:
        wrong = list(findings(load_catalogue(), glossary()))
    except CatalogueError as error:
        wrong = [str(error)]
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
