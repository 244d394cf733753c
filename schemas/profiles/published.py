"""The XSD of a noun's payload as others can use it: one document, the noun's element included.

Lives here: making it from the profile's XSD. Must not live here: the envelope around it, where it
is published.

The profile's own file judges each object by itself and takes in a file that all profiles share;
tools of others want a root element, and nothing that nobody uses.

Invariant: an object is valid against the one exactly where it is valid against the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lxml import etree

from schemas.profiles.shapes import XS, source

_FOLDER: Final = Path(__file__).parent
_NAMED: Final = (f"{XS}complexType", f"{XS}simpleType")
_REFERRING: Final = ("type", "base")


def published(profile: str, noun: str) -> bytes:
    """The XSD of the payload element `noun`, whose objects are those of the profile of this name.

    Raises:
        FileNotFoundError: there is no such profile.
    """
    root = source(_FOLDER / profile / "profile.xsd")
    objects = [str(element.get("name")) for element in root.iterfind(f"{XS}element")]
    _drop_unused(root)
    if noun not in objects:
        root.append(_carrier(noun, objects))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _carrier(noun: str, objects: list[str]) -> etree._Element:
    """The element that holds the objects, as many as there are of each, in the file's order."""
    element = etree.Element(f"{XS}element", {"name": noun})
    sequence = etree.SubElement(etree.SubElement(element, f"{XS}complexType"), f"{XS}sequence")
    for name in objects:
        any_number = {"ref": name, "minOccurs": "0", "maxOccurs": "unbounded"}
        etree.SubElement(sequence, f"{XS}element", any_number)
    return element


def _drop_unused(root: etree._Element) -> None:
    """Remove the types that no element leads to, and remarks between them."""
    types = {child.get("name"): child for child in root if child.tag in _NAMED}
    used: set[str] = set()
    waiting = [child for child in root if child.tag == f"{XS}element"]
    while waiting:
        for element in waiting.pop().iter():
            for attribute in _REFERRING:
                name = element.get(attribute, "")
                if name in types and name not in used:
                    used.add(name)
                    waiting.append(types[name])
    etree.strip_tags(root, etree.Comment)
    for own, element in types.items():
        if own not in used:
            root.remove(element)
