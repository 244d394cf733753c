"""The gateway: messages accepted a second by one process, and how long a reply takes.

Requests at a steady pace, one worker behind: from sending a request to having its reply. Then,
without a worker, events of 2 KB over 64 connections, each answered after all replicas have it;
CPU of the gateway process beside it, because clients and broker share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.cluster import PATIENCE_S, workers
from streams.demo import messages as m

CONNECTIONS: Final = 64
EVENTS: Final = 10_000
RATE_PER_S: Final = 200
WARM_UP: Final = 500
REQUESTS: Final = 2_000
_VALUES: Final = 8  # make a message of 2 KB


@dataclass(frozen=True, slots=True)
class GatewayFigures:
    """Events a second, CPU of the gateway per event, and milliseconds of a request at quantiles."""

    accepted_per_s: float
    cpu_us_per_event: float
    reply_p50_ms: float
    reply_p99_ms: float


def measure(bootstrap: str, folder: Path) -> GatewayFigures:
    """One run of both."""
    with serving(bootstrap) as (pid, port):
        # Replies first: behind the events they would wait for the backlog.
        with workers(bootstrap, folder / "gateway", 1) as running:
            running.await_event("partitions assigned")
            waits = uvloop.run(post_paced(port, _requests("create", WARM_UP + REQUESTS)))
        uvloop.run(post_all(port, _requests("created", WARM_UP)))
        events = _requests("created", EVENTS)
        cpu, begun = _cpu_s(pid), time.monotonic()
        uvloop.run(post_all(port, events))
        seconds = time.monotonic() - begun
        cpu_s = _cpu_s(pid) - cpu
    figures = sorted(waits[WARM_UP:])
    p50, p99 = (figures[int(q * (len(figures) - 1))] * 1000 for q in (0.5, 0.99))
    return GatewayFigures(EVENTS / seconds, cpu_s / EVENTS * 1e6, p50, p99)


@contextmanager
def serving(bootstrap: str) -> Iterator[tuple[int, int]]:
    """A gateway: its process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "gateway", "--port", "0", "--health-port", "0"],
        env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap, "CIMSTREAM__LOGGING__FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("event") == "gateway started":
                yield entry["pid"], entry["port"]
                break
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _requests(verb: str, count: int) -> list[bytes]:
    meter = m.full_meter("meter-1", m.values(1, _VALUES), m.times(_VALUES))
    payload = m.meter_readings([meter])
    return [request(m.envelope(payload, message_id=str(uuid.uuid4()), verb=verb))
            for _ in range(count)]  # fmt: skip


def request(body: bytes) -> bytes:
    """A POST with this body, as bytes on the wire."""
    head = (
        "POST /v1/I7/messages HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, status: bytes
) -> float:
    begun = time.monotonic()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.split(b" ", 2)[1] == status, head
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return time.monotonic() - begun


async def post_all(port: int, requests: Sequence[bytes]) -> None:
    """As fast as it goes, one after the other on each connection."""

    async def client(mine: Sequence[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in mine:
            await _exchange(reader, writer, request, b"202")
        writer.close()

    await asyncio.gather(*(client(requests[n::CONNECTIONS]) for n in range(CONNECTIONS)))


async def post_paced(port: int, requests: Sequence[bytes]) -> list[float]:
    """One begins each 1/RATE of a second, whether the one before is answered or not."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    begun = time.monotonic()

    async def one(number: int, request: bytes) -> float:
        await asyncio.sleep(begun + number / RATE_PER_S - time.monotonic())
        connection = await free.get()
        seconds = await _exchange(*connection, request, b"200")
        free.put_nowait(connection)
        return seconds

    return await asyncio.gather(*(one(number, request) for number, request in enumerate(requests)))


def _cpu_s(pid: int) -> float:
    """User and system time of a process; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
