"""Where in a message a problem is, in words that people can follow.

Lives here: XPaths of local names and the collector of problems. Must not live here: the
rules that find problems. Invariant: no text of the payload enters a problem.
"""

import re
from collections import Counter
from collections.abc import Callable

from lxml import etree

from schemas.errors import Problem

# Enough to correct a sender; a broken export repeats one fault thousands of times.
PROBLEMS_MAX = 20

_STEP = re.compile(r"(?:([^:\[/]+):)?([^\[/]+)(?:\[(\d+)\])?")


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def xpath(element: etree._Element, top: etree._Element | None = None, path_of_top: str = "") -> str:
    """The path from the root in local names, with a position where siblings share the name.

    With `top`, an ancestor whose path is known, no siblings above it are counted.
    """
    steps: list[str] = []
    node: etree._Element | None = element
    while node is not None and node is not top:
        step = local_name(node)
        before = sum(1 for _ in node.itersiblings(node.tag, preceding=True))
        if before or next(node.itersiblings(node.tag), None) is not None:
            step += f"[{before + 1}]"
        steps.append(step)
        node = node.getparent()
    return "/".join(("" if node is None else path_of_top, *reversed(steps)))


class Paths:
    """The paths of a payload's children, counted on the way from the first to the last.

    One by one, each would count its siblings: a payload of nothing but bad objects would
    take the square of its length.
    """

    def __init__(self, payload: etree._Element) -> None:
        self._payload = payload
        self._ahead = enumerate(payload)
        self._at = -1
        self._above = self._path = ""
        self._seen, self._total = Counter[str](), Counter[str]()

    def of_child(self, position: int) -> str:
        """The path of the child at this position, from 0; never one before the last asked for."""
        if not self._total:
            self._above = xpath(self._payload)
            self._total.update(child.tag for child in self._payload)
        while self._at < position:
            self._at, child = next(self._ahead)
            self._seen[child.tag] += 1
            if self._at == position:
                which = f"[{self._seen[child.tag]}]" if self._total[child.tag] > 1 else ""
                self._path = f"{self._above}/{local_name(child)}{which}"
        return self._path


def located(top: etree._Element, path: str) -> etree._Element:
    """The element that a path of libxml2's log means; `top` where it cannot be followed.

    Steps are `p:name`, `p:name[2]` or, for a default namespace, `*[5]`: the fifth child of
    any name. Positions are among siblings of the same prefix: two prefixes may mean one namespace.
    """
    at = top
    for step in path.split("/")[2:]:
        match = _STEP.fullmatch(step)
        if match is None:
            return at
        prefix, name, position = match[1], match[2], int(match[3] or 1)
        children = [
            child
            for child in at
            if name == "*" or (child.prefix == prefix and local_name(child) == name)
        ]
        if position > len(children):
            return at
        at = children[position - 1]
    return at


def line_of(element: etree._Element) -> int | None:
    """The line of the element's start tag, from 1."""
    line: int | None = element.sourceline  # type: ignore[assignment]
    return line


class Findings:
    """The problems of one object, in the order found, at most `PROBLEMS_MAX`.

    `top` is the object and `path` gives its path; without them, paths are counted from the root.
    Where nobody is `told` of them, they say no more than that there are some.
    """

    __slots__ = ("_path", "_top", "problems", "told")

    def __init__(
        self,
        top: etree._Element | None = None,
        path: Callable[[], str] = lambda: "",
        *,
        told: bool = True,
    ) -> None:
        self._top = top
        self._path = path
        self.told = told
        self.problems: list[Problem] = []

    @property
    def full(self) -> bool:
        """Whether no more are taken."""
        return len(self.problems) >= PROBLEMS_MAX

    def place(self, element: etree._Element) -> str:
        """The path of an element of the object."""
        return xpath(element, self._top, self._path())

    def add(self, code: str, element: etree._Element, detail: str = "") -> None:
        """Note a problem at an element. `detail` must not carry its text."""
        if not self.told:
            self.problems = self.problems or [Problem(code)]
        elif not self.full:
            self.problems.append(Problem(code, detail, self.place(element), line_of(element)))
