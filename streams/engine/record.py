"""What the engine moves: records in, outputs out, and the partitions they live on.

Lives here: plain immutable values. Must not live here: anything that knows what the
bytes mean, or how Kafka is called.
"""

from __future__ import annotations

from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Record(NamedTuple):
    """One record as read from a log.

    `timestamp_ms` is the record's time by the log (append time where the topic says so),
    epoch milliseconds UTC. `offset` is the Kafka offset.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def source(self) -> TopicPartition:
        """The partition this record was read from."""
        return TopicPartition(self.topic, self.partition)

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


class Output(NamedTuple):
    """One record to be produced; `partition` None leaves the choice to the partitioner."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
