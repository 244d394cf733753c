"""The client for event loops: the same flows over httpx.

Lives here: doing what a flow says, and the methods of `Client`, to be awaited. Must not live here:
what is sent, tried again or made of an answer (`flows`, `mapping`).

A client may be used by several tasks of one loop at once. It holds connections: close it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from connectors.client.flows import Connect, Failure, Flow, Opened, Pause, Receive
from connectors.client.mapping import Event, HttpAnswer, HttpRequest, Receipt, Reply
from connectors.client.speaker import WAIT_S, Said, Speaker, arguments, to_answer, to_failure

T = TypeVar("T")


class AsyncClient(Speaker):
    """For event loops; see `Client`, whose methods these are."""

    _http: httpx.AsyncClient

    def _connect(self, options: dict[str, Any]) -> None:
        self._http = httpx.AsyncClient(**options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def publish(self, interface: str, message: bytes) -> Receipt:
        """See `Client`."""
        return await self._run(self._publish(interface, message))

    async def request(self, interface: str, message: bytes, *, wait_s: float = WAIT_S) -> Reply:
        """See `Client`."""
        return await self._run(self._request(interface, message, wait_s))

    async def reply(self, receipt: Receipt, *, wait_s: float = WAIT_S) -> Reply:
        """See `Client`."""
        return await self._run(self._reply(receipt, wait_s))

    async def create(
        self, interface: str, noun: str, payload: bytes, **said: Unpack[Said]
    ) -> Reply:
        """See `Client`."""
        return await self._run(self._change("create", interface, noun, payload, said))

    async def change(
        self, interface: str, noun: str, payload: bytes, **said: Unpack[Said]
    ) -> Reply:
        """See `Client`."""
        return await self._run(self._change("change", interface, noun, payload, said))

    async def delete(
        self, interface: str, noun: str, what: bytes | str, **said: Unpack[Said]
    ) -> Reply:
        """See `Client`."""
        return await self._run(self._change("delete", interface, noun, what, said))

    async def cancel(
        self, interface: str, noun: str, what: bytes | str, **said: Unpack[Said]
    ) -> Reply:
        """See `Client`."""
        return await self._run(self._change("cancel", interface, noun, what, said))

    async def close_object(
        self, interface: str, noun: str, what: bytes | str, **said: Unpack[Said]
    ) -> Reply:
        """See `Client`."""
        return await self._run(self._change("close", interface, noun, what, said))

    async def subscribe(
        self, interface: str, noun: str, *, begin: str = "latest", **criteria: str | Sequence[str]
    ) -> AsyncGenerator[Event, None]:
        """See `Client`."""
        flow = self._subscription(interface, noun, begin, criteria)
        async with AsyncExitStack() as connection:
            pieces: AsyncIterator[bytes] = _nothing()
            outcome: HttpAnswer | Failure | Opened | bytes | None = None
            while True:
                step = flow.send(outcome)
                outcome = None
                match step:
                    case Event():
                        yield step
                    case Pause():
                        await asyncio.sleep(step.seconds)
                    case Connect():
                        await connection.aclose()
                        outcome, pieces = await self._opened(step.request, connection)
                    case Receive():
                        outcome = await _anext(pieces)

    async def _opened(
        self, request: HttpRequest, connection: AsyncExitStack
    ) -> tuple[HttpAnswer | Failure | Opened, AsyncIterator[bytes]]:
        try:
            stream = self._http.stream(**arguments(request))
            response = await connection.enter_async_context(stream)
            if response.status_code == 200:
                return Opened(), response.aiter_raw()
            await response.aread()
        except httpx.RequestError as error:
            return to_failure(error), _nothing()
        return to_answer(response), _nothing()

    async def _run(self, flow: Flow[T]) -> T:
        outcome: HttpAnswer | Failure | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = None
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                continue
            try:
                outcome = to_answer(await self._http.request(**arguments(step)))
            except httpx.RequestError as error:
                outcome = to_failure(error)


async def _anext(pieces: AsyncIterator[bytes]) -> bytes | Failure:
    try:
        return await anext(pieces, b"")
    except httpx.RequestError as error:
        return to_failure(error)


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for piece in none:
        yield piece
