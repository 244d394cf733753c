"""Reading one record back, by offset."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from streams.engine.errors import TransientError
from streams.engine.kafka.settings import KafkaSettings
from streams.engine.kafka.source import to_record
from streams.engine.kafka.waking import wake
from streams.engine.record import Record, TopicPartition


class RecordReader:
    """See `streams.engine.ports.Reader`. Its consumer is made at first use."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._consumer: Consumer | None = None

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        """The record at exactly `offset`; None where the log does not have it any more."""
        if self._consumer is None:
            self._consumer = Consumer(self._settings.restore_consumer(self._name))
        consumer = self._consumer
        try:
            consumer.assign([KafkaPartition(*partition, offset)])
            wake(consumer, [partition])
            messages = consumer.consume(1, self._settings.request_timeout_s)
        except KafkaException as error:
            raise TransientError(f"read {partition}@{offset}: {error.args[0].name()}") from error
        finally:
            consumer.unassign()
        if not messages:
            raise TransientError(f"read {partition}@{offset}: no answer in time")
        problem = messages[0].error()
        if problem is None:
            record = to_record(messages[0])
            return record if record.offset == offset else None
        if problem.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._PARTITION_EOF):
            return None
        raise TransientError(f"read {partition}@{offset}: {problem.name()}")

    def close(self) -> None:
        """Idempotent."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
