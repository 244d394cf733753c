"""The wish to stop: set by a signal handler at any moment, never a deadlock."""

from __future__ import annotations

import signal
import threading

from streams.runtime.stopping import Stopping


def test_a_handler_may_set_it_while_its_own_thread_waits_on_it() -> None:
    """Method: hold the lock that `threading.Event` would take, as an interrupted wait does."""
    stopping = Stopping()
    before = signal.signal(signal.SIGUSR1, lambda *_: stopping.set())
    try:
        with stopping._cond:  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert stopping.wait(0)


def test_a_wait_ends_when_another_thread_sets_it_or_the_time_is_over() -> None:
    stopping = Stopping()
    assert not stopping.wait(0.01)

    threading.Timer(0.01, stopping.set).start()

    assert stopping.wait(60)
