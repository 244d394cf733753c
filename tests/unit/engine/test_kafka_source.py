"""What the engine is told of an error that comes in place of a record of its input."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError

from streams.engine.errors import FatalError, FencedError
from streams.engine.kafka import GroupSource, KafkaSettings
from streams.engine.record import TopicPartition
from tests.unit.engine.told import Queue, Told

AT = TopicPartition("cim.i7.inbound", 0)


def source_of(*messages: Told) -> GroupSource:
    source = GroupSource(KafkaSettings("localhost:1"), "test", "test-0")
    source._consumer = cast(Consumer, Queue(*messages))
    return source


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, FatalError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, FatalError),
        (KafkaError.FENCED_INSTANCE_ID, FencedError),
    ],
)
def test_an_error_that_waiting_does_not_help_is_raised(code: int, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        source_of(Told(AT, 0), Told(AT, 1, KafkaError(code))).consume(10, 0.0)


def test_a_log_that_no_longer_holds_the_committed_offset_is_fatal_and_told_so() -> None:
    lost = Told(AT, 0, KafkaError(KafkaError._AUTO_OFFSET_RESET))
    with pytest.raises(FatalError, match=r"cim\.i7\.inbound/0 no longer holds"):
        source_of(lost).consume(10, 0.0)


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN])
def test_an_error_that_the_library_recovers_from_is_passed_over(code: int) -> None:
    records = source_of(Told(AT, 0, KafkaError(code)), Told(AT, 1)).consume(10, 0.0)
    assert [record.offset for record in records] == [1]


def test_the_end_of_a_partition_is_no_record_and_no_failure() -> None:
    assert source_of(Told(AT, 9, KafkaError(KafkaError._PARTITION_EOF))).consume(10, 0.0) == []
