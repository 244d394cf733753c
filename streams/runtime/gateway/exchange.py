"""The exchange on Kafka: see `connectors.exchange`.

Lives here: the producer's reports, the queries, and the replies of all outbound topics, brought
into one event loop. Must not live here: HTTP, XML.

Invariant: a place is given only for a message that all replicas have; every reply that is
committed after `start` passes through `Replies`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import Final

from connectors.exchange import Asked, Call, Place, Recalled, UnavailableError
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime.audit import audit_record
from streams.runtime.gateway.recall import Recall
from streams.runtime.gateway.replies import Fate, Replies
from streams.runtime.logs import log
from streams.runtime.reading import Range, TopicReader
from streams.runtime.sending import Delivery, LoopSender
from topics import Catalogue, naming
from topics.catalogue.model import Purpose

# How often reports are fetched while there are messages without one.
_SERVE_S: Final = 0.001
_FLUSH_S: Final = 5.0


class KafkaExchange:
    """The port's implementation. Make it, `start` it in a running loop, `stop` it there."""

    def __init__(
        self,
        settings: KafkaSettings,
        catalogue: Catalogue,
        name: str,
        *,
        timeout_s: float,
        count: Callable[[Fate], None],
    ) -> None:
        """`timeout_s` is how long a message may wait for Kafka; `count` is told of each reply."""
        self._sender = LoopSender(settings, timeout_s=timeout_s)
        self._reader = TopicReader(settings, f"{name}-replies")
        self._recall = Recall(settings, catalogue, name)
        self._catalogue = catalogue
        self._timeout_s = timeout_s
        self._count = count
        self._replies = Replies()
        self._queries = frozenset(map(naming.requests, catalogue.interfaces))
        self._offered = asyncio.Event()
        self._stopped = Event()
        self._following = Event()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="recall")

    @property
    def ready(self) -> bool:
        """Whether replies are being followed."""
        return self._following.is_set()

    @property
    def broken(self) -> bool:
        """Whether it can never work again: the producer is beyond help, or nobody reads replies."""
        return self._sender.broken or not self._thread.is_alive()

    async def start(self) -> None:
        """Begin to send, and to follow the replies from now on.

        Raises:
            OperatorError: broker_unreachable.
        """
        self._loop = asyncio.get_running_loop()
        starts = await asyncio.to_thread(self._starts)
        self._serving = asyncio.create_task(self._serve())
        self._thread = Thread(target=self._follow, args=(starts,), name="replies", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Send what is queued, then let go of everything."""
        self._serving.cancel()
        self._stopped.set()
        await asyncio.to_thread(self._sender.finish, _FLUSH_S)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._aside.shutdown)
        self._recall.close()

    def let_go(self) -> None:
        """Let those who wait for replies go without: they ask again later."""
        self._replies.let_go()

    async def submit(self, call: Call) -> Place:
        """See the port."""
        message = call.message
        output = Output(message.topic, message.key, message.value, message.headers)
        reported: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        if not self._sender.offer(output, partial(self._reported, call.asked, reported)):
            raise UnavailableError("too much waits for Kafka")
        self._offered.set()
        return await reported

    async def reply(self, place: Place, within_s: float) -> bytes | None:
        """See the port."""
        reply = await self._replies.wait(place, within_s)
        if reply is None and self._replies.referred(place):
            with suppress(UnavailableError):  # whoever asks again finds it
                return (await self.recall(place)).reply
        return reply

    async def recall(self, place: Place) -> Recalled:
        """See the port."""
        known = self._replies.known(place)
        if known is not None and not known.elsewhere:
            return Recalled(known.asked.source, known.asked, known.reply)
        seen = self._replies.kept(place)
        looking = self._loop.run_in_executor(self._aside, self._recall.look_up, place, seen)
        try:
            return await asyncio.wait_for(looking, self._timeout_s)
        except TimeoutError:
            raise UnavailableError("Kafka does not answer in time") from None

    async def write(self, output: Output) -> None:
        """Make a record of the gateway's own durable.

        Raises:
            UnavailableError: it is not known to be.
        """
        reported: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()

        def report(delivery: Delivery) -> None:
            if not reported.done():
                reported.set_result(delivery)

        if not self._sender.offer(output, report):
            raise UnavailableError("too much waits for Kafka")
        self._offered.set()
        delivery = await reported
        if delivery.failure:
            raise UnavailableError(delivery.failure)

    def audit(self, action: str, about: str, by: str, details: Mapping[str, object]) -> None:
        """See the port. A record that finds no way into Kafka is a line in the log instead."""
        time_ms = time.time_ns() // 1_000_000
        output = audit_record(action, about, by=by, time_ms=time_ms, details=details)

        def reported(delivery: Delivery) -> None:
            if delivery.failure:
                log("gateway", logging.ERROR, "audit record lost", about=about, **details)

        if self._sender.offer(output, reported):
            self._offered.set()
        else:
            log("gateway", logging.ERROR, "audit record lost", about=about, **details)

    def _starts(self) -> dict[TopicPartition, int]:
        """Replies from now on, and the queries that may still be answered."""
        there = self._reader.topics()

        def bounds(purpose: Purpose) -> Mapping[TopicPartition, Range]:
            names = [spec.name for spec in self._catalogue.topics() if spec.purpose == purpose]
            return self._reader.bounds(at for name in names for at in there.get(name, ()))

        starts = {at: span.end for at, span in bounds("outbound").items()}
        since_ms = time.time_ns() // 1_000_000 - self._catalogue.query_expiry_ms
        open_ = self._reader.starts_at(bounds("requests"), since_ms)
        return starts | {at: span.start for at, span in open_.items()}

    async def _serve(self) -> None:
        while True:
            if self._sender.waiting:
                self._sender.serve()
                await asyncio.sleep(_SERVE_S)
            else:
                self._offered.clear()
                await self._offered.wait()

    def _follow(self, starts: Mapping[TopicPartition, int]) -> None:
        for record in self._reader.follow(starts):
            if self._stopped.is_set():
                break
            self._following.set()
            if record is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._arrived, record)
        self._reader.close()

    def _arrived(self, record: Record) -> None:
        if record.topic in self._queries:
            self._replies.heard(record)
        else:
            self._count(self._replies.arrived(record))

    def _reported(
        self, asked: Asked | None, reported: asyncio.Future[Place], delivery: Delivery
    ) -> None:
        """At once, not when its task has its turn: the reply may be here first."""
        place = Place(delivery.topic, delivery.partition, delivery.offset)
        if not delivery.failure and asked is not None:
            self._replies.asked(place, asked)
        if reported.done():  # whoever sent it is gone
            return
        if delivery.failure:
            reported.set_exception(UnavailableError(delivery.failure))
        else:
            reported.set_result(place)
