"""What a worker does now and then, beside its work.

Lives here: how often and how much at a time. Must not live here: what is needed for a record
to be processed (see `worker`).

    each second:   measure the lag; one step of a walk through the stores, removing what expired
    each 10 s:     see that the changelogs are still what they were; measure the disk

Invariant: an entry is removed only when it is past its use by the log's time and by ours, so
that one wrong clock alone removes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Final

from streams.engine.errors import TransientError
from streams.engine.events import LagMeasured, StateMeasured, StateSwept, Telemetry
from streams.engine.ports import Clock, Input, State
from streams.engine.record import TopicPartition
from streams.engine.recovery import Recovery
from streams.engine.task import Phase, Task

_SECOND_S: Final = 1.0
_CHECK_S: Final = 10.0
# 5,000 keys take about 10 ms: 1 % of the time, and 50 million keys are through in three hours.
# More where more comes in: four times what was written, so that a walk through what is written
# in one horizon takes a quarter of the next.
KEYS_PER_STEP: Final = 5_000
_KEYS_PER_RECORD: Final = 4


class Housekeeping:
    """Does what is due; one call per turn, outside any commit."""

    def __init__(
        self, source: Input, state: State, recovery: Recovery, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._source = source
        self._state = state
        self._recovery = recovery
        self._telemetry = telemetry
        self._clock = clock
        self._second_at = 0.0
        self._check_at = clock.monotonic()
        self._walks: dict[TopicPartition, bytes | None] = {}
        self._records = 0

    def turn(self, tasks: Iterable[Task], records: int) -> None:
        """`records` were processed in this turn.

        Raises:
            StateLostError, FatalError: as `Recovery.check`, or the local database is damaged.
        """
        self._records += records
        now = self._clock.monotonic()
        if now - self._second_at < _SECOND_S:
            return
        self._second_at = now
        self._telemetry.emit(LagMeasured(self._source.lag()))
        running = [task for task in tasks if task.phase is Phase.RUNNING]
        self._sweep(running)
        if now - self._check_at >= _CHECK_S:
            self._check_at = now
            self._check(running)

    def _check(self, running: Sequence[Task]) -> None:
        self._telemetry.emit(StateMeasured(self._state.size_bytes()))
        try:
            self._recovery.check(running)
        except TransientError:
            return  # asked again in a while; the work itself will tell if the broker is gone

    def _sweep(self, running: Sequence[Task]) -> None:
        """One step in each store whose entries have a horizon."""
        stores = {
            store: (task, spec.horizon)
            for task in running
            for store, spec in task.specs.items()
            if spec.horizon is not None and task.time_ms >= 0
        }
        self._walks = {store: self._walks.get(store) for store in stores}
        if not stores:
            return
        keys = max(KEYS_PER_STEP, self._records * _KEYS_PER_RECORD) // len(stores)
        self._records = 0
        removed = 0
        for store, (task, horizon) in stores.items():
            now_ms = min(task.time_ms, self._clock.epoch_ms())
            expired = functools.partial(horizon.expired, now_ms=now_ms)
            self._walks[store], gone = self._state.sweep(
                store, expired, self._walks[store], max(1, keys)
            )
            removed += gone
        if removed:
            self._telemetry.emit(StateSwept(removed))
