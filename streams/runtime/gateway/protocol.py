"""What the HTTP server itself does not have: limits of a request's head, the client's certificate.

Lives here: the guard on one connection, and who is at its other end. Must not live here: what a
request means.

A client that sends its head a byte at a time (slow loris), or nothing at all, or headers without
end, or that does not read its answer, holds a connection only so long, and little memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from connectors.certificates import names
from connectors.credentials import CERTIFICATE


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a clock that runs until the head is there; see `guarded`."""

    head_s = 10.0
    head_bytes_max = 64 * 1024
    unread_s = 30.0

    _clock: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _names: frozenset[str] = frozenset()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first request."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        # One that was not asked for, or that is not good, is not given here.
        certificate = tls.getpeercert(binary_form=True) if tls else None
        self._names = names(certificate) if certificate else frozenset()
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_clock()
        self._stop_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What comes while a head is open is counted; between requests, a new clock starts."""
        super().data_received(data)
        if self._clock is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self.head_bytes_max:
                self.transport.abort()
        elif self._idle():
            self._start_clock()

    def on_message_begin(self) -> None:
        """A request on this connection is of who showed the certificate."""
        super().on_message_begin()
        if self._names:
            self.scope["extensions"] = {CERTIFICATE: {"names": self._names}}

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_clock()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """An answer is written; who does not read it does not keep the connection for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def pause_writing(self) -> None:
        """So much waits to be read by the client that no more is written; it has its time."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        self._stop_unread()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """As long as one that is kept may be silent; what it has not read by now is given up."""
        self.transport.abort()

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete

    def _start_clock(self) -> None:
        self._stop_clock()
        self._head_bytes = 0
        self._clock = self.loop.call_later(self.head_s, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def guarded(head_s: float, unread_s: float) -> type[Any]:
    """The protocol with these times: for a head to come, and for an answer to be read further."""
    return type("Guarded", (GuardedProtocol,), {"head_s": head_s, "unread_s": unread_s})
