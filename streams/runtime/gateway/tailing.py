"""The ends of the logs that somebody subscribes to, read by one client of Kafka.

Lives here: the thread that reads, and the way of what it reads into the event loop. Must not live
here: who wants it (`subscriptions`).

Invariant: of each log that is followed every committed record behind its start is told, in the
order of its partition, once; or the log is told to be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread
from threading import Event as Flag
from typing import Final, NamedTuple, Protocol

from connectors.subscriptions import Event
from streams.engine.errors import StateLostError, TransientError
from streams.engine.kafka import KafkaSettings
from streams.engine.record import TopicPartition
from streams.runtime.following import KafkaLogs
from streams.runtime.gateway.slices import BOUNDS, to_event
from streams.views.follow import Polled

_POLL_S: Final = 0.1
_AGAIN_S: Final = 0.2
# Turns that may wait for the loop: what is read ahead of it is bounded.
_AHEAD: Final = 4


class Listener(Protocol):
    """Who is told of one log, in the event loop."""

    def arrived(self, events: Sequence[Event], stands: Mapping[int, int]) -> None:
        """These came; and where each partition stands now."""

    def lost(self) -> None:
        """The log is not read any more: it does not have what comes next."""


class Tail:
    """Made in a running loop, whose methods these are, but for `stop`, which blocks."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._ordered = Flag()
        self._stopped = Flag()
        self._listeners: dict[str, Listener] = {}  # the thread's
        self._room = BoundedSemaphore(_AHEAD)
        self._thread: Thread | None = None

    @property
    def broken(self) -> bool:
        """Whether nobody reads any more who should."""
        return self._thread is not None and not self._thread.is_alive()

    def follow(self, topic: str, starts: tuple[int, ...], listener: Listener) -> None:
        """Read this log, too, from these offsets on; not for who was told of it before."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._order(_Order(topic, starts, listener))

    def leave(self, topic: str) -> None:
        """Read this log no more. What is on its way is still told to who listened."""
        self._order(_Order(topic, (), None))

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._ordered.set()
        if self._thread is not None:
            self._thread.join()

    def _order(self, order: _Order) -> None:
        self._orders.put(order)
        self._ordered.set()

    def _run(self) -> None:
        logs = KafkaLogs(self._settings, self._name, BOUNDS)
        positions: dict[TopicPartition, int] = {}
        while not self._stopped.is_set():
            if self._ordered.is_set():
                self._obey(positions)
                logs.assign(positions)
            if not positions:
                self._ordered.wait()
                continue
            try:
                polled = logs.poll(_POLL_S)
            except TransientError:
                # What came before the error, in the same turn, was not told: read it again.
                self._stopped.wait(_AGAIN_S)
                logs.assign(positions)
            except StateLostError:
                # It does not say which; who subscribes finds out with a slice of its own.
                for listener in self._listeners.values():
                    self._tell(listener.lost)
                positions.clear()
                logs.assign(positions)
            else:
                positions |= polled.positions
                self._hand_on(polled)
        logs.close()

    def _obey(self, positions: dict[TopicPartition, int]) -> None:
        """Change what is read by the orders that have come."""
        self._ordered.clear()
        while not self._orders.empty():
            topic, starts, listener = self._orders.get()
            for at in [at for at in positions if at.topic == topic]:
                del positions[at]
            for number, start in enumerate(starts):
                positions[TopicPartition(topic, number)] = start
            if listener is not None:
                self._listeners[topic] = listener

    def _hand_on(self, polled: Polled) -> None:
        for topic in dict.fromkeys(at.topic for at in polled.positions):
            events = [to_event(record) for record in polled.records if record.topic == topic]
            stands = {at.partition: n for at, n in polled.positions.items() if at.topic == topic}
            while not self._room.acquire(timeout=_POLL_S):
                if self._stopped.is_set():
                    return
            self._tell(self._deliver, self._listeners[topic], events, stands)

    def _deliver(
        self, listener: Listener, events: Sequence[Event], stands: Mapping[int, int]
    ) -> None:
        self._room.release()
        listener.arrived(events, stands)

    def _tell(self, told: Callable[..., None], *said: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(told, *said)


class _Order(NamedTuple):
    """Read a log from these offsets on; without offsets, no more."""

    topic: str
    starts: tuple[int, ...]
    listener: Listener | None
