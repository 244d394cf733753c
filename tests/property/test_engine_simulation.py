"""The engine's invariants under any sequence of failures, crashes, zombies and rebalances.

The production code runs on the fake broker, several workers of several slots; what goes
wrong, and when, is drawn. After each step the checkers look at everything from outside. The
canaries break a rule of the broker or a step of the engine: were one of them not noticed, the
checkers would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import worker as engine
from streams.engine.commit import commit
from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.ports import Input, Position, State, Stretch, Transactions
from streams.engine.record import TopicPartition
from streams.engine.task import Task
from streams.engine.worker import Limits
from tests.fake_broker import (
    FakeChangelogs,
    FakeInput,
    FakeTransactions,
    Fate,
    UnheardError,
    no_fault,
)
from tests.unit.engine.world import (
    GROUP,
    SINK,
    SOURCE,
    CrashError,
    Kinds,
    Machine,
    MemoryState,
    World,
    assert_exact,
    assert_state_is_fold,
)

ERRORS: dict[str, list[Callable[[], EngineError]]] = {
    "reset": [lambda: TransientError("no coordinator")],
    "begin": [lambda: UnknownOutcomeError("no answer")],
    "send_offsets": [
        lambda: TransientError("rebalance"),
        lambda: UnknownOutcomeError("no answer"),
    ],
    "commit": [
        lambda: TransientError("abort"),
        lambda: UnheardError(Fate.APPLIED),
        lambda: UnheardError(Fate.LOST),
        lambda: UnheardError(Fate.LATE),
    ],
    "abort": [
        lambda: UnheardError(Fate.APPLIED),
        lambda: UnheardError(Fate.LOST),
        lambda: UnheardError(Fate.LATE),
    ],
    "rewind": [lambda: TransientError("no answer")],
    "bounds": [lambda: TransientError("no answer")],
    "poll": [lambda: TransientError("no answer")],
    "consume": [lambda: TransientError("no answer")],
}
STEPS, TURNS_TO_FINISH = 300, 4000


@dataclass
class Trouble:
    """Lets things go wrong with a probability, at most so often; remembers what was asked.

    `meanwhile`: what happens while the one who asks is between two calls of its turn.
    """

    dice: random.Random
    meanwhile: Callable[[str], None]
    left: int = 40
    seen: set[str] = field(default_factory=set)

    def __call__(self, call: str) -> None:
        self.seen.add(call)
        self.meanwhile(call)
        if self.left == 0 or self.dice.random() > 0.06:
            return
        self.left -= 1
        failures: list[Callable[[], BaseException]] = [CrashError, *ERRORS.get(call, [])]
        failure = self.dice.choice(failures)()
        raise failure


@dataclass(eq=False)
class Process:
    """A worker process: its machine, and the step until which it is suspended."""

    machine: Machine
    asleep_until: int = 0


class Simulation:
    """Slots, each with a disk and mostly one process, on one cluster."""

    def __init__(
        self, seed: int, world: World, limits: Limits, slots: int, kinds: Kinds | None = None
    ) -> None:
        self.dice = random.Random(seed)
        self.world, self.limits, self.slots = world, limits, slots
        self.kinds = kinds or Kinds()
        self.trouble = Trouble(self.dice, self._meanwhile)
        self.disks = {slot: MemoryState() for slot in range(slots)}
        self.processes: list[Process] = []
        self.happened: set[str] = set()
        self.step = 0
        self._running: Process | None = None
        self._held_up: Process | None = None

    def run(self) -> None:
        """Trouble for a while; then everybody wakes up and works until all is committed."""
        self.world.fault = self.trouble
        for self.step in range(STEPS):
            self._happen()
            self._check()
        self.world.fault, self.world.markers_wait = no_fault, lambda: False
        self.world.coordinator.deliver_late()
        for process in self.processes:
            process.asleep_until = 0
        for _ in range(TURNS_TO_FINISH):
            if self.world.done() and self._ready():
                break
            self._supervise(1.0)
            for process in list(self.processes):
                self._turn(process)
        assert self.world.done()
        assert self._ready()
        self._check()
        for process in self.processes:
            assert_state_is_fold(self.world, process.machine.state)
        assert_exact(self.world)

    def _ready(self) -> bool:
        return all(process.machine.worker.ready for process in self.processes)

    def _happen(self) -> None:
        self._supervise(0.3)
        what = self.dice.random()
        if what < 0.02:
            self._start(self.dice.randrange(self.slots), MemoryState())
            self.happened.add("second process of a slot")
        elif what < 0.05 and self.processes:
            sleep = self.dice.choice([3, 20, 80])
            self.dice.choice(self.processes).asleep_until = self.step + sleep
            self.happened.add("asleep")
        elif what < 0.08:
            self.world.wait(self.dice.choice([0.5, 3.0, 7.0, 11.0]))
        elif what < 0.11:
            self.world.groups.rebalance(GROUP)
        elif what < 0.15 and self.world.coordinator.late:
            self.world.coordinator.deliver_late()
            self.happened.add("late")
        elif what < 0.18:
            slow = self.dice.random() < 0.5
            self.world.markers_wait = lambda: slow
        for process in self.processes[: self.dice.choice([1, 1, 1, len(self.processes)])]:
            self._turn(process)
        self.dice.shuffle(self.processes)

    def _meanwhile(self, call: str) -> None:
        """Somebody is about to make a call; mostly nothing happens, or a little, or very much.

        What is late is most dangerous when all outputs of another transaction are out.
        """
        likely = 0.6 if call == "send_offsets" else 0.02
        if self.world.coordinator.late and self.dice.random() < likely:
            self.world.coordinator.deliver_late()
            self.happened.add("late")
            self._check()
        if self._held_up is not None or self._running is None or self.dice.random() > 0.03:
            return
        self._held_up = self._running
        steps, seconds = self.dice.choice([(1, 0.0), (3, 0.0), (20, 0.4), (20, 0.6)])
        for _ in range(steps):
            self.world.wait(seconds)
            self._happen()
            for process in list(self.processes) if seconds else ():
                self._turn(process)
        self._held_up = None
        self.happened.add("held up")

    def _supervise(self, probability: float) -> None:
        """Start what is missing. A slot's disk may have been lost."""
        taken = {process.machine.slot for process in self.processes}
        for slot in range(self.slots):
            if slot not in taken and self.dice.random() < probability:
                if self.dice.random() < 0.2:
                    self.disks[slot] = MemoryState()
                self._start(slot, self.disks[slot])

    def _start(self, slot: int, disk: MemoryState) -> None:
        machine = Machine(self.world, disk, self.limits, slot=slot, kinds=self.kinds)
        self.processes.append(Process(machine))

    def _turn(self, process: Process) -> None:
        if process is self._held_up or process not in self.processes:
            return
        if process.asleep_until > self.step:
            return
        before, self._running = self._running, process
        try:
            process.machine.worker.turn()
        except (CrashError, FatalError, FencedError) as end:
            self.processes.remove(process)
            self.happened.add(type(end).__name__)
        finally:
            self._running = before
        # I1, I3: its disk is a fold, and not ahead.
        assert_state_is_fold(self.world, process.machine.state)

    def _check(self) -> None:
        """I2: outputs are those of the committed input."""
        offsets = self.world.offsets
        for partition in range(self.world.width):
            committed = offsets.get(TopicPartition(SOURCE, partition), 0)
            records = [r for r in self.world.records(SOURCE, partition) if r.offset < committed]
            good = {r.key for r in records if (r.value or b"").startswith(b"v")}
            assert [r.key for r in self.world.records(SINK, partition)] == [
                key for key in dict.fromkeys(r.key for r in records) if key in good
            ]


