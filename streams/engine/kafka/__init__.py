"""The engine's doors to Kafka: the only code that calls its transactions."""

from streams.engine.kafka.acceptance import accept_loss
from streams.engine.kafka.changelogs import ChangelogReader
from streams.engine.kafka.reader import RecordReader
from streams.engine.kafka.settings import KafkaSettings, LockedSettingError
from streams.engine.kafka.source import GroupSource
from streams.engine.kafka.transactions import TransactionalProducer

__all__ = [
    "ChangelogReader",
    "GroupSource",
    "KafkaSettings",
    "LockedSettingError",
    "RecordReader",
    "TransactionalProducer",
    "accept_loss",
]
