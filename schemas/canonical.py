"""One form for all serialisations of an element that mean the same.

Lives here: element -> text that two elements share exactly when they say the same. Must
not live here: which parts of a message count (see `identity`). The form is for digests
and comparison; nobody reads it back.

Invariant: the form is injective. Every piece carries its length and every element the
number of its children, attributes and tails are marked (@, +), so no two different contents
run together.

Not told apart: prefixes, attribute order, quotes, character references and CDATA, comments
and processing instructions, white space around the text of a leaf and between the children
of an element, xsi:schemaLocation. Told apart: everything else, also "1.0" and "1".
"""

import copy
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Final

from lxml import etree

WHITE_SPACE: Final = " \t\r\n"

_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_XSI_TYPE: Final = _XSI + "type"
_HAS_TYPE: Final = etree.XPath(
    "boolean(descendant-or-self::*/@xsi:type)", namespaces={"xsi": _XSI[1:-1]}
)
_HINTS: Final = frozenset({_XSI + "schemaLocation", _XSI + "noNamespaceSchemaLocation"})


def canonical_form(
    element: etree._Element, *, merged: AbstractSet[str] = frozenset(), into: str = ""
) -> str:
    """The canonical form of an element with all that is in it, without its tail.

    Element names in one of the namespaces `merged` count as names in the namespace `into`.
    """
    element = _without_remarks(element)
    types = _expanded_types(element) if _HAS_TYPE(element) else {}
    pieces: list[str] = []
    add = pieces.append
    for node in element.iter():
        name = node.tag
        if merged:
            name = _merged_name(name, merged, into)
        children = len(node)
        text = node.text or ""
        if not children or not text.strip(WHITE_SPACE):
            text = text.strip(WHITE_SPACE)
        add(f"{len(name)}:{name}{children},{len(text)}:{text}")
        attributes = node.items()
        if attributes:
            add(_attributes(attributes, types.get(node, "")))
        tail = node.tail
        if tail and node is not element and tail.strip(WHITE_SPACE):
            add(f"+{len(tail)}:{tail}")
    return "".join(pieces)


def pieces_form(*pieces: str) -> str:
    """Several texts as one, so that different lists of texts give different ones."""
    return "".join(f"{len(piece)}:{piece}" for piece in pieces)


def _merged_name(name: str, merged: AbstractSet[str], into: str) -> str:
    namespace, brace, local = name.rpartition("}")
    return f"{{{into}}}{local}" if brace and namespace[1:] in merged else name


def _attributes(attributes: Iterable[tuple[Any, Any]], expanded_type: str) -> str:
    pieces: list[str] = []
    for name, value in sorted(attributes):
        if name not in _HINTS:
            meant = expanded_type if name == _XSI_TYPE else value
            pieces.append(f"@{len(name)}:{name}{len(meant)}:{meant}")
    return "".join(pieces)


def _expanded_types(element: etree._Element) -> dict[etree._Element, str]:
    """The xsi:type of the elements that have one, with the namespace in place of the prefix.

    Keeps the declarations in scope on the way, because asking each element for them takes
    the square of the time where there are many.
    """
    parent = element.getparent()
    outside = {} if parent is None else parent.nsmap
    bound = {prefix or "": [uri] for prefix, uri in outside.items()}
    opened: list[str] = []
    types: dict[etree._Element, str] = {}
    for event, found in etree.iterwalk(element, events=("start-ns", "start", "end-ns")):
        if event == "start-ns":
            prefix, uri = found
            opened.append(prefix or "")
            bound.setdefault(opened[-1], []).append(uri)
        elif event == "end-ns":
            bound[opened.pop()].pop()
        elif name := found.get(_XSI_TYPE, "").strip(WHITE_SPACE):
            prefix, _, local = name.rpartition(":")
            uris = bound.get(prefix)
            types[found] = f"{len(uris[-1])}:{uris[-1]}{local}" if uris else f"?{name}"
    return types


def _without_remarks(element: etree._Element) -> etree._Element:
    """The element, or a copy of it where comments or instructions divide its texts."""
    if next(element.iter(etree.Comment, etree.ProcessingInstruction), None) is None:
        return element
    cleaned = copy.deepcopy(element)
    etree.strip_tags(cleaned, etree.Comment, etree.ProcessingInstruction)
    return cleaned
