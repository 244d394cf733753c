"""The engine's ports on the cluster, with the habits of the real adapters.

What a client does by itself lives here: positions, what it remembers of its transaction, that
a producer in doubt is of no use any more. The rules of the broker live beside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from streams.engine.errors import (
    FatalError,
    FencedError,
    RefusedError,
    StateCorruptError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.note import Note, owned
from streams.engine.ports import Bounds, Delivered, Listener, Origin, Position, Stretch
from streams.engine.record import Output, Record, TopicPartition
from tests.fake_broker.cluster import Cluster
from tests.fake_broker.coordinator import Epoch, Fate, UnheardError, add
from tests.fake_broker.groups import Standing
from tests.fake_broker.log import Transaction
from topics.partitioning import murmur2_partition

# A client's call that finds nothing takes at least so long; else time would stand still.
TICK_S = 0.001


class FakeTransactions:
    """`Transactions`: one transactional id, one producer epoch at a time."""

    def __init__(self, cluster: Cluster, transactional_id: str) -> None:
        self._cluster = cluster
        self.transactional_id = transactional_id
        self._epoch: Epoch | None = None
        self._in_transaction = False
        self._added: set[TopicPartition] = set()
        self._begun_s = 0.0
        self._registered = False
        self._produced: list[tuple[Output, Origin | None]] = []
        self._delivered: dict[TopicPartition, Delivered] = {}
        self._long = False
        self.resets = 0
        self.calls: list[str] = []

    @property
    def produced(self) -> list[Output]:
        """What was produced since the last `begin`."""
        return [output for output, _ in self._produced]

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as far as this producer knows."""
        return self._in_transaction

    def reset(self) -> None:
        """InitProducerId; the producer before is of no use from now on."""
        self.close()
        self._call("reset")
        self._epoch = self._cluster.coordinator.initialise(self.transactional_id, self._life_s())
        self.resets += 1

    def begin(self, *, long: bool = False) -> None:
        self._require(open_=False)
        if self._long != long:
            self._long = long
            self.reset()
        self._call("begin")
        self._produced, self._delivered, self._in_transaction = [], {}, True
        self._added, self._begun_s = set(), self._cluster.now_s
        self._registered = False

    def produce(self, output: Output, origin: Origin | None) -> None:
        epoch = self._require(open_=True)
        at = TopicPartition(output.topic, self._partition(output))
        log = self._cluster.log(at)
        self._produced.append((output, origin))
        if self._cluster.refuses(output):
            return
        if at not in self._added:
            add(self._opened(epoch), log)
            self._added.add(at)
        with self._judged():
            transaction = self._cluster.coordinator.present(epoch)
        if transaction is None or log not in transaction.logs:
            raise FatalError(f"{at} is not part of the transaction: somebody else ended it")
        offset = log.append(output, transaction)
        if output.partition is not None:
            self._delivered[at] = Delivered(offset, 0)

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        epoch = self._require(open_=True)
        self._call("send_offsets")
        member = group if isinstance(group, Membership) else Membership("", None, -1)
        self._cluster.groups.check(member.group, member.number, member.generation)
        if offsets:
            bound = self._opened(epoch).offsets.setdefault(member.group, {})
            bound.update({at: Position(o, note or "") for at, (o, note) in offsets.items()})

    def commit(self) -> None:
        epoch = self._require(open_=True)
        if any(self._cluster.refuses(output) for output, _ in self._produced):
            self.calls.append("commit")
            # The broker names all records of a batch, so it may be any of them.
            raise RefusedError({o for _, o in self._produced if o is not None}, "too large")
        self._end("commit", epoch, commit=True)

    def abort(self) -> None:
        if self._epoch is not None and not self._in_transaction:
            return
        self._end("abort", self._require(open_=True), commit=False)

    def delivered(self) -> Mapping[TopicPartition, Delivered]:
        return self._delivered

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        self._call("clear")
        for name in transactional_ids:
            self._cluster.coordinator.initialise(name, self._cluster.transaction_timeout_s)
        return {}

    def close(self) -> None:
        self._epoch, self._in_transaction = None, False

    def _end(self, name: str, epoch: Epoch, *, commit: bool) -> None:
        """EndTxn, on whose answer one cannot rely; nothing is sent where nothing was done."""
        coordinator = self._cluster.coordinator
        try:
            self._call(name)
        except UnheardError as error:
            self._doubt()
            if error.fate is Fate.APPLIED and self._registered:
                coordinator.end(epoch, commit=commit)
            elif error.fate is Fate.LATE and self._registered:
                coordinator.late.append((epoch, commit))
            raise
        if self._registered:
            with self._judged():
                coordinator.end(epoch, commit=commit)
        self._in_transaction = False

    def _opened(self, epoch: Epoch) -> Transaction:
        self._registered = True
        with self._judged():
            return self._cluster.coordinator.open(epoch, self._cluster.now_s)

    @contextlib.contextmanager
    def _judged(self) -> Iterator[None]:
        """A transaction that grew too old looks fenced, but nobody took our slot."""
        try:
            yield
        except FencedError as error:
            if self._cluster.now_s - self._begun_s > self._life_s():
                raise FatalError("the transaction was open for too long") from error
            raise

    def _life_s(self) -> float:
        cluster = self._cluster
        return cluster.long_transaction_timeout_s if self._long else cluster.transaction_timeout_s

    def _partition(self, output: Output) -> int:
        if output.partition is not None:
            return output.partition
        partitions = self._cluster.partitions(output.topic)
        return murmur2_partition(output.key or b"", partitions) if partitions else 0

    def _call(self, name: str) -> None:
        self.calls.append(name)
        try:
            self._cluster.fault(name)
        except UnknownOutcomeError:
            self._doubt()
            raise

    def _doubt(self) -> None:
        """From now on only `reset` helps."""
        self._epoch = None

    def _require(self, *, open_: bool) -> Epoch:
        if self._epoch is None:
            raise UnknownOutcomeError(
                f"the producer of {self.transactional_id} must be reset first"
            )
        if self._in_transaction != open_:
            raise RuntimeError(f"the producer of {self.transactional_id} is in the wrong state")
        return self._epoch


