"""What the client library tells a reader: records, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError

from streams.engine.record import TopicPartition


@dataclass
class Told:
    """A message of the client library: a record, or what is wrong."""

    at: TopicPartition
    place: int
    problem: KafkaError | None = None

    def topic(self) -> str:
        return self.at.topic

    def partition(self) -> int:
        return self.at.partition

    def offset(self) -> int:
        return self.place

    def error(self) -> KafkaError | None:
        return self.problem

    def key(self) -> bytes:
        return b"k%d" % self.place

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return (TIMESTAMP_LOG_APPEND_TIME, 7)


class Queue:
    """A consumer whose queue holds these messages."""

    def __init__(self, *messages: Told) -> None:
        self._messages = list(messages)

    def consume(self, records_max: int, _: float) -> list[Told]:
        given, self._messages = self._messages[:records_max], self._messages[records_max:]
        return given

    def close(self) -> None:
        pass
