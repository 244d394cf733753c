"""A small processor and what runs it, in this process or in one that can be killed.

The processor deduplicates by key and keeps a running count, so that a loss, a repeat and a
torn transaction each show in its output.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.events import BatchCommitted, Event, StepReached, Telemetry
from streams.engine.kafka import (
    ChangelogReader,
    GroupSource,
    KafkaSettings,
    RecordReader,
    TransactionalProducer,
)
from streams.engine.kafka.source import to_record
from streams.engine.ports import Changelogs, Transactions
from streams.engine.processor import COUNTERS, Context, Horizon, Processor, StoreSpec
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.rocks import RocksState
from streams.engine.worker import Limits, Worker

# An idle turn takes 0.1 s: a minute.
TURNS_MAX = 600


@dataclass(frozen=True)
class Names:
    """Topics of one test, so that tests do not meet."""

    prefix: str

    def member(self, slot: int) -> str:
        """Group instance id and transactional id of a slot."""
        return f"{self.prefix}-{slot}"

    @property
    def source(self) -> str:
        return f"{self.prefix}.in"

    @property
    def sink(self) -> str:
        return f"{self.prefix}.out"

    @property
    def rejected(self) -> str:
        return f"{self.prefix}.rejected"

    @property
    def seen(self) -> str:
        return f"{self.prefix}.seen.changelog"

    @property
    def counters(self) -> str:
        return f"{self.prefix}.counters.changelog"


HEAD_MAY_GO = Horizon(horizon_ms=0, slack_ms=0, time_of=lambda _: 2**62)
"""Of no use to anybody from the beginning, but never swept from the disk."""


class Unique:
    """Emits each key once, numbered per partition; value b"poison" breaks it.

    b"unpreparable" cannot be prepared; b"huge:N:…" emits and b"state:N:…" stores N
    incompressible bytes, which a topic's limit may refuse. By `horizon`, the log of what was
    seen may lose its head (at once, if nothing is said).
    """

    def __init__(self, names: Names, horizon: Horizon = HEAD_MAY_GO) -> None:
        self.name = names.prefix
        self._names = names
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = {
            names.source: (
                StoreSpec("seen", names.seen, horizon),
                StoreSpec(COUNTERS, names.counters),
            )
        }

    def heavy(self, record: Record) -> bool:
        return False

    def prepare(self, records: Sequence[Record]) -> Sequence[object]:
        if any(record.value == b"unpreparable" for record in records):
            raise ValueError("cannot prepare")
        return [None] * len(records)

    def process(self, record: Record, prepared: object, context: Context) -> None:
        key = record.key or b""
        if context.get("seen", key) is not None:
            context.count("duplicates")
            return
        context.put("seen", key, str(record.offset).encode())
        context.count("unique")
        value = record.value or b""
        if value.startswith(b"huge:"):
            value = random.Random(record.offset).randbytes(_size(value))
        if value.startswith(b"state:"):
            context.put("seen", b"large", random.Random(record.offset).randbytes(_size(value)))
            value = b""
        number = int(context.get("seen", b"#") or b"0") + 1
        context.put("seen", b"#", str(number).encode())
        context.emit(Output(self._names.sink, key, value, (("n", str(number).encode()),)))
        if record.value == b"poison":
            raise ValueError("poison")

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        context.count("rejected", code)
        value = record.value if with_value else None
        context.emit(Output(self._names.rejected, record.key, value, (("code", code.encode()),)))


def _size(value: bytes) -> int:
    return int(value.split(b":", 2)[1])


class Events(list[Event]):
    """Telemetry that remembers."""

    def emit(self, event: Event) -> None:
        self.append(event)


class CrashAt:
    """Telemetry that ends the process hard at a commit step, at its nth commit."""

    def __init__(self, step: str, done: bool, nth: int) -> None:
        self._at = (step, done)
        self._nth = nth

    def emit(self, event: Event) -> None:
        if isinstance(event, StepReached) and (event.step.value, event.done) == self._at:
            self._nth -= 1
            if self._nth == 0:
                os._exit(CRASHED)


class RealClock:
    """Monotonic time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def epoch_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def worker(
    bootstrap: str,
    names: Names,
    folder: Path,
    telemetry: Telemetry,
    *,
    slot: int = 0,
    log: Transactions | None = None,
    changelogs: Changelogs | None = None,
    processor: Processor[object] | None = None,
    limits: Limits | None = None,
    kafka: KafkaSettings | None = None,
    begin_ms: int | None = None,
) -> Worker:
    """A worker of the test processor on real Kafka."""
    kafka = kafka or KafkaSettings(bootstrap)
    member = names.member(slot)
    return Worker(
        processor or Unique(names),
        source=GroupSource(kafka, names.prefix, member, begin_ms=begin_ms),
        log=log or TransactionalProducer(kafka, member),
        changelogs=changelogs or ChangelogReader(kafka, f"{member}-restore"),
        reader=RecordReader(kafka, f"{member}-reader"),
        state=RocksState(folder / member),
        telemetry=telemetry,
        clock=RealClock(),
        limits=limits or Limits(),
    )


