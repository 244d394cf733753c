"""What an operator may choose, and what the guarantee fixes."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer

from streams.engine.kafka import KafkaSettings, LockedSettingError
from streams.engine.kafka.settings import LOCKED


@pytest.mark.parametrize("name", sorted(LOCKED))
def test_a_setting_the_guarantee_rests_on_is_refused_by_name(name: str) -> None:
    with pytest.raises(LockedSettingError, match=name):
        KafkaSettings("localhost:9092", extra={name: "x", "client.id": "me"})


def test_what_we_set_for_the_guarantee_is_locked() -> None:
    """Goal: a setting of this kind cannot be added and left open."""
    settings = KafkaSettings("localhost:9092")
    ours = {**settings.producer("id"), **settings.group_consumer("g", "i")}
    free = {
        "batch.size",
        "bootstrap.servers",
        "compression.type",
        "fetch.message.max.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "heartbeat.interval.ms",
        "linger.ms",
        "log.connection.close",
        "logger",
        "message.max.bytes",
        "queue.buffering.max.messages",
        "queued.max.messages.kbytes",
        "retry.backoff.ms",
        "session.timeout.ms",
    }
    assert ours.keys() - LOCKED == free


def test_exactly_once_is_what_the_clients_are_told() -> None:
    settings = KafkaSettings("localhost:9092")
    producer = settings.producer("slot-0")
    assert producer["transactional.id"] == "slot-0"
    assert producer["partitioner"] == "murmur2_random"
    for consumer in (
        settings.group_consumer("group", "slot-0"),
        settings.lone_consumer("x"),
        settings.restore_consumer("x"),
    ):
        assert consumer["isolation.level"] == "read_committed"
        assert consumer["auto.offset.reset"] == "error"
        assert consumer["enable.auto.commit"] is False
    member = settings.group_consumer("group", "slot-0")
    assert member["group.instance.id"] == "slot-0"
    assert member["partition.assignment.strategy"] == "range"


@pytest.mark.parametrize("session_ms", [1_000, 2_000, 6_000, 300_000])
def test_members_hear_of_a_hand_over_soon_and_may_miss_some_heartbeats(session_ms: int) -> None:
    member = KafkaSettings("b:9092", session_timeout_ms=session_ms).group_consumer("g", "i")
    interval_ms = int(str(member["heartbeat.interval.ms"]))
    assert interval_ms <= 300
    assert interval_ms * 4 <= session_ms


def test_an_operators_setting_reaches_every_client() -> None:
    settings = KafkaSettings("localhost:9092", extra={"client.id": "me"})
    for properties in (
        settings.producer("i"),
        settings.group_consumer("g", "i"),
        settings.lone_consumer("n"),
        settings.restore_consumer("n"),
        settings.admin(),
    ):
        assert properties["client.id"] == "me"


def test_the_client_library_knows_every_property() -> None:
    """A misspelt one is refused when the client is made."""
    settings = KafkaSettings("localhost:1")
    Producer(settings.producer("slot-0"))
    for properties in (settings.group_consumer("g", "i"), settings.restore_consumer("n")):
        Consumer(properties).close()
