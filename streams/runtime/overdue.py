"""A step of a commit that does not come back ends the process.

`send_offsets_to_transaction` of librdkafka waits for ever where the connection to the group's
coordinator breaks at the wrong moment: its time-out is not looked at there (librdkafka issue
5456, seen in 2.16.0 with connections that are reset). A call into a library cannot be
interrupted from outside; its process can be ended, and the next one goes on from what is
committed.

Lives here: noticing it. Must not live here: how a process ends (see `process`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event as Signal
from threading import Lock, Thread
from typing import Final

from streams.engine.errors import FatalError
from streams.engine.events import Event, Step, StepReached, Telemetry

_LOOK_S: Final = 0.5
# Steps that are one bounded request each, and how much longer than its bound one may take: the
# library keeps its own time-outs to the second, and a machine may be busy.
_WATCHED: Final = frozenset({Step.OFFSETS, Step.COMMIT})
_GRACE_S: Final = 5.0


class Overdue:
    """Telemetry that passes everything on and watches for the end of each watched step."""

    def __init__(
        self,
        telemetry: Telemetry,
        request_timeout_s: float,
        fail: Callable[[FatalError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._telemetry = telemetry
        self._bound_s = request_timeout_s + _GRACE_S
        self._fail = fail
        self._clock = clock
        self._lock = Lock()
        self._step: Step | None = None
        self._since = 0.0
        self._closed = Signal()

    def start(self) -> None:
        """Watch on a thread of its own until `close`."""
        Thread(target=self._watch, name="overdue", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def emit(self, event: Event) -> None:
        """Whatever happens, the step before it is over."""
        begins = isinstance(event, StepReached) and not event.done and event.step in _WATCHED
        with self._lock:
            self._step = event.step if begins and isinstance(event, StepReached) else None
            self._since = self._clock()
        self._telemetry.emit(event)

    def look(self) -> None:
        """Fail if a step takes too long."""
        with self._lock:
            step, waited_s = self._step, self._clock() - self._since
        if step is not None and waited_s > self._bound_s:
            self._fail(
                FatalError(
                    f"step {step} of a commit has not come back for {waited_s:.0f} s, though it "
                    f"is bounded: the Kafka client hangs; what is committed is not affected"
                )
            )

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_S):
            self.look()
