"""A worker on the fake broker: the test processor, a disk in memory, and checkers.

Lives here: what the engine's tests have in common. The rules of Kafka are those of
tests/fake_broker, which tests/contract holds to a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from streams.engine.events import Event, StepReached
from streams.engine.note import Note
from streams.engine.ports import Writes
from streams.engine.processor import COUNTERS, Context, Processor, StoreSpec
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.worker import Limits, Worker
from tests.fake_broker import (
    Cluster,
    FakeChangelogs,
    FakeInput,
    FakeReader,
    FakeTransactions,
)

E = TypeVar("E", bound=Event)

SOURCE, SINK, REJECTED, SEEN, COUNTS = "in", "out", "rejected", "seen", "counts"
GROUP = "unique"
REFUSED = b"refuse"


class CrashError(BaseException):
    """The process is gone; nothing in the engine may catch this."""


class World(Cluster):
    """The cluster with the topics of the test processor."""

    def __init__(self, partitions: int = 1) -> None:
        super().__init__()
        self.width = partitions
        for topic in (SOURCE, SINK, REJECTED, SEEN, COUNTS):
            self.create(topic, partitions)
        self.refuses = lambda output: (output.value or b"").startswith(REFUSED)

    @property
    def offsets(self) -> dict[TopicPartition, int]:
        """Committed offsets of the worker's group; those that only name an owner are none."""
        return {
            at: position.offset
            for at, position in self.decided(GROUP).items()
            if Note.from_text(position.note or "").begun
        }

    def append(self, output: Output, partition: int) -> int:
        """Write a record outside any transaction."""
        return self.log(TopicPartition(output.topic, partition)).append(output)

    def feed(self, keys: Iterable[tuple[int, bytes]], value: bytes = b"v") -> None:
        """Write (partition, key) pairs to the input."""
        for partition, key in keys:
            self.append(Output(SOURCE, key, value), partition)

    def records(self, topic: str, partition: int) -> list[Record]:
        """What is in a partition for good."""
        return list(self.log(TopicPartition(topic, partition)).decided())

    def fold(self, store: TopicPartition, end: int | None = None) -> dict[bytes, bytes]:
        """The fold of a changelog partition up to an offset."""
        values: dict[bytes, bytes] = {}
        for record in self.log(store).decided():
            if record.key is not None and (end is None or record.offset < end):
                if record.value is None:
                    values.pop(record.key, None)
                else:
                    values[record.key] = record.value
        return values

    def done(self) -> bool:
        """Whether all input is committed."""
        offsets = self.offsets
        inputs = [TopicPartition(SOURCE, p) for p in range(self.width)]
        return all(offsets.get(at, 0) >= self.log(at).end for at in inputs)


class MemoryState:
    """The contract of the disk, in dictionaries."""

    def __init__(self) -> None:
        self._data: dict[TopicPartition, dict[bytes, bytes]] = {}
        self._checkpoints: dict[TopicPartition, int] = {}

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        return self._data.get(store, {}).get(key)

    def checkpoint(self, store: TopicPartition) -> int | None:
        return self._checkpoints.get(store)

    def apply(self, writes: Writes, checkpoints: Mapping[TopicPartition, int]) -> None:
        for store, written in writes.items():
            data = self._data.setdefault(store, {})
            for key, value in written.items():
                if value is None:
                    data.pop(key, None)
                else:
                    data[key] = value
        self._checkpoints.update(checkpoints)

    def items(self, store: TopicPartition) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted(self._data.get(store, {}).items())

    def wipe(self, store: TopicPartition) -> None:
        self._data.pop(store, None)
        self._checkpoints.pop(store, None)

    def sweep(
        self,
        store: TopicPartition,
        expired: Callable[[bytes], bool],
        after: bytes | None,
        keys_max: int,
    ) -> tuple[bytes | None, int]:
        looked_at = [(k, v) for k, v in self.items(store) if after is None or k > after][:keys_max]
        gone = [key for key, value in looked_at if expired(value)]
        for key in gone:
            del self._data[store][key]
        return (looked_at[-1][0] if len(looked_at) == keys_max else None), len(gone)

    def size_bytes(self) -> int:
        return sum(len(k) + len(v) for data in self._data.values() for k, v in data.items())

    def close(self) -> None:
        pass


class FakeClock:
    """Time that passes only when somebody sleeps, and a little at each look."""

    def __init__(self) -> None:
        self._now = 0.0
        self.time_of_day_ms = 0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self._now += 0.001
        return self._now

    def epoch_ms(self) -> int:
        return self.time_of_day_ms

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds


