"""Keeps the workers and sources of this machine running.

Starts one process per slot and per source, starts a failed one again (at once the first time,
then with back-off), passes SIGTERM on, and ends when all have ended. A process whose place
another took over is not started again: the two would fence each other for ever. Nor is one
whose state is gone from Kafka: the next one would find no more. Either ends the whole, but for
the view's follower: the pipeline goes on without, and answers say that they are behind.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from streams.runtime.logs import log
from streams.runtime.process import EXIT_FENCED, EXIT_STATE_LOST, Orders
from streams.runtime.shifts import ALLOCATOR

_CHECK_S: Final = 0.05
_BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
# A process that lived this long was well; its next failure is a first one again.
_WELL_S: Final = 30.0
# One that a signal ended (negative status: out of memory, kill -9) says nothing of what a new
# one will meet; unless it could not even start, there is nothing to wait for.
_BRIEF_S: Final = 1.0
_FINAL: Final = {
    EXIT_FENCED: "place taken by another process",
    EXIT_STATE_LOST: "state is gone from Kafka, an operator has to decide",
}
# Longest orderly end: one transactional request (10 s) for the last commit, and the close.
_STOP_S: Final = 20.0


@dataclass(slots=True)
class _Child:
    orders: Orders
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0


class Supervisor:
    """Runs one child per order until `stopping` is set or a slot is lost."""

    def __init__(
        self, orders: Sequence[Orders], stopping: Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._children = [_Child(order) for order in orders]
        self._stopping = stopping
        self._clock = clock

    def run(self) -> int:
        """Supervise; give the exit status for the whole: 0, or that of `_FINAL`."""
        status = 0
        try:
            while not self._stopping.is_set() and status == 0:
                for child in self._children:
                    status = status or self._look_after(child)
                self._stopping.wait(_CHECK_S)
        finally:
            self._stop()
        return status

    def _look_after(self, child: _Child) -> int:
        now = self._clock()
        if child.process is None:
            if now >= child.start_at:
                self._start(child, now)
            return 0
        code = child.process.poll()
        if code is None:
            return 0
        name = child.orders.name
        child.process = None
        if code in _FINAL:
            log("supervisor", logging.ERROR, _FINAL[code], name=name)
            child.start_at = math.inf
            return 0 if child.orders.view else code
        lived_s = now - child.started_at
        if lived_s > _WELL_S or (code < 0 and lived_s > _BRIEF_S):
            child.failures = 0
        wait = _BACKOFF_S[min(child.failures, len(_BACKOFF_S) - 1)]
        child.failures += 1
        child.start_at = now + wait
        log(
            "supervisor",
            logging.WARNING,
            "process ended, starting it again",
            name=name,
            status=code,
            wait_s=wait,
        )
        return 0

    def _start(self, child: _Child, now: float) -> None:
        # A session of its own: a Ctrl-C at the terminal reaches only the supervisor.
        child.process = subprocess.Popen(
            [sys.executable, "-m", "streams.runtime.process"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={**ALLOCATOR, **os.environ},
        )
        child.started_at = now
        pipe = child.process.stdin
        if pipe is not None:
            pipe.write(child.orders.to_json().encode() + b"\n")
            pipe.flush()

    def _stop(self) -> None:
        running = [c.process for c in self._children if c.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = self._clock() + _STOP_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - self._clock()))
            except subprocess.TimeoutExpired:
                log("supervisor", logging.ERROR, "a process does not end, killing it")
                process.kill()
                process.wait()
