"""One meaning per term: the glossary that interfaces, profiles and schemas are bound to.

Lives here: what a term is, and the glossary that ships. Must not live here: where schemas use a
term (`links`), and what is a mistake there (`check`).

    AREA.toml        the terms, a file per area (see `terms`)
    ambiguous.toml   words that mean more than one term, and how to tell which
    plain.toml       fields and types of the schemas that need no term (see `plain`)
    written.toml     the terms of the Avro schemas that follow from no profile (see `links`)

Invariant: a word leads to one term, or says that it leads to several.
"""

from functools import cache
from pathlib import Path
from typing import Final

from schemas.glossary.terms import INTERFACES, ROLES, Glossary, GlossaryError, Term, read_glossary

__all__ = [
    "FOLDER",
    "INTERFACES",
    "ROLES",
    "Glossary",
    "GlossaryError",
    "Term",
    "glossary",
    "read_glossary",
]

FOLDER: Final = Path(__file__).parent


@cache
def glossary() -> Glossary:
    """The glossary that ships with cimstream, read once.

    Raises:
        GlossaryError: its files have a mistake.
    """
    return read_glossary(FOLDER)
