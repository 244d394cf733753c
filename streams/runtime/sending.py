"""Sending messages outside a transaction, each with its receipt.

Lives here: the idempotent producer behind `cimstream send` and the gateway. Must not live here:
transactions (`streams.engine.kafka`), what a message is (`connectors.inbound`).

Invariant: every message passed to `send` is reported exactly once, delivered or failed, and
no more than `buffer_bytes` of them wait in memory.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from itertools import count
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.engine.kafka import KafkaSettings
from streams.engine.kafka.settings import MESSAGE_OVERHEAD_BYTES
from streams.engine.kafka.transactions import ANY_PARTITION
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

    One thread; reports come inside `send` and `finish`. After an error that the producer cannot
    get over, what was sent and is not known to be delivered fails, and so does what comes.
    """

    def __init__(
        self, settings: KafkaSettings, *, timeout_s: float, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        self._timeout_s = timeout_s
        self._buffer_bytes = max(buffer_bytes, settings.message_bytes_max)
        self._waiting_bytes = 0
        self._numbers = count()
        self._unreported: dict[int, Callable[[KafkaError | None, Message | None], None]] = {}
        self._producer = _idempotent(settings, timeout_s, linger_ms=5)

    def send(self, output: Output, report: OnDelivery) -> None:
        """Queue `output`, waiting for room; `report` is told what became of it."""
        size = len(output.value or b"")
        _serve(self._producer.poll, 0)
        while self._waiting_bytes and self._waiting_bytes + size > self._buffer_bytes:
            _serve(self._producer.poll, _SERVE_S)
        self._waiting_bytes += size
        number = next(self._numbers)
        delivered = functools.partial(self._report, number, output.topic, size, report)
        self._unreported[number] = delivered
        while True:
            try:
                _produce(self._producer, output, delivered)
            except BufferError:
                _serve(self._producer.poll, _SERVE_S)
            except KafkaException as error:
                delivered(error.args[0], None)
                return
            else:
                return

    def finish(self) -> None:
        """Wait until everything sent is reported; each message fails by itself when too late."""
        deadline = time.monotonic() + self._timeout_s + _GRACE_S
        while len(self._producer) and time.monotonic() < deadline:
            _serve(self._producer.flush, _SERVE_S)
        if len(self._producer):
            self._producer.purge()
            _serve(self._producer.flush, _GRACE_S)
        for delivered in list(self._unreported.values()):  # the library lost the report
            delivered(None, None)

    def _report(
        self,
        number: int,
        topic: str,
        size: int,
        report: OnDelivery,
        error: KafkaError | None,
        message: Message | None,
    ) -> None:
        del self._unreported[number]
        self._waiting_bytes -= size
        report(_delivery(topic, error, message))


class LoopSender:
    """The same producer for an event loop: nothing waits, `serve` brings the reports.

    One thread, that of the loop. Invariant: as of `Sender`; what finds no room is refused.
    """

    def __init__(
        self, settings: KafkaSettings, *, timeout_s: float, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        self._buffer_bytes = max(buffer_bytes, settings.message_bytes_max)
        self._waiting_bytes = 0
        # Requests wait for their receipts: what came in one turn of the loop is sent together.
        self._producer = _idempotent(settings, timeout_s, linger_ms=1)
        self.broken = False
        """An error that this producer will never get over; its process has to end."""

    @property
    def waiting(self) -> int:
        """Messages not yet reported."""
        return len(self._producer)

    def offer(self, output: Output, report: OnDelivery) -> bool:
        """Queue `output` if there is room; `report` is told within `serve` what became of it."""
        size = len(output.value or b"")
        if self._waiting_bytes and self._waiting_bytes + size > self._buffer_bytes:
            return False

        def delivered(error: KafkaError | None, message: Message | None) -> None:
            self._waiting_bytes -= size
            self.broken = self.broken or (error is not None and error.fatal())
            report(_delivery(output.topic, error, message))

        try:
            _produce(self._producer, output, delivered)
        except BufferError:
            return False
        except KafkaException as error:
            self.broken = self.broken or error.args[0].fatal()
            return False
        self._waiting_bytes += size
        return True

    def serve(self) -> None:
        """Bring the reports that have come."""
        self.broken = not _serve(self._producer.poll, 0) or self.broken

    def finish(self, within_s: float) -> None:
        """Wait for the reports of what is still queued; what is later is given up."""
        _serve(self._producer.flush, within_s)
        self._producer.purge()
        _serve(self._producer.flush, _SERVE_S)


def _serve(bring: Callable[[float], object], timeout_s: float) -> bool:
    """Let reports in; False where the producer said that it is beyond help.

    It raises that once, from whatever brings reports; the messages that it ends are reported
    by later calls, but for one whose report was just being given, which the library loses.
    """
    try:
        bring(timeout_s)
    except (KafkaException, SystemError):
        return False
    return True


def _idempotent(settings: KafkaSettings, timeout_s: float, *, linger_ms: int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            # The JVM's default, so that repeats meet on one partition whoever sends.
            "partitioner": "murmur2_random",
            "linger.ms": linger_ms,
            "batch.size": 1024 * 1024,
            "message.max.bytes": settings.message_bytes_max + MESSAGE_OVERHEAD_BYTES,
            "message.timeout.ms": int(timeout_s * 1000),
            "log.connection.close": False,
            **settings.extra,
        }
    )


def _produce(
    producer: Producer,
    output: Output,
    delivered: Callable[[KafkaError | None, Message | None], None],
) -> None:
    producer.produce(
        output.topic,
        key=output.key,
        value=output.value,
        partition=ANY_PARTITION if output.partition is None else output.partition,
        headers=list(output.headers),
        on_delivery=delivered,
    )


def _delivery(topic: str, error: KafkaError | None, message: Message | None) -> Delivery:
    if error is not None or message is None:
        return Delivery(topic, -1, -1, error.str() if error else "no answer")
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None or offset < 0:
        # The library calls that delivered. A broker whose clock jumped by more than a day had
        # mixed its producers up by then, and some of these messages were nowhere (seen).
        return Delivery(topic, -1, -1, "the broker takes it for a repeat and does not say of what")
    return Delivery(topic, partition, offset)
