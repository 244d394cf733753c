"""The observer sees what is committed, all of it, and nothing else: on a real Kafka."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.record import TopicPartition
from streams.runtime import broker
from streams.runtime.broker import BrokerSettings
from streams.runtime.kafka import jars, launch
from tests.chaos.history import Event, EventId, History, Sent, check
from tests.chaos.observer import Observer, snapshot, uncommitted

pytestmark = pytest.mark.integration

PARTITIONS = 2


@pytest.fixture
def topic(kafka: str) -> str:
    """A topic of its own."""
    return new_topic(kafka)


@pytest.fixture
def transaction(kafka: str, topic: str) -> Callable[..., None]:
    """Writes events, each to a partition, in a transaction with the end that is asked for."""
    return writer(kafka, topic)


def new_topic(kafka: str) -> str:
    name = f"observed-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result()
    return name


def writer(kafka: str, topic: str) -> Callable[..., None]:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions()

    def write(*events: tuple[str, int], commit: bool = True) -> None:
        producer.begin_transaction()
        for event, partition in events:
            headers: dict[str, str | bytes | None] = {"ce_source": "HES-1", "ce_id": event}
            producer.produce(topic, b"value", b"key", partition, headers=headers)
        producer.flush()
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()

    return write


def test_it_sees_each_committed_event_once_and_no_aborted_one(
    kafka: str, topic: str, transaction: Callable[..., None], tmp_path: Path
) -> None:
    transaction(("a", 0), ("b", 1))
    with Observer(kafka, [topic], tmp_path) as observer:
        transaction(("aborted", 0), ("aborted", 1), commit=False)
        transaction(("c", 0))
        transaction(("aborted", 0), commit=False)
        reader = observer.stop()

    ids = [(poll.partition.partition, seen.id) for poll in reader.polls for seen in poll.seen]
    assert sorted(ids) == [(0, "a"), (0, "c"), (1, "b")]
    assert reader.starts == {TopicPartition(topic, n): 0 for n in range(PARTITIONS)}
    # Events and markers: a, commit, aborted, abort, c, commit, aborted, abort; b and so on.
    assert reader.ends == {TopicPartition(topic, 0): 8, TopicPartition(topic, 1): 4}


def test_what_it_saw_agrees_with_the_snapshots_of_committed_and_uncommitted(
    kafka: str, topic: str, transaction: Callable[..., None], tmp_path: Path
) -> None:
    with Observer(kafka, [topic], tmp_path) as observer:
        transaction(("a", 0), ("b", 1))
        during = snapshot(kafka, "during", [topic], [])
        transaction(("aborted", 0), commit=False)
        transaction(("c", 0))
        reader = observer.stop()
    final = snapshot(kafka, "final", [topic], [])
    written = uncommitted(kafka, [topic])

    event = [Event(EventId(topic, "HES-1", name), b"key") for name in ("a", "b", "c")]
    sent = (Sent("ab", tuple(event[:2]), None), Sent("c", (event[2],), None))
    assert check(History(sent, (reader,), final, written, (during,))) == []
    assert [seen.id for seen in final.logs[TopicPartition(topic, 0)]] == ["a", "c"]
    assert [seen.id for seen in written[TopicPartition(topic, 0)]] == ["a", "aborted", "c"]


def test_a_snapshot_waits_for_the_transactions_that_are_open_at_its_end(
    kafka: str, topic: str, transaction: Callable[..., None]
) -> None:
    """Method: a transaction that nobody ends; the broker does, by its time-out of a second."""
    producer = Producer(
        {"bootstrap.servers": kafka, "transactional.id": uuid.uuid4().hex,
         "transaction.timeout.ms": 1000}
    )  # fmt: skip
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, b"value", b"key", 0, headers={"ce_id": "open"})
    producer.flush()
    transaction(("a", 0))

    final = snapshot(kafka, "final", [topic], [])

    assert [seen.id for seen in final.logs[TopicPartition(topic, 0)]] == ["a"]


def test_an_observer_of_a_topic_that_is_not_there_says_so(kafka: str, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="no such topics"),
        Observer(kafka, [f"no-{uuid.uuid4().hex}"], tmp_path),
    ):
        pass


@pytest.mark.chaos
@pytest.mark.skipif(jars.find_java() is None, reason="needs a broker of its own")
def test_it_goes_on_where_it_was_when_the_broker_is_killed_and_comes_back(tmp_path: Path) -> None:
    settings = BrokerSettings(tmp_path / "broker", port=launch.free_port(0), heap_mb=512)
    first = broker.up(settings)
    try:
        topic = new_topic(first.bootstrap)
        writer(first.bootstrap, topic)(("a", 0))
        with Observer(first.bootstrap, [topic], tmp_path) as observer:
            assert first.pid is not None
            os.kill(first.pid, signal.SIGKILL)
            broker.up(settings)
            writer(first.bootstrap, topic)(("b", 0))
            reader = observer.stop()
    finally:
        broker.down(settings)

    assert [seen.id for poll in reader.polls for seen in poll.seen] == ["a", "b"]
