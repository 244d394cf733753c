"""What a door asks of the state that the logs made: a question by criteria, an answer by pages.

Lives here: the question, the answer, the port that answers, and how it can fail. Must not live
here: HTTP or any other protocol (`connectors/<system>`), databases (`streams.views`;
`streams.runtime.gateway` implements the port).

Promise. An answer says what it may lack: that more follows (a cursor), that the view is behind
the logs or does not reach back far enough (`gaps`), and by how much (`lag`). It is never silently
less than what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from topics import naming

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000


class QuestionError(ValueError):
    """A question that cannot be answered as it was asked; `code` is stable."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        self.why = why
        super().__init__(f"{code}: {why}")


class NotAnsweredError(Exception):
    """There is no answer now; `code` is `view_missing` (nobody keeps one) or `view_unavailable`."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        self.why = why
        super().__init__(f"{code}: {why}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. All that is given must hold; of several values of one kind, one.

    Times are epoch milliseconds: after `after_ms`, up to and including `until_ms`. What the
    criteria mean for which noun is in docs/views.md.
    """

    noun: str
    context: str = naming.PRODUCTION
    mrids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    feeders: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    lives: tuple[str, ...] = ()
    reading_types: tuple[str, ...] = ()
    after_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An object or event: its key, the decoded canonical record, of a register its revision.

    Of a series the record has the readings that were asked for and no others.
    """

    key: str
    record: dict[str, Any]
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the view is behind a log: offsets, and since when (epoch ms)."""

    offsets: int
    caught_up_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A page, of one moment. `gaps`: `behind`, `window`; `lag` by topic."""

    found: tuple[Found, ...]
    cursor: str | None = None
    gaps: tuple[str, ...] = ()
    lag: Mapping[str, Lag] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The Reply code of IEC 61968-100: 0.1 more follows, 0.2 it may lack something, 0.0."""
        if self.cursor is not None:
            return "0.1"
        return "0.2" if self.gaps else "0.0"


class Queries(Protocol):
    """A view as a door sees it. Methods belong to one event loop and do not hold it up."""

    async def page(self, question: Question, limit: int, cursor: str) -> Answer:
        """At most `limit` of what is asked for; `cursor` is that of the page before, or "".

        Raises:
            QuestionError: `noun_not_kept`, `criteria_unfit`, `criteria_too_wide`,
                `cursor_invalid`.
            NotAnsweredError: there is no view, or it does not answer.
        """
