"""Answers from a view: criteria in, a page out that says what it may lack.

Lives here: pages, and whether they are whole. Must not live here: what criteria mean
(`criteria`), which readings answer (`series`), SQL (`reading`), messages that ask (they come to
this port).

Invariant: going from page to page gives every row that was there all the time exactly once,
whatever was written meanwhile; and a page that may lack something says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from streams.views.criteria import (
    Criteria,
    CriteriaError,
    check,
    cursor_of,
    place_in,
    shortened,
    wanted,
)
from streams.views.model import READINGS, SUBJECT_REGISTERS, Event, Kind, Log, read
from streams.views.series import Readings
from streams.views.store import Place, Position, Reader

LIMIT_MAX: Final = 1_000


class Gap(StrEnum):
    """Why a page may lack something."""

    BEHIND = "the view has not read its logs to their ends"
    WINDOW = "the view keeps histories from a time on, and older ones were asked for"


@dataclass(frozen=True, slots=True)
class Row:
    """One object, event or series. `body` is the value of its record: Avro, wire format.

    Of a series `chosen` are the positions in `values` that were asked for and that no newer
    series has otherwise; of everything else it is None. `revision` is that of a register.
    """

    key: str
    body: bytes
    revision: int = 0
    chosen: tuple[int, ...] | None = None

    def event(self) -> Event:
        """The body, decoded."""
        return read(self.body)


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the view is behind a log: offsets, and since when (epoch ms)."""

    offsets: int
    caught_up_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in a fixed order. `cursor` asks for what follows; None: there was nothing more."""

    rows: tuple[Row, ...]
    cursor: str | None
    gaps: tuple[Gap, ...]
    lag: Mapping[str, Lag] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The Reply code of IEC 61968-100: 0.1 more follows, 0.2 it may lack something, 0.0."""
        if self.cursor is not None:
            return "0.1"
        return "0.2" if self.gaps else "0.0"


class View:
    """Answers from one store. One thread, as its reader; `clock_ms` gives epoch milliseconds."""

    def __init__(
        self, reader: Reader, logs: Mapping[str, Log], *, fresh_ms: int, clock_ms: Callable[[], int]
    ) -> None:
        """`fresh_ms`: how long ago a log's end may have been reached for a page to be whole."""
        self._reader = reader
        self._readings = Readings(reader)
        self._logs = logs
        self._fresh_ms = fresh_ms
        self._clock_ms = clock_ms

    def page(self, criteria: Criteria, *, limit: int = 100, cursor: str | None = None) -> Page:
        """A page of at most `limit` rows, of one moment of the view.

        Raises:
            CriteriaError: `noun_unknown`, `criteria_unfit`, `criteria_too_wide`,
                `cursor_invalid`, `limit_invalid`.
            OperatorError: `view_unavailable`.
        """
        if not 0 < limit <= LIMIT_MAX:
            raise CriteriaError("limit_invalid", f"a page has 1 to {LIMIT_MAX} rows")
        kind = self._kind(criteria)
        check(criteria, kind)
        criteria = shortened(criteria)
        after = place_in(cursor, criteria, kind) if cursor else ()
        with self._reader.snapshot():
            rows, last = self._rows(criteria, kind, after, limit)
            lag = self._lag(criteria)
            gaps = tuple(self._gaps(criteria, kind, lag))
        return Page(rows, cursor_of(last, criteria) if last else None, gaps, lag)

    def close(self) -> None:
        """Idempotent."""
        self._reader.close()

    def _kind(self, criteria: Criteria) -> Kind:
        for log in self._logs.values():
            if (log.noun, log.context) == (criteria.noun, criteria.context):
                return log.kind
        why = f"the view keeps no {criteria.noun!r} of {criteria.context!r}"
        raise CriteriaError("noun_unknown", why)

    def _rows(
        self, criteria: Criteria, kind: Kind, after: Place, limit: int
    ) -> tuple[tuple[Row, ...], Place | None]:
        if kind == "readings":
            series, last = self._readings.page(criteria, after, limit)
            return tuple(Row(one.key, one.body, chosen=chosen) for one, chosen in series), last
        ask = self._reader.objects if kind == "register" else self._reader.events
        found = ask(wanted(criteria), after, limit + 1)
        rows = tuple(Row(one.key, one.body, one.revision) for one in found[:limit])
        return rows, found[limit - 1].place if len(found) > limit else None

    # --------------------------------------------------------- completeness

    def _lag(self, criteria: Criteria) -> dict[str, Lag]:
        """Of each log that the answer rests on."""
        nouns = {criteria.noun}
        if criteria.noun == READINGS and (criteria.names or criteria.feeders):
            nouns.update(SUBJECT_REGISTERS)
        topics = [
            log.topic
            for log in self._logs.values()
            if log.noun in nouns and log.context == criteria.context
        ]
        by_topic: dict[str, list[Position]] = {topic: [] for topic in topics}
        for at, position in self._reader.positions(topics).items():
            by_topic[at.topic].append(position)
        return {
            topic: Lag(
                sum(position.lag for position in there),
                min((position.caught_up_ms for position in there), default=0),
            )
            for topic, there in by_topic.items()
        }

    def _gaps(self, criteria: Criteria, kind: Kind, lag: Mapping[str, Lag]) -> Iterator[Gap]:
        oldest = self._clock_ms() - self._fresh_ms
        if any(one.caught_up_ms < oldest for one in lag.values()):
            yield Gap.BEHIND
        if kind != "register":
            after = criteria.after_ms
            if after is None or after < self._reader.floor_ms():
                yield Gap.WINDOW
