"""Sending messages outside a transaction, each with its receipt.

Lives here: the idempotent producer behind `cimstream send`. Must not live here: transactions
(`streams.engine.kafka`), what a message is (`connectors.inbound`).

Invariant: every message passed to `send` is reported exactly once, delivered or failed, and
no more than `buffer_bytes` of them wait in memory.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.engine.kafka import KafkaSettings
from streams.engine.kafka.settings import MESSAGE_OVERHEAD_BYTES
from streams.engine.record import Output

_SERVE_S: Final = 0.05
# librdkafka reports a message that ran out of time by itself, with the reason, a little later.
_GRACE_S: Final = 5.0
BUFFER_BYTES: Final = 64 * 1024 * 1024


class Delivery(NamedTuple):
    """Where a message is, or why it is nowhere (`failure`, then partition and offset are -1)."""

    topic: str
    partition: int
    offset: int
    failure: str = ""


OnDelivery = Callable[[Delivery], None]


class Sender:
    """An idempotent producer: in order, without repeats of its own, acknowledged by all replicas.

    One thread; reports come inside `send` and `finish`.
    """

    def __init__(
        self, settings: KafkaSettings, *, timeout_s: float, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        self._timeout_s = timeout_s
        self._buffer_bytes = max(buffer_bytes, settings.message_bytes_max)
        self._waiting_bytes = 0
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                # The JVM's default, so that repeats meet on one partition whoever sends.
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "batch.size": 1024 * 1024,
                "message.max.bytes": settings.message_bytes_max + MESSAGE_OVERHEAD_BYTES,
                "message.timeout.ms": int(timeout_s * 1000),
                "log.connection.close": False,
                **settings.extra,
            }
        )

    def send(self, output: Output, report: OnDelivery) -> None:
        """Queue `output`, waiting for room; `report` is told what became of it."""
        size = len(output.value or b"")
        self._producer.poll(0)
        while self._waiting_bytes and self._waiting_bytes + size > self._buffer_bytes:
            self._producer.poll(_SERVE_S)
        self._waiting_bytes += size
        delivered = functools.partial(self._report, output.topic, size, report)
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    key=output.key,
                    value=output.value,
                    headers=list(output.headers),
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(_SERVE_S)
            except KafkaException as error:
                delivered(error.args[0], None)
                return
            else:
                return

    def finish(self) -> None:
        """Wait until everything sent is reported; each message fails by itself when too late."""
        deadline = time.monotonic() + self._timeout_s + _GRACE_S
        while len(self._producer) and time.monotonic() < deadline:
            self._producer.flush(_SERVE_S)
        if len(self._producer):
            self._producer.purge()
            self._producer.flush()

    def _report(
        self,
        topic: str,
        size: int,
        report: OnDelivery,
        error: KafkaError | None,
        message: Message | None,
    ) -> None:
        self._waiting_bytes -= size
        if error is not None or message is None:
            report(Delivery(topic, -1, -1, error.str() if error else "no answer"))
        else:
            report(Delivery(topic, message.partition() or 0, message.offset() or 0))
