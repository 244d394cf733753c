"""What each verb does to an object of a register, and when it may.

Lives here: the table of transitions. Must not live here: how objects are kept (see `objects`).

    verb      from                to         content
    create    absent              open       the whole object
    change    open, executing     the same   the whole object; of an elementOperation what is there
    execute   absent, open        open       what is there
    executed  absent, open        open       what is there
    cancel    open, executing     canceled   what is there
    close     open, executing     closed     what is there
    delete    open, closed …      absent     nothing

    of a control
    execute   absent, open        executing  what is there
    executed  absent, open, executing  closed  what is there

An event (`created`, `changed` …) says that a system has done what the request asks for, and does
the same here. `executed` is the exception: a control that was executed is over. And it is executed
once: until somebody says how it came out, nobody knows whether a second `execute` would be the
first or do harm. A study may be executed as often as one likes.

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
    EXECUTING = 4


class Content(Enum):
    """What of the object in the message becomes part of the object in the register."""

    WHOLE = "it becomes what the message says"
    PRESENT = "the fields that are there replace those that were"
    NONE = "it stays"


@dataclass(frozen=True, slots=True)
class Transition:
    """`sources` has None where there may be no object yet; `target` is None where life stays."""

    sources: frozenset[Life | None]
    target: Life | None
    content: Content

    def after(self, life: Life | None) -> Life:
        """Where an object at `life` (None: there was none) is then."""
        return self.target if self.target is not None else life or Life.OPEN


_GOING_ON: Final = frozenset({Life.OPEN, Life.EXECUTING})
_NOT_BEGUN: Final = frozenset({None, Life.OPEN})

_TRANSITIONS: Final[Mapping[str, Transition]] = {
    "create": Transition(frozenset({None}), Life.OPEN, Content.WHOLE),
    "change": Transition(_GOING_ON, None, Content.WHOLE),
    "execute": Transition(_NOT_BEGUN, Life.OPEN, Content.PRESENT),
    "executed": Transition(_NOT_BEGUN, Life.OPEN, Content.PRESENT),
    "cancel": Transition(_GOING_ON, Life.CANCELED, Content.PRESENT),
    "close": Transition(_GOING_ON, Life.CLOSED, Content.PRESENT),
    "delete": Transition(_GOING_ON | {Life.CLOSED, Life.CANCELED}, Life.DELETED, Content.NONE),
}
_OF_CONTROLS: Final[Mapping[str, Transition]] = {
    "execute": Transition(_NOT_BEGUN, Life.EXECUTING, Content.PRESENT),
    "executed": Transition(_NOT_BEGUN | {Life.EXECUTING}, Life.CLOSED, Content.PRESENT),
}
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
    special = _OF_CONTROLS.get(verb) if control else None
    return special or _TRANSITIONS[_REQUESTS.get(verb, verb)]


def refusal(step: Transition, life: Life | None) -> str | None:
    """Why an object that is at `life` (None: there is none) cannot take the step, as a code."""
    if life in step.sources:
        return None
    if life is None:
        return "object_missing"
    return "object_exists" if step.sources == {None} else "transition_illegal"
