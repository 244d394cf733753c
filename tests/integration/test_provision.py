"""Plan and apply against a real cluster, and the partitioner against librdkafka."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from streams import cli
from topics import Catalogue, TopicSpec, load_catalogue, provision
from topics.partitioning import murmur2_partition
from topics.provision import Admin, Plan, ProvisionError

pytestmark = pytest.mark.integration

Renamed = Callable[..., Catalogue]


@pytest.fixture
def admin(kafka: str) -> Admin:
    return provision.connect(kafka)


@pytest.fixture
def mine() -> Renamed:
    """The shipped catalogue with topics of this test's own, some of them changed."""
    shipped = load_catalogue()
    prefix = f"test-{uuid.uuid4().hex[:8]}."

    def renamed(**changed: TopicSpec) -> Catalogue:
        wanted = ("cim.i7.inbound", "cim.i7.rejected", "cim.intake.dedup-i7.changelog")
        specs = {spec.name: spec for spec in shipped.topics() if spec.name in wanted}
        return replace(
            shipped,
            topic_specs=tuple(
                replace(changed.get(spec.purpose, spec), name=prefix + name)
                for name, spec in specs.items()
            ),
        )

    return renamed


def spec(purpose: str) -> TopicSpec:
    return next(
        s for s in load_catalogue().topics() if s.interface == "I7" and s.purpose == purpose
    )


def actions(plan: Plan) -> set[str]:
    return {row.action for row in plan.rows}


class Behind:
    """A client of a cluster in which one broker has not heard of one topic yet, once."""

    def __init__(self, admin: Admin, topic: str) -> None:
        self._client = admin.client
        self._topic = topic

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def describe_configs(self, asked: list[ConfigResource], **options: Any) -> dict[Any, Any]:
        futures = dict(self._client.describe_configs(asked, **options))
        for resource in asked:
            if resource.name == self._topic:
                self._topic = ""
                futures[resource] = Future()
                futures[resource].set_exception(
                    KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
                )
        return futures


def test_a_topic_that_one_broker_has_not_heard_of_yet_is_waited_for(
    admin: Admin, mine: Renamed
) -> None:
    catalogue = mine()
    name = catalogue.topics()[0].name
    behind = replace(admin, client=cast("AdminClient", Behind(admin, name)))
    provision.apply(behind, provision.plan(admin, catalogue))
    assert actions(provision.plan(admin, catalogue)) == {"unchanged"}
    behind = replace(admin, client=cast("AdminClient", Behind(admin, name)))
    plan = provision.plan(behind, catalogue)
    assert [row.topic.name for row in plan.of("create")] == [name]
    provision.apply(admin, plan)


def test_a_plan_changes_nothing_and_its_application_leaves_nothing_to_do(
    admin: Admin, mine: Renamed
) -> None:
    catalogue = mine()
    assert actions(provision.plan(admin, catalogue)) == {"create"}
    todo = provision.plan(admin, catalogue)
    assert actions(todo) == {"create"}, "the first plan made topics"
    provision.apply(admin, todo)
    again = provision.plan(admin, catalogue)
    assert actions(again) == {"unchanged"}
    assert not again.pending


def test_created_topics_have_the_partitions_of_the_catalogue(admin: Admin, mine: Renamed) -> None:
    catalogue = mine()
    provision.apply(admin, provision.plan(admin, catalogue))
    found = provision.cluster(admin).topics
    assert all(found[s.name][0] == s.partitions for s in catalogue.topics())


def test_a_setting_that_differs_is_altered_and_nothing_else(admin: Admin, mine: Renamed) -> None:
    provision.apply(admin, provision.plan(admin, mine()))
    longer = spec("inbound")
    longer = replace(longer, config={**longer.config, "retention.ms": "5184000000"})
    changed = mine(inbound=longer)

    todo = provision.plan(admin, changed)
    (row,) = todo.of("alter")
    assert row.changes == (("retention.ms", "2592000000", "5184000000"),)
    assert len(todo.of("unchanged")) == 2
    provision.apply(admin, todo)
    assert actions(provision.plan(admin, changed)) == {"unchanged"}


