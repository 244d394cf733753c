"""Older revisions of a noun's XML, put into the words of the newest before they are read.

Lives here: renaming elements as `profile.toml` says, and back where somebody is told what is
wrong. Must not live here: what an element means.

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
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from schemas.errors import Problem
from schemas.profiles.model import Outcome
from schemas.profiles.places import local_name, xpath
from schemas.profiles.shapes import ProfileFileError


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry `[[revision]]` of a `profile.toml`; `elements` are old names and new ones."""

    namespaces: tuple[str, ...]
    elements: Mapping[str, str]

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
        """A copy of the payload in the newest revision, which is that of `namespace`."""
        made = copy.deepcopy(payload)
        old, new = f"{{{etree.QName(payload).namespace}}}", f"{{{namespace}}}"
        old_names = {name.rpartition("/")[2] for name in self.elements}
        # Parents are renamed after their children, who look for the parent's old name.
        for element in reversed(list(made.iter(old + "*"))):
            name = local_name(element)
            if name not in old_names:
                element.tag = new + name
                continue
            above = element.getparent()
            within = "" if above is None else f"{local_name(above)}/{name}"
            name = self.elements.get(within) or self.renamed(name)
            outer, _, inner = name.rpartition("/")
            element.tag = new + inner
            if outer and above is not None:
                wrap = etree.Element(new + outer)
                wrap.sourceline = element.sourceline
                above.replace(element, wrap)
                wrap.append(element)
        return made

    def as_sent(self, outcome: Outcome, payload: etree._Element, *, whole: bool) -> Outcome:
        """What came of the copy of a payload, with what is rejected as it was sent.

        `whole`: the payload is itself the object.
        """
        above = payload.getparent()
        place = "" if above is None else xpath(above)
        wanted = {rejected.index for rejected in outcome.rejected}
        sent = (payload,) if whole else payload
        elements = {index: one for index, one in enumerate(sent) if index in wanted}
        for at, item in enumerate(outcome.items):
            if item.xpath is not None:
                outcome.items[at] = replace(item, xpath=place + self._path_as_sent(item.xpath))
        for at, rejected in enumerate(outcome.rejected):
            element = elements[rejected.index]
            outcome.rejected[at] = replace(
                rejected,
                problems=tuple(self._as_sent(problem, place) for problem in rejected.problems),
                element=etree.tostring(element, encoding="UTF-8", with_tail=False),
                namespace=etree.QName(payload).namespace or "",
            )
        rest = outcome.rest
        rest.problems = tuple(self._as_sent(problem, place) for problem in rest.problems)
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