@dataclass(frozen=True, slots=True)
class Membership:
    """The consumer group metadata of KIP-447."""

    group: str
    number: int | None
    generation: int


class FakeInput:
    """`Input`: a static member of a group, that looks after what its partitions' owners left."""

    stable = True

    def __init__(self, cluster: Cluster, group: str, instance: str) -> None:
        self._cluster = cluster
        self._group = group
        self._instance = instance
        self._topics: tuple[str, ...] = ()
        self._listener: Listener | None = None
        self._number: int | None = None
        self._generation = -1
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}
        self._closed = False
        self.rewinds = 0
        self.left = False

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        self._topics, self._listener = tuple(topics), listener

    def consume(self, records_max: int, timeout_s: float) -> list[Record]:
        self._cluster.fault("consume")
        self._attend()
        found: list[Record] = []
        for at, position in self._positions.items():
            if at not in self._paused and len(found) < records_max:
                found += self._fetch(at, position, records_max - len(found))
        self._cluster.wait(TICK_S if found else max(timeout_s, TICK_S))
        return found

    def _fetch(self, at: TopicPartition, position: int, records_max: int) -> list[Record]:
        log = self._cluster.log(at)
        if not log.start <= position <= log.end:
            raise FatalError(f"{at} no longer holds the committed offset")
        found: list[Record] = []
        for record in log.visible(position):
            if len(found) == records_max:
                return found
            found.append(record)
            self._positions[at] = record.offset + 1
        self._positions[at] = max(self._positions[at], log.stable_end)
        self._ends[at] = self._positions[at]
        return found

    def _attend(self) -> None:
        """Heartbeat, and what the answer asks for; the listener is told from in here."""
        if self._listener is None:
            return
        groups, now_s = self._cluster.groups, self._cluster.now_s
        if self._number is None:
            self._number = self._join()
        standing = groups.heartbeat(self._group, self._number, now_s)
        if standing is Standing.UNKNOWN:
            self._give_up(lost=True)
            self._number = self._join()
        elif standing is Standing.REBALANCING:
            self._give_up(lost=False)
            if not groups.rejoin(self._group, self._number, self._cluster.now_s):
                self._number = self._join()
        elif standing is Standing.ASSIGNED:
            self._take_over()

    def _join(self) -> int:
        now_s = self._cluster.now_s
        return self._cluster.groups.join(self._group, self._instance, self._topics, now_s)

    def _give_up(self, *, lost: bool) -> None:
        gone = tuple(self._positions)
        assert self._listener is not None
        if gone and lost:
            self._listener.lost(gone)
        elif gone:
            self._listener.revoked(gone)
        self._positions, self._paused, self._ends = {}, set(), {}

    def _take_over(self) -> None:
        assert self._listener is not None
        assert self._number is not None
        assigned = self._cluster.groups.assignment(self._group, self._number)
        self._generation = self._cluster.groups.of(self._group).generation
        ours = self._inherit(assigned)
        positions = self._committed(assigned)
        self._name({at: p for at, p in positions.items() if at not in ours}, self._instance)
        self._positions = {at: position.offset for at, position in positions.items()}
        self._paused, self._ends = set(), {}
        self._listener.assigned(positions)

    def _inherit(self, assigned: Sequence[TopicPartition]) -> set[TopicPartition]:
        """Have ended what owners left open that are no members any more; give what is ours."""
        assert self._listener is not None
        group = self._cluster.groups.of(self._group)
        owners = {at: Note.from_text(group.offsets[at].note or "").by for at in assigned
                  if at in group.offsets}  # fmt: skip
        others = {owner for owner in owners.values() if owner} - {self._instance}
        gone = others - {member.instance for member in group.members.values()}
        if gone:
            self._listener.inherited(sorted(gone))
        return {at for at, owner in owners.items() if owner == self._instance}

    def _name(self, positions: Mapping[TopicPartition, Position], owner: str) -> None:
        """Write the owner to the notes; refused where the next generation is coming."""
        assert self._number is not None
        named = {at: Position(p.offset, owned(p.note, owner)) for at, p in positions.items()}
        with contextlib.suppress(TransientError):
            self._cluster.groups.write(self._group, self._number, self._generation, named)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused -= set(partitions)

    def rewind(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Position]:
        self._cluster.fault("rewind")
        self.rewinds += 1
        positions = self._committed(list(partitions))
        for at, position in positions.items():
            if at not in self._positions:
                raise TransientError(f"seek {at}: it is not assigned")
            self._positions[at] = position.offset
            self._ends.pop(at, None)
        return positions

    def _committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Position]:
        found = self._cluster.committed(self._group, partitions, stable=self.stable)
        return {
            at: p if p.note is not None and Note.from_text(p.note).begun
            else Position(self._cluster.log(at).start)
            for at, p in found.items()
        }  # fmt: skip

    def lag(self) -> Mapping[TopicPartition, int]:
        return {at: self._cluster.log(at).end - p for at, p in self._positions.items()}

    def ends(self) -> Mapping[TopicPartition, int]:
        return self._ends

    def group(self) -> object:
        return Membership(self._group, self._number, self._generation)

    def rivalled(self) -> bool:
        members = self._cluster.groups.of(self._group).members.values()
        return any(m.instance == self._instance and m.number != self._number for m in members)

    def leave(self) -> None:
        self._cluster.fault("leave")
        group = self._cluster.groups.of(self._group)
        if self._number is not None and len(group.members) > 1:
            with contextlib.suppress(TransientError):
                self._name(self._committed(list(self._positions)), "")
            self._cluster.groups.leave(self._group, self._number)
        self.left = True
        self.close()

    def close(self) -> None:
        self._closed = True
        self._listener = None


