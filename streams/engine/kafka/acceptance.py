"""Going on after state was lost: an operator's decision, written where workers look for it.

Lives here: the one transaction that writes it. Must not live here: whether to (see
`streams.cli.state`), what follows (see `streams.engine.recovery`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from streams.engine.errors import FatalError
from streams.engine.kafka.failures import translate_read
from streams.engine.kafka.settings import KafkaSettings
from streams.engine.kafka.transactions import TransactionalProducer
from streams.engine.note import Note
from streams.engine.ports import Position
from streams.engine.record import Output, TopicPartition

_ID: Final = "cimstream-accept-loss"


def accept_loss(
    settings: KafkaSettings, group: str, partitions: Iterable[TopicPartition], record: Output
) -> Mapping[TopicPartition, int]:
    """Note beside each committed offset of `group` that the loss of state is accepted.

    The offsets stay. `record` tells of it, in the same transaction. Gives the offsets; a
    partition without one is left out.

    Raises:
        EngineError: the group has members (nothing may run meanwhile), or as the ports say.
    """
    _require_no_members(settings, group)
    consumer = Consumer(settings.lone_consumer(group))
    producer = TransactionalProducer(settings, _ID)
    try:
        found = consumer.committed(
            [KafkaPartition(*at) for at in partitions], settings.request_timeout_s
        )
        offsets = {
            TopicPartition(at.topic, at.partition): at.offset for at in found if at.offset >= 0
        }
        if offsets:
            note = Note(by=_ID, loss_accepted=True).to_text()
            producer.reset()
            producer.begin()
            producer.produce(record)
            producer.send_offsets(
                {at: Position(offset, note) for at, offset in offsets.items()},
                consumer.consumer_group_metadata(),
            )
            producer.commit()
    except KafkaException as error:
        raise translate_read(error, "committed offsets") from error
    finally:
        producer.close()
        consumer.close()
    return offsets


def _require_no_members(settings: KafkaSettings, group: str) -> None:
    """The broker does not see to that: it takes a transaction's offsets from who is no member."""
    admin = AdminClient(settings.admin())
    try:
        members = admin.describe_consumer_groups([group])[group].result().members
    except KafkaException as error:
        raise translate_read(error, f"members of {group}") from error
    if members:
        raise FatalError(f"group {group} has {len(members)} member(s)")
