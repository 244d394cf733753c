"""A Kafka and a disk made of lists, that obey the engine's ports and fail on demand.

It keeps the rules the engine builds on: what a transaction wrote is visible when it is
committed and never otherwise, together with its input offsets; a commit leaves a marker that
takes an offset; a consumer goes on behind what it handed out until it is rewound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from streams.engine.errors import RefusedError, TransientError, UnknownOutcomeError
from streams.engine.events import Event, StepReached
from streams.engine.ports import Bounds, Delivered, Listener, Origin, Position, Stretch, Writes
from streams.engine.processor import COUNTERS, Context, Processor, StoreSpec
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.worker import Limits, Worker

E = TypeVar("E", bound=Event)

SOURCE, SINK, REJECTED, SEEN, COUNTS = "in", "out", "rejected", "seen", "counts"
REFUSED = b"refuse"


class CrashError(BaseException):
    """The process is gone; nothing in the engine may catch this."""


Fault = Callable[[str], None]
"""Asked before each call of a port by its name; raises what shall go wrong."""


def no_fault(_: str) -> None:
    """All is well."""


@dataclass
class World:
    """The cluster: logs of committed records (None is a marker) and committed offsets."""

    partitions: int = 1
    logs: dict[TopicPartition, list[Record | None]] = field(default_factory=dict)
    starts: dict[TopicPartition, int] = field(default_factory=dict)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    notes: dict[TopicPartition, str] = field(default_factory=dict)
    topic_ids: dict[str, str] = field(default_factory=dict)
    fault: Fault = no_fault

    def append(self, output: Output, partition: int) -> int:
        at = TopicPartition(output.topic, partition)
        log = self.logs.setdefault(at, [])
        offset = len(log)
        log.append(Record(*at, offset, 0, output.key, output.value, output.headers))
        return offset

    def feed(self, keys: Iterable[tuple[int, bytes]], value: bytes = b"v") -> None:
        for partition, key in keys:
            self.append(Output(SOURCE, key, value), partition)

    def records(self, topic: str, partition: int) -> list[Record]:
        return [r for r in self.logs.get(TopicPartition(topic, partition), []) if r is not None]

    def end(self, at: TopicPartition) -> int:
        return len(self.logs.get(at, []))

    def fold(self, store: TopicPartition, end: int | None = None) -> dict[bytes, bytes]:
        values: dict[bytes, bytes] = {}
        for record in self.logs.get(store, [])[:end]:
            if record is not None and record.key is not None:
                if record.value is None:
                    values.pop(record.key, None)
                else:
                    values[record.key] = record.value
        return values

    def done(self) -> bool:
        inputs = [TopicPartition(SOURCE, p) for p in range(self.partitions)]
        return all(self.offsets.get(at, 0) >= self.end(at) for at in inputs)


class FakeLog:
    """Transactions. A refused record names every input record of the transaction."""

    transactional_id = "unique-0"

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: list[tuple[Output, Origin | None]] | None = None
        self._offsets: dict[TopicPartition, Position] = {}
        self._delivered: dict[TopicPartition, Delivered] = {}
        self._doubtful = True
        self.resets = 0
        self.calls: list[str] = []
        self.cleared: list[str] = []
        self.unclearable: set[str] = set()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self._world.fault(name)

    def begin(self) -> None:
        self._call("begin")
        self._require(open_=False)
        self._open, self._offsets, self._delivered = [], {}, {}

    def produce(self, output: Output, origin: Origin | None) -> None:
        self._require(open_=True).append((output, origin))

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        self._call("send_offsets")
        self._require(open_=True)
        self._offsets = dict(offsets)

    def commit(self) -> None:
        produced = self._require(open_=True)
        if any((output.value or b"").startswith(REFUSED) for output, _ in produced):
            self.calls.append("commit")
            raise RefusedError({o for _, o in produced if o is not None}, "too large")
        try:
            self._call("commit")
        except UnknownOutcomeError as error:
            self._doubtful = True
            if "happened" in str(error):
                self._make_permanent(produced)
            raise
        self._make_permanent(produced)

    def _make_permanent(self, produced: list[tuple[Output, Origin | None]]) -> None:
        touched = set()
        for output, origin in produced:
            partition = output.partition
            if partition is None:
                partition = origin[0].partition if origin else 0
            at = TopicPartition(output.topic, partition)
            self._delivered[at] = Delivered(self._world.append(output, partition), 0)
            touched.add(at)
        for at in touched:
            self._world.logs[at].append(None)
        self._world.offsets.update({at: p.offset for at, p in self._offsets.items()})
        self._world.notes.update({at: p.note or "" for at, p in self._offsets.items()})
        self._open = None

    def abort(self) -> None:
        self._call("abort")
        self._require(open_=True)
        self._open = None

    def delivered(self) -> Mapping[TopicPartition, Delivered]:
        return self._delivered

    def reset(self) -> None:
        self._call("reset")
        self.resets += 1
        self._open, self._doubtful = None, False

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        self._call("clear")
        self.cleared += transactional_ids
        return {name: "refused" for name in transactional_ids if name in self.unclearable}

    def close(self) -> None:
        self._open = None

    def _require(self, *, open_: bool) -> list[tuple[Output, Origin | None]]:
        if self._doubtful:
            raise UnknownOutcomeError("reset first")
        assert (self._open is not None) == open_
        return self._open if self._open is not None else []


class FakeInput:
    """A group with one member, which gets all partitions; `rebalance` gives them anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._listener: Listener | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}
        self.rebalances: list[str] = ["assign"]
        self.gone: list[str] = []
        self.rewinds = 0
        self.rival = True
        self.left = self.closed = False

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        self._listener = listener

    def consume(self, records_max: int, timeout_s: float) -> list[Record]:
        if self.rebalances:
            self._rebalance(self.rebalances.pop(0))
        self._world.fault("consume")
        found: list[Record] = []
        for at, start in self._positions.items():
            log, position = self._world.logs.get(at, []), start
            while at not in self._paused and len(found) < records_max and position < len(log):
                record = log[position]
                position += 1
                if record is not None:
                    found.append(record)
            self._positions[at] = position
            if at not in self._paused and position == len(log) and len(found) < records_max:
                self._ends[at] = position
        return found

    def _rebalance(self, kind: str) -> None:
        listener = self._listener
        assert listener is not None
        gone = list(self._positions)
        if gone and kind == "lost":
            listener.lost(gone)
        elif gone:
            listener.revoked(gone)
        if self.gone:
            listener.inherited(self.gone)
        inputs = [TopicPartition(SOURCE, p) for p in range(self._world.partitions)]
        self._positions = {at: self._world.offsets.get(at, 0) for at in inputs}
        self._paused, self._ends = set(), {}
        notes = self._world.notes
        listener.assigned({at: Position(o, notes.get(at)) for at, o in self._positions.items()})

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused -= set(partitions)

    def rewind(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Position]:
        self._world.fault("rewind")
        self.rewinds += 1
        for at in partitions:
            self._positions[at] = self._world.offsets.get(at, 0)
            self._ends.pop(at, None)
        notes = self._world.notes
        return {at: Position(self._positions[at], notes.get(at)) for at in partitions}

    def lag(self) -> Mapping[TopicPartition, int]:
        return {at: self._world.end(at) - p for at, p in self._positions.items()}

    def ends(self) -> Mapping[TopicPartition, int]:
        return self._ends

    def group(self) -> object:
        return None

    def rivalled(self) -> bool:
        return self.rival

    def leave(self) -> None:
        self._world.fault("leave")
        self.left = self.closed = True

    def close(self) -> None:
        self.closed = True