def make_topics(
    bootstrap: str,
    names: Names,
    partitions: int = 2,
    *,
    sink: Mapping[str, str] = MappingProxyType({}),
    rejected: Mapping[str, str] = MappingProxyType({}),
    seen: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Create the topics of a test, with settings of their own where given."""
    compact = {"cleanup.policy": "compact"}
    wanted = [
        NewTopic(names.source, partitions, 1),
        NewTopic(names.sink, partitions, 1, config=dict(sink)),
        NewTopic(names.rejected, 1, 1, config=dict(rejected)),
        NewTopic(names.seen, partitions, 1, config={**compact, **seen}),
        NewTopic(names.counters, partitions, 1, config=compact),
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics(wanted).values():
        future.result(30)


def new_names() -> Names:
    """Names nobody used before."""
    return Names(f"engine-{uuid.uuid4().hex[:12]}")


def feed(
    bootstrap: str,
    names: Names,
    records: Iterable[tuple[bytes, bytes]],
    *,
    partition: int = -1,
    transactional: bool = False,
) -> None:
    """Write (key, value) pairs to the input and wait until they are there.

    By key, or all to `partition`; `transactional` leaves a control record behind them.
    """
    properties: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap,
        "linger.ms": 5,
        "partitioner": "murmur2_random",
    }
    if transactional:
        properties["transactional.id"] = f"feeder-{uuid.uuid4().hex}"
    producer = Producer(properties)
    if transactional:
        producer.init_transactions(30)
        producer.begin_transaction()
    for key, value in records:
        producer.produce(names.source, key=key, value=value, partition=partition)
        producer.poll(0)
    if transactional:
        producer.commit_transaction(30)
    assert producer.flush(30) == 0


def foreign_producer(bootstrap: str, transactional_id: str) -> Producer:
    """A plain transactional producer that is ready to begin."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id})
    producer.init_transactions(30)
    return producer


def remove_records(bootstrap: str, partition: TopicPartition, before: int) -> None:
    """Move the log's start to offset `before`, as retention would; -1 means to its end."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.delete_records([KafkaPartition(*partition, before)]).values():
        future.result(30)


def reader(bootstrap: str, topic: str, *, committed: bool = True) -> Consumer:
    """A consumer on all partitions of a topic from their beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"read-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.wait.max.ms": 10,
        }
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([KafkaPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    return consumer


def read_all(bootstrap: str, topic: str, *, committed: bool = True) -> list[Record]:
    """Everything in the topic up to its present end, by partition and offset."""
    consumer = reader(bootstrap, topic, committed=committed)
    ended: set[int] = set()
    found = []
    while len(ended) < len(consumer.assignment()):
        messages = consumer.consume(1, 1.0)
        for message in messages + consumer.consume(10_000, 0):
            problem = message.error()
            if problem is None:
                found.append(to_record(message))
            else:
                assert problem.code() == KafkaError._PARTITION_EOF, problem
                ended.add(message.partition() or 0)
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


Stores = dict[TopicPartition, dict[bytes, bytes]]


def fold(records: Iterable[Record]) -> Stores:
    """The fold of the records of changelog partitions."""
    stores: Stores = {}
    for record in records:
        store = stores.setdefault(record.source, {})
        if record.value is None:
            store.pop(record.key or b"", None)
        else:
            store[record.key or b""] = record.value
    return stores


class Progress:
    """Asks the group, not the worker, how far the input is processed."""

    def __init__(self, bootstrap: str, names: Names) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": names.prefix,
                # Not to wait for offsets of a transaction that a dead worker left open.
                "isolation.level": "read_uncommitted",
            }
        )
        topic = self._consumer.list_topics(names.source, 10).topics[names.source]
        self._partitions = [KafkaPartition(names.source, p) for p in topic.partitions]

    def committed(self) -> dict[int, int]:
        """Committed offset per input partition, 0 where there is none."""
        while True:
            try:
                found = self._consumer.committed(self._partitions, 10)
            except KafkaException as error:  # a fresh broker has no coordinator for some moments
                if error.args[0].code() != KafkaError.NOT_COORDINATOR:
                    raise
                time.sleep(0.1)
            else:
                return {at.partition: max(0, at.offset) for at in found}

    def done(self) -> bool:
        """Whether everything in the input is committed (control records aside)."""
        committed = self.committed()
        for at in self._partitions:
            _, high = self._consumer.get_watermark_offsets(at, 10)
            if committed[at.partition] < high:
                return False
        return True