class FakeChangelogs:
    """`Changelogs`. A poll gives a few records only, so that a restore takes several."""

    def __init__(self, cluster: Cluster, *, records_max: int = 3) -> None:
        self._cluster = cluster
        self._records_max = records_max
        self._positions: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}

    @property
    def following(self) -> frozenset[TopicPartition]:
        """What is read at the moment."""
        return frozenset(self._positions)

    def bounds(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        self._cluster.fault("bounds")
        logs, ids = {at: self._cluster.log(at) for at in partitions}, self._cluster.topic_ids
        return {at: Bounds(log.start, log.end, ids[at.topic]) for at, log in logs.items()}

    def follow(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = {at: self._positions.get(at, o) for at, o in positions.items()}
        self._reached = {at: o for at, o in self._reached.items() if at in positions}

    def poll(self, records_max: int, timeout_s: float) -> Mapping[TopicPartition, Stretch]:
        self._cluster.fault("poll")
        found: dict[TopicPartition, Stretch] = {}
        for at, position in self._positions.items():
            log = self._cluster.log(at)
            if not log.start <= position <= log.end:
                raise StateCorruptError(at, f"changelog {at} no longer holds {position}")
            most = min(self._records_max, records_max)
            some = [record for record, _ in zip(log.visible(position), range(most), strict=False)]
            if some:
                writes = {record.key: record.value for record in some if record.key is not None}
                last = some[-1]
                found[at] = Stretch(writes, len(some), last.offset + 1, last.timestamp_ms)
            self._positions[at] = some[-1].offset + 1 if some else position
            if len(some) < most:
                # Only here: markers and aborted records are passed without a word.
                self._positions[at] = max(self._positions[at], log.stable_end)
                self._reached[at] = self._positions[at]
        self._cluster.wait(TICK_S if found else max(timeout_s, TICK_S))
        return found

    def reached(self) -> Mapping[TopicPartition, int]:
        return self._reached

    def close(self) -> None:
        self._positions = {}


class FakeReader:
    """`Reader`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        self._cluster.fault("read")
        log = self._cluster.log(partition)
        if not log.start <= offset <= log.end:
            return None
        record = next(log.visible(offset), None)
        return record if record is not None and record.offset == offset else None

    def close(self) -> None:
        pass
