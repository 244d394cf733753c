"""A rule, as its file says it: when it fires, and what it sends.

Lives here: frozen values, and the names that expressions of a rule may use. Must not live here:
reading files (see `files`), what happens to an event (see `rules`).

    event.*               the event's fields (see `fields`)
    message.id, .source, .interface, .verb, .correlationID      of the message that brought it
    message.loggedAt      when the log took the event
    action.id             of the message that is made: the same whenever the same event is evaluated
    window.key, .members, .start, .end      of the group that made a rule with a window fire
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.processors.rules.expressions import Expression
from streams.processors.rules.fields import Field, Scalar
from streams.processors.rules.templates import Template
from streams.processors.rules.windows import Span

MESSAGE_NAMES: Final[Mapping[str, Field]] = {
    "message.id": Field(Scalar.TEXT),
    "message.source": Field(Scalar.TEXT),
    "message.interface": Field(Scalar.TEXT),
    "message.verb": Field(Scalar.TEXT),
    "message.correlationID": Field(Scalar.TEXT, optional=True),
    "message.loggedAt": Field(Scalar.TIME),
}
ACTION_NAMES: Final[Mapping[str, Field]] = {"action.id": Field(Scalar.TEXT)}
WINDOW_NAMES: Final[Mapping[str, Field]] = {
    "window.key": Field(Scalar.TEXT),
    "window.members": Field(Scalar.TEXT, many=True),
    "window.start": Field(Scalar.TIME),
    "window.end": Field(Scalar.TIME),
}


@dataclass(frozen=True, slots=True)
class Match:
    """Which events a rule is about; no interfaces: whichever they came in on."""

    noun: str
    verbs: frozenset[str]
    interfaces: frozenset[str]
    when: Expression | None


@dataclass(frozen=True, slots=True)
class Window:
    """How many events of a group, of how many members, make it fire."""

    key: Expression
    member: Expression
    time: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Action:
    """The message that is sent."""

    interface: str
    noun: str
    verb: str
    destination: str
    payload: Template


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. It sees events that the log took at `since_ms` (epoch ms UTC) or later.

    `digest` is of what the file says, so that a rule that was changed under its old version is
    found.
    """

    name: str
    version: int
    since_ms: int
    description: str
    match: Match
    window: Window | None
    action: Action
    digest: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"
