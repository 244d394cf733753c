"""Questions of a door, answered from the view: see `connectors.queries`.

Lives here: threads that ask, so that the event loop never waits for a database. Must not live
here: HTTP, SQL, what criteria mean (`streams.views`).

A database connection belongs to one thread, so each thread opens a view of its own, when it is
first asked. One that fails is thrown away; the next question opens another.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final

from connectors.queries import Answer, Found, Lag, NotAnsweredError, Question, QuestionError
from schemas.profiles.meter_readings.selection import chosen
from streams.runtime.logs import log
from streams.runtime.settings import Views
from streams.runtime.views import open_view
from streams.views.criteria import Criteria, CriteriaError
from streams.views.query import Page, Row, View
from topics import Catalogue
from topics.errors import OperatorError

# A question takes milliseconds of one core and waits for the disk for as long again.
_THREADS: Final = 4
# The view's own word for it is that of messages about a noun that nobody has.
_CODES: Final = {"noun_unknown": "noun_not_kept"}
PAGE_BYTES_MAX: Final = 1 << 20
"""Of the records of a page, as they are kept: 130,000 readings, which are 13 MB of CIM XML."""
_MISSING: Final = "view_missing"
_UNAVAILABLE: Final = "view_unavailable"


class ViewQueries:
    """The port's implementation. Make it and `stop` it in the loop that asks."""

    def __init__(self, settings: Views, catalogue: Catalogue, *, timeout_s: float) -> None:
        """`timeout_s` is how long a question may take, the wait for a free thread included."""
        self._timeout_s = timeout_s
        self._askers = [_Asker(settings, catalogue) for _ in range(_THREADS)]
        self._free: asyncio.Queue[_Asker] = asyncio.Queue()
        for asker in self._askers:
            self._free.put_nowait(asker)

    async def page(self, question: Question, limit: int, cursor: str) -> Answer:
        """See the port."""
        try:
            async with asyncio.timeout(self._timeout_s):
                asker = await self._free.get()
                asking = asyncio.get_running_loop().run_in_executor(
                    asker.thread, asker.page, question, limit, cursor
                )
                # Whoever has given up does not end the question: its thread is busy until then.
                asking.add_done_callback(partial(self._freed, asker))
                return await asyncio.shield(asking)
        except TimeoutError:
            raise NotAnsweredError(_UNAVAILABLE, "the view does not answer in time") from None

    def _freed(self, asker: _Asker, asked: asyncio.Future[Answer]) -> None:
        if not asked.cancelled():
            asked.exception()  # its waiter may be gone
        self._free.put_nowait(asker)

    async def stop(self) -> None:
        """Let what is being asked come to its end."""
        await asyncio.gather(*(asyncio.to_thread(asker.stop) for asker in self._askers))


class _Asker:
    """A thread and its view, opened when it is needed."""

    def __init__(self, settings: Views, catalogue: Catalogue) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="view")
        self._open = partial(open_view, settings, catalogue)
        self._view: View | None = None
        self._failing = ""

    def page(self, question: Question, limit: int, cursor: str) -> Answer:
        """Ask, in the thread. Raises as the port."""
        try:
            self._view = self._view or self._open()
            page = _bounded(self._view, _criteria(question), limit, cursor or None)
        except CriteriaError as error:
            raise QuestionError(_CODES.get(error.code, error.code), error.why) from None
        except OperatorError as error:
            self._close()
            self._tell(error)
            # What it says names hosts and folders, which is not for whoever asks.
            code = error.code if error.code == _MISSING else _UNAVAILABLE
            raise NotAnsweredError(code, "") from error
        self._failing = ""
        return _answer(page)

    def stop(self) -> None:
        """Close the view where it was opened, and end the thread."""
        self.thread.submit(self._close)
        self.thread.shutdown()

    def _close(self) -> None:
        if self._view is not None:
            with suppress(OperatorError):
                self._view.close()
            self._view = None

    def _tell(self, error: OperatorError) -> None:
        """Once for each reason, not for each question."""
        if error.code != self._failing:
            self._failing = error.code
            fields = {"code": error.code, "at": error.where, "reason": error.what}
            log("gateway", logging.WARNING, "view does not answer", **fields)


def _bounded(view: View, criteria: Criteria, limit: int, cursor: str | None) -> Page:
    """A page of at most `limit` rows, and of fewer where these are large."""
    page = view.page(criteria, limit=limit, cursor=cursor)
    while len(page.rows) > 1 and sum(len(row.body) for row in page.rows) > PAGE_BYTES_MAX:
        page = view.page(criteria, limit=(len(page.rows) + 1) // 2, cursor=cursor)
    return page


def _criteria(question: Question) -> Criteria:
    return Criteria(
        question.noun,
        question.context,
        question.mrids,
        question.names,
        question.feeders,
        question.statuses,
        question.lives,
        question.reading_types,
        question.after_ms,
        question.until_ms,
    )


def _answer(page: Page) -> Answer:
    return Answer(
        tuple(map(_found, page.rows)),
        page.cursor,
        tuple(gap.name.lower() for gap in page.gaps),
        {topic: Lag(lag.offsets, lag.caught_up_ms) for topic, lag in page.lag.items()},
    )


def _found(row: Row) -> Found:
    record = dict(row.event())
    if row.chosen is not None:
        record = chosen(record, row.chosen)
    return Found(row.key, record, row.revision)