def world_of(seed: int) -> World:
    """Keys that repeat, and now and then a record that cannot be processed or written."""
    dice = random.Random(seed)
    world = World(partitions=dice.choice([1, 2, 3]))
    for i in range(40):
        bad = dice.random() < 0.05
        key = b"bad%d" % i if bad else b"k%d" % dice.randrange(25)
        value = dice.choice([b"poison", b"refuse"]) if bad else b"v"
        world.feed([(dice.randrange(world.width), key)], value)
        if dice.random() < 0.1:
            for partition in range(world.width):
                world.log(TopicPartition(SOURCE, partition)).mark()
    for partition in range(world.width):
        world.feed([(partition, b"last%d" % partition)])
    return world


LIMITS = [
    Limits(batch_records_max=1, commit_interval_s=0),
    Limits(batch_records_max=7, commit_interval_s=0),
    Limits(batch_records_max=3, commit_interval_s=0.02),
    Limits(),
]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), limits=st.sampled_from(LIMITS), slots=st.integers(1, 3))
def test_no_sequence_of_failures_loses_repeats_or_misremembers_anything(
    seed: int, limits: Limits, slots: int
) -> None:
    Simulation(seed, world_of(seed), limits, slots).run()


def test_the_simulation_reaches_every_failure_it_knows() -> None:
    """A fault that never strikes tests nothing."""
    seen: set[str] = set()
    happened: set[str] = set()
    for seed in range(30):
        simulation = Simulation(seed, world_of(seed), LIMITS[seed % len(LIMITS)], 1 + seed % 3)
        simulation.run()
        seen |= simulation.trouble.seen
        happened |= simulation.happened
    assert ERRORS.keys() <= seen
    assert {"before apply", "after commit", "after acknowledge"} <= seen
    assert happened == {
        "second process of a slot", "asleep", "held up", "late",
        "CrashError", "FatalError", "FencedError",
    }  # fmt: skip


