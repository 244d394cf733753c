"""Make a cluster's topics what the catalogue says: plan, then apply.

Lives here: the admin calls about topics, and the translation of errors. Must not live here: which
topics there should be (`topics.catalogue.specs`), who may use them (`authorizing`), printing.

Invariant: a topic is never deleted and a partition count never changed, whatever the plan
finds: state and identity depend on both.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from confluent_kafka.admin._listoffsets import OffsetSpec

from topics.catalogue import Catalogue, TopicSpec
from topics.errors import EXIT_FAILED, EXIT_UNAVAILABLE, OperatorError

Action = Literal["create", "alter", "unchanged", "conflict"]
_T = TypeVar("_T")

# One broker can hold one copy; from three brokers on, three copies survive the loss of one with
# writes going on (min.insync.replicas 2) and of two without losing data.
_REPLICAS_WANTED: Final = 3
_REQUEST_S: Final = 30.0
# How long created topics may take until every broker tells of them and serves them. Hundreds at a
# time keep one broker of a busy machine at work for 15 s and more.
_VISIBLE_S: Final = 120.0
_LOOK_S: Final = 0.1
# The library leaves its factory untyped.
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
# Nobody answered, as against: somebody answered no.
_AWAY: Final = frozenset({
    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE,
    KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT,
})  # fmt: skip

__all__ = [
    "Admin",
    "Cluster",
    "Plan",
    "ProvisionError",
    "Row",
    "apply",
    "cluster",
    "connect",
    "ensure",
    "outline",
    "plan",
    "session_timeout_min_ms",
    "translated",
]


class ProvisionError(OperatorError):
    """The cluster does not answer, refuses, or holds what may not be changed."""


@dataclass(frozen=True, slots=True)
class Admin:
    """An admin client and where it speaks to, for messages."""

    bootstrap: str
    client: AdminClient


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster says of itself: brokers, and per topic (partitions, replicas)."""

    brokers: int
    topics: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """What is to be done about one topic.

    `changes` are settings to alter as (key, value found, value wanted); `replicas` is the
    number of copies to create with, or that there are. `reason` is set for a conflict.
    """

    topic: TopicSpec
    action: Action
    replicas: int
    changes: tuple[tuple[str, str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One row per topic of the catalogue, in order of name."""

    cluster: Cluster
    rows: tuple[Row, ...]

    def of(self, action: Action) -> tuple[Row, ...]:
        """Give the rows with this action."""
        return tuple(row for row in self.rows if row.action == action)

    @property
    def pending(self) -> bool:
        """Whether applying would change anything."""
        return any(row.action in ("create", "alter") for row in self.rows)


def connect(bootstrap: str, properties: Mapping[str, Any] = MappingProxyType({})) -> Admin:
    """Give an admin client; it connects when it is used.

    `properties` are librdkafka's, for security.
    """
    quiet = logging.getLogger("cimstream.topics.provision")
    client = AdminClient(
        {
            **properties,
            "bootstrap.servers": bootstrap,
            "client.id": "cimstream-provision",
            "socket.timeout.ms": int(_REQUEST_S * 1000),
        },
        logger=quiet,
    )
    return Admin(bootstrap, client)


def cluster(admin: Admin, *, timeout_s: float = 10.0) -> Cluster:
    """Ask the cluster for its brokers and topics.

    Raises:
        ProvisionError: `broker_unavailable` if none answers in time.
    """
    try:
        metadata = admin.client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise translated(error, admin.bootstrap) from error
    topics = {
        name: (len(topic.partitions), min(len(p.replicas) for p in topic.partitions.values()))
        for name, topic in metadata.topics.items()
        if topic.error is None and topic.partitions
    }
    return Cluster(len(metadata.brokers), topics)


def session_timeout_min_ms(admin: Admin) -> int | None:
    """The shortest session time-out the brokers allow a group; None where they do not say."""
    try:
        brokers = admin.client.list_topics(timeout=_REQUEST_S).brokers
        resource = ConfigResource(ResourceType.BROKER, str(min(brokers)))
        future = admin.client.describe_configs([resource], request_timeout=_REQUEST_S)[resource]
        return int(future.result()["group.min.session.timeout.ms"].value)
    except (KafkaException, KeyError, TypeError, ValueError):
        return None  # no right to ask, or a service that speaks Kafka's protocol only


def plan(admin: Admin, catalogue: Catalogue, *, replicas: int | None = None) -> Plan:
    """Compare the cluster with the catalogue. Changes nothing.

    Args:
        replicas: Copies of topics to create; by default three, or as many as there are
            brokers. Copies of topics that exist are left alone.

    Raises:
        ProvisionError: `broker_unavailable`, `broker_refused`, or `replicas_impossible` where
            there are fewer brokers than copies.
    """
    return _compare(admin, catalogue.topics(), replicas)


def outline(admin: Admin, catalogue: Catalogue) -> Plan:
    """As `plan`, errors too, but in one request: no settings are asked for, no row is `alter`."""
    found = cluster(admin)
    copies = min(_REPLICAS_WANTED, found.brokers)
    return Plan(found, tuple(_row(spec, found, None, copies) for spec in catalogue.topics()))


def ensure(admin: Admin, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
    """Create those of `specs` that are not there; give their names. Others are left as they are.

    For topics that are no part of the catalogue: the side logs of a replay.

    Raises:
        ProvisionError: as `plan` and `apply`.
    """
    found = _compare(admin, specs, None)
    missing = found.of("create")
    apply(admin, Plan(found.cluster, missing + found.of("conflict")))
    return tuple(row.topic.name for row in missing)


def _compare(admin: Admin, specs: Sequence[TopicSpec], replicas: int | None) -> Plan:
    found, settings = _seen(admin, specs)
    copies = min(_REPLICAS_WANTED, found.brokers) if replicas is None else replicas
    if not 1 <= copies <= found.brokers:
        raise ProvisionError(
            "replicas_impossible",
            what=f"{copies} copies of a topic cannot be kept",
            where=admin.bootstrap,
            why=f"the cluster has {found.brokers} broker(s), and each holds one copy at most",
            fix="choose a number of replicas between 1 and the number of brokers",
        )
    rows = tuple(_row(spec, found, settings.get(spec.name, {}), copies) for spec in specs)
    return Plan(found, rows)


def apply(admin: Admin, todo: Plan) -> None:
    """Do what the plan says, and return when the brokers tell of it.

    A topic that someone else created in the meantime is no error: the next plan compares it.

    Raises:
        ProvisionError: `topic_conflict`, before anything is changed, if the plan has one;
            `broker_unavailable` or `broker_refused`; what was done until then stays, and
            applying a new plan goes on from there.
    """
    if conflicts := todo.of("conflict"):
        raise ProvisionError(
            "topic_conflict",
            what=f"{len(conflicts)} topic(s) differ in what may not be changed; nothing was done",
            where=f"{admin.bootstrap}, {conflicts[0].topic.name}",
            why=conflicts[0].reason,
            fix="give the catalogue the partition count that the cluster has, or move the topic's"
            " data to a new cluster: state and identity depend on the count",
        )
    _create(admin, todo.of("create"))
    _alter(admin, todo.of("alter"))
    _await(admin, todo.of("create") + todo.of("alter"))


def _row(spec: TopicSpec, found: Cluster, settings: Mapping[str, str] | None, copies: int) -> Row:
    """The row of one topic; without its settings, they count as right."""
    if spec.name not in found.topics:
        return Row(spec, "create", copies)
    partitions, replicas = found.topics[spec.name]
    if partitions != spec.partitions:
        reason = f"the cluster has {partitions} partition(s), the catalogue {spec.partitions}"
        return Row(spec, "conflict", replicas, reason=reason)
    if settings is None:
        return Row(spec, "unchanged", replicas)
    changes = tuple(
        (key, settings.get(key, ""), value)
        for key, value in sorted(_config(spec, replicas).items())
        if not _same(settings.get(key, ""), value)
    )
    return Row(spec, "alter" if changes else "unchanged", replicas, changes)


def _config(spec: TopicSpec, replicas: int) -> dict[str, str]:
    # One copy may be away and writes go on; with a single copy there is none to spare.
    return {**spec.config, "min.insync.replicas": str(max(1, replicas - 1))}


def _same(found: str, wanted: str) -> bool:
    # The order of a list setting (cleanup.policy) means nothing, and brokers give their own.
    return sorted(found.split(",")) == sorted(wanted.split(","))


def _seen(admin: Admin, specs: Iterable[TopicSpec]) -> tuple[Cluster, dict[str, dict[str, str]]]:
    """What the cluster has, and the settings of these topics as far as they are there.

    Brokers learn of a topic, and of its end, one by one: what one does not know is not there.
    """
    found, settings = cluster(admin), dict[str, dict[str, str]]()
    asked = [ConfigResource(ResourceType.TOPIC, s.name) for s in specs if s.name in found.topics]
    futures = admin.client.describe_configs(asked, request_timeout=_REQUEST_S) if asked else {}
    for resource, future in futures.items():
        entries = _result(future, admin, resource.name, tolerate=KafkaError.UNKNOWN_TOPIC_OR_PART)
        if entries is not None:
            settings[resource.name] = {key: entry.value or "" for key, entry in entries.items()}
    gone = {resource.name for resource in asked} - settings.keys()
    there = {name: shape for name, shape in found.topics.items() if name not in gone}
    return Cluster(found.brokers, there), settings


def _create(admin: Admin, rows: Iterable[Row]) -> None:
    topics = [
        NewTopic(
            row.topic.name,
            num_partitions=row.topic.partitions,
            replication_factor=row.replicas,
            config=_config(row.topic, row.replicas),
        )
        for row in rows
    ]
    if topics:
        futures = admin.client.create_topics(
            topics, operation_timeout=_REQUEST_S, request_timeout=_REQUEST_S
        )
        for name, future in futures.items():
            _result(future, admin, name, tolerate=KafkaError.TOPIC_ALREADY_EXISTS)


def _alter(admin: Admin, rows: Iterable[Row]) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            row.topic.name,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, _, value in row.changes
            ],
        )
        for row in rows
    ]
    if resources:
        futures = admin.client.incremental_alter_configs(resources, request_timeout=_REQUEST_S)
        for resource, future in futures.items():
            _result(future, admin, resource.name)


def _await(admin: Admin, rows: Sequence[Row]) -> None:
    """Return when the brokers tell of the topics as asked for, and serve each partition.

    They learn of it one by one, and of a partition they lead later than others tell of it.
    """
    deadline = time.monotonic() + _VISIBLE_S
    waiting = list(rows)
    while waiting:
        found, settings = _seen(admin, [row.topic for row in waiting])
        waiting = [
            row
            for row in waiting
            if _row(row.topic, found, settings.get(row.topic.name, {}), row.replicas).action
            in ("create", "alter")
        ] or _unserved(admin, rows)
        if waiting and time.monotonic() > deadline:
            raise ProvisionError(
                "broker_refused",
                what=f"{len(waiting)} topic(s) were changed but the brokers do not tell of it",
                where=f"{admin.bootstrap}, {waiting[0].topic.name}",
                why=f"waited {_VISIBLE_S:.0f} s",
                fix="look at the brokers' log, then plan again",
                exit_code=EXIT_UNAVAILABLE,
            )
        time.sleep(_LOOK_S if waiting else 0.0)


def _unserved(admin: Admin, rows: Sequence[Row]) -> list[Row]:
    """Those of whose partitions one has no leader yet that answers."""
    asked = {
        TopicPartition(row.topic.name, partition): _LATEST
        for row in rows
        for partition in range(row.topic.partitions)
    }
    if not asked:
        return []
    answers = admin.client.list_offsets(asked, request_timeout=_REQUEST_S).items()
    silent = {at.topic for at, told in answers if told.exception() or told.result().offset < 0}
    return [row for row in rows if row.topic.name in silent]


def _result(
    future: Future[_T], admin: Admin, topic: str, *, tolerate: int | None = None
) -> _T | None:
    """Wait for an admin call; None only where its failure with code `tolerate` is no failure."""
    try:
        return future.result(timeout=2 * _REQUEST_S)
    except KafkaException as error:
        if error.args[0].code() == tolerate:
            return None
        raise translated(error, f"{admin.bootstrap}, {topic}") from error


def translated(error: KafkaException, where: str) -> ProvisionError:
    """The error of a request, as a person at a terminal needs it."""
    cause: KafkaError = error.args[0]
    if cause.code() in _AWAY:
        return ProvisionError(
            "broker_unavailable",
            what="no Kafka broker answers",
            where=where,
            why=cause.str(),
            fix="start one with `cimstream broker up`, or name one in CIMSTREAM_BOOTSTRAP",
            exit_code=EXIT_UNAVAILABLE,
        )
    return ProvisionError(
        "broker_refused",
        what="the Kafka broker refused a request",
        where=where,
        why=cause.str() or cause.name(),
        fix="look at the broker's log; on a cluster with ACLs this user needs Create, Describe"
        " and AlterConfigs on topics named cim.*",
        exit_code=EXIT_FAILED,
    )
