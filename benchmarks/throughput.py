"""How fast a backlog is worked off, exactly once, with everything on.

The input is written before the start inside an open transaction, which the workers cannot
see. They start and work off a committed warm-up; then the transaction is committed and the
clock runs until their committed offsets cover every message. Start, rebalance and warm-up
are outside, the last commit is inside. Afterwards the event log is read and counted.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.cluster import PATIENCE_S, Progress, workers
from benchmarks.machine import cpu_seconds, peak_mb
from benchmarks.workload import Shape
from connectors.inbound import admit
from streams.engine.kafka import KafkaSettings
from streams.runtime.reading import Range, TopicReader
from topics import load_catalogue, naming

WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class Throughput:
    """Figures of one shape."""

    shape: str
    workers: int
    messages: int
    seconds: float
    readings_per_s: float
    messages_per_s: float
    mb_per_s: float
    cpu_s_per_million: float
    peak_mb: float
    events: int
    expected: int

    @property
    def right(self) -> bool:
        """Whether the event log holds exactly what it must."""
        return self.events == self.expected


class _Input:
    """Writes messages inside a transaction, as a connector would."""

    def __init__(self, bootstrap: str, shape: Shape, source: str) -> None:
        self._shape = shape
        self._source = source
        self._catalogue = load_catalogue()
        self.last: dict[int, int] = {}
        self.count = 0
        self.bytes = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": source,
                "transaction.timeout.ms": 60_000,
                "compression.type": "lz4",
                "linger.ms": 50,
                "batch.size": 1_000_000,
                "queue.buffering.max.kbytes": 1_048_576,
                "message.max.bytes": 9_000_000,
                "partitioner": "murmur2_random",
            }
        )
        self._producer.init_transactions(PATIENCE_S)

    def write(self, numbers: range) -> None:
        """Put the messages of these numbers, and repeats, into a new transaction."""
        self._producer.begin_transaction()
        for number in self._shape.stream(numbers):
            data = self._shape.message(number, self._source)
            record = admit(data, "I7", self._catalogue, received_ms=0)
            self.count += 1
            self.bytes += len(data)
            while True:
                try:
                    self._producer.produce(
                        record.topic,
                        key=record.key,
                        value=record.value,
                        headers=list(record.headers),
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.05)
        self._producer.flush(PATIENCE_S)

    def commit(self) -> None:
        """Make them visible."""
        self._producer.commit_transaction(PATIENCE_S)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            partition, offset = message.partition() or 0, message.offset() or 0
            self.last[partition] = max(offset, self.last.get(partition, -1))


def measure(bootstrap: str, folder: Path, shape: Shape, count: int) -> Throughput:
    """One run of a shape with `count` worker processes."""
    source = f"BENCH-{uuid.uuid4().hex[:8]}"
    topic = naming.inbound("I7")
    progress = Progress(bootstrap, topic, load_catalogue().interfaces["I7"].partitions["inbound"])
    log = naming.noun_log("I7", "MeterReadings")
    reader = TopicReader(KafkaSettings(bootstrap))
    before = reader.bounds(reader.topics()[log])
    feed = _Input(bootstrap, shape, source)
    warm = int(shape.messages * WARM_UP)
    feed.write(range(warm))
    feed.commit()
    warm_last, warm_count, warm_bytes = dict(feed.last), feed.count, feed.bytes
    feed.write(range(warm, warm + shape.messages))
    with workers(bootstrap, folder / source, count) as running:
        progress.await_covered(warm_last)
        cpu = sum(map(cpu_seconds, running.pids))
        started = time.monotonic()
        feed.commit()
        progress.await_covered(feed.last)
        seconds = time.monotonic() - started
        cpu = sum(map(cpu_seconds, running.pids)) - cpu
        peak = sum(map(peak_mb, running.pids))
    progress.close()
    with reader:
        after = reader.bounds(reader.topics()[log])
        added = {at: Range(before[at].end, after[at].end) for at in after}
        events = len(list(reader.records(added)))
    messages = feed.count - warm_count
    readings = shape.messages * shape.readings
    return Throughput(
        shape.name,
        count,
        messages,
        seconds,
        readings / seconds,
        messages / seconds,
        (feed.bytes - warm_bytes) / seconds / 1e6,
        cpu / readings * 1e6,
        peak,
        events,
        (shape.messages + warm) * shape.meters,
    )
