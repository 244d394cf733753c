"""The event logs for subscribers, from Kafka: see `connectors.subscriptions`.

Lives here: whether a subscriber reads from the window of its log or for itself. Must not live
here: Kafka clients (`tailing`, `slices`), filters, HTTP.

    the window reaches back to it      ──▶ what all who keep up share
    it does not, or there is none yet  ──▶ a slice of the log, read for this one

A slice is read only when its subscriber asks for more, so whoever does not read holds at most a
slice in memory, no client of Kafka, and nobody else back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from connectors.exchange import UnavailableError
from connectors.subscriptions import (
    Batch,
    Beginning,
    Event,
    Position,
    PositionExpiredError,
    SubscriptionEndedError,
)
from streams.engine.kafka import KafkaSettings
from streams.runtime.gateway.feed import Feed
from streams.runtime.gateway.slices import Slices
from streams.runtime.gateway.tailing import Tail

# So many slices are read at once; each has about 1 MB and takes some 10 ms.
_READERS: Final = 2

T = TypeVar("T")


class KafkaSubscriptions:
    """The port's implementation. Make it and `stop` it in a running loop.

    No client of Kafka is made before the first subscription. A log has a window as long as
    somebody has come to its end.
    """

    def __init__(self, settings: KafkaSettings, name: str, *, timeout_s: float) -> None:
        """`timeout_s` is how long a subscriber waits for Kafka before it is told so."""
        self._slices = Slices(settings, f"{name}-slices")
        self._tail = Tail(settings, f"{name}-events")
        self._timeout_s = timeout_s
        self._aside = ThreadPoolExecutor(_READERS, thread_name_prefix=f"{name}-slices")
        self._windows: dict[str, Window] = {}
        self._ended = False

    @property
    def broken(self) -> bool:
        """Whether it can never work again."""
        return self._tail.broken

    async def open(self, topic: str, beginning: Beginning) -> KafkaSubscription:
        """See the port."""
        self.check_open()
        position = await self._read_aside(lambda: self._slices.begin(topic, beginning))
        return KafkaSubscription(self, topic, position)

    def let_go(self) -> None:
        """Tell all who read that this process ends."""
        self._ended = True
        for window in self._windows.values():
            window.wake()

    async def stop(self) -> None:
        """Let go of the clients."""
        self.let_go()
        await asyncio.to_thread(self._tail.stop)
        await asyncio.to_thread(self._aside.shutdown)
        self._slices.close()

    def check_open(self) -> None:
        """Refuse to begin what is about to end.

        Raises:
            SubscriptionEndedError: this process ends.
        """
        if self._ended:
            raise SubscriptionEndedError

    def window(self, topic: str) -> Window | None:
        """That of a log, where there is one."""
        return self._windows.get(topic)

    async def slice(self, topic: str, position: Position) -> Batch:
        """What comes next behind a position; at the end of a log, it gets a window there."""
        batch = await self._read_aside(lambda: self._slices.read(topic, position))
        if not batch.events and topic not in self._windows:
            window = Window(Feed(batch.position), lambda: self._forget(topic, window))
            self._windows[topic] = window
            self._tail.follow(topic, batch.position.offsets, window)
        return batch

    def left(self, topic: str, window: Window) -> None:
        """Nobody reads from this window any more."""
        if self._forget(topic, window):
            self._tail.leave(topic)

    def _forget(self, topic: str, window: Window) -> bool:
        known = self._windows.get(topic) is window
        if known:
            del self._windows[topic]
        return known

    async def _read_aside(self, read: Callable[[], T]) -> T:
        reading = asyncio.get_running_loop().run_in_executor(self._aside, read)
        try:
            return await asyncio.wait_for(reading, self._timeout_s)
        except TimeoutError:
            raise UnavailableError("Kafka does not answer in time") from None


class Window:
    """The newest of a log, who reads from it, and how they hear of more."""

    def __init__(self, feed: Feed, forget: Callable[[], object]) -> None:
        self.feed = feed
        self.readers: set[KafkaSubscription] = set()
        self.changed = asyncio.Event()
        self._forget = forget

    def arrived(self, events: Sequence[Event], stands: Mapping[int, int]) -> None:
        """See `tailing.Listener`."""
        self.feed.arrived(events, stands)
        self.wake()

    def lost(self) -> None:
        """See `tailing.Listener`. Who reads here reads for itself now, and hears what is lost."""
        self._forget()
        self.wake()

    def wake(self) -> None:
        """Something came, or ended."""
        self.changed.set()
        self.changed = asyncio.Event()


class KafkaSubscription:
    """See `connectors.subscriptions.Subscription`."""

    def __init__(self, owner: KafkaSubscriptions, topic: str, position: Position) -> None:
        self._owner = owner
        self._topic = topic
        self._position = position
        self._window: Window | None = None
        self._place: int | None = None
        self._slice: asyncio.Task[Batch] | None = None

    @property
    def position(self) -> Position:
        """See the port."""
        return self._position

    async def next(self, within_s: float) -> Batch:
        """See the port."""
        try:
            async with asyncio.timeout(within_s):
                while not (batch := await self._more()).events:
                    self._position = batch.position
        except TimeoutError:
            return Batch((), self._position)
        self._position = batch.position
        return batch

    def close(self) -> None:
        """See the port."""
        self._enter(None)
        if self._slice is not None:
            self._slice.cancel()

    async def _more(self) -> Batch:
        """What is there, or nothing, after something has changed."""
        self._owner.check_open()
        window = self._owner.window(self._topic)
        if window is not None and window.feed.log != self._position.log:
            raise PositionExpiredError
        self._enter(window)
        found = None if window is None else window.feed.read(self._position, self._place)
        if window is None or found is None:
            self._enter(None)
            return await self._read_slice()
        batch, self._place = found
        if not batch.events:
            await window.changed.wait()
        return batch

    async def _read_slice(self) -> Batch:
        """A slice; one that is not there in time goes on being read for the next time."""
        if self._slice is None:
            reading = self._owner.slice(self._topic, self._position)
            self._slice = asyncio.ensure_future(reading)
        try:
            return await asyncio.shield(self._slice)
        finally:
            if self._slice.done():
                self._slice = None

    def _enter(self, window: Window | None) -> None:
        """Read from this window, and from no other any more."""
        if window is self._window:
            return
        before, self._window, self._place = self._window, window, None
        if window is not None:
            window.readers.add(self)
        if before is not None:
            before.readers.discard(self)
            if not before.readers:
                self._owner.left(self._topic, before)
