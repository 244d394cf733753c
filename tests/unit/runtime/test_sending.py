"""What becomes of messages when the client library gives up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output
from streams.runtime.sending import Delivery, LoopSender, Sender

FATAL = KafkaError(KafkaError._INCONSISTENT, "cannot be put together again", fatal=True)
PURGED = KafkaError(KafkaError._PURGE_QUEUE)
SETTINGS = KafkaSettings("localhost:1", extra={"log_level": 0})


class GivesUp:
    """A producer that gives up when it is first asked for reports.

    As the library does it: it raises from there, once, and loses the report that it was giving.
    """

    def __init__(self, error: Exception) -> None:
        self._error: Exception | None = error
        self._queued: list[Callable[[KafkaError | None, Any], None]] = []

    def __len__(self) -> int:
        return len(self._queued)

    def produce(self, topic: str, *, on_delivery: Any, **_: Any) -> None:
        if self._error is None:
            raise KafkaException(FATAL)
        self._queued.append(on_delivery)

    def poll(self, timeout_s: float) -> int:
        if not self._queued:
            return 0
        if self._error is not None:
            error, self._error = self._error, None
            del self._queued[0]
            raise error
        self._queued.pop(0)(FATAL, None)
        return 1

    flush = poll

    def purge(self) -> None:
        pass


@pytest.mark.parametrize("error", [KafkaException(FATAL), SystemError("error return without")])
def test_every_message_is_reported_once_when_the_producer_gives_up(error: Exception) -> None:
    sender = Sender(SETTINGS, timeout_s=1)
    sender._producer = cast(Producer, GivesUp(error))
    told: dict[int, list[Delivery]] = {number: [] for number in range(5)}
    for number, reports in told.items():
        sender.send(Output("t", b"%d" % number, b"v"), reports.append)
    sender.finish()
    assert all(len(reports) == 1 and reports[0].failure for reports in told.values())


@pytest.mark.parametrize("error", [KafkaException(FATAL), SystemError("error return without")])
def test_a_loop_is_told_that_its_producer_gave_up_and_goes_on(error: Exception) -> None:
    sender = LoopSender(SETTINGS, timeout_s=1)
    sender._producer = cast(Producer, GivesUp(error))
    reports: list[Delivery] = []
    for _ in range(2):
        assert sender.offer(Output("t", b"k", b"v"), reports.append)
    before = sender.broken
    sender.serve()
    sender.serve()
    assert (before, sender.broken) == (False, True)
    assert [report.failure for report in reports] == [FATAL.str()]
    assert not sender.offer(Output("t", b"k", b"v"), reports.append)
    sender.finish(0.1)


class Repeats:
    """A producer whose broker takes everything for repeats of it does not say what."""

    def __init__(self, offset: int | None) -> None:
        self._offset = offset
        self._queued: list[Callable[[KafkaError | None, Any], None]] = []

    def __len__(self) -> int:
        return len(self._queued)

    def produce(self, topic: str, *, on_delivery: Any, **_: Any) -> None:
        self._queued.append(on_delivery)

    def poll(self, timeout_s: float) -> int:
        while self._queued:
            self._queued.pop(0)(None, self)
        return 0

    flush = poll

    def purge(self) -> None:
        pass

    def partition(self) -> int:
        return 3

    def offset(self) -> int | None:
        return self._offset


def reported(offset: int | None) -> list[Delivery]:
    """By both senders."""
    reports: list[Delivery] = []
    sender, loop = Sender(SETTINGS, timeout_s=1), LoopSender(SETTINGS, timeout_s=1)
    sender._producer = loop._producer = cast(Producer, Repeats(offset))
    sender.send(Output("t", b"k", b"v"), reports.append)
    sender.finish()
    assert loop.offer(Output("t", b"k", b"v"), reports.append)
    loop.serve()
    return reports


@pytest.mark.parametrize("offset", [None, -1001])
def test_a_message_of_which_nobody_says_where_it_is_counts_as_failed(offset: int | None) -> None:
    """Else its sender would not send it again, and it may be nowhere."""
    assert [(told.offset, bool(told.failure)) for told in reported(offset)] == [(-1, True)] * 2


def test_the_first_place_of_a_log_is_a_place() -> None:
    assert reported(0) == [Delivery("t", 3, 0)] * 2
