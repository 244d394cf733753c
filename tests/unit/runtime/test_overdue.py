"""A step of a commit that hangs in the library is noticed, and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from streams.engine.errors import FatalError
from streams.engine.events import Event, Step, StepReached, TransactionAborted
from streams.runtime.overdue import Overdue


@dataclass
class Scene:
    """An Overdue with a request time-out of 10 s, and hands on its clock."""

    now: float = 0.0
    failures: list[FatalError] = field(default_factory=list)
    passed_on: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.overdue = Overdue(self, 10.0, self.failures.append, lambda: self.now)

    def emit(self, event: Event) -> None:
        self.passed_on.append(event)

    def after(self, seconds: float) -> list[FatalError]:
        self.now += seconds
        self.overdue.look()
        return self.failures


@pytest.mark.parametrize("step", [Step.OFFSETS, Step.COMMIT])
def test_a_request_that_does_not_come_back_ends_the_process(step: Step) -> None:
    scene = Scene()
    scene.overdue.emit(StepReached(step, done=False))

    assert scene.after(14.9) == []
    (failure,) = scene.after(0.2)

    assert step.value in str(failure)


@pytest.mark.parametrize(
    "then", [StepReached(Step.OFFSETS, done=True), TransactionAborted("transient", "no")]
)
def test_one_that_came_back_well_or_not_is_over(then: Event) -> None:
    scene = Scene()
    scene.overdue.emit(StepReached(Step.OFFSETS, done=False))
    scene.overdue.emit(then)

    assert scene.after(1000) == []
    assert len(scene.passed_on) == 2


def test_steps_without_a_request_may_take_their_time() -> None:
    scene = Scene()
    scene.overdue.emit(StepReached(Step.APPLY, done=False))

    assert scene.after(1000) == []


def test_the_watch_runs_by_itself() -> None:
    from threading import Event as Signal

    failed = Signal()
    scene = Scene()
    overdue = Overdue(scene, -100.0, lambda _: failed.set())
    overdue.emit(StepReached(Step.COMMIT, done=False))
    overdue.start()

    assert failed.wait(60)
    overdue.close()
