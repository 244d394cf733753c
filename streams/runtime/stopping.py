"""The wish to stop, as a signal handler can set it.

`threading.Event.set` takes a lock; called by a handler while the same thread is about to wait
on that event, it waits for itself for ever. This one takes none.
"""

from __future__ import annotations

import time
from threading import Event
from typing import Final

_STEP_S: Final = 0.02


class Stopping(Event):
    """An event that is safe to set in a signal handler."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._stopped

    def set(self) -> None:
        """Set it; takes no lock."""
        self._stopped = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; give whether it is."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._stopped:
            left = _STEP_S if deadline is None else min(_STEP_S, deadline - time.monotonic())
            if left <= 0:
                break
            time.sleep(left)
        return self._stopped
