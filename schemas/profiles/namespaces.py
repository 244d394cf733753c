"""Which namespaces mean a noun without being one of its own.

Systems in the field get them wrong: another year or version, http for https, a `#` too few or too
many, other capitals, a letter too few, the namespace of the envelope, or none at all where the
default namespace was forgotten. The local name says which noun is meant; the namespace has only to
say that it is the CIM's.

Lives here: the rule. Must not live here: which namespaces a noun has (see `validation`), how a
payload in another one is read (see `revisions`).

Invariant: a namespace of somebody else never means a noun, whatever the local name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

# Whose messages speak CIM: IEC TC 57, and the users' group that publishes profiles before it does.
_PUBLISHERS: Final = re.compile(r"(?:iec\.ch/tc57|ucaiug\.org)(?:[/:#]|$)")
_SCHEME: Final = re.compile(r"^(?:https?:)?/*(?:www\.)?")
_DOCUMENT: Final = "document"
# A tenth of the letters: a wrong version and a slip of the pen, but not another noun.
_NEAR: Final = 0.9
# Comparing takes the square of the length; the longest namespace of a noun has 58 characters.
_LENGTH_MAX: Final = 200


def means(namespace: str, known: Iterable[str]) -> bool:
    """Whether a namespace is meant for a noun that has these."""
    if len(namespace) > _LENGTH_MAX:
        return False
    said = _plain(namespace)
    if not said or _PUBLISHERS.match(said):
        return True
    return any(_near(said, _plain(own)) or _of_document(said, own) for own in known)


def _plain(namespace: str) -> str:
    """What is left without the parts that are most often wrong."""
    said = _SCHEME.sub("", namespace.strip().casefold())
    return re.sub(r"/{2,}", "/", said).rstrip("/#")


def _near(said: str, own: str) -> bool:
    return difflib.SequenceMatcher(None, said, own, autojunk=False).ratio() >= _NEAR


def _of_document(said: str, own: str) -> bool:
    """Whether both are URNs of one market document, as in `urn:…:reservebiddocument:7:6`.

    Markets of their own leave out the word (`urn:ediel.org:general:acknowledgement:0:1`).
    """
    names = {part for part in own.split(":") if part.endswith(_DOCUMENT)}
    named = names | {name.removesuffix(_DOCUMENT) for name in names}
    return said.startswith("urn:") and not named.isdisjoint(said.split(":"))