def test_a_partition_count_that_differs_is_a_conflict_and_stops_everything(
    admin: Admin, mine: Renamed
) -> None:
    provision.apply(admin, provision.plan(admin, mine()))
    shorter = spec("rejected")
    shorter = replace(shorter, config={**shorter.config, "retention.ms": "86400000"})
    changed = mine(inbound=replace(spec("inbound"), partitions=12), rejected=shorter)

    todo = provision.plan(admin, changed)
    (conflict,) = todo.of("conflict")
    assert conflict.reason == "the cluster has 6 partition(s), the catalogue 12"
    with pytest.raises(ProvisionError, match="topic_conflict"):
        provision.apply(admin, todo)
    after = provision.plan(admin, changed)
    assert provision.cluster(admin).topics[conflict.topic.name][0] == 6
    assert len(after.of("alter")) == 1, "the other change was made although the plan has a conflict"


def test_a_topic_that_appears_between_plan_and_apply_is_no_error(
    admin: Admin, mine: Renamed
) -> None:
    todo = provision.plan(admin, mine())
    provision.apply(admin, todo)
    provision.apply(admin, todo)


def test_more_copies_than_brokers_are_refused(admin: Admin, mine: Renamed) -> None:
    copies = provision.cluster(admin).brokers + 1
    with pytest.raises(ProvisionError, match="replicas_impossible"):
        provision.plan(admin, mine(), replicas=copies)


def test_the_whole_catalogue_is_applied_by_the_command_and_then_in_place(
    kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIMSTREAM_BOOTSTRAP", kafka)
    assert cli.execute(["topics", "apply"]) == 0
    capsys.readouterr()
    assert cli.execute(["topics", "plan"]) == 0
    count = len(load_catalogue().topics())
    assert f"{count} unchanged" in capsys.readouterr().out


def test_pending_changes_are_exit_code_3(
    kafka: str, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIMSTREAM_BOOTSTRAP", kafka)
    assert cli.execute(["topics", "apply"]) == 0
    audit = next(s for s in load_catalogue().topics() if s.purpose == "audit")
    changed = replace(audit, config={**audit.config, "retention.ms": "86400000"})
    catalogue = replace(load_catalogue(), topic_specs=(changed,))
    provision.apply(admin, provision.plan(admin, catalogue))
    assert cli.execute(["topics", "plan"]) == 3
    assert cli.execute(["topics", "apply"]) == 0


def test_without_a_broker_the_command_ends_with_69(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIMSTREAM_BOOTSTRAP", "127.0.0.1:1")
    assert cli.execute(["topics", "plan"]) == 69
    assert "cimstream broker up" in capsys.readouterr().err


def test_the_partition_of_a_key_is_that_of_librdkafka(kafka: str) -> None:
    topic, partitions = f"test-{uuid.uuid4().hex[:8]}", 7
    client = AdminClient({"bootstrap.servers": kafka})
    client.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
    choice = random.Random(61968)
    keys = [b"", b"HES-1|MeterReadings|6c1e0b6e"]
    keys += [choice.randbytes(length) for length in range(1, 80)]
    landed: dict[bytes, int] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None
        landed[message.key() or b""] = message.partition() or 0

    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for key in keys:
        producer.produce(topic, value=b"", key=key, on_delivery=delivered)
    assert producer.flush(30) == 0
    client.delete_topics([topic])[topic].result()
    assert landed == {key: murmur2_partition(key, partitions) for key in keys}


def test_the_brokers_say_how_short_a_session_may_be(kafka: str, admin: Admin) -> None:
    """Method: a member with that session may join, one with a shorter may not."""
    allowed_ms = provision.session_timeout_min_ms(admin)
    assert allowed_ms
    for session_ms, joins in ((allowed_ms, True), (allowed_ms - 1, False)):
        consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": f"test-{uuid.uuid4().hex}",
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": 100,
            }
        )
        consumer.subscribe(["cim.i7.inbound"])
        refused = False
        while not refused and not consumer.memberid():
            message = consumer.poll(0.1)
            problem = message.error() if message is not None else None
            refused = problem is not None and problem.code() == KafkaError.INVALID_SESSION_TIMEOUT
        assert refused is not joins
        consumer.close()


def test_who_does_not_answer_allows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "_REQUEST_S", 0.2)
    assert provision.session_timeout_min_ms(provision.connect("127.0.0.1:1")) is None
