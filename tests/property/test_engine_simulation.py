"""The engine's invariants under any sequence of failures, crashes and rebalances.

The production code runs on a world of lists; what goes wrong, and when, is drawn. After each
turn the checkers look at everything from outside. A control run breaks the world on purpose:
were it not noticed, the checkers would prove nothing.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine.errors import EngineError, TransientError, UnknownOutcomeError
from streams.engine.record import TopicPartition
from streams.engine.worker import Limits
from tests.unit.engine.world import (
    SINK,
    SOURCE,
    CrashError,
    Machine,
    MemoryState,
    World,
    assert_exact,
    assert_state_is_fold,
    no_fault,
)

ERRORS: dict[str, list[Callable[[], BaseException]]] = {
    "reset": [lambda: TransientError("no coordinator")],
    "begin": [lambda: UnknownOutcomeError("no answer")],
    "send_offsets": [
        lambda: TransientError("rebalance"),
        lambda: UnknownOutcomeError("no answer"),
    ],
    "commit": [
        lambda: TransientError("abort"),
        lambda: UnknownOutcomeError("happened"),
        lambda: UnknownOutcomeError("did not"),
    ],
    "abort": [lambda: UnknownOutcomeError("no answer")],
    "rewind": [lambda: TransientError("no answer")],
    "bounds": [lambda: TransientError("no answer")],
    "poll": [lambda: TransientError("no answer")],
    "consume": [lambda: TransientError("no answer")],
}


@dataclass
class Trouble:
    """Lets things go wrong with a probability, at most so often."""

    dice: random.Random
    left: int = 40
    crashed: int = 0
    seen: set[str] = field(default_factory=set)

    def __call__(self, call: str) -> None:
        self.seen.add(call)
        if self.left == 0 or self.dice.random() > 0.08:
            return
        self.left -= 1
        errors = ERRORS.get(call, [])
        choice = self.dice.randrange(len(errors) + 1)
        if choice < len(errors):
            error = errors[choice]()
            assert isinstance(error, EngineError)
            raise error
        self.crashed += 1
        raise CrashError


def simulate(seed: int, world: World, limits: Limits) -> Trouble:
    """Run workers, one after the other, until all input is committed; check as they go."""
    dice = random.Random(seed)
    trouble = world.fault = Trouble(dice)
    state, machine = MemoryState(), None
    for _ in range(3000):
        if world.done():
            break
        crashes = trouble.crashed
        with contextlib.suppress(CrashError):
            if machine is None:
                if dice.random() < 0.3:
                    state = MemoryState()  # an empty disk
                machine = Machine(world, state=state, limits=limits)
            if dice.random() < 0.05:
                machine.source.rebalances.append(dice.choice(["revoke", "lost"]))
            machine.worker.turn()
        if trouble.crashed > crashes:
            machine = None
        check(world, state)
    world.fault = no_fault
    assert world.done()
    last = Machine(world, state=state)
    last.turns(200)
    assert last.worker.ready
    check(world, state)
    assert_exact(world)
    return trouble


def check(world: World, state: MemoryState) -> None:
    """I1, I3: the disk is a fold. I2: as many outputs and rejections as committed input says."""
    assert_state_is_fold(world, state)
    for partition in range(world.partitions):
        committed = world.offsets.get(TopicPartition(SOURCE, partition), 0)
        records = [r for r in world.records(SOURCE, partition) if r.offset < committed]
        good = {r.key for r in records if (r.value or b"").startswith(b"v")}
        assert [r.key for r in world.records(SINK, partition)] == [
            key for key in dict.fromkeys(r.key for r in records) if key in good
        ]


def world_of(dice: random.Random) -> World:
    """Keys that repeat, and now and then a record that cannot be processed or written."""
    world = World(partitions=dice.choice([1, 2, 3]))
    for i in range(40):
        bad = dice.random() < 0.05
        key = b"bad%d" % i if bad else b"k%d" % dice.randrange(25)
        value = dice.choice([b"poison", b"refuse"]) if bad else b"v"
        world.feed([(dice.randrange(world.partitions), key)], value)
        if dice.random() < 0.1:
            for partition in range(world.partitions):
                world.logs.setdefault(TopicPartition(SOURCE, partition), []).append(None)
    for partition in range(world.partitions):
        world.feed([(partition, b"last%d" % partition)])
    return world


LIMITS = st.sampled_from(
    [
        Limits(batch_records_max=1, commit_interval_s=0),
        Limits(batch_records_max=7, commit_interval_s=0),
        Limits(batch_records_max=3, commit_interval_s=0.02),
        Limits(),
    ]
)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), limits=LIMITS)
def test_no_sequence_of_failures_loses_repeats_or_misremembers_anything(
    seed: int, limits: Limits
) -> None:
    simulate(seed, world_of(random.Random(seed)), limits)


def test_the_simulation_reaches_every_failure_it_knows() -> None:
    """A fault that never strikes tests nothing."""
    seen: set[str] = set()
    for seed in range(30):
        limits = Limits(batch_records_max=5, commit_interval_s=0)
        seen |= simulate(seed, world_of(random.Random(seed)), limits).seen
    assert ERRORS.keys() <= seen
    assert {"before apply", "after commit", "after acknowledge"} <= seen


def test_a_world_that_forgets_to_bind_offsets_to_the_transaction_is_noticed() -> None:
    """The canary: the checkers must find this one."""

    class Unbound(dict[TopicPartition, int]):
        def update(self, *_: object, **__: object) -> None:
            """Not this time."""

    world = world_of(random.Random(1))
    world.offsets = Unbound()
    with pytest.raises(AssertionError):
        simulate(1, world, Limits(batch_records_max=5, commit_interval_s=0))
