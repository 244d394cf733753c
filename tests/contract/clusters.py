"""Two clusters behind one face: the fake broker and a real Kafka.

Lives here: how a contract test makes topics and ports and looks from outside. Must not live
here: what is required; that is the same for both.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.kafka import (
    ChangelogReader,
    GroupSource,
    KafkaSettings,
    RecordReader,
    TransactionalProducer,
)
from streams.engine.note import Note
from streams.engine.ports import Changelogs, Input, Position, Reader, Transactions
from streams.engine.record import Output, Record, TopicPartition
from tests.fake_broker import Cluster, FakeChangelogs, FakeInput, FakeReader, FakeTransactions
from tests.integration.engine import rig

# What is waited for comes within milliseconds; this only ends what would never come.
PATIENCE_S = 60.0
# transaction.abort.timed.out.transaction.cleanup.interval.ms of a broker, and a little.
_BROKER_LOOKS_S = 11.0


class Subject(Protocol):
    """A cluster as a test sees it. Names are the test's own; nobody else uses them."""

    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""

    def transactions(self, name: str = "id") -> Transactions:
        """A producer of the test's transactional id `name`, ready to begin."""

    def source(self, instance: str = "0") -> Input:
        """A static member of the test's one group."""

    def changelogs(self) -> Changelogs:
        """A reader of changelogs."""

    def reader(self) -> Reader:
        """A reader of single records."""

    def feed(self, topic: str, *keys: bytes, partition: int = 0) -> None:
        """Write records outside any transaction."""

    def visible(self, topic: str, *, committed: bool = True) -> list[Record]:
        """What a consumer of that isolation is given from the beginning to the end."""

    def stored(self, topic: str) -> dict[int, int]:
        """Committed offsets of the group by partition, whatever is undecided.

        Without those that only name an owner.
        """

    def make_anew(self, topic: str) -> None:
        """Delete a topic of one partition and create it again."""

    def remove(self, at: TopicPartition, before: int) -> None:
        """Move the log's start."""

    def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until it holds."""

    def pass_transaction(self) -> None:
        """Let more time pass than an ordinary transaction may be open, and the broker look."""

    def pass_session(self, but: Callable[[], object]) -> None:
        """Let more time pass than a member may be silent; who is not `but` is."""


class FakeSubject:
    """The fake broker."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self._topics = 0

    def topic(self, partitions: int = 1) -> str:
        self._topics += 1
        name = f"topic-{self._topics}"
        self.cluster.create(name, partitions)
        return name

    def transactions(self, name: str = "id") -> Transactions:
        made = FakeTransactions(self.cluster, name)
        made.reset()
        return made

    def source(self, instance: str = "0") -> Input:
        return FakeInput(self.cluster, "group", instance)

    def changelogs(self) -> Changelogs:
        return FakeChangelogs(self.cluster)

    def reader(self) -> Reader:
        return FakeReader(self.cluster)

    def feed(self, topic: str, *keys: bytes, partition: int = 0) -> None:
        for key in keys:
            self.cluster.log(TopicPartition(topic, partition)).append(Output(topic, key, b"v"))

    def visible(self, topic: str, *, committed: bool = True) -> list[Record]:
        logs = [log for at, log in sorted(self.cluster.logs.items()) if at.topic == topic]
        return [r for log in logs for r in log.visible(log.start, committed=committed)]

    def stored(self, topic: str) -> dict[int, int]:
        offsets = self.cluster.groups.of("group").offsets
        return {
            at.partition: offset
            for at, (offset, note) in offsets.items()
            if at.topic == topic and Note.from_text(note or "").begun
        }

    def make_anew(self, topic: str) -> None:
        self.cluster.create(topic, 1)

    def remove(self, at: TopicPartition, before: int) -> None:
        self.cluster.log(at).start = before

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            self.cluster.wait(0.1)
        raise AssertionError("it never came true")

    def pass_transaction(self) -> None:
        self.cluster.wait(self.cluster.transaction_timeout_s + 1)

    def pass_session(self, but: Callable[[], object]) -> None:
        for _ in range(int(self.cluster.session_timeout_s * 2)):
            self.cluster.wait(1.0)
            but()


class RealSubject:
    """A real Kafka, with names of the test's own."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._name = f"contract-{uuid.uuid4().hex[:12]}"
        self._settings = KafkaSettings(bootstrap)
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._topics = 0
        self._closables: list[Transactions | Input | Changelogs | Reader] = []

    def topic(self, partitions: int = 1) -> str:
        self._topics += 1
        name = f"{self._name}-{self._topics}"
        self._admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        return name

    def transactions(self, name: str = "id") -> Transactions:
        made = TransactionalProducer(self._settings, f"{self._name}-{name}")
        made.reset()
        self._closables.append(made)
        return made

    def source(self, instance: str = "0") -> Input:
        made = GroupSource(self._settings, self._name, f"{self._name}-{instance}")
        self._closables.append(made)
        return made

    def changelogs(self) -> Changelogs:
        made = ChangelogReader(self._settings, self._name)
        self._closables.append(made)
        return made

    def reader(self) -> Reader:
        made = RecordReader(self._settings, self._name)
        self._closables.append(made)
        return made

    def feed(self, topic: str, *keys: bytes, partition: int = 0) -> None:
        names = _Source(topic)
        rig.feed(self._bootstrap, names, [(key, b"v") for key in keys], partition=partition)

    def visible(self, topic: str, *, committed: bool = True) -> list[Record]:
        return rig.read_all(self._bootstrap, topic, committed=committed)

    def stored(self, topic: str) -> dict[int, int]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": self._name,
                "isolation.level": "read_uncommitted",
            }
        )
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        found = consumer.committed([KafkaPartition(topic, p) for p in partitions], 10)
        consumer.close()
        return {
            at.partition: at.offset
            for at in found
            if at.offset >= 0 and Note.from_text(at.metadata or "").begun
        }

    def make_anew(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(30)
        self.until(lambda: topic not in self._admin.list_topics(timeout=10).topics)
        self._admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)

    def remove(self, at: TopicPartition, before: int) -> None:
        rig.remove_records(self._bootstrap, at, before)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)

    def pass_transaction(self) -> None:
        time.sleep(self._settings.transaction_timeout_ms / 1000 + _BROKER_LOOKS_S)

    def pass_session(self, but: Callable[[], object]) -> None:
        deadline = time.monotonic() + self._settings.session_timeout_ms / 1000 + 4
        while time.monotonic() < deadline:
            but()

    def close(self) -> None:
        """Close whatever was made."""
        for made in self._closables:
            made.close()


class _Source(rig.Names):
    """The rig feeds the input of a test's names; here any topic is one."""

    @property
    def source(self) -> str:
        return self.prefix


@contextmanager
def real(bootstrap: str) -> Iterator[Subject]:
    """A real Kafka whose clients are closed at the end."""
    subject = RealSubject(bootstrap)
    yield subject
    subject.close()


class Assignment:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.offsets: dict[TopicPartition, int] = {}
        self.notes: dict[TopicPartition, str | None] = {}
        self.gone: list[str] = []
        self.heir_of: list[str] = []

    def inherited(self, slots: Sequence[str]) -> None:
        self.heir_of += slots

    def assigned(self, partitions: Mapping[TopicPartition, Position]) -> None:
        self.offsets = {at: position.offset for at, position in partitions.items()}
        self.notes = {at: position.note for at, position in partitions.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.gone.append("revoked")
        self.offsets = {}

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.gone.append("lost")
        self.offsets = {}
