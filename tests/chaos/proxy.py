"""A TCP proxy in front of one broker, which can be a bad network.

Lives here: connections, and of Kafka's protocol only the frame: length, API key. Must not live
here: when what fails (the scenarios).

Faults hold for connections that are there and for those that come, until `heal`:
delay (each way), silent (accepted, nothing ever answered), cut (reset, and refused), stalling at
requests of one API key and whatever comes behind them, and holding back requests of one API
key, which can be delivered later on a connection of their own, as a network does that lost sight
of a packet for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from threading import Event, Thread
from typing import Any, Final

HOST: Final = "127.0.0.1"
_CHUNK: Final = 256 * 1024
_FRAME: Final = struct.Struct(">ihh")  # length, API key, version
_ANSWER_S: Final = 10.0
_LOOK_S: Final = 0.02
ADD_OFFSETS_TO_TXN: Final = 25
END_TXN: Final = 26


class Proxy:
    """Listens on a port of its own; runs on a thread of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.delay_s = 0.0
        self.held: list[bytes] = []
        """Frames that were held back, oldest first."""
        self._target = 0
        self._silent = False
        self._refusing = False
        self._holding: int | None = None
        self._stalling: int | None = None
        self._caught = Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self, target: int) -> None:
        """Forward to `target` from now on."""
        self._target = target
        self._thread.start()
        self._call(self._listen())

    def close(self) -> None:
        """Cut everything and stop."""
        if not self._thread.is_alive():
            return
        self.cut()
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --------------------------------------------------------------------------- faults

    def cut(self, *, refuse: bool = False) -> None:
        """Reset every connection; `refuse` resets new ones, too."""
        self._refusing = refuse
        self._call(self._reset())

    def silence(self) -> None:
        """Half-open: connections stay and are accepted, and no byte passes any more."""
        self._silent = True

    def hold(self, api_key: int) -> None:
        """Hold back requests with this API key. The peer waits; others pass."""
        self._caught.clear()
        self._holding = api_key

    def stall(self, api_key: int) -> None:
        """Let a request with this API key wait, and what its connection sends behind it."""
        self._caught.clear()
        self._stalling = api_key

    @property
    def caught(self) -> bool:
        """Whether a request has been held back, or waits."""
        return self._caught.is_set()

    def let_pass(self) -> None:
        """Hold back no further requests, and none waits; those that are held stay so."""
        self._holding = self._stalling = None

    def release(self) -> list[bytes]:
        """Deliver what is held to the broker, each on a new connection; give the answers."""
        frames, self.held = self.held, []
        return [deliver(self._target, frame) for frame in frames]

    def heal(self) -> None:
        """A good network again. Connections that were silent are cut: their bytes are lost."""
        self.delay_s = 0.0
        self.let_pass()
        self._refusing = False
        if self._silent:
            self._silent = False
            self.cut()

    # ------------------------------------------------------------------------ connections

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, broker_writer)
        self._writers.update(pair)
        pumps = (
            self._loop.create_task(self._requests(reader, broker_writer)),
            self._loop.create_task(self._answers(broker_reader, writer)),
        )
        self._pumps.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await pump
        self._pumps.difference_update(pumps)
        for end in pair:
            self._writers.discard(end)
            end.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Client to broker, frame by frame."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(_FRAME.size)
                length, api_key, _ = _FRAME.unpack(head)
                frame = head + await reader.readexactly(length + 4 - _FRAME.size)
                await self._weather()
                if api_key == self._holding:
                    self.held.append(frame)
                    self._caught.set()
                    continue
                while api_key == self._stalling:
                    self._caught.set()
                    await asyncio.sleep(_LOOK_S)
                writer.write(frame)
                await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Broker to client, as it comes."""
        while chunk := await reader.read(_CHUNK):
            await self._weather()
            writer.write(chunk)
            await writer.drain()

    async def _weather(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        while self._silent:
            await asyncio.sleep(_LOOK_S)

    async def _end(self) -> None:
        """Accept no more; every connection's task sees its end."""
        if self._server is not None:
            self._server.close()
        while self._pumps:
            await asyncio.sleep(_LOOK_S)

    async def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()


def deliver(port: int, frame: bytes) -> bytes:
    """Send one request frame to a broker on a connection of its own; give the answer's bytes."""
    with socket.create_connection((HOST, port), timeout=_ANSWER_S) as connection:
        connection.sendall(frame)
        with contextlib.suppress(TimeoutError):
            (length,) = struct.unpack(">i", _exactly(connection, 4))
            return _exactly(connection, length)
    return b""


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise TimeoutError("the broker closed the connection")
        data += chunk
    return data
