"""An object with very many children, judged piece by piece.

libxml2 writes the path of every error and counts the siblings of its element for it, and it
cannot be told to stop: an object of nothing but faults takes the square of its length (seen:
15 s for 300 KB). So many children of one element are judged some at a time, each time as if
there were no others, until enough faults are found.

Lives here: cutting, judging, putting together again. Must not live here: what a fault means.

Invariant: a fault found here is one of the whole object, and the object is as it was. Not
found here is what only the whole can tell: what is missing beside the many, or too often there.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from lxml import etree

from schemas.profiles.places import located

# Errors in one piece are few enough for the square of them not to matter.
PIECE: Final = 512
_CROWDED: Final = etree.XPath(f"descendant-or-self::*[*[{PIECE + 1}]]")
_CONTENT: Final = etree.ErrorTypes.SCHEMAV_ELEMENT_CONTENT


Fault = tuple[etree._LogEntry, etree._Element]  # noqa: SLF001 - their names in lxml
"""An error and the element it is about."""


def crowded(top: etree._Element) -> list[etree._Element]:
    """The elements with very many children, inner ones before outer ones."""
    if next(islice(top.iter(), PIECE + 1, None), None) is None:
        return []  # so few elements in all: a third of the time of the expression
    found: list[etree._Element] = _CROWDED(top)  # type: ignore[assignment]
    return sorted(found, key=lambda element: -sum(1 for _ in element.iterancestors()))


def faults(
    top: etree._Element, parent: etree._Element, schema: etree.XMLSchema, enough: int
) -> list[Fault]:
    """What is wrong inside the children of `parent`, which is `top` or below it.

    Faults of `parent` and above, and children that are not expected where they are, are left
    to the whole: a piece has not all that stands before it.
    """
    children = list(parent)
    found: list[Fault] = []
    for begin in range(0, len(children), PIECE):
        shell, inner = _shell(top, parent)
        inner.extend(children[begin : begin + PIECE])
        if not schema.validate(shell):
            found += _inside(shell, inner, schema)
        if len(found) >= enough:
            break
    parent.extend(children)
    return found[:enough]


def _shell(top: etree._Element, parent: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Elements like `top`, like `parent` and like those between them, with nothing in them."""
    lineage = [parent]
    while lineage[-1] is not top:
        above = lineage[-1].getparent()
        assert above is not None  # noqa: S101 - parent is in top
        lineage.append(above)
    shell = inner = etree.Element(top.tag)
    for element in lineage[-2::-1]:
        inner = etree.SubElement(inner, element.tag)
    return shell, inner


def _inside(
    shell: etree._Element, inner: etree._Element, schema: etree.XMLSchema
) -> Iterator[Fault]:
    entries: list[etree._LogEntry] = list(schema.error_log)  # type: ignore[call-overload]
    for entry in entries:
        at = located(shell, entry.path or "")
        misplaced = entry.type == _CONTENT and "Missing child" not in entry.message
        if inner in at.iterancestors() and not (misplaced and at.getparent() is inner):
            yield entry, at
