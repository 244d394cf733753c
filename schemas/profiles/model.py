"""What a profile makes of a payload.

Lives here: the values that leave a profile. Must not live here: XML rules, Avro layouts.
Invariant: an object of the payload is either among the items or rejected, never both and
never neither, except that an object without any fact (a MeterReading without readings and
events) is neither.
"""

from dataclasses import dataclass, field
from typing import Protocol

from lxml import etree

from schemas.errors import Problem


@dataclass(frozen=True, slots=True)
class Item:
    """One canonical event.

    `noun` names the log it goes to, `key` its subject (see `schemas.profiles.keys`), `body`
    is the Avro record without its first field, provenance (of a register: without `revision` and
    `lifeCycle` either). `index` counts the events of one message from 0 over all nouns.

    `verb` is what the message asks of the object, "" where that is its header's; `partial`: only
    the fields that are there are meant.
    """

    noun: str
    key: bytes
    body: bytes
    index: int
    verb: str = ""
    partial: bool = False


@dataclass(frozen=True, slots=True)
class RejectedObject:
    """One object of the payload that takes no effect.

    `index` is its position among the elements of the payload, from 0; `element` its XML with
    every namespace declaration it needs. `namespace` is the payload's; the object itself may be
    in another, or in none, which is what is then wrong with it. `verb` is as of an `Item`.
    """

    index: int
    problems: tuple[Problem, ...]
    element: bytes
    namespace: str
    verb: str = ""


@dataclass(slots=True)
class Outcome:
    """All of a payload: `objects` counts the objects that carry facts, rejected ones included."""

    items: list[Item] = field(default_factory=list)
    rejected: list[RejectedObject] = field(default_factory=list)
    objects: int = 0


class Profile(Protocol):
    """Turns the payload element of one noun into canonical events."""

    @property
    def noun(self) -> str:
        """The noun whose payload this reads."""

    def read(self, payload: etree._Element, verb: str = "") -> Outcome:
        """Check and map a payload, object by object, in its order.

        `verb` is what is asked of them, "" where only some of their fields are meant.

        Raises:
            MessageError: `noun_unknown`: the element is not this noun in a known namespace.
        """
