"""The responder that answers from a view: a query in, a payload of CIM XML out.

Lives here: from a page to an answer. Must not live here: what a query asks for (`asking`), pages
(`query`), XML of nouns (`schemas.profiles`), Kafka.

Invariant: an answer holds what the page holds, says what the page says it may lack, and fits into
a message: where the rows are too many, it has fewer, and a cursor for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from threading import local
from typing import Final, Literal, cast

from lxml import etree

from connectors.respond import Answer, NoAnswerError, Request, Responder, UnableError
from schemas.profiles import DOCUMENTS, DeclaredProfile, profile
from schemas.profiles.meter_readings.selection import chosen
from schemas.profiles.payloads import payload_of
from streams.views.asking import Question, question_of
from streams.views.criteria import CriteriaError
from streams.views.model import Event
from streams.views.query import Page, Row, View
from topics import Catalogue, Noun
from topics.errors import OperatorError

CURSOR: Final = "Cursor"
REVISION: Final = "Revision"
# The view's own word for it is that of messages about a noun that nobody has.
_CODES: Final = {"noun_unknown": "noun_not_kept"}
# Of a message the rest is for the envelope.
_SHARE: Final = 0.9


class ViewAnswers:
    """Answers for the nouns of a catalogue; a view is opened by each thread that asks."""

    def __init__(self, catalogue: Catalogue, open_view: Callable[[], View]) -> None:
        """`open_view` raises OperatorError where there is none."""
        self._catalogue = catalogue
        self._open = open_view
        self._mine = local()

    def responder(self, nouns: Collection[str]) -> Responder:
        """Registered for those of the nouns that can be asked for."""
        made = Responder()
        for noun in self._catalogue.nouns.values():
            if noun.name in nouns and "get" in noun.verbs and noun.profile not in DOCUMENTS:
                made.answers(noun.name)(self)
        return made

    def __call__(self, request: Request) -> Answer:
        """Answer one query.

        Raises:
            NoAnswerError: it cannot be answered as it is asked.
            UnableError: the view cannot be read now.
        """
        noun = self._catalogue.nouns[request.noun]
        question = question_of(request, noun)
        try:
            return self._answer(question, noun)
        except CriteriaError as error:
            raise NoAnswerError(_CODES.get(error.code, error.code), error.why) from error
        except OperatorError as error:
            self._close()
            # What it says names hosts and folders, which is not for whoever asks.
            raise UnableError("view_unanswered", error.code) from error

    def _answer(self, question: Question, noun: Noun) -> Answer:
        reader = profile(noun.profile or "")
        alone = isinstance(reader, DeclaredProfile) and reader.single
        limit = 1 if alone else question.limit
        bytes_max = int(self._catalogue.bytes_max(noun.home) * _SHARE)
        while True:
            page = self._view().page(question.criteria, limit=limit, cursor=question.cursor)
            payload = _payload(page, noun)
            size = 0 if payload is None else len(etree.tostring(payload, encoding="UTF-8"))
            if size <= bytes_max:
                return Answer(payload, _code(page), _told(page), _properties(page))
            if limit == 1 or len(page.rows) <= 1:
                detail = f"one object has {size} bytes"
                raise NoAnswerError("answer_too_large", detail)
            limit = max(1, len(page.rows) * bytes_max // size)

    def _view(self) -> View:
        view: View | None = getattr(self._mine, "view", None)
        if view is None:
            view = self._mine.view = self._open()
        return view

    def _close(self) -> None:
        view: View | None = getattr(self._mine, "view", None)
        self._mine.view = None
        if view is not None:
            with suppress(OperatorError):
                view.close()


def _payload(page: Page, noun: Noun) -> etree._Element | None:
    """None where there is nothing to say: an empty payload would be one that says nothing."""
    if not page.rows:
        return None
    return payload_of(noun.profile or "", [dict(_record(row)) for row in page.rows])


def _record(row: Row) -> Event:
    event = row.event()
    return event if row.chosen is None else chosen(dict(event), row.chosen)


def _code(page: Page) -> Literal["0.0", "0.1", "0.2"]:
    return cast("Literal['0.0', '0.1', '0.2']", page.code)


def _told(page: Page) -> tuple[str, ...]:
    return tuple(gap.value for gap in page.gaps)


def _properties(page: Page) -> tuple[tuple[str, str], ...]:
    """What the next query needs: the cursor; of one object, the revision that a change names."""
    cursor = ((CURSOR, page.cursor),) if page.cursor else ()
    alone = page.rows[0] if len(page.rows) == 1 else None
    return cursor + (((REVISION, str(alone.revision)),) if alone and alone.revision else ())
