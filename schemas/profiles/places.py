"""Where in a message a problem is, in words that people can follow.

Lives here: XPaths of local names and the collector of problems. Must not live here: the
rules that find problems. Invariant: no text of the payload enters a problem.
"""

from lxml import etree

from schemas.errors import Problem

# Enough to correct a sender; a broken export repeats one fault thousands of times.
PROBLEMS_MAX = 20


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def xpath(element: etree._Element) -> str:
    """The path from the root in local names, with a position where siblings share the name."""
    steps: list[str] = []
    node: etree._Element | None = element
    while node is not None:
        parent = node.getparent()
        step = local_name(node)
        if parent is not None:
            alike = [child for child in parent if child.tag == node.tag]
            if len(alike) > 1:
                step += f"[{alike.index(node) + 1}]"
        steps.append(step)
        node = parent
    return "/" + "/".join(reversed(steps))


def line_of(element: etree._Element) -> int | None:
    """The line of the element's start tag, from 1."""
    line: int | None = element.sourceline  # type: ignore[assignment]
    return line


class Findings:
    """The problems of one object, in the order found, at most `PROBLEMS_MAX`."""

    __slots__ = ("problems",)

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, code: str, element: etree._Element, detail: str = "") -> None:
        """Note a problem at an element. `detail` must not carry its text."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(code, detail, xpath(element), line_of(element)))