@contextlib.contextmanager
def running(subject: Worker, events: Events) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Turn `subject` until a condition holds, as often as asked; stop it at the end.

    A bound on the number of turns, not on time, ends what would never come true.
    """
    subject.start()
    yield lambda condition: turn_until(condition, events, subject)
    subject.stop()


def turn_until(condition: Callable[[], bool], events: Events, *subjects: Worker) -> None:
    """Turn all `subjects` in turn until a condition holds."""
    for _ in range(TURNS_MAX):
        if condition():
            return
        for subject in subjects:
            subject.turn()
    raise AssertionError(f"never came true; last events: {events[-10:]}")


def finish(bootstrap: str, names: Names, folder: Path, *, slot: int = 0) -> Events:
    """Run a worker of the slot until it is restored and all input processed, and stop it."""
    events = Events()
    subject = worker(bootstrap, names, folder, events, slot=slot)
    done = Progress(bootstrap, names).done
    with running(subject, events) as until:
        until(lambda: subject.ready and done())
    return events


def committed_records(events: Sequence[Event]) -> int:
    """Input records that commits covered."""
    return sum(event.records for event in events if isinstance(event, BatchCommitted))


# ---------------------------------------------------------------------------------- checkers


def assert_exact(
    bootstrap: str, names: Names, *, rejected: Mapping[bytes, str] = MappingProxyType({})
) -> None:
    """Judge from outside: the input as it is in Kafka, against what readers can see.

    Each key comes out once, in input order, numbered without a gap per partition; the
    counters are exact; exactly the `rejected` keys are rejected, each with its code, once.
    """
    expected: dict[int, list[bytes]] = {}
    counts: dict[int, Counter[str]] = {}
    for record in read_all(bootstrap, names.source):
        key, of = record.key or b"", expected.setdefault(record.partition, [])
        if key in rejected:
            name = f"rejected|{rejected[key]}"
        elif key in of:
            name = "duplicates"
        else:
            name = "unique"
            of.append(key)
        counts.setdefault(record.partition, Counter())[name] += 1
    outputs: dict[int, list[Record]] = {}
    for record in read_all(bootstrap, names.sink):
        outputs.setdefault(record.partition, []).append(record)
    assert {p: [r.key for r in rs] for p, rs in outputs.items()} == {
        p: keys for p, keys in expected.items() if keys
    }
    for records in outputs.values():
        numbers = [int(dict(record.headers)["n"]) for record in records]
        assert numbers == list(range(1, len(records) + 1))
    refusals = [(r.key, dict(r.headers)["code"]) for r in read_all(bootstrap, names.rejected)]
    assert sorted(refusals) == sorted((k, c.encode()) for k, c in rejected.items())
    counters = fold(read_all(bootstrap, names.counters))
    assert {
        store.partition: {n.decode(): int.from_bytes(v, "big") for n, v in values.items()}
        for store, values in counters.items()
    } == {p: dict(c) for p, c in counts.items()}


def assert_local_state(
    bootstrap: str, names: Names, folder: Path, *, slot: int = 0, complete: bool
) -> None:
    """Invariant I1, on disk: a store at checkpoint c is the fold of the committed log up to c.

    `complete`: and c lies behind every record of the log.
    """
    state = RocksState(folder / names.member(slot))
    for topic in (names.seen, names.counters):
        log = read_all(bootstrap, topic)
        for store in {record.source for record in log}:
            mine = [record for record in log if record.source == store]
            checkpoint = state.checkpoint(store) or 0
            below = fold(record for record in mine if record.offset < checkpoint)
            assert dict(state.items(store)) == below.get(store, {}), store
            if complete:
                assert checkpoint > mine[-1].offset
    state.close()


# --------------------------------------------------------------- a worker that can be killed


class Child:
    """A worker in a process of its own."""

    def __init__(self, bootstrap: str, names: Names, folder: Path, **options: object) -> None:
        given = {"bootstrap": bootstrap, "prefix": names.prefix, "folder": str(folder), **options}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.engine.rig", json.dumps(given)],
            cwd=Path(__file__).parents[3],
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(60)

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self._process.kill()
        self._process.wait()


CRASHED = 9


def main() -> None:
    """Run a worker in this process: argv is one JSON object."""
    options = json.loads(sys.argv[1])
    crash = options.get("crash")
    names = Names(options["prefix"])
    subject = worker(
        options["bootstrap"],
        names,
        Path(options["folder"]),
        CrashAt(*crash) if crash else Events(),
        limits=Limits(batch_records_max=options["batch"], commit_interval_s=0),
    )
    parent = os.getppid()
    subject.run(lambda: os.getppid() != parent)


if __name__ == "__main__":
    main()
