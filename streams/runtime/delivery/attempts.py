"""Attempts under way: an event loop on a thread of its own, with a client for each destination.

Lives here: reading the message from its log, making the attempt, and bringing back what became of
it. Must not live here: which attempts are made, what follows from one (`ledger`).

Invariant: every attempt and every reading that was asked for comes back once, or was dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from connectors.outbound import Client, Outcome, Parcel, Verdict
from streams.engine.errors import TransientError
from streams.engine.ports import Reader
from streams.engine.record import Record
from streams.runtime.delivery.entry import Entry
from streams.runtime.headers import headers
from streams.runtime.rejections import Place

EXPIRED: Final = "delivery_expired"
_READ_AGAIN_S: Final = 1.0
_CLOSE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of it.

    `record` is the message, None where its log no longer has it. `outcome` is that of an attempt;
    None: it was only read, because its fate is `code`.
    """

    place: Place
    record: Record | None
    outcome: Outcome | None
    code: str = ""
    seconds: float = 0.0


class Attempts:
    """Calls come from one thread, that of the ledger."""

    def __init__(
        self, clients: Mapping[str, Client], reader: Reader, clock_ms: Callable[[], int]
    ) -> None:
        """`reader` is used by one thread of ours; `clock_ms` gives epoch milliseconds."""
        self._clients = clients
        self._reader = reader
        self._clock_ms = clock_ms
        self._results: SimpleQueue[Attempted] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="delivery-reader")
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._thread = Thread(target=self._run, name="attempts", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def send(self, entry: Entry, record: Record | None) -> None:
        """Make an attempt. `record` is the message where it is at hand."""
        client, place = self._clients[entry.destination], entry.place
        self._begin(place, self._attempt(place, entry.expires_ms, client, record))

    def fetch(self, entry: Entry) -> None:
        """Only read the message, whose fate is decided."""
        self._begin(entry.place, self._fetched(entry.place, entry.fate))

    def results(self) -> list[Attempted]:
        """What has come since they were asked for last."""
        found = []
        while True:
            try:
                found.append(self._results.get_nowait())
            except Empty:
                return found

    def drop(self, places: Iterable[Place]) -> None:
        """Break these off; what became of them does not come back."""
        self._ask(self._dropped(set(places)))

    def wait(self, places: Iterable[Place], within_s: float) -> None:
        """Wait until these have come back, or the time is over."""
        self._ask(self._waited(set(places), within_s))

    def close(self) -> None:
        """Break off what is under way and let go of everything."""

        async def closed() -> None:
            await self._dropped(set(self._tasks))
            for client in self._clients.values():
                await client.close()

        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(closed(), self._loop).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._reading.shutdown()
        self._reader.close()

    # ------------------------------------------------------------ on the loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _ask(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _begin(self, place: Place, work: Coroutine[Any, Any, Attempted]) -> None:
        self._loop.call_soon_threadsafe(self._create, place, work)

    def _create(self, place: Place, work: Coroutine[Any, Any, Attempted]) -> None:
        task = self._tasks[place] = self._loop.create_task(self._reported(work))
        task.add_done_callback(lambda done: self._forget(place, done))

    def _forget(self, place: Place, done: asyncio.Task[None]) -> None:
        if self._tasks.get(place) is done:
            del self._tasks[place]

    async def _reported(self, work: Coroutine[Any, Any, Attempted]) -> None:
        self._results.put(await work)

    async def _dropped(self, places: set[Place]) -> None:
        tasks = [task for place, task in self._tasks.items() if place in places]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _waited(self, places: set[Place], within_s: float) -> None:
        tasks = [task for place, task in self._tasks.items() if place in places]
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)

    async def _fetched(self, place: Place, code: str) -> Attempted:
        return Attempted(place, await self._read(place), None, code)

    async def _attempt(
        self, place: Place, expires_ms: int, client: Client, record: Record | None
    ) -> Attempted:
        record = record or await self._read(place)
        # The reading may have taken long: what is over by now does not leave.
        if record is None or self._clock_ms() >= expires_ms:
            return Attempted(place, record, None, EXPIRED)
        begun = time.monotonic()
        try:
            outcome = await client.send(Parcel(record.value or b"", headers(record)))
        except Exception as error:  # noqa: BLE001 - whatever a client did not foresee is an outcome
            outcome = Outcome(Verdict.UNKNOWN, f"the client failed: {type(error).__name__}")
        return Attempted(place, record, outcome, seconds=time.monotonic() - begun)

    async def _read(self, place: Place) -> Record | None:
        while True:
            try:
                return await self._loop.run_in_executor(
                    self._reading, self._reader.read, place.at, place.offset
                )
            except TransientError:
                await asyncio.sleep(_READ_AGAIN_S)
