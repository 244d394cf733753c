"""The client for threads: flows over httpx.

Lives here: doing what a flow says, and the methods an application calls. Must not live here: what
is sent, tried again or made of an answer (`flows`, `mapping`).

A client may be used by several threads at once. It holds connections: close it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from connectors.client.flows import Connect, Failure, Flow, Opened, Pause, Receive
from connectors.client.mapping import Event, HttpAnswer, HttpRequest, Receipt, Reply
from connectors.client.speaker import WAIT_S, Said, Speaker, arguments, to_answer, to_failure

T = TypeVar("T")


class Client(Speaker):
    """For threads. Every method raises the errors of `connectors.client.errors`."""

    _http: httpx.Client

    def _connect(self, options: dict[str, Any]) -> None:
        self._http = httpx.Client(**options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def publish(self, interface: str, message: bytes) -> Receipt:
        """Send a message and do not wait for its reply, if it gets one; `reply` asks for it."""
        return self._run(self._publish(interface, message))

    def request(self, interface: str, message: bytes, *, wait_s: float = WAIT_S) -> Reply:
        """Send a message and wait for its reply."""
        return self._run(self._request(interface, message, wait_s))

    def reply(self, receipt: Receipt, *, wait_s: float = WAIT_S) -> Reply:
        """The reply to a message that was published, also by another process, also long ago."""
        return self._run(self._reply(receipt, wait_s))

    def create(self, interface: str, noun: str, payload: bytes, **said: Unpack[Said]) -> Reply:
        """Create objects of a register."""
        return self._run(self._change("create", interface, noun, payload, said))

    def change(self, interface: str, noun: str, payload: bytes, **said: Unpack[Said]) -> Reply:
        """Change objects of a register."""
        return self._run(self._change("change", interface, noun, payload, said))

    def delete(self, interface: str, noun: str, what: bytes | str, **said: Unpack[Said]) -> Reply:
        """Delete objects of a register: one by its mRID, or those of a payload."""
        return self._run(self._change("delete", interface, noun, what, said))

    def cancel(self, interface: str, noun: str, what: bytes | str, **said: Unpack[Said]) -> Reply:
        """Cancel objects of a register: one by its mRID, or those of a payload."""
        return self._run(self._change("cancel", interface, noun, what, said))

    def close_object(
        self, interface: str, noun: str, what: bytes | str, **said: Unpack[Said]
    ) -> Reply:
        """Close objects of a register: one by its mRID, or those of a payload."""
        return self._run(self._change("close", interface, noun, what, said))

    def subscribe(
        self, interface: str, noun: str, *, begin: str = "latest", **criteria: str | Sequence[str]
    ) -> Generator[Event, None, None]:
        """The events of a log as they become permanent, for ever; interruptions are mended.

        Args:
            interface: The home of the noun.
            noun: As the catalogue has it.
            begin: earliest, latest, a time, or the `position` of an event that was worked on.
            criteria: mrid, status, verb, source, or a field as `field__feeder__mRID`.
        """
        flow = self._subscription(interface, noun, begin, criteria)
        with ExitStack() as connection:
            pieces: Iterator[bytes] = iter(())
            outcome: HttpAnswer | Failure | Opened | bytes | None = None
            while True:
                step = flow.send(outcome)
                outcome = None
                match step:
                    case Event():
                        yield step
                    case Pause():
                        time.sleep(step.seconds)
                    case Connect():
                        connection.close()
                        outcome, pieces = self._opened(step.request, connection)
                    case Receive():
                        outcome = _next(pieces)

    def _opened(
        self, request: HttpRequest, connection: ExitStack
    ) -> tuple[HttpAnswer | Failure | Opened, Iterator[bytes]]:
        try:
            response = connection.enter_context(self._http.stream(**arguments(request)))
            if response.status_code == 200:
                return Opened(), response.iter_raw()
            response.read()
        except httpx.RequestError as error:
            return to_failure(error), iter(())
        return to_answer(response), iter(())

    def _run(self, flow: Flow[T]) -> T:
        outcome: HttpAnswer | Failure | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = None
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                continue
            try:
                outcome = to_answer(self._http.request(**arguments(step)))
            except httpx.RequestError as error:
                outcome = to_failure(error)


def _next(pieces: Iterator[bytes]) -> bytes | Failure:
    try:
        return next(pieces, b"")
    except httpx.RequestError as error:
        return to_failure(error)
