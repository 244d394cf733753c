"""Stretches of an event log, read for one subscriber at a time; and where a log begins and ends.

Lives here: the few Kafka clients that all subscribers share who are not at the end of their log.
Must not live here: who reads what next (`subscriptions`).

A slice is what one fetch brings, about a megabyte: what a slow subscriber holds, it holds in
memory, and the client has gone to the next one meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Final

from connectors.exchange import UnavailableError
from connectors.subscriptions import (
    Batch,
    Beginning,
    Event,
    LogMissingError,
    Position,
    PositionExpiredError,
)
from streams.engine.errors import StateLostError, TransientError
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record, TopicPartition
from streams.runtime.following import KafkaLogs
from streams.runtime.headers import headers
from streams.views.follow import Extent
from topics.errors import OperatorError

# About a megabyte: two fetches of 256 KiB from two partitions, or one record of the largest size.
BOUNDS: Final = MappingProxyType(
    {"queued.max.messages.kbytes": 1024, "fetch.message.max.bytes": 256 * 1024}
)
# An id of Kafka in the letters that stand in an address as they are.
_PLAIN: Final = str.maketrans("+/", "-_")
_POLL_S: Final = 0.1
# A partition that has nothing to say tells so at its end, within the fetch wait of 0.1 s.
_SLICE_S: Final = 1.0


def to_event(record: Record) -> Event:
    """The record as doors see it."""
    return Event(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        record.key or b"",
        headers(record),
        record.value or b"",
    )


class Slices:
    """Blocking; any number of threads: each has a client while it reads, a new one if none is free.

    At most as many are made as there are threads.
    """

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._free: SimpleQueue[KafkaLogs] = SimpleQueue()

    def begin(self, topic: str, beginning: Beginning) -> Position:
        """The position that is meant, where the log has all that comes behind it.

        Raises:
            LogMissingError, PositionExpiredError, UnavailableError: as of the port.
        """
        with self._client() as logs:
            ids = logs.identify([topic])
            if topic not in ids:
                raise LogMissingError(topic)
            log = ids[topic].translate(_PLAIN)
            extents = logs.extents(ids)
            position = beginning.position
            if position is not None:
                _check(position, log, extents)
                return position
            if beginning.time_ms is not None:
                starts = logs.starts_at(extents, beginning.time_ms)
            elif beginning.earliest:
                starts = {at: extent.start for at, extent in extents.items()}
            else:
                starts = {at: extent.end for at, extent in extents.items()}
        return Position(log, tuple(starts[at] for at in sorted(starts)))

    def read(self, topic: str, position: Position) -> Batch:
        """What comes next behind a position; nothing where that is the end of the log.

        Raises:
            PositionExpiredError, UnavailableError: as of the port.
        """
        starts = {TopicPartition(topic, n): at for n, at in enumerate(position.offsets)}
        deadline = time.monotonic() + _SLICE_S
        told: dict[TopicPartition, int] = {}
        records: list[Record] = []
        with self._client() as logs:
            logs.assign(starts)
            try:
                while not records and len(told) < len(starts) and time.monotonic() < deadline:
                    polled = logs.poll(_POLL_S)
                    records += polled.records
                    told |= polled.positions
            finally:
                logs.assign({})
        offsets = tuple({**starts, **told}[at] for at in starts)
        return Batch([to_event(record) for record in records], position._replace(offsets=offsets))

    def close(self) -> None:
        """Let go of the clients that are free: all of them, when no thread reads any more."""
        while True:
            try:
                self._free.get_nowait().close()
            except Empty:
                return

    @contextmanager
    def _client(self) -> Iterator[KafkaLogs]:
        try:
            logs = self._free.get_nowait()
        except Empty:
            logs = KafkaLogs(self._settings, self._name, BOUNDS)
        try:
            yield logs
        except StateLostError as error:
            raise PositionExpiredError from error
        except (TransientError, OperatorError) as error:
            raise UnavailableError("Kafka does not answer") from error
        finally:
            self._free.put(logs)


def _check(position: Position, log: str, extents: Mapping[TopicPartition, Extent]) -> None:
    if position.log != log or len(position.offsets) != len(extents):
        raise PositionExpiredError
    for at, extent in extents.items():
        offset = position.offsets[at.partition]
        if offset < extent.start:
            raise PositionExpiredError
        if offset > extent.end:
            # It was handed out, so it is there: a leader that has just become one may not yet
            # know how far the log is committed.
            raise UnavailableError("the log is not known to reach so far")
