"""Other revisions of a noun's XML, put into the words of the newest before they are read.

Lives here: renaming elements as `profile.toml` says, and back where somebody is told what is
wrong; choosing a revision where the namespace does not say which. Must not live here: what an
element means, which namespaces are meant for a noun (see `namespaces`).

A revision has a namespace of its own, and names for elements that the newest revision, that of
the profile's XSD, calls otherwise. `Point/quantity` is only the `quantity` of a `Point`; a new name
`RegisteredResource/mRID` puts the element into a parent of that name. So is another noun that means
the same: its payload and its objects are renamed too, and it is one of the noun's `aliases` in the
catalogue.

Invariant: documents of all revisions that say the same give the same record.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, cast

from lxml import etree

from schemas.errors import Problem
from schemas.profiles.model import Allowance, Outcome
from schemas.profiles.parts import SPACE
from schemas.profiles.places import line_of, local_name, xpath
from schemas.profiles.shapes import ProfileFileError
from schemas.profiles.validation import ObjectSchema

_PREFIX: Final = "cimstream"
# libxml2 has two bytes for it; what lxml reads of a parsed document beyond them, it cannot set.
_LINE_MAX: Final = 65535
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"


class Read(Protocol):
    """Reads a payload of the newest revision."""

    def __call__(self, payload: etree._Element, *, allowance: Allowance) -> Outcome:
        """As `schemas.profiles.model.Profile.read`."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry `[[revision]]` of a `profile.toml`; `elements` are old names and new ones."""

    namespaces: tuple[str, ...]
    elements: Mapping[str, str]
    old_names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = frozenset(name.rpartition("/")[2] for name in self.elements)
        object.__setattr__(self, "old_names", names)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Revision:
        """From the file.

        Raises:
            ProfileFileError: a key is missing or not known.
        """
        if wrong := entry.keys() ^ {"namespaces", "elements"}:
            raise ProfileFileError(f"revision: {', '.join(sorted(wrong))}: missing or not known")
        return cls(tuple(entry["namespaces"]), entry["elements"])

    def renamed(self, name: str) -> str:
        """What the newest revision calls an element, wherever it stands."""
        return self.elements.get(name, name)

    def newest(self, payload: etree._Element, namespace: str) -> etree._Element:
        """A copy of the payload in the newest revision, which is that of `namespace`.

        What is in no namespace is taken for the payload's.
        """
        made = _copy(payload, namespace)
        old, new = f"{{{etree.QName(payload).namespace or ''}}}", f"{{{namespace}}}"
        # Parents are renamed after their children, who look for the parent's old name.
        for element in reversed(list(made.iter(old + "*", "{}*"))):
            name = element.tag.rpartition("}")[2]
            if element.get(_TYPE) is not None:
                _rebind_type(element, old[1:-1])
            if name in self.old_names:
                self._rename(element, name, new)
            else:
                element.tag = new + name
        return made

    def _rename(self, element: etree._Element, name: str, new: str) -> None:
        """Give one element its newer name, in the parent that goes with it."""
        above = element.getparent()
        within = "" if above is None else f"{local_name(above)}/{name}"
        outer, _, inner = (self.elements.get(within) or self.renamed(name)).rpartition("/")
        element.tag = new + inner
        if outer and above is not None:
            wrap = etree.Element(new + outer)
            stand_where(wrap, element)
            above.replace(element, wrap)
            wrap.append(element)

    def used_in(self, payload: etree._Element) -> int:
        """How many elements of a payload have a name that only this revision gives them."""
        return sum(local_name(element) in self.old_names for element in payload.iter("{*}*"))

    def as_sent(
        self, outcome: Outcome, payload: etree._Element, above: str, *, whole: bool
    ) -> Outcome:
        """What came of the copy of a payload, with what is rejected as it was sent.

        `above` is the path of the payload's parent; `whole`: the payload is itself the object.
        """
        wanted = {rejected.index for rejected in outcome.rejected}
        sent = (payload,) if whole else payload
        elements = {index: one for index, one in enumerate(sent) if index in wanted}
        for at, item in enumerate(outcome.items):
            if item.xpath is not None:
                outcome.items[at] = replace(item, xpath=above + self._path_as_sent(item.xpath))
        for at, rejected in enumerate(outcome.rejected):
            element = elements[rejected.index]
            outcome.rejected[at] = replace(
                rejected,
                problems=tuple(self._as_sent(problem, above) for problem in rejected.problems),
                element=etree.tostring(element, encoding="UTF-8", with_tail=False),
                namespace=etree.QName(payload).namespace or "",
            )
        rest = outcome.rest
        rest.problems = tuple(self._as_sent(problem, above) for problem in rest.problems)
        return outcome

    def _as_sent(self, problem: Problem, place: str) -> Problem:
        return replace(problem, xpath=place + self._path_as_sent(problem.xpath or ""))

    def _path_as_sent(self, path: str) -> str:
        for name, newer in self.elements.items():
            sent = name.rpartition("/")[2]
            outer, _, inner = map(re.escape, newer.partition("/"))
            below = f"(?:/{inner})?" if inner else ""
            path = re.sub(rf"/{outer}(\[\d+\])?{below}(?=/|$)", rf"/{sent}\1", path)
        return path


