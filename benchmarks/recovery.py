"""How long an interruption lasts, and how fast state comes back.

A stream of small messages runs all the time. What is reported is the longest standstill: from
the signal until a read_committed reader has, of every inbound partition, an event of a message
that was sent after the signal. Two `cimstream run` with folders of their own stand for two
machines; the one that is killed dies with its supervisor and does not come back.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Final, Self, cast
from urllib.request import urlopen

from confluent_kafka import OFFSET_END, Consumer, Message, Producer, TopicPartition

from benchmarks.cluster import PATIENCE_S, Workers, workers
from benchmarks.workload import SHAPES
from connectors.inbound import admit
from streams.processors.marks import Mark
from streams.runtime import broker
from streams.runtime.kafka.errors import BrokerError
from topics import load_catalogue, naming
from topics.partitioning import murmur2_partition

# Enough to have a transaction open at most moments, which is the worst time to die.
RATE_PER_S: Final = 100
REPEATS: Final = 3
_SETTLE_S: Final = 1.0

# Large enough that starting and stopping the reading does not show.
MARKS: Final = 1_500_000

# The clocks of a broker that nobody has configured; those that we ship are shorter.
DEFAULT_CLOCKS: Final = {
    "group.min.session.timeout.ms": "6000",
    "group.initial.rebalance.delay.ms": "3000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000",
}


# Name of the clocks, and what is promised with them for a worker that does not come back: within
# 5 s, and within the shortest session time-out and 2 s.
SHIPPED: Final = ("as shipped", 5.0)
DEFAULT: Final = ("default clocks", 8.0)


@dataclass(frozen=True, slots=True)
class Interruption:
    """Standstill in seconds, median and worst of the repeats, and what was promised."""

    what: str
    broker: str
    median_s: float
    worst_s: float
    promised_s: float


@dataclass(frozen=True, slots=True)
class Restore:
    """A lost store and an intact one: changelog records read after a start."""

    keys: int
    seconds: float
    keys_per_s: float
    read_after_kill: int
    read_after_stop: int


class Stream:
    """Sends all the time, reads all the time, and knows when each partition flows again."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._catalogue = load_catalogue()
        self._partitions = self._catalogue.interfaces["I7"].partitions["inbound"]
        self._sent: dict[bytes, tuple[float, int]] = {}
        self._moment = 0.0
        self._first: dict[int, float] = {}
        self._over, self._ready = Event(), Event()
        self._threads = [Thread(target=self._send), Thread(target=self._read)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def settle(self) -> None:
        """Let everything flow for a while, and end at no special moment."""
        self.flows_since(time.monotonic())
        time.sleep(_SETTLE_S + random.random())

    def flows_since(self, moment: float) -> float:
        """Wait for an event of every partition sent after `moment`; give when the last came."""
        self._first, self._moment = {}, moment
        deadline = time.monotonic() + PATIENCE_S
        while len(self._first) < self._partitions:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only partitions {sorted(self._first)} flow")
            time.sleep(0.01)
        return max(self._first.values())

    def _send(self) -> None:
        shape = next(shape for shape in SHAPES if shape.name == "small")
        source = f"RECOVERY-{uuid.uuid4().hex[:8]}"
        producer = Producer(
            {"bootstrap.servers": self._bootstrap, "linger.ms": 0, "partitioner": "murmur2_random"}
        )
        self._ready.wait(PATIENCE_S)
        start, number = time.monotonic(), 0
        while not self._over.is_set():
            record = admit(shape.message(number, source), "I7", self._catalogue, received_ms=0)
            partition = murmur2_partition(record.key, self._partitions)
            self._sent[b"6c1e6e5a-%012d" % number] = (time.monotonic(), partition)
            producer.produce(
                record.topic, key=record.key, value=record.value, headers=list(record.headers)
            )
            number += 1
            producer.poll(0)
            time.sleep(max(0.0, start + number / RATE_PER_S - time.monotonic()))
        producer.flush(PATIENCE_S)

    def _read(self) -> None:
        consumer: Consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": f"recovery-{uuid.uuid4().hex}",
             "fetch.wait.max.ms": 5, "isolation.level": "read_committed",
             "enable.auto.commit": False}
        )  # fmt: skip
        log = naming.noun_log("I7", "MeterReadings")
        partitions = range(self._catalogue.nouns["MeterReadings"].partitions)
        consumer.assign([TopicPartition(log, number, OFFSET_END) for number in partitions])
        consumer.poll(0.5)
        self._ready.set()
        while not self._over.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            sent, partition = self._sent.get(_message_id(message), (-1.0, 0))
            if sent >= self._moment:
                self._first.setdefault(partition, time.monotonic())
        consumer.close()


