"""The logs of a view in Kafka: named partitions, read without a group.

Lives here: the consumer and the questions of `streams.views.follow.LogSource`. Must not live
here: where reading begins, what a record means.

Invariant: only committed records are handed out, and an offset that a log no longer has is an
error and never skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from streams.engine.errors import StateLostError, TransientError
from streams.engine.kafka import KafkaSettings
from streams.engine.kafka.source import to_record
from streams.engine.record import Record, TopicPartition
from streams.runtime.reading import Range, TopicReader
from streams.views.follow import Extent, Polled
from topics.errors import OperatorError

_RECORDS_PER_POLL: Final = 2_000
_LOST: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
_GONE: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


class KafkaLogs:
    """See `streams.views.follow.LogSource`. One thread."""

    def __init__(
        self, settings: KafkaSettings, name: str, bounds: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """`bounds` are properties of the consumer: how much it fetches ahead."""
        self._settings = settings
        self._reader = TopicReader(settings, name)
        self._admin = AdminClient(settings.admin())
        self._consumer: Consumer = Consumer({**settings.lone_consumer(name), **bounds})

    def identify(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Kafka's id of each topic; one that does not exist is left out."""
        asked = self._admin.describe_topics(
            TopicCollection(list(topics)), request_timeout=self._settings.request_timeout_s
        )
        found = {}
        for topic, answer in asked.items():
            try:
                found[topic] = str(answer.result().topic_id)
            except KafkaException as error:
                if error.args[0].code() not in _GONE:
                    raise TransientError(f"describe topics: {error.args[0].name()}") from error
        return found

    def extents(self, topics: Mapping[str, str]) -> Mapping[TopicPartition, Extent]:
        """The partitions of topics with these ids as they are now."""
        try:
            there = self._reader.topics()
            partitions = [at for topic in topics for at in there.get(topic, ())]
            bounds = self._reader.bounds(partitions)
        except OperatorError as error:
            raise TransientError(str(error)) from error
        return {at: Extent(topics[at.topic], *span) for at, span in bounds.items()}

    def starts_at(
        self, extents: Mapping[TopicPartition, Extent], time_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The first offset not older than `time_ms` of each partition; its end if there is none."""
        ranges = {at: Range(extent.start, extent.end) for at, extent in extents.items()}
        try:
            found = self._reader.starts_at(ranges, time_ms)
        except OperatorError as error:
            raise TransientError(str(error)) from error
        return {at: span.start for at, span in found.items()}

    def assign(self, starts: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from there on, and no others."""
        self._consumer.assign([KafkaPartition(*at, start) for at, start in starts.items()])

    def poll(self, timeout_s: float) -> Polled:
        """What came; waits for the first record only."""
        try:
            messages = self._consumer.consume(1, timeout_s)
            messages += self._consumer.consume(_RECORDS_PER_POLL, 0) if messages else []
        except KafkaException as error:
            raise TransientError(f"consume: {error.args[0].name()}") from error
        records: list[Record] = []
        positions: dict[TopicPartition, int] = {}
        for message in messages:
            at = TopicPartition(message.topic() or "", message.partition() or 0)
            problem = message.error()
            if problem is None:
                records.append(to_record(message))
                positions[at] = records[-1].offset + 1
            elif problem.code() == KafkaError._PARTITION_EOF:
                positions[at] = message.offset() or 0
            elif problem.code() in _LOST:
                raise StateLostError(
                    f"{at} no longer has the record that is to be read next."
                    " Build the view anew with `cimstream view rebuild`"
                )
            else:
                raise TransientError(f"consume {at}: {problem.name()}")
        return Polled(records, positions)

    def close(self) -> None:
        """Idempotent."""
        self._consumer.close()
        self._reader.close()