def _copy(payload: etree._Element, namespace: str) -> etree._Element:
    """A copy that binds the namespace once, above all: elsewhere lxml may lose it in a move."""
    nsmap = cast("Any", {**payload.nsmap, _PREFIX: namespace})
    made = etree.Element(payload.tag, cast("Any", dict(payload.items())), nsmap)
    made.text = payload.text
    stand_where(made, payload)
    made.extend(map(copy.copy, payload))
    return made


def stand_where(made: etree._Element, other: etree._Element) -> None:
    """Give an element the line of another, if that was parsed and has one that can be given."""
    line = line_of(other)
    if line is not None and line <= _LINE_MAX:
        made.sourceline = cast("Any", line)


def _rebind_type(element: etree._Element, old: str) -> None:
    """Let an xsi:type that names a type of the old namespace name it in the one of `_copy`."""
    prefix, _, local = element.get(_TYPE, "").strip(SPACE).rpartition(":")
    if local and (element.nsmap.get(prefix or None) or "") == old:
        element.set(_TYPE, f"{_PREFIX}:{local}")


NEWEST: Final = Revision((), {})


def path_above(payload: etree._Element) -> str:
    """The path of a payload's parent; "" where it has none."""
    above = payload.getparent()
    return "" if above is None else xpath(above)


def read_meant(
    payload: etree._Element,
    schema: ObjectSchema,
    read: Read,
    allowance: Allowance,
    *,
    older: Sequence[Revision] = (),
    whole: bool = False,
) -> Outcome:
    """What a payload says, in the noun's namespaces or in one that is meant for it.

    `whole`: the payload is itself the object.

    Raises:
        MessageError: as `read`.
    """
    if schema.misspells(payload):
        return _read_misspelt(payload, schema.known, read, allowance, older=older, whole=whole)
    return read(payload, allowance=allowance)


def _read_misspelt(
    payload: etree._Element,
    namespaces: tuple[str, ...],
    read: Read,
    allowance: Allowance,
    *,
    older: Sequence[Revision],
    whole: bool,
) -> Outcome:
    """What a payload says whose elements are in none of `namespaces`, or not all of them.

    The first of `namespaces` is the newest's. The elements tell the revision: it is the one in
    which the least is wrong, of several the one whose names are used most. What is wrong even so
    is kept in that revision's namespace, to be put right and sent again, and the sender hears
    which namespaces are known. Trials have an allowance of their own.
    """

    def rank(revision: Revision) -> tuple[tuple[int, int], int]:
        tried = read(revision.newest(payload, namespaces[0]), allowance=Allowance())
        return _wrong(tried), -revision.used_in(payload)

    said = NEWEST
    if older and any(rank(NEWEST)[0]):
        said = min((NEWEST, *older), key=rank)
    best = read(said.newest(payload, namespaces[0]), allowance=allowance)
    best.items = [replace(item, misspelt=True) for item in best.items]
    sent = NEWEST.newest(payload, (*said.namespaces, *namespaces)[0])
    said.as_sent(best, sent, path_above(payload), whole=whole)
    why = f"known namespaces: {', '.join(namespaces)}"
    for at, rejected in enumerate(best.rejected):
        first, *others = rejected.problems
        first = replace(first, detail=f"{first.detail}; {why}" if first.detail else why)
        best.rejected[at] = replace(rejected, problems=(first, *others))
    return best


def _wrong(outcome: Outcome) -> tuple[int, int]:
    """How much: objects first, then what is wrong with them."""
    objects = len(outcome.rejected) + len(outcome.rest.indexes)
    return objects, sum(len(one.problems) for one in outcome.rejected)
