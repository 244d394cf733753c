"""An object of a document, or its header, while it is being read.

Lives here: what the reader's stack holds, and collecting values. Must not live here: which event
leads to what (see `reader`).
"""

from schemas.rdf.model import CimObject, Kind, Part, Values

Collected = dict[str, "tuple[str, ...] | list[str]"]
"""Nearly all attributes have one value: a list is made for the second."""


def add(values: Collected, key: str, value: str) -> None:
    """One more value of an attribute."""
    found = values.get(key)
    if found is None:
        values[key] = (value,)
    elif isinstance(found, list):
        found.append(value)
    else:
        values[key] = [*found, value]


def _finished(values: Collected) -> Values:
    return {key: tuple(found) for key, found in values.items()}


class Draft:
    """An object, or the header, while it is being read."""

    __slots__ = ("attributes", "cls", "enumerations", "kind", "line", "mrid", "part", "partial",
                 "paths", "references", "size")  # fmt: skip

    def __init__(self, kind: Kind | None, part: Part, line: int) -> None:
        self.kind = kind
        self.cls = ""
        self.mrid: str | None = None
        self.partial = False
        self.part = part
        self.line = line
        self.attributes: Collected = {}
        self.enumerations: Collected = {}
        self.references: Collected = {}
        self.paths: set[str] = set()
        self.size = 0

    def finished(self) -> CimObject:
        """The object as far as it was read."""
        return CimObject(
            self.cls,
            self.mrid or "",
            _finished(self.attributes),
            _finished(self.enumerations),
            _finished(self.references),
            self.partial,
            self.part,
            self.line,
        )


class Node:
    """An element that stands for an object, for the header, or for a compound inside one."""

    __slots__ = ("draft", "owner", "prefix")

    def __init__(self, draft: Draft, prefix: str = "", owner: "Property | None" = None) -> None:
        self.draft = draft
        self.prefix = prefix  # path of a compound, "" for the object itself
        self.owner = owner  # the property that it is the value of


class Property:
    """An element that stands for something that is said of an object."""

    __slots__ = ("done", "line", "name", "node", "qualifier", "text")

    def __init__(self, node: Node, name: str, qualifier: str, line: int, *, done: bool) -> None:
        self.node = node
        self.name = name
        self.qualifier = qualifier
        self.line = line
        self.done = done  # its value is known: a resource, or a nested element
        self.text: list[str] = []


class Container:
    """The document itself, or one side of a difference: what objects stand in."""

    __slots__ = ("part",)

    def __init__(self, part: Part) -> None:
        self.part = part
