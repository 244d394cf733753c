"""The outbox on Kafka: see `connectors.outbound.Outbox`.

Lives here: following what is pending and what is said of it, claims and acknowledgements. Must not
live here: HTTP; which messages may be handed out (`streams.runtime.delivery.shelf`).

A message is handed out when this gateway has read its own claim back from the log, and was the
first. So several gateways need no lock: the order of the log is it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Thread
from typing import Final

from connectors.destinations import Destination
from connectors.exchange import UnavailableError
from connectors.outbound import Handed, Parcel
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime.delivery.book import outbound_topics
from streams.runtime.delivery.entry import Entry
from streams.runtime.delivery.pending import changelog
from streams.runtime.delivery.receipts import Claim, Told, about, said
from streams.runtime.delivery.shelf import Shelf
from streams.runtime.headers import headers
from streams.runtime.reading import TopicReader
from streams.runtime.rejections import Place, at_places, parse_place
from topics import Catalogue, naming
from topics.errors import OperatorError

# The longest that a claim can last, and the clocks of two machines apart.
_CLAIMS_MS: Final = 3_660_000
_READ_BACK_S: Final = 5.0
_LOOK_S: Final = 1.0
_REFUSED: Final = "delivery_refused"
_DELIVERED: Final = "delivered"

Write = Callable[[Output], Awaitable[None]]


class KafkaOutbox:
    """Make it, `start` it in a running loop, `stop` it there."""

    def __init__(
        self,
        settings: KafkaSettings,
        catalogue: Catalogue,
        destinations: Mapping[str, Destination],
        write: Write,
        name: str,
    ) -> None:
        """`write` makes a record durable, or raises UnavailableError."""
        self._destinations = {n: d for n, d in destinations.items() if d.kind == "pull"}
        self._catalogue = catalogue
        self._outbound = outbound_topics(catalogue)
        self._shelf = Shelf(self._destinations)
        self._write = write
        self._reader = TopicReader(settings, f"{name}-outbox")
        self._messages = TopicReader(settings, f"{name}-outbox-messages")
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._claims: dict[str, asyncio.Queue[tuple[Place, ...]]] = {}
        self._changed = asyncio.Event()
        self._stopped = Event()
        self._settled = Event()

    @property
    def ready(self) -> bool:
        """Whether everything that was pending at the start is known."""
        return self._settled.is_set()

    @property
    def broken(self) -> bool:
        """Whether nobody follows the logs any more."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin to read and to follow."""
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._follow, name="outbox", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Let go of everything."""
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._aside.shutdown)
        self._messages.close()

    def serves(self, destination: str) -> bool:
        """See the port."""
        return destination in self._destinations

    async def take(self, destination: str, count_max: int, within_s: float) -> Sequence[Handed]:
        """See the port."""
        if not self.ready:
            raise UnavailableError("what is pending is still being read")
        deadline = time.monotonic() + within_s
        while True:
            wanted = self._shelf.free(destination, count_max, _now_ms())
            if wanted:
                until_ms = _now_ms() + int(self._destinations[destination].visibility_s * 1000)
                got = await self._claimed(destination, wanted, until_ms)
                if got:
                    return await self._handed(got, until_ms)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return ()
            await self._change(left_s)

    async def acknowledge(
        self, destination: str, done: Sequence[str], refused: Mapping[str, str]
    ) -> Sequence[str]:
        """See the port."""
        fates = dict.fromkeys(done, (_DELIVERED, ""))
        fates |= {name: (_REFUSED, why) for name, why in refused.items()}
        unknown: list[str] = []
        writes = []
        for name, (fate, why) in fates.items():
            place = parse_place(name.encode())
            entry = None if place is None else self._shelf.find(destination, place)
            if entry is None:
                unknown.append(name)
                continue
            told = Told(destination, fate, why, place=str(entry.place))
            writes.append(self._write(self._about(told, entry.place.at)))
        await asyncio.gather(*writes)
        return unknown

    # ------------------------------------------------------------------------ claims

    async def _claimed(
        self, destination: str, wanted: Sequence[Entry], until_ms: int
    ) -> dict[Place, Entry]:
        """Those of the wanted that we were the first to claim."""
        token = uuid.uuid4().hex
        heard = self._claims[token] = asyncio.Queue()
        by_partition: dict[TopicPartition, list[str]] = {}
        for entry in wanted:
            by_partition.setdefault(entry.place.at, []).append(str(entry.place))
        outputs = [
            self._about(Claim(destination, token, until_ms, tuple(places)), at)
            for at, places in by_partition.items()
        ]
        try:
            await asyncio.gather(*(self._write(output) for output in outputs))
            async with asyncio.timeout(_READ_BACK_S):
                got = [place for _ in outputs for place in await heard.get()]
        except TimeoutError:
            raise UnavailableError("Kafka does not answer in time") from None
        finally:
            del self._claims[token]
        entries = {entry.place: entry for entry in wanted}
        return {place: entries[place] for place in got}

    async def _handed(self, got: Mapping[Place, Entry], until_ms: int) -> Sequence[Handed]:
        def read() -> list[Record]:
            return list(at_places(self._messages, got.keys()))

        try:
            records = await self._loop.run_in_executor(self._aside, read)
        except OperatorError as error:
            raise UnavailableError("Kafka does not answer") from error
        return [
            Handed(str(record), Parcel(record.value or b"", headers(record)), until_ms)
            for record in records
        ]

    async def _change(self, within_s: float) -> None:
        """Wait until something was heard; or a second, in which a claim may have lapsed."""
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), min(within_s, _LOOK_S))

    def _about(self, what: Claim | Told, at: TopicPartition) -> Output:
        return about(what, self._outbound[at.topic].interface, at.partition)

    # -------------------------------------------------------------------- following

    def _follow(self) -> None:
        starts = self._read()
        self._settled.set()
        for record in self._reader.follow(starts):
            if self._stopped.is_set():
                break
            if record is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._heard, record)
        self._reader.close()

    def _read(self) -> dict[TopicPartition, int]:
        """Take in what is pending now; give where to go on from."""
        there = self._reader.topics()
        interfaces = tuple(self._catalogue.interfaces)
        pending = self._reader.bounds(
            at for one in interfaces for at in there.get(changelog(one), ())
        )
        for record in self._reader.records(pending):
            self._shelf.put(record.key or b"", record.value)
        self._shelf.settle()
        receipts = self._reader.bounds(
            at for one in interfaces for at in there.get(naming.receipts(one), ())
        )
        claims = self._reader.starts_at(receipts, _now_ms() - _CLAIMS_MS)
        ends = {at: span.end for at, span in pending.items()}
        return {**ends, **{at: span.start for at, span in claims.items()}}

    def _heard(self, record: Record) -> None:
        if record.topic.endswith(".receipts"):
            what = said(record)
            if what is not None:
                got = self._shelf.hear(what, record.timestamp_ms)
                if isinstance(what, Claim) and what.token in self._claims:
                    self._claims[what.token].put_nowait(got)
        else:
            self._shelf.put(record.key or b"", record.value)
        self._changed.set()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
