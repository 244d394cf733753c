"""Calling what may take too long: a thread that is left behind where it does.

A call into foreign code cannot be interrupted. What can be done is to wait for it no longer.

Lives here: one lane, on which one call at a time is made. Must not live here: what is called.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar

from streams.engine.errors import FatalError

# Left behind and still at it: more than this, and a new process is the better one.
_STUCK_MAX: Final = 8

T = TypeVar("T")
_Job = Callable[[], None]


class Lane:
    """Calls are made on a thread of the lane, so that it keeps what belongs to a thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._thread: Thread | None = None
        self._left: list[Thread] = []

    def call(self, function: Callable[[], T], within_s: float) -> T:
        """What the function gives or raises.

        Raises:
            TimeoutError: it did not come back in time. It may still go on; nobody hears of it.
            FatalError: too many of them have not come back at all.
        """
        outcomes: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

        def job() -> None:
            try:
                outcomes.put((function(), None))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                outcomes.put((None, error))

        self._open().put(job)
        try:
            result, error = outcomes.get(timeout=within_s)
        except Empty:
            self._leave()
            raise TimeoutError from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # without an error it is one

    def close(self) -> None:
        """End the thread when it is through."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def _open(self) -> SimpleQueue[_Job | None]:
        if self._jobs is None:
            self._jobs = SimpleQueue()
            # A daemon: what never comes back does not keep the process.
            self._thread = Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True)
            self._thread.start()
        return self._jobs

    def _leave(self) -> None:
        self.close()
        left = [*self._left, *([self._thread] if self._thread else [])]
        self._left = [thread for thread in left if thread.is_alive()]
        if len(self._left) > _STUCK_MAX:
            raise FatalError(f"{len(self._left)} calls of {self._name} have not come back")


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
