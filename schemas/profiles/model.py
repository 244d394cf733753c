"""What a profile makes of a payload.

Lives here: the values that leave a profile. Must not live here: XML rules, Avro layouts.
Invariant: an object of the payload is either among the items or rejected, alone or in the rest,
never both and never neither, except that an object without any fact (a MeterReading without
readings and events) is neither.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from lxml import etree

from schemas.errors import Problem


@dataclass(frozen=True, slots=True)
class Item:
    """One canonical event.

    `noun` names the log it goes to, `key` its subject (see `schemas.profiles.keys`), `body`
    is the Avro record without its first field, provenance (of a register: without `revision` and
    `lifeCycle` either). `index` counts the events of one message from 0 over all nouns.

    `verb` is what the message asks of the object, "" where that is its header's; `partial`: only
    the fields that are there are meant. `xpath` and `line` are where the object of a register
    stands in its message; events of histories do without. `misspelt`: the payload was in a
    namespace that is none of the noun's, but meant for it.
    """

    noun: str
    key: bytes
    body: bytes
    index: int
    verb: str = ""
    partial: bool = False
    xpath: str | None = field(default=None, compare=False)
    line: int | None = field(default=None, compare=False)
    misspelt: bool = False


@dataclass(frozen=True, slots=True)
class RejectedObject:
    """One object of the payload that takes no effect.

    `index` is its position among the elements of the payload, from 0; `element` its XML with
    every namespace declaration it needs. `namespace` is the payload's; the object itself may be
    in another, or in none, which is what is then wrong with it. `verb` is as of an `Item`;
    `definitions` are what stands beside it and is referred to by it.
    """

    index: int
    problems: tuple[Problem, ...]
    element: bytes
    namespace: str
    verb: str = ""
    definitions: tuple[bytes, ...] = ()


# So many bad objects of a message are rejected one by one: each costs a message of its own, 110 us
# and 1.5 KB, and 400 KB can hold 100,000 of them. A sender with a fault shows it in the first.
ALONE_MAX: Final = 1_000
# As many bytes of XML. An object alone repeats the declarations of namespaces that it stood under.
ALONE_BYTES_MAX: Final = 16 << 20


@dataclass(slots=True)
class Allowance:
    """How many bad objects of a message are still rejected one by one; the others together."""

    objects: int = ALONE_MAX
    size: int = ALONE_BYTES_MAX
    exceeded: bool = False
    """Whether there was one more; what is wrong with others is told nobody."""

    @property
    def left(self) -> bool:
        """Whether it is enough for one more."""
        return self.objects > 0 and self.size > 0

    def spend(self, element: bytes) -> None:
        """Take off what an object costs that is rejected by itself."""
        self.objects -= 1
        self.size -= len(element)


@dataclass(slots=True)
class Rest:
    """The bad objects of a message beyond its allowance, which are rejected together.

    `indexes` are as of a `RejectedObject`; `problems` those of the first of them.
    """

    indexes: list[int] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()

    def add(self, index: int, problems: tuple[Problem, ...]) -> None:
        """One more."""
        self.problems = self.problems or problems
        self.indexes.append(index)


@dataclass(slots=True)
class Outcome:
    """All of a payload: `objects` counts the objects that carry facts, rejected ones included."""

    items: list[Item] = field(default_factory=list)
    rejected: list[RejectedObject] = field(default_factory=list)
    rest: Rest = field(default_factory=Rest)
    objects: int = 0


class Profile(Protocol):
    """Turns the payload element of one noun into canonical events."""

    @property
    def noun(self) -> str:
        """The noun whose payload this reads."""

    @property
    def objects(self) -> frozenset[str]:
        """What its objects are called, in any revision; empty where the payload is the object."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those it is known in, of any year, the one that is written first."""

    def read(
        self, payload: etree._Element, verb: str = "", allowance: Allowance | None = None
    ) -> Outcome:
        """Check and map a payload, object by object, in its order.

        `verb` is what is asked of them, "" where only some of their fields are meant. The
        `allowance` is that of the message, a whole one by default.

        Raises:
            MessageError: `noun_unknown`: the element is not this noun;
                `payload_namespace_unknown`: its namespace is that of something else.
        """
