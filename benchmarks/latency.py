"""How long one hop takes: from handing a message to the producer to reading its event.

100 small messages a second, one worker, a read_committed consumer on the event log. The
figure holds the producer, the inbound topic, intake, its transaction, and the reader.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from benchmarks.cluster import PATIENCE_S, workers
from benchmarks.workload import SHAPES
from connectors.inbound import admit
from streams.engine.kafka.source import to_record
from topics import load_catalogue, naming

RATE_PER_S: Final = 100
WARM_UP: Final = 1_000
MEASURED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds at quantiles."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def measure(bootstrap: str, folder: Path) -> Latency:
    """One run."""
    shape = next(shape for shape in SHAPES if shape.name == "small")
    source = f"LATENCY-{uuid.uuid4().hex[:8]}"
    catalogue = load_catalogue()
    log = naming.noun_log("I7", "MeterReadings")
    consumer: Consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": source, "fetch.wait.max.ms": 5,
         "isolation.level": "read_committed", "enable.auto.commit": False}
    )  # fmt: skip
    partitions = range(catalogue.nouns["MeterReadings"].partitions)
    consumer.assign([TopicPartition(log, number, OFFSET_END) for number in partitions])
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 0, "partitioner": "murmur2_random"}
    )
    sent: dict[str, float] = {}
    taken: dict[str, float] = {}

    def receive(until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is not None and message.error() is None:
                name = dict(to_record(message).headers)["ce_messageid"]
                taken.setdefault(name.decode(), time.monotonic())

    with workers(bootstrap, folder / source, 1):
        start = time.monotonic()
        for number in range(WARM_UP + MEASURED):
            record = admit(shape.message(number, source), "I7", catalogue, received_ms=0)
            sent[f"6c1e6e5a-{number:012d}"] = time.monotonic()
            producer.produce(
                record.topic, key=record.key, value=record.value, headers=list(record.headers)
            )
            producer.poll(0)
            receive(start + (number + 1) / RATE_PER_S)
        deadline = time.monotonic() + PATIENCE_S
        while len(taken) < len(sent) and time.monotonic() < deadline:
            receive(time.monotonic() + 0.2)
    consumer.close()
    names = list(sent)[WARM_UP:]
    figures = sorted((taken[name] - sent[name]) * 1000 for name in names)
    return Latency(*(figures[int(q * (len(figures) - 1))] for q in (0.5, 0.9, 0.99, 1.0)))
