"""What a restore is told where a changelog moved away while another one was read."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from streams.engine.errors import StateCorruptError, TransientError
from streams.engine.kafka import ChangelogReader, KafkaSettings
from streams.engine.record import TopicPartition
from tests.unit.engine.told import Queue, Told

GOOD, BAD = TopicPartition("good", 0), TopicPartition("bad", 0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_records_that_came_with_an_error_are_given_before_it_is_raised(place: int) -> None:
    """The consumer has moved past them: nobody would read them again."""
    messages = [Told(GOOD, 0), Told(GOOD, 1)]
    messages.insert(place, Told(BAD, 0, KafkaError(KafkaError._AUTO_OFFSET_RESET)))
    reader = ChangelogReader(KafkaSettings("localhost:1"), "test")
    reader.close()
    reader._consumer = cast(Consumer, Queue(*messages))
    assert reader.poll(10, 0.0)[GOOD] == ({b"k0": b"v", b"k1": b"v"}, 2, 2, 7)
    with pytest.raises(StateCorruptError) as told:
        reader.poll(10, 0.0)
    assert told.value.store == BAD
    assert reader.poll(10, 0.0) == {}


def test_of_every_changelog_that_moved_away_a_restore_is_told() -> None:
    """The library tells of each once; a second one in the same batch was never heard of again."""
    moved = [Told(at, 0, KafkaError(KafkaError._AUTO_OFFSET_RESET)) for at in (BAD, GOOD)]
    reader = ChangelogReader(KafkaSettings("localhost:1"), "test")
    reader.close()
    reader._consumer = cast(Consumer, Queue(*moved))
    told = []
    for _ in moved:
        with pytest.raises(StateCorruptError) as caught:
            reader.poll(10, 0.0)
        told.append(caught.value.store)
    assert told == [BAD, GOOD]
    assert reader.poll(10, 0.0) == {}


class Speechless:
    """Brokers of which one does not answer: the library gives no offset and no error."""

    def list_offsets(self, asked: dict[KafkaPartition, Any], **_: Any) -> dict[Any, Any]:
        return {at: done(SimpleNamespace(offset=OFFSET_INVALID)) for at in asked}

    def describe_topics(self, names: Any, **_: Any) -> dict[str, Any]:
        partition = SimpleNamespace(id=0)
        return {GOOD.topic: done(SimpleNamespace(topic_id="id", partitions=[partition]))}


def done(result: object) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def test_an_end_that_no_broker_told_is_not_taken_for_a_lost_changelog() -> None:
    reader = ChangelogReader(KafkaSettings("localhost:1"), "test")
    reader.close()
    reader._admin = cast(AdminClient, Speechless())
    with pytest.raises(TransientError):
        reader.bounds([GOOD])
