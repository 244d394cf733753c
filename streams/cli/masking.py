"""Hides who a reading or an event is about, so that a terminal may show the rest.

Lives here: which fields name a person's meter or the person, and what is left of them. Must
not live here: which text says nothing of anybody (`plain`), printing. Pure.

Invariant: nothing is shown because it was not recognised: a text field that nobody called plain
is masked, and what cannot be read is left out as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from lxml import etree

from schemas.errors import MessageError
from schemas.xml import parse
from streams.cli.plain import PLAIN, text_fields

# Fields of the envelope, which has no schema, that say who or which object it is.
_PERSONAL: Final = frozenset({"mRID", "UserID", "ID", "relatedID", "Comment", "contactValue"})
# "name" is an object's name only here; elsewhere it names a kind of name or a kind of fact.
_NAME_PARENTS: Final = frozenset({"names", "Names"})
_VALUE_PARENTS: Final = frozenset({"endDeviceEventDetails", "EndDeviceEventDetails"})
# Nothing below these is plain: where somebody lives.
_PLACES: Final = frozenset({"streetDetail", "townDetail"})
# Below these an mRID is a code of the standard and a name is its title.
_PUBLIC: Final = frozenset({
    "readingTypeDefinition", "readingQualityTypes", "endDeviceEventTypeDefinition",
    "ReadingType", "ReadingQualityType", "EndDeviceEventType", "EndDeviceControlType",
})  # fmt: skip
# Opaque content of any kind.
_OPAQUE: Final = frozenset({"Compressed"})


def mask(text: str) -> str:
    """Leave so much of both ends that two can be told apart: `0000…aaaa`; less of short texts."""
    shown = min(4, len(text) // 5)
    return f"{text[:shown]}…{text[len(text) - shown :]}" if text else ""


def mask_key(key: str) -> str:
    """Mask a record key: an mRID, or `authority|type|name` of which only the name is personal."""
    kind, bar, name = key.rpartition("|")
    return f"{kind}{bar}{mask(name)}"


def mask_event(event: Mapping[str, object]) -> dict[str, object]:
    """A copy of a decoded canonical event in which persons and their devices are masked."""
    return {name: _masked(value, name, "") for name, value in event.items()}


def mask_xml(data: bytes) -> str | None:
    """CIM XML with the same things masked; None where it cannot be read as XML."""
    try:
        root = parse(data)
    except MessageError:
        return None
    for element in root.iter(etree.Element):
        local, parent = _local(element), _local(element.getparent())
        if _is_public(element):
            continue
        if local in _OPAQUE:
            element.text = "…"
        elif _is_personal(local, parent) and element.text and not len(element):
            element.text = mask(element.text.strip())
    etree.strip_elements(root, etree.Comment, with_tail=False)
    return etree.tostring(root, encoding="unicode")


def _masked(value: object, name: str, parent: str) -> object:
    if name in _PUBLIC:
        return value
    if isinstance(value, Mapping):
        return {key: _masked(inner, key, name) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, name, parent) for inner in value]
    if isinstance(value, str) and _is_personal(name, parent):
        return mask(value)
    return value


def _is_personal(name: str, parent: str) -> bool:
    return (
        name in _personal()
        or parent in _PLACES
        or (name == "name" and parent in _NAME_PARENTS)
        or (name == "value" and parent in _VALUE_PARENTS)
    )


@cache
def _personal() -> frozenset[str]:
    return _PERSONAL | (text_fields() - PLAIN)


def _is_public(element: etree._Element) -> bool:
    return any(_local(ancestor) in _PUBLIC for ancestor in element.iterancestors())


def _local(element: etree._Element | None) -> str:
    return "" if element is None else etree.QName(element).localname
