"""When a topic that was just made may be used."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from topics import load_catalogue
from topics.provision import Admin, Row, _unserved

SPECS = [spec for spec in load_catalogue().topics() if spec.interface == "I7"][:2]
ROWS = [Row(spec, "create", 3) for spec in SPECS]


class Leaders:
    """Brokers that answer for every partition but the last of one topic."""

    def __init__(self, topic: str, answer: int | KafkaException) -> None:
        self._topic = topic
        self._answer = answer

    def list_offsets(self, asked: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        told: dict[Any, Future[Any]] = {at: Future() for at in asked}
        last = max(at.partition for at in asked if at.topic == self._topic)
        for at, future in told.items():
            answer = self._answer if (at.topic, at.partition) == (self._topic, last) else 0
            if isinstance(answer, KafkaException):
                future.set_exception(answer)
            else:
                future.set_result(SimpleNamespace(offset=answer))
        return told


@pytest.mark.parametrize(
    "answer", [OFFSET_INVALID, KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))]
)
def test_a_topic_of_which_one_partition_has_no_leader_that_answers_is_waited_for(
    answer: int | KafkaException,
) -> None:
    """The library gives -1001 without an error where a leader says nothing in time."""
    admin = Admin("test", cast(AdminClient, Leaders(SPECS[1].name, answer)))
    assert [row.topic.name for row in _unserved(admin, ROWS)] == [SPECS[1].name]


def test_topics_whose_leaders_all_answer_are_served() -> None:
    assert _unserved(Admin("test", cast(AdminClient, Leaders(SPECS[0].name, 0))), ROWS) == []
