"""The supervisor: who is started again, and when."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import pytest

from streams.runtime.process import EXIT_FATAL, EXIT_FENCED, EXIT_STATE_LOST, Orders
from streams.runtime.settings import Settings
from streams.runtime.supervisor import Supervisor


class Script:
    """Stands in for processes: each lives its seconds and ends with its status."""

    def __init__(self, *lives: tuple[float, int]) -> None:
        self.lives = list(lives)
        self.started_at: list[float] = []
        self.now = 0.0
        self.stopping = Event()

    def clock(self) -> float:
        return self.now

    def start(self, *_: Any, env: Mapping[str, str], **__: Any) -> Script.Process:
        self.env = env
        if not self.lives:
            self.stopping.set()
            return Script.Process(self, float("inf"), 0)
        self.started_at.append(self.now)
        lived, status = self.lives.pop(0)
        return Script.Process(self, self.now + lived, status)

    class Process:
        """One life."""

        stdin = None

        def __init__(self, script: Script, ends_at: float, status: int) -> None:
            self._script, self._ends_at, self._status = script, ends_at, status

        def poll(self) -> int | None:
            return self._status if self._script.now >= self._ends_at else None

        def send_signal(self, _: int) -> None:
            self._ends_at = 0.0

        def wait(self, _: float) -> int:
            return 0


@pytest.fixture
def supervise(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], int]:
    def run(script: Script) -> int:
        monkeypatch.setattr(subprocess, "Popen", script.start)

        def tick(timeout: float) -> bool:
            script.now += timeout
            return script.stopping.is_set()

        monkeypatch.setattr(script.stopping, "wait", tick)
        orders = [Orders("localhost:1", Settings(), slot=0)]
        return Supervisor(orders, script.stopping, script.clock).run()

    return run


def gaps(script: Script, lives: list[float]) -> list[float]:
    """Seconds between the end of each life and the next start."""
    ends = [start + lived for start, lived in zip(script.started_at, lives, strict=False)]
    starts = script.started_at[1:]
    return [round(s - e, 1) for s, e in zip(starts, ends, strict=False)]


def test_a_failing_process_is_started_again_with_growing_waits(
    supervise: Callable[[Script], int],
) -> None:
    script = Script(*[(0.5, EXIT_FATAL)] * 6)

    assert supervise(script) == 0
    assert gaps(script, [0.5] * 6) == pytest.approx([0.1, 0.6, 1.1, 2.1, 5.1], abs=0.11)


def test_a_process_that_was_killed_is_started_again_at_once_every_time(
    supervise: Callable[[Script], int],
) -> None:
    script = Script(*[(2.0, -9)] * 6)

    supervise(script)

    assert max(gaps(script, [2.0] * 6)) <= 0.2


def test_a_process_that_is_killed_as_soon_as_it_starts_is_waited_for(
    supervise: Callable[[Script], int],
) -> None:
    script = Script(*[(0.2, -11)] * 4)

    supervise(script)

    assert gaps(script, [0.2] * 4)[-1] > 0.9


def test_after_a_long_life_a_failure_is_a_first_one_again(
    supervise: Callable[[Script], int],
) -> None:
    script = Script((0.5, EXIT_FATAL), (0.5, EXIT_FATAL), (31.0, EXIT_FATAL), (0.5, EXIT_FATAL))

    supervise(script)

    assert gaps(script, [0.5, 0.5, 31.0])[2] <= 0.2


@pytest.mark.parametrize("status", [EXIT_FENCED, EXIT_STATE_LOST])
def test_a_process_whose_place_was_taken_or_whose_state_is_gone_ends_the_whole(
    supervise: Callable[[Script], int], status: int
) -> None:
    script = Script((1.0, status), (1.0, 0))

    assert supervise(script) == status
    assert len(script.started_at) == 1


@pytest.mark.parametrize("ends", [True, False], ids=["when asked", "only when killed"])
def test_every_process_is_asked_to_end_and_killed_where_it_does_not(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    heard: list[object] = []

    class Child:
        stdin = None

        def poll(self) -> None:
            stopping.set()

        def send_signal(self, number: int) -> None:
            heard.append(number)

        def wait(self, timeout: float | None = None) -> int:
            if timeout is not None and not ends:
                raise subprocess.TimeoutExpired("child", timeout)
            heard.append("gone")
            return 0

        def kill(self) -> None:
            heard.append("killed")

    stopping = Event()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Child())
    orders = [Orders("localhost:1", Settings(), slot=slot) for slot in range(2)]

    assert Supervisor(orders, stopping).run() == 0
    gone = ["gone"] if ends else ["killed", "gone"]
    assert heard == [signal.SIGTERM, signal.SIGTERM, *gone, *gone]


@pytest.mark.parametrize(("wanted", "expected"), [(None, "2"), ("4", "4")])
def test_a_process_has_few_arenas_of_memory_unless_somebody_wants_another_number(
    supervise: Callable[[Script], int],
    monkeypatch: pytest.MonkeyPatch,
    wanted: str | None,
    expected: str,
) -> None:
    """With as many as glibc likes, each shift leaves another one full of holes."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    if wanted is not None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", wanted)
    script = Script()
    supervise(script)
    assert script.env["MALLOC_ARENA_MAX"] == expected


def test_orders_survive_the_pipe() -> None:
    orders = Orders("h:1", Settings(), slot=3)

    assert Orders.from_json(orders.to_json()) == orders
