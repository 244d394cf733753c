"""Definitions that stand beside the objects of a payload and are referred to by `ref`.

Lives here: putting what a definition says where an object refers to it, and keeping it beside an
object that is rejected alone. Must not live here: whether a definition is valid on its own (see
`objects`).

A definition is an element beside the objects, whose type has the attribute `ref`, and any
element of that type inside an object may refer to it, by its mRID or one of its names. The
record then has what the definition says beside `ref`: an event can be read without its message.
What an element says itself goes before its definition.

Invariant: the same objects with the same definitions, beside or inside, give the same record
but for `ref`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from lxml import etree

from schemas.profiles import mapping
from schemas.profiles.model import Outcome
from schemas.profiles.parts import SPACE, Record, text_of
from schemas.profiles.places import Findings, local_name
from schemas.profiles.shapes import NAME, Shape

REF: Final = "ref"
# A small message could make a large one of many references to one large definition.
_GROWTH_MAX: Final = 8 << 20
_DETAIL: Final = f"its definitions, put where they are referred to, have over {_GROWTH_MAX} bytes"

_reader = cache(mapping.reader)


@dataclass(slots=True)
class _Definition:
    element: etree._Element
    shape: Shape
    size: int
    record: Record | None = None
    used: bool = False


class Definitions:
    """Those of one payload; `shapes` are by the name of the element.

    `valid` says whether the XSD accepts an element: where it does not, the definition is
    rejected on its own, and is none.
    """

    def __init__(
        self,
        payload: etree._Element,
        namespace: str,
        shapes: Mapping[str, Shape],
        valid: Callable[[etree._Element], bool],
    ) -> None:
        self._namespace = namespace
        self._valid = valid
        self._grown = 0
        self._found: list[tuple[int, _Definition]] = []
        self._by_name: dict[tuple[str, str], _Definition] = {}
        for position, element in enumerate(payload if shapes else ()):
            shape = shapes.get(local_name(element))
            if shape is not None:
                entry = _Definition(element, shape, len(etree.tostring(element)))
                self._found.append((position, entry))
        space = f"{{{namespace}}}"
        # The first definition of an identifier stands; an mRID goes before a name.
        for path in (f"{space}mRID", f"{space}Names/{space}name"):
            for _, entry in self._found:
                for leaf in entry.element.iterfind(path):
                    name = text_of(leaf)
                    if name is not None:
                        self._by_name.setdefault((entry.shape.name, name), entry)

    def complete(self, record: Record, shape: Shape, findings: Findings) -> None:
        """Put what is defined into the record of an object, in place."""
        if not self._by_name:
            return
        for field in shape.fields:
            kind, value = field.type, record[field.key]
            if not isinstance(kind, Shape) or kind.name == NAME or value is None:
                continue
            for part in value if field.many else (value,):
                self.complete(part, kind, findings)
                self._define(part, kind, findings)

    def unused(self, payload: etree._Element, outcome: Outcome) -> list[tuple[int, etree._Element]]:
        """Definitions that no object refers to, with their positions in the payload.

        What a rejected object refers to was not looked at and counts as used: one fault is told
        once.
        """
        refs = {element.get(REF) for element in payload.iter()} if outcome.rejected else set()
        meant = {id(entry) for (_, name), entry in self._by_name.items() if name in refs}
        return [
            (position, entry.element)
            for position, entry in self._found
            if not entry.used and id(entry) not in meant and self._valid(entry.element)
        ]

    def _define(self, part: Record, shape: Shape, findings: Findings) -> None:
        entry = self._by_name.get((shape.name, part.get(REF) or ""))
        if entry is None:
            return
        entry.used = True
        self._grown += entry.size
        if self._grown > _GROWTH_MAX:
            findings.add("message_too_large", entry.element, _DETAIL)
            return
        if entry.record is None:
            if not self._valid(entry.element):
                return
            entry.record = _reader(shape, self._namespace)(entry.element, findings)
        self.complete(entry.record, shape, findings)
        for key, value in entry.record.items():
            if part[key] in (None, []):
                part[key] = value


def kept_beside(outcome: Outcome, payload: etree._Element, carrier: str) -> Outcome:
    """The outcome, in which each rejected object has the definitions that it refers to.

    Kept alone, it would lose what they say when it is corrected and sent again. `carrier` is the
    tag of the objects; what stands beside them are definitions. Of many objects and large
    definitions the last ones do without: a small message must not make a large one.
    """
    alone = {rejected.index: at for at, rejected in enumerate(outcome.rejected)}
    known = dict(_identifiers(payload, carrier)) if alone else {}
    room, written = _GROWTH_MAX, cache(_written)
    for position, element in enumerate(payload if known else ()):
        at = alone.get(position)
        if at is not None:
            kept = tuple(map(written, _referred(element, known)))
            room -= sum(map(len, kept))
            if room >= 0:
                outcome.rejected[at] = replace(outcome.rejected[at], definitions=kept)
    return outcome


def _written(element: etree._Element) -> bytes:
    return etree.tostring(element, encoding="UTF-8", with_tail=False)


def _identifiers(payload: etree._Element, carrier: str) -> Iterator[tuple[str, etree._Element]]:
    """Every mRID and name of a definition; of several with one the first goes last, and stands."""
    space = carrier[: carrier.index("}") + 1]
    beside = [element for element in payload if element.tag != carrier]
    for path in (f"{space}Names/{space}name", f"{space}mRID"):
        for element in reversed(beside):
            for leaf in element.iterfind(path):
                yield text_of(leaf) or "", element


def _referred(element: etree._Element, known: Mapping[str, etree._Element]) -> list[etree._Element]:
    """The definitions that an element refers to, and those that they refer to in turn."""
    found: dict[etree._Element, None] = {}
    waiting = [element]
    while waiting:
        for part in waiting.pop().iter():
            target = known.get(part.get(REF, "").strip(SPACE))
            if target is not None and target not in found:
                found[target] = None
                waiting.append(target)
    return list(found)
