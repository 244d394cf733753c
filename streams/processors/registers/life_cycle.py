"""What each verb does to an object of a register, and when it may.

Lives here: the table of transitions. Must not live here: how objects are kept (see `objects`).

    verb      from              to         content
    create    absent            open       the whole object
    change    open              open       the whole object; of an elementOperation what is there
    execute   absent, open      open       what is there
    executed  absent, open      open; of a control closed
    cancel    open              canceled   what is there
    close     open              closed     what is there
    delete    open, closed …    absent     nothing

An event (`created`, `changed` …) says that a system has done what the request asks for, and does
the same here. `executed` is the exception: a control that was executed is over.

Source: IEC 61968-100, verbs; DESIGN §5, create/update/delete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final


class Life(IntEnum):
    """Where an object is in its life; the numbers are those of the Avro enum `LifeCycle`."""

    OPEN = 0
    CLOSED = 1
    CANCELED = 2
    DELETED = 3


class Content(Enum):
    """What of the object in the message becomes part of the object in the register."""

    WHOLE = "it becomes what the message says"
    PRESENT = "the fields that are there replace those that were"
    NONE = "it stays"


@dataclass(frozen=True, slots=True)
class Transition:
    """`sources` has None where there may be no object yet."""

    sources: frozenset[Life | None]
    target: Life
    content: Content


_OPEN: Final = frozenset({Life.OPEN})
_ANY: Final = frozenset({Life.OPEN, Life.CLOSED, Life.CANCELED})
_EVENTUALLY: Final = frozenset({None, Life.OPEN})

_TRANSITIONS: Final[Mapping[str, Transition]] = {
    "create": Transition(frozenset({None}), Life.OPEN, Content.WHOLE),
    "change": Transition(_OPEN, Life.OPEN, Content.WHOLE),
    "execute": Transition(_EVENTUALLY, Life.OPEN, Content.PRESENT),
    "executed": Transition(_EVENTUALLY, Life.OPEN, Content.PRESENT),
    "cancel": Transition(_OPEN, Life.CANCELED, Content.PRESENT),
    "close": Transition(_OPEN, Life.CLOSED, Content.PRESENT),
    "delete": Transition(_ANY, Life.DELETED, Content.NONE),
}
_DONE: Final = Transition(_EVENTUALLY, Life.CLOSED, Content.PRESENT)
_REQUESTS: Final = {
    "created": "create",
    "changed": "change",
    "canceled": "cancel",
    "closed": "close",
    "deleted": "delete",
}


def transition(verb: str, *, control: bool) -> Transition:
    """What the verb does; `control` says whether the noun makes somebody act.

    Raises:
        KeyError: a verb that changes nothing (a mistake of the catalogue).
    """
    if verb == "executed" and control:
        return _DONE
    return _TRANSITIONS[_REQUESTS.get(verb, verb)]


def refusal(step: Transition, life: Life | None) -> str | None:
    """Why an object that is at `life` (None: there is none) cannot take the step, as a code."""
    if life in step.sources:
        return None
    if life is None:
        return "object_missing"
    return "object_exists" if step.sources == {None} else "transition_illegal"
