"""How far the group `intake` is, asked of Kafka and not of the workers."""

from __future__ import annotations

from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from tests.chaos.workload import Receipts

GROUP: Final = "intake"
_ASK_S: Final = 5.0


class Progress:
    """One question, asked again and again."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer: Consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": GROUP,
                "enable.auto.commit": False,
                # Not to wait for the offsets of a transaction that a dead worker left open.
                "isolation.level": "read_uncommitted",
                "log_level": 0,
            }
        )

    def done(self, receipts: Receipts) -> bool:
        """Whether the committed offsets are behind every message received.

        An offset that is part of an open transaction does not count yet.
        """
        last: dict[KafkaPartition, int] = {}
        for receipt in list(receipts.delivered):
            at = KafkaPartition(*receipt.at)
            last[at] = max(receipt.offset, last.get(at, -1))
        try:
            found = self._consumer.committed(list(last), _ASK_S) if last else []
        except KafkaException:  # a broker that is being killed answers later
            return False
        return all(at.error is None and at.offset > last[at] for at in found)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()