# ----------------------------------------------------------------------------------- canaries


def is_noticed(
    kinds: Kinds | None = None, change: Callable[[World], None] = lambda _: None
) -> bool:
    """Whether one of the first seeds fails with a broken part."""
    for seed in range(60):
        world = world_of(seed)
        change(world)
        try:
            Simulation(seed, world, LIMITS[seed % len(LIMITS)], 1 + seed % 3, kinds).run()
        except AssertionError:
            return True
    return False


class Unbound(FakeTransactions):
    """Offsets are not part of the transaction: never committed."""

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        super().send_offsets({}, group)


class TooEarly(FakeTransactions):
    """Offsets are committed beside the transaction, before it."""

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        super().send_offsets({}, group)
        self._cluster.groups.of(GROUP).offsets.update(offsets)


class Reusing(FakeTransactions):
    """The producer in doubt is not thrown away: it aborts, and goes on under its epoch."""

    def reset(self) -> None:
        if not self.resets:
            super().reset()
        elif self._in_transaction:
            epoch = self._epoch
            assert epoch is not None
            if self._cluster.coordinator.present(epoch) is not None:
                self._cluster.coordinator.end(epoch, commit=False)
            self._in_transaction = False

    def _doubt(self) -> None:
        pass


class Careless(FakeTransactions):
    """An heir does not end what a dead slot left open, and so does not fence it."""

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        return {}


class Hopeful(FakeTransactions):
    """An unknown outcome is taken for an abort that was asked for."""

    def commit(self) -> None:
        try:
            super().commit()
        except UnheardError as error:
            super().reset()
            raise TransientError("it will not have happened") from error

    def abort(self) -> None:
        if self._in_transaction:
            super().abort()


class Staying(FakeInput):
    """After an abort the consumer is not moved back."""

    def rewind(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Position]:
        before = dict(self._positions)
        positions = super().rewind(partitions)
        self._positions = before
        return positions


class Impatient(FakeInput):
    """Committed offsets are read without waiting for undecided transactions."""

    stable = False


class Uncommitted(FakeChangelogs):
    """A restore takes aborted records for state."""

    def poll(self, records_max: int, timeout_s: float) -> Mapping[TopicPartition, Stretch]:
        found: dict[TopicPartition, Stretch] = {}
        for at, position in self._positions.items():
            some = list(self._cluster.log(at).visible(position, committed=False))
            if some:
                writes = {record.key: record.value for record in some if record.key is not None}
                found[at] = Stretch(writes, len(some), some[-1].offset + 1, 0)
        super().poll(records_max, timeout_s)
        return found


@pytest.mark.parametrize(
    "kinds",
    [
        Kinds(transactions=Unbound),
        Kinds(transactions=TooEarly),
        Kinds(transactions=Reusing),
        Kinds(transactions=Hopeful),
        Kinds(input=Staying),
        Kinds(input=Impatient),
        Kinds(changelogs=Uncommitted),
    ],
    ids=lambda kinds: "".join(
        kind.__name__
        for kind in (kinds.transactions, kinds.input, kinds.changelogs)
        if not kind.__name__.startswith("Fake")
    ),
)
def test_a_client_that_breaks_a_rule_is_noticed(kinds: Kinds) -> None:
    assert is_noticed(kinds)


def any_epoch(world: World) -> None:
    """A producer whose successor has initialised can still commit."""
    coordinator: Any = world.coordinator
    coordinator._checked = lambda epoch: coordinator._ids[epoch.transactional_id]


def any_generation(world: World) -> None:
    """Offsets of a member of the past are taken (a world without KIP-447)."""
    groups: Any = world.groups
    groups.check = lambda *_: None


def test_a_broker_that_does_not_fence_producers_is_noticed() -> None:
    assert is_noticed(change=any_epoch)


def test_a_broker_that_does_not_fence_members_is_noticed_where_heirs_do_not_either() -> None:
    """Members are fenced twice: by their generation, and by the heir of their partitions."""
    assert is_noticed(Kinds(transactions=Careless), any_generation)


def test_state_that_is_applied_before_the_commit_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def hasty(
        tasks: Sequence[Task], *, log: Transactions, source: Input, state: State, **others: Any
    ) -> None:
        writes = {s: w for task in tasks for s, w in task.buffer.writes.items()}
        state.apply(writes, {})
        commit(tasks, log=log, source=source, state=state, **others)

    monkeypatch.setattr(engine, "commit", hasty)
    assert is_noticed()


def test_a_fence_that_is_not_heeded_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fenced worker that makes itself a new producer would fight its successor for ever."""
    right = engine.Worker.turn

    def defiant(self: engine.Worker) -> None:
        try:
            right(self)
        except FencedError as error:
            self._fail(UnknownOutcomeError(str(error)))

    monkeypatch.setattr(engine.Worker, "turn", defiant)
    assert is_noticed()
