"""Looking a call up in the log: what was sent, and what was answered.

Lives here: reading one inbound record by its place, and the search for its reply. Must not live
here: what this process remembers (`replies`).

The log is the table of calls: it is there after any crash and for every process. A reply lies on
one known partition of outbound, behind the time of its request and mostly just behind it, so the
search begins there; how far it came is remembered for the next time somebody asks.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from connectors.exchange import (
    Asked,
    CallExpiredError,
    CallUnknownError,
    Place,
    Recalled,
    UnavailableError,
    asked_by,
)
from schemas.envelope import peek_header
from schemas.envelope.namespaces import KIND_OF_VERB
from streams.engine.errors import TransientError
from streams.engine.kafka import KafkaSettings, RecordReader
from streams.engine.record import Record, TopicPartition
from streams.runtime.gateway.replies import answers, same_as
from streams.runtime.reading import Range, TopicReader
from topics import Catalogue
from topics.errors import OperatorError
from topics.rejection import UNKNOWN_SOURCE

# The two records lie on brokers whose clocks may differ.
_SLACK_MS: Final = 60_000
# One look reads so long at most; the next one goes on from there.
_SEARCH_S: Final = 1.0
_SEARCHES_MAX: Final = 10_000


class Recall:
    """Blocking; one thread."""

    def __init__(self, settings: KafkaSettings, catalogue: Catalogue, name: str) -> None:
        self._catalogue = catalogue
        self._reader = TopicReader(settings, f"{name}-search")
        self._records = RecordReader(settings, f"{name}-recall")
        self._searched: OrderedDict[Place, int] = OrderedDict()

    def look_up(self, place: Place, seen: bytes | None) -> Recalled:
        """The call at this place and its reply; `seen` is that reply, where it is known already.

        Raises: as `connectors.exchange.Exchange.recall`.
        """
        try:
            record = self._request(place)
            header = peek_header(record.value or b"")
            if header is None or self._catalogue.noun(header.noun) is None:
                raise CallUnknownError
            known = header.verb in KIND_OF_VERB
            asked = asked_by(header, self._catalogue) if known else None
            source = header.source or UNKNOWN_SOURCE
            if asked is None:
                return Recalled(source, None, None)
            return Recalled(source, asked, seen or self._reply(place, asked, record.timestamp_ms))
        except (TransientError, OperatorError) as error:
            raise UnavailableError("Kafka does not answer") from error

    def close(self) -> None:
        """Let go of the clients."""
        self._records.close()
        self._reader.close()

    def _request(self, place: Place) -> Record:
        at = TopicPartition(place.topic, place.partition)
        there = self._reader.topics().get(place.topic, ())
        if at not in there:
            raise CallUnknownError
        start, end = self._reader.bounds([at])[at]
        if place.offset < start:
            raise CallExpiredError
        record = self._records.read(at, place.offset) if place.offset < end else None
        if record is None:
            raise CallUnknownError
        return record

    def _reply(self, place: Place, asked: Asked, since_ms: int) -> bytes | None:
        """What was answered; of a repeat, what was answered to the sending that it repeats."""
        found = self._search(place, asked, since_ms)
        first = None if found is None else same_as(found)
        if first is not None:
            found = self._search(first, asked, self._request(first).timestamp_ms)
        return None if found is None else found.value

    def _search(self, place: Place, asked: Asked, since_ms: int) -> Record | None:
        at = TopicPartition(asked.topic, asked.partition)
        whole = self._reader.bounds([at])
        start = self._searched.pop(place, None)
        if start is None:
            start = self._reader.starts_at(whole, since_ms - _SLACK_MS)[at].start
        deadline = time.monotonic() + _SEARCH_S
        for record in self._reader.records({at: Range(start, whole[at].end)}):
            if answers(record, place, asked, since_ms):
                self._note(place, record.offset)  # it is found there again
                return record
            if time.monotonic() > deadline:
                self._note(place, record.offset + 1)
                return None
        self._note(place, max(start, whole[at].end))
        return None

    def _note(self, place: Place, offset: int) -> None:
        self._searched[place] = offset
        if len(self._searched) > _SEARCHES_MAX:
            self._searched.popitem(last=False)
