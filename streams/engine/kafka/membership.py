"""What the group's coordinator knows: who is in the group, and whose work its partitions hold.

Lives here: questions to the coordinator. Must not live here: what follows from the answers
(see `source`).

The owner of an input partition is in the note beside its committed offset (`note`): the slot
that was last given it. Only the owner's open transaction can hold effects of the partition.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from streams.engine.kafka.failures import translate_read
from streams.engine.kafka.settings import KafkaSettings
from streams.engine.note import Note
from streams.engine.record import TopicPartition

# A process that takes a slot joins the group and fences the producer at the same time, each
# within some ten milliseconds; the slower of the two has this long to show.
_RIVAL_S: Final = 2.0
_LOOK_S: Final = 0.1


class Membership:
    """Asks about one group."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings = settings
        self._admin = AdminClient(settings.admin())
        self._group = group
        self._timeout_s = settings.request_timeout_s

    def owners(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, str]:
        """The slot each partition was last given to; none where none ever was.

        Does not wait for undecided transactions: theirs is what is looked for.

        Raises:
            TransientError, FatalError: the coordinator did not answer, or refused.
        """
        wanted = [KafkaPartition(*partition) for partition in partitions]
        # Not the admin client: its ListConsumerGroupOffsets crashes the process (librdkafka
        # 2.16.0, rd_kafka_cgrp_op on no group) while the coordinator is still loading.
        consumer = Consumer(self._settings.undecided_consumer(self._group))
        try:
            found = consumer.committed(wanted, self._timeout_s)
        except KafkaException as error:
            raise translate_read(error, f"owners of partitions of {self._group}") from error
        finally:
            consumer.close()
        owners = {
            TopicPartition(at.topic, at.partition): Note.from_text(at.metadata or "").by
            for at in found
            if at.offset >= 0
        }
        return {partition: owner for partition, owner in owners.items() if owner}

    def members(self, timeout_s: float | None = None) -> Mapping[str, str]:
        """Static members: instance id to the member id that holds it now.

        Raises:
            TransientError, FatalError: the coordinator did not answer, or refused.
        """
        try:
            found = self._admin.describe_consumer_groups(
                [self._group], request_timeout=timeout_s or self._timeout_s
            )[self._group].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise translate_read(error, f"members of {self._group}") from error
        return {m.group_instance_id: m.member_id for m in found.members if m.group_instance_id}

    def taken(self, instance: str, member: str) -> bool:
        """Whether somebody other than `member` holds the instance id, or shows up to.

        Raises:
            TransientError, FatalError: the coordinator did not answer, or refused.
        """
        deadline = time.monotonic() + _RIVAL_S
        while self.members().get(instance, member) == member:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_S)
        return True
