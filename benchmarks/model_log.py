"""A network model from a message to the log: how long, and at what cost, on a real Kafka.

The clock starts when the message is handed to the producer and ends when a read_committed reader
is given the first event of the version, which is when it may read all of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.cluster import PATIENCE_S, workers
from benchmarks.machine import cpu_seconds, peak_mb
from connectors.inbound import admit
from connectors.models import wrap
from streams.engine.kafka import KafkaSettings
from streams.runtime.reading import TopicReader
from topics import load_catalogue, naming

_FETCHED = 1000


@dataclass(frozen=True, slots=True)
class Entered:
    """Figures of one model. Events are those that the reader was given, the header's among them."""

    message_mb: float
    packing_s: float
    visible_s: float
    read_s: float
    worker_cpu_s: float
    worker_peak_mb: float
    events: int


def measure(bootstrap: str, folder: Path, file: Path, events: int) -> Entered:
    """Send the model to one worker of I2, which has nothing else to do, and read its events."""
    began = time.monotonic()
    message = wrap(file.read_bytes(), f"{file.stem}-{time.time_ns()}") or b""
    packing_s = time.monotonic() - began
    catalogue = load_catalogue()
    record = admit(message, "I2", catalogue, received_ms=0)
    producer = Producer({
        "bootstrap.servers": bootstrap, "message.max.bytes": catalogue.message_bytes_max + 2**20,
    })  # fmt: skip
    with workers(bootstrap, folder / "state", 1, interface="I2") as running:
        running.await_event("partitions assigned")
        reader = _reader(bootstrap)
        cpu = cpu_seconds(running.pids[0])
        began = time.monotonic()
        producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        producer.flush(PATIENCE_S)
        seen = len(_next(reader))
        visible_s = time.monotonic() - began
        cpu = cpu_seconds(running.pids[0]) - cpu
        peak = peak_mb(running.pids[0])
        while seen < events:
            seen += len(_next(reader))
        read_s = time.monotonic() - began
        reader.close()
    return Entered(len(message) / 1e6, packing_s, visible_s, read_s, cpu, peak, seen)


def _reader(bootstrap: str) -> Consumer:
    """At the end of the log."""
    log = naming.noun_log("I2", "NetworkDataSet")
    with TopicReader(KafkaSettings(bootstrap)) as topics:
        bounds = topics.bounds(topics.topics()[log])
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "isolation.level": "read_committed",
    })  # fmt: skip
    consumer.assign([TopicPartition(log, at.partition, one.end) for at, one in bounds.items()])
    return consumer


def _next(reader: Consumer) -> list[Message]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found: list[Message] = reader.consume(_FETCHED, 0.1)
        if found:
            return found[: next((n for n, one in enumerate(found) if one.error()), len(found))]
    raise RuntimeError("the model does not become visible")