class Unique:
    """Emits each key once, numbered; b"poison" breaks it, and what starts with b"refuse".

    What has the key b"heavy" is.
    """

    name = "unique"
    inputs: Mapping[str, tuple[StoreSpec, ...]] = {
        SOURCE: (StoreSpec("seen", SEEN), StoreSpec(COUNTERS, COUNTS))
    }

    def heavy(self, record: Record) -> bool:
        return record.key == b"heavy"

    def prepare(self, records: Sequence[Record]) -> Sequence[object]:
        return [record.value for record in records]

    def process(self, record: Record, prepared: object, context: Context) -> None:
        key = record.key or b""
        if context.get("seen", key) is not None:
            context.count("duplicates")
            return
        context.put("seen", key, b"%d" % record.offset)
        number = int(context.get("seen", b"#") or b"0") + 1
        context.put("seen", b"#", b"%d" % number)
        context.count("unique")
        headers = (("n", b"%d" % number),)
        context.emit(Output(SINK, key, record.value, headers, record.partition))
        if prepared == b"poison":
            raise ValueError(prepared)

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        context.count("rejected")
        value = b"with" if with_value else None
        context.emit(Output(REJECTED, record.key, value, (), record.partition))


class Events(list[Event]):
    """Telemetry that remembers, and asks the world whether to go on at each commit step."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, event: Event) -> None:
        self.append(event)
        if isinstance(event, StepReached):
            self._world.fault(f"{'after' if event.done else 'before'} {event.step}")


@dataclass(frozen=True, slots=True)
class Kinds:
    """What stands at a worker's ports; a test may put something broken there."""

    transactions: type[FakeTransactions] = FakeTransactions
    input: type[FakeInput] = FakeInput
    changelogs: type[FakeChangelogs] = FakeChangelogs


@dataclass
class Machine:
    """A worker of one slot on the fake broker."""

    world: World
    state: MemoryState = field(default_factory=MemoryState)
    limits: Limits = field(default_factory=Limits)
    processor: Processor[object] = field(default_factory=Unique)
    slot: int = 0
    kinds: Kinds = field(default_factory=Kinds)

    def __post_init__(self) -> None:
        member = f"{GROUP}-{self.slot}"
        self.producer = self.kinds.transactions(self.world, member)
        self.source = self.kinds.input(self.world, GROUP, member)
        self.changelogs, self.clock = self.kinds.changelogs(self.world), FakeClock()
        self.events, self.acknowledged = Events(self.world), 0
        self.worker = Worker(
            self.processor,
            source=self.source,
            log=self.producer,
            changelogs=self.changelogs,
            reader=FakeReader(self.world),
            state=self.state,
            telemetry=self.events,
            clock=self.clock,
            limits=self.limits,
            acknowledge=self._acknowledge,
        )
        self.worker.start()

    def _acknowledge(self) -> None:
        self.acknowledged += 1

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.worker.turn()

    def run(self, turns_max: int = 500) -> None:
        """Turn until all input is committed."""
        for _ in range(turns_max):
            if self.world.done():
                return
            self.worker.turn()
        raise AssertionError(f"not done: {self.events[-10:]}")

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


def assert_state_is_fold(world: World, state: MemoryState) -> None:
    """I1 and I3: each store is the fold up to its checkpoint, which is not ahead of the log."""
    for topic in (SEEN, COUNTS):
        for partition in range(world.width):
            store = TopicPartition(topic, partition)
            checkpoint = state.checkpoint(store) or 0
            assert checkpoint <= world.log(store).end
            assert dict(state.items(store)) == world.fold(store, checkpoint)


def assert_exact(world: World) -> None:
    """Each key once per partition, in order, numbered without a gap; the rest rejected once."""
    for partition in range(world.width):
        expected: list[bytes] = []
        rejected: list[bytes] = []
        records = world.records(SOURCE, partition)
        for record in records:
            key, value = record.key or b"", record.value or b""
            if (key not in expected and value == b"poison") or value.startswith(REFUSED):
                rejected.append(key)
            elif key not in expected:
                expected.append(key)
        outputs = world.records(SINK, partition)
        assert [r.key for r in outputs] == expected
        numbers = [int(dict(r.headers)["n"]) for r in outputs]
        assert numbers == list(range(1, len(outputs) + 1))
        assert [r.key for r in world.records(REJECTED, partition)] == rejected
        counters = world.fold(TopicPartition(COUNTS, partition))
        counts = {name: int.from_bytes(raw, "big") for name, raw in counters.items()}
        assert counts.get(b"unique", 0) == len(expected)
        assert counts.get(b"rejected", 0) == len(rejected)
        assert sum(counts.values()) == len(records)