def _message_id(message: Message) -> bytes:
    headers = cast("list[tuple[str, bytes]]", message.headers() or [])
    return dict(headers).get("ce_messageid", b"")


def interruptions(bootstrap: str, folder: Path, clocks: tuple[str, float]) -> list[Interruption]:
    """Kill with and without a restart, and an orderly stop, on one broker."""
    broker_name, gone_s = clocks
    found: list[Interruption] = []

    def report(what: str, promised_s: float, standstills: list[float]) -> None:
        median = statistics.median(standstills)
        found.append(Interruption(what, broker_name, median, max(standstills), promised_s))

    with Stream(bootstrap) as stream:
        with workers(bootstrap, folder / "alone", 1) as alone:
            restarts = [_restarted(stream, alone) for _ in range(REPEATS)]
        with workers(bootstrap, folder / "stays", 1, "--first-slot", "10"):
            go = partial(_taken_over, stream, bootstrap, folder / "goes")
            kills = [go(signal.SIGKILL) for _ in range(REPEATS)]
            stops = [go(signal.SIGTERM) for _ in range(REPEATS)]
    report("kill -9, started again", 5.0, restarts)
    report("kill -9 with its supervisor, another takes over", gone_s, kills)
    report("orderly stop, another takes over", 1.0, stops)
    return found


def _restarted(stream: Stream, running: Workers) -> float:
    stream.settle()
    moment = time.monotonic()
    os.kill(running.pids[-1], signal.SIGKILL)
    standstill = stream.flows_since(moment) - moment
    running.await_started()
    return standstill


def _taken_over(stream: Stream, bootstrap: str, folder: Path, number: signal.Signals) -> float:
    with workers(bootstrap, folder, 1, "--first-slot", "0") as goes:
        goes.await_event("partitions assigned")
        stream.settle()
        moment = time.monotonic()
        os.kill(goes.process.pid, number)
        if number == signal.SIGKILL:
            os.kill(goes.pids[-1], number)
        return stream.flows_since(moment) - moment


@contextmanager
def default_broker(folder: Path) -> Iterator[str | None]:
    """A local broker with the clocks of one that nobody has configured; None where none can be."""
    settings = broker.BrokerSettings(folder / "default-clocks", port=0, properties=DEFAULT_CLOCKS)
    try:
        yield broker.up(settings).bootstrap
    except BrokerError:
        yield None
    finally:
        broker.down(settings)


def restore(bootstrap: str, folder: Path) -> Restore:
    """Fill the changelog with marks, start without a store; then kill and stop with one.

    After `interruptions`: a worker refuses marks of a partition of which no offset is committed.
    """
    _write_marks(bootstrap)
    place = folder / "restore"
    with workers(bootstrap, place, 1) as running:
        pass_s, keys = 0.0, 0
        # Each partition tells once. To stop at a number of keys would kill a restore half-way
        # where the changelog held some before.
        for _ in range(load_catalogue().interfaces["I7"].partitions["inbound"]):
            entry = running.await_event("state restored")
            keys += int(str(entry["records"]))
            pass_s = max(pass_s, float(str(entry["seconds"])))
        os.kill(running.pids[-1], signal.SIGKILL)
        after_kill = _records_read(running.await_started())
    with workers(bootstrap, place, 1) as running:
        after_stop = _records_read(running.started)
    return Restore(keys, pass_s, keys / pass_s, after_kill, after_stop)


def _records_read(started: Mapping[str, object]) -> int:
    """Changelog records that a worker has read when it is ready."""
    address = f"http://127.0.0.1:{started['http']}"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urlopen(f"{address}/health/ready"):  # noqa: S310
            break
        time.sleep(0.05)
    with urlopen(f"{address}/metrics") as answer:  # noqa: S310 - our own, on the loopback
        for line in answer.read().decode().splitlines():
            if line.startswith("cimstream_restored_records_total"):
                return int(float(line.rsplit(" ", 1)[1]))
    raise RuntimeError("the worker does not count what it restores")


def _write_marks(bootstrap: str) -> None:
    """Marks as intake writes them, of one moment, spread over the partitions."""
    partitions = load_catalogue().interfaces["I7"].partitions["inbound"]
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 50, "compression.type": "lz4",
         "batch.size": 1_000_000, "queue.buffering.max.messages": 1_000_000}
    )  # fmt: skip
    topic, now_ms = naming.changelog("intake", "dedup-i7"), time.time_ns() // 1_000_000
    chance = random.Random(1)
    for number in range(MARKS):
        mark = Mark(now_ms, number, chance.randbytes(16)).pack()
        while True:
            try:
                producer.produce(topic, mark, chance.randbytes(16), number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(PATIENCE_S)
