"""The Kafka under test: one broker or three, real processes that may be killed.

Lives here: brokers, their proxies, and topics as nobody has used them. Must not live here: the
pipeline (`system`), what is sent (`workload`).

Every broker has two doors: a direct one, for what must see and settle things during a fault,
and one behind a proxy, for the workers whose network is to fail. What is asked for at one door
is advertised at the same door, so no answer has to be rewritten.
"""

from __future__ import annotations

import base64
import random
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from streams.engine.record import TopicPartition
from streams.runtime.broker import BrokerSettings
from streams.runtime.kafka import jars, launch, process
from streams.runtime.kafka.errors import BrokerError
from tests.chaos.faults import Stuck
from tests.chaos.proxy import Proxy
from topics import load_catalogue, provision

# Below the range from which systems take the ports of outgoing connections: a client that
# knocks at the port of a dead broker may otherwise be given that very port, and answer itself.
_PORTS: Final = range(20_000, 30_000)
_ADMIN_S: Final = 30.0
_LOOK_S: Final = 0.1
# One broker serves all scenarios of a short run; three share a small machine.
_HEAP_MB: Final = {1: 768, 3: 384}
INTERFACE: Final = "I7"


@dataclass(slots=True)
class Broker:
    """One node: where its files are, at which doors it answers, and its process."""

    number: int
    folder: Path
    direct: int
    behind: int
    controller: int
    proxy: Proxy
    heap_mb: int
    libraries: Path
    java: Path
    environment: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    token: str = ""

    @property
    def runs(self) -> bool:
        """Whether its process does."""
        return bool(self.token) and process.is_ours(self.pid, self.token)

    def start(self) -> None:
        """Start the process on the files that are there; it may need seconds to answer."""
        self.token = f"cimstream.chaos={uuid.uuid4().hex}"
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        command = [
            *(["/usr/bin/env", *variables] if variables else []),
            *self._java(), f"-D{self.token}", f"-Xms{self.heap_mb // 3}m",
            f"-Xmx{self.heap_mb}m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
            "-XX:TieredStopAtLevel=1", "kafka.Kafka", str(self._properties),
        ]  # fmt: skip
        self.pid = process.spawn(command, self.token, self.folder / "broker.out")

    def kill(self) -> None:
        """Kill -9, and wait until it is gone with its ports."""
        process.end(self.pid, self.token, orderly=False)

    def stop(self) -> None:
        """End it in order, and wait until it is gone."""
        process.end(self.pid, self.token, orderly=True)

    def prepare(self, properties: Mapping[str, str], cluster_id: str) -> None:
        """Write its properties and format its data folder."""
        self.folder.mkdir(parents=True)
        lines = [f"{name}={value}" for name, value in properties.items()]
        self._properties.write_text("\n".join(lines) + "\n", encoding="utf-8")
        template = Path(launch.__file__).with_name("log4j2.properties")
        (self.folder / "log4j2.properties").write_bytes(template.read_bytes())
        done = subprocess.run(
            [*self._java(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
             "kafka.tools.StorageTool", "format", "--cluster-id", cluster_id,
             "--config", str(self._properties)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BrokerError(
                "start_failed",
                what="the broker's data folder could not be prepared",
                where=str(self.folder),
                why=(done.stderr or done.stdout)[-300:],
                fix="see that the folder can be written and has room",
            )

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _java(self) -> list[str]:
        return [
            str(self.java), "-cp", f"{self.libraries.absolute()}/*", "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            f"-Dcimstream.logs={self.folder}",
        ]  # fmt: skip


class Cluster:
    """Brokers that were started together. Use it in a `with`, or call `close`."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        """Start `count` brokers in `folder` and wait until they answer.

        Raises:
            BrokerError: no Java, no jars, or a broker does not start.
        """
        java = jars.require_java()
        libraries = jars.require_jars(BrokerSettings().cache_folder)
        chance = random.Random()  # ports are no part of a scenario: not of its seed
        self.brokers = [
            Broker(
                number,
                folder / f"broker-{number}",
                direct=_free_port(chance),
                behind=_free_port(chance),
                controller=_free_port(chance),
                proxy=Proxy(_free_port(chance)),
                heap_mb=_HEAP_MB[count],
                libraries=libraries,
                java=java,
            )
            for number in range(1, count + 1)
        ]
        cluster_id = "c" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        for broker in self.brokers:
            broker.prepare(self._properties(broker), cluster_id)
            broker.proxy.start(broker.behind)
        self.restart()
        self.admin = self._connect()
        self._catalogue = load_catalogue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every broker and proxy."""
        for broker in self.brokers:
            broker.kill()
            broker.proxy.close()

    @property
    def bootstrap(self) -> str:
        """The direct doors."""
        return ",".join(f"{launch.HOST}:{broker.direct}" for broker in self.brokers)

    @property
    def proxied(self) -> str:
        """The doors behind the proxies."""
        return ",".join(f"{launch.HOST}:{broker.proxy.port}" for broker in self.brokers)

    @property
    def proxies(self) -> list[Proxy]:
        """One per broker."""
        return [broker.proxy for broker in self.brokers]

    def restart(self) -> None:
        """Start every broker that does not run, and wait for their answers."""
        started = [broker for broker in self.brokers if not broker.runs]
        for broker in started:
            broker.start()
        for broker in started:
            if not launch.await_answer(broker.direct, partial(_ended, broker)):
                raise BrokerError(
                    "start_failed",
                    what="a broker does not answer",
                    where=str(broker.folder),
                    fix="read broker.log there",
                )

    def heal(self) -> None:
        """Every broker runs and every proxy is a good network with nothing held back."""
        for proxy in self.proxies:
            proxy.heal()
            proxy.held.clear()
        self.restart()

    # ---------------------------------------------------------------------------- topics

    def fresh_topics(self) -> None:
        """Make all topics of the interface under test as if nobody had used them."""
        specs = [spec for spec in self._catalogue.topics() if spec.interface == INTERFACE]
        self.delete_topics(spec.name for spec in specs)
        provision.ensure(provision.connect(self.bootstrap), specs)

    def apply_topics(self) -> None:
        """What `cimstream topics apply` does."""
        admin = provision.connect(self.bootstrap)
        provision.apply(admin, provision.plan(admin, self._catalogue))

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete the topics that exist and wait until nobody knows them."""
        existing = set(self.admin.list_topics(timeout=_ADMIN_S).topics)
        doomed = sorted(existing & set(names))
        for future in (self.admin.delete_topics(doomed) if doomed else {}).values():
            _tolerant(future.result, KafkaError.UNKNOWN_TOPIC_OR_PART)
        deadline = time.monotonic() + _ADMIN_S
        while set(self.admin.list_topics(timeout=_ADMIN_S).topics) & set(doomed):
            if time.monotonic() > deadline:
                raise Stuck("topics are not deleted")
            time.sleep(_LOOK_S)

    def remove_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Move the start of logs up to these offsets, as retention would; -1: to the end.

        A client asks the leaders that it remembers, also of a topic that was made anew since; so
        each try has a client of its own.
        """
        left = dict(before)
        deadline = time.monotonic() + _ADMIN_S
        while True:
            offsets = [KafkaPartition(*at, offset) for at, offset in left.items()]
            admin = self._connect()
            for at, future in admin.delete_records(offsets).items():
                if _tolerant(future.result, KafkaError.NOT_LEADER_FOR_PARTITION):
                    del left[TopicPartition(at.topic, at.partition)]
            if not left:
                return
            if time.monotonic() > deadline:
                raise Stuck(f"no leader removes records of {sorted(left)}")
            time.sleep(_LOOK_S)

    def configure(self, topic: str, **settings: str) -> None:
        """Set topic settings (with `_` for `.`)."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(_ADMIN_S)

    def add_partitions(self, topic: str, count: int) -> None:
        """Give the topic `count` partitions in all."""
        for future in self.admin.create_partitions([NewPartitions(topic, count)]).values():
            future.result(_ADMIN_S)

    def _connect(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    # ------------------------------------------------------------------------------ files

    def _properties(self, broker: Broker) -> dict[str, str]:
        count = len(self.brokers)
        replicas, in_sync = str(count), str(max(1, count - 1))
        voters = ",".join(f"{b.number}@{launch.HOST}:{b.controller}" for b in self.brokers)
        host = launch.HOST
        return {
            **launch.server_properties(),
            "node.id": str(broker.number),
            "listeners": f"CLIENTS://{host}:{broker.direct},PROXIED://{host}:{broker.behind},"
            f"CONTROLLER://{host}:{broker.controller}",
            "advertised.listeners": f"CLIENTS://{host}:{broker.direct},"
            f"PROXIED://{host}:{broker.proxy.port}",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,PROXIED:PLAINTEXT,"
            "CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": voters,
            "log.dirs": str(broker.folder / "logs"),
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            # A scenario waits for compaction; the default looks every 15 s.
            "log.cleaner.backoff.ms": "500",
            "log.retention.check.interval.ms": "500",
            "file.delete.delay.ms": "1000",
            # Half of what is waited for here would be waited for at 9 s a time.
            "replica.lag.time.max.ms": "5000",
        }


def _ended(broker: Broker) -> bool:
    return not broker.runs


def _free_port(chance: random.Random) -> int:
    while True:
        try:
            return launch.free_port(chance.choice(_PORTS))
        except BrokerError:
            continue


def _tolerant(call: Callable[[float], object], code: int) -> bool:
    """Whether it was done; False where it was refused with this code."""
    try:
        call(_ADMIN_S)
    except KafkaException as error:
        if error.args[0].code() != code:
            raise
        return False
    return True


def partitions_of(cluster: Cluster, topics: Sequence[str]) -> list[TopicPartition]:
    """Every partition of these topics."""
    known = cluster.admin.list_topics(timeout=_ADMIN_S).topics
    return [TopicPartition(topic, p) for topic in topics for p in sorted(known[topic].partitions)]
