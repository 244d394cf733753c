"""Client settings: what an operator may choose, and what the guarantee fixes.

Lives here: the one place where librdkafka properties are written down, each with its
reason. Settings of the guarantee cannot be overridden; naming one is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import Logger, getLogger
from types import MappingProxyType
from typing import Final

Properties = dict[str, str | int | float | bool | Logger]


class LockedSettingError(ValueError):
    """An operator's property would break exactly-once."""


# librdkafka's own lines go where ours go, instead of raw to standard error.
LOGGER: Final = getLogger("cimstream.librdkafka")

# What the guarantee rests on. Overriding any of these is refused by `KafkaSettings`.
LOCKED: Final[frozenset[str]] = frozenset(
    {
        "acks",
        "allow.auto.create.topics",
        "auto.commit.enable",
        "auto.offset.reset",
        "delivery.report.only.error",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "isolation.level",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.send.max.retries",
        "message.timeout.ms",
        "partition.assignment.strategy",
        "partitioner",
        "request.required.acks",
        "retries",
        "transaction.timeout.ms",
        "transactional.id",
    }
)

# What may stand in no settings file, environment or log. librdkafka's names, aliases included.
SECRET: Final[frozenset[str]] = frozenset(
    {
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
    }
)

# How long the broker holds back the answer to a fetch that finds nothing. It is also how long
# a restore waits to be told that it stands at the end, and a single read for the answer to the
# fetch before it (measured: 127 ms against 18), so that these ask in short intervals.
_FETCH_WAIT_MS: Final = 100
_RESTORE_FETCH_WAIT_MS: Final = 10

# Members hear of a rebalance in the answer to their next heartbeat. So this is the largest part
# of a hand-over: 0.4 s for the one that stops to leave, 0.3 s until the others hear of it,
# 0.1 s to share out anew, 0.1 s until the first commit: 0.9 s. It costs three requests of some
# hundred bytes a second and slot; and four may be missed in the shortest session there is.
_HEARTBEAT_MS: Final = 300

# librdkafka's own, and a fifth of it.
_QUEUE: Final = 100_000
_QUEUE_LONG: Final = 20_000

# Room for one message of the largest size with its headers and framing, compressed or not.
MESSAGE_OVERHEAD_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the cluster, and its clocks.

    `message_bytes_max` is the largest record value in bytes. `transaction_timeout_ms` is
    the broker's backstop for a slot that died and does not come back; it must exceed the
    longest time between the first record of a transaction and its commit.
    `long_transaction_timeout_ms` is that of a transaction which is begun as a long one.
    `session_timeout_ms` is how long the group waits for a silent member before it gives its
    partitions away; brokers refuse less than their `group.min.session.timeout.ms` (6 s).
    `request_timeout_s` bounds each transactional call.
    """

    bootstrap_servers: str
    message_bytes_max: int = 8 * 1024 * 1024
    transaction_timeout_ms: int = 10_000
    long_transaction_timeout_ms: int = 60_000
    session_timeout_ms: int = 6_000
    request_timeout_s: float = 10.0
    extra: Mapping[str, str | int | float | bool] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )

    def __post_init__(self) -> None:
        locked = sorted(LOCKED & self.extra.keys())
        if locked:
            raise LockedSettingError(
                f"{', '.join(locked)} cannot be set: exactly-once processing depends on it"
            )

    def life_ms(self, *, long: bool) -> int:
        """How long a transaction may stay open."""
        return self.long_transaction_timeout_ms if long else self.transaction_timeout_ms

    def producer(
        self, transactional_id: str, logger: Logger = LOGGER, *, long: bool = False
    ) -> Properties:
        """Properties of the transactional producer of one slot; `long`: for long transactions.

        `logger` is told of every closed connection, see `connections`.
        """
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": self.life_ms(long=long),
            # A record that cannot be delivered within the transaction's life is of no use.
            "message.timeout.ms": self.life_ms(long=long),
            # What waits in the queue of a long transaction is in memory, and its commit, which has
            # the time of one request, must still send it.
            "queue.buffering.max.messages": _QUEUE_LONG if long else _QUEUE,
            "compression.type": "lz4",
            "linger.ms": 5,
            # While the markers of the last transaction are being written, the coordinator
            # answers CONCURRENT_TRANSACTIONS; the default back-off of 100 ms is then most of
            # a small transaction's time (measured: p90 of one hop 119 ms, with 5 ms 18 ms).
            "retry.backoff.ms": 5,
            "batch.size": 1024 * 1024,
            "message.max.bytes": self.message_bytes_max + MESSAGE_OVERHEAD_BYTES,
            # The JVM's default, so that Java and Scala users co-partition with us.
            "partitioner": "murmur2_random",
            **self.extra,
            "log.connection.close": True,
            "logger": logger,
        }

    def group_consumer(self, group: str, instance: str) -> Properties:
        """Properties of the consumer of one slot: static member, range, read_committed."""
        return {
            **self._consumer(),
            "group.id": group,
            "group.instance.id": instance,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": min(_HEARTBEAT_MS, self.session_timeout_ms // 4),
            "enable.partition.eof": True,
        }

    def lone_consumer(self, name: str) -> Properties:
        """Properties of a consumer that assigns partitions itself and never commits."""
        return {**self._consumer(), "group.id": name, "enable.partition.eof": True}

    def undecided_consumer(self, group: str) -> Properties:
        """As `lone_consumer`, but it is told offsets without waiting for open transactions."""
        return {**self.lone_consumer(group), "isolation.level": "read_uncommitted"}

    def restore_consumer(self, name: str) -> Properties:
        """As `lone_consumer`, for single records and short stretches up to their end."""
        return {**self.lone_consumer(name), "fetch.wait.max.ms": _RESTORE_FETCH_WAIT_MS}

    def admin(self) -> dict[str, str | int | float | bool]:
        """Properties for metadata and offset queries."""
        return {"bootstrap.servers": self.bootstrap_servers, **self.extra}

    def _consumer(self) -> Properties:
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            # Never skip silently: an offset that is gone is an error we want to hear of.
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": 1024 * 1024,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
            "queued.max.messages.kbytes": 64 * 1024,
            # The default of a second stalls the fetcher on highly compressible XML: its
            # queue is full of decompressed bytes while the wire is idle (measured 2.4x).
            "fetch.queue.backoff.ms": 10,
            "log.connection.close": False,
            "logger": LOGGER,
            **self.extra,
        }
