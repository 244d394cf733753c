"""Objects that their sender gave neither mRID nor name: they get one from their message.

Head-ends give orders without saying which order it is (IEC 61968-9 lets them). Then the order is
the message's: it is named `<MessageID>#<number>` with the kind of name `MessageID`, the authority
being the Source. The same message again is the same order; an order under another MessageID is
another one.

Lives here: writing the name into the object. Must not live here: which nouns allow it (their
`profile.toml`), and with which verbs an object may be new (see `streams.processors.understand`).

Invariant: the name says the message's identity and the object's number in it, so no two objects get
the same one.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from schemas.envelope import Header
from schemas.profiles.places import local_name

KIND_OF_NAME: Final = "MessageID"
_IDENTIFYING: Final = frozenset({"mRID", "Names"})


def name_objects(
    payload: etree._Element, objects: frozenset[str], header: Header, first: int
) -> None:
    """Name those of the payload's objects that have no name, in place; the first has a number."""
    alone = local_name(payload) in objects
    found = [child for child in payload if local_name(child) in objects]
    for number, element in enumerate([payload] if alone else found, first):
        if _IDENTIFYING.isdisjoint(map(local_name, element)):
            _name(element, f"{header.message_id}#{number}", header.source)


def _name(element: etree._Element, name: str, authority: str) -> None:
    space = element.tag.removesuffix(local_name(element))
    names = etree.SubElement(element, f"{space}Names")
    etree.SubElement(names, f"{space}name").text = name
    kind = etree.SubElement(names, f"{space}NameType")
    etree.SubElement(kind, f"{space}name").text = KIND_OF_NAME
    if authority:
        giver = etree.SubElement(kind, f"{space}NameTypeAuthority")
        etree.SubElement(giver, f"{space}name").text = authority