class FakeChangelogs:
    """Reads the committed logs; `undecided` holds back the last stable offset."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._positions: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self.undecided: dict[TopicPartition, int] = {}

    def bounds(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        self._world.fault("bounds")
        starts, ids = self._world.starts, self._world.topic_ids
        return {
            p: Bounds(starts.get(p, 0), self._world.end(p), ids.get(p.topic, "id"))
            for p in partitions
        }

    def follow(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = {p: self._positions.get(p, o) for p, o in positions.items()}
        self._reached = {p: o for p, o in self._reached.items() if p in positions}

    def poll(self, records_max: int, timeout_s: float) -> Mapping[TopicPartition, Stretch]:
        self._world.fault("poll")
        found: dict[TopicPartition, Stretch] = {}
        for at, position in self._positions.items():
            end = self.undecided.get(at, self._world.end(at))
            # A few at a time, so that a restore takes several steps.
            log = self._world.logs.get(at, [])[position : min(end, position + 3)]
            read = [record for record in log if record is not None]
            if read:
                writes = {record.key: record.value for record in read if record.key is not None}
                last = read[-1]
                found[at] = Stretch(writes, len(read), last.offset + 1, last.timestamp_ms)
            self._positions[at] = position + len(log)
            if self._positions[at] == end:
                self._reached[at] = end
        return found

    def reached(self) -> Mapping[TopicPartition, int]:
        return self._reached

    def close(self) -> None:
        self._positions = {}


class NoReader:
    """Nothing can be read back."""

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        return None

    def close(self) -> None:
        pass


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
    """Emits each key once, numbered; b"poison" breaks it, and what starts with b"refuse"."""

    name = "unique"
    inputs: Mapping[str, tuple[StoreSpec, ...]] = {
        SOURCE: (StoreSpec("seen", SEEN), StoreSpec(COUNTERS, COUNTS))
    }

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
        context.emit(Output(SINK, key, record.value, (("n", b"%d" % number),)))
        if prepared == b"poison":
            raise ValueError(prepared)

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        context.count("rejected")
        context.emit(Output(REJECTED, record.key, b"with" if with_value else None))


class Events(list[Event]):
    """Telemetry that remembers, and asks the world whether to go on at each commit step."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, event: Event) -> None:
        self.append(event)
        if isinstance(event, StepReached):
            self._world.fault(f"{'after' if event.done else 'before'} {event.step}")


@dataclass
class Machine:
    """A worker with its fakes."""

    world: World
    state: MemoryState = field(default_factory=MemoryState)
    limits: Limits = field(default_factory=Limits)
    processor: Processor[object] = field(default_factory=Unique)

    def __post_init__(self) -> None:
        self.log, self.source = FakeLog(self.world), FakeInput(self.world)
        self.changelogs, self.clock = FakeChangelogs(self.world), FakeClock()
        self.events, self.acknowledged = Events(self.world), 0
        self.worker = Worker(
            self.processor,
            source=self.source,
            log=self.log,
            changelogs=self.changelogs,
            reader=NoReader(),
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
        for partition in range(world.partitions):
            store = TopicPartition(topic, partition)
            checkpoint = state.checkpoint(store) or 0
            assert checkpoint <= world.end(store)
            assert dict(state.items(store)) == world.fold(store, checkpoint)


def assert_exact(world: World) -> None:
    """Each key once per partition, in order, numbered without a gap; the rest rejected once."""
    for partition in range(world.partitions):
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


def transient(_: str) -> None:
    """A fault: everything asked for fails, but can be repeated."""
    raise TransientError("not now")
