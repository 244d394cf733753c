"""From engine events to log lines and metrics, in one place.

Normal operation is silent: a line at INFO only where something changed. What can repeat
fast (rejections, aborts) is limited per code.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import singledispatchmethod
from typing import Final

from prometheus_client import Gauge

from streams.engine.events import (
    BatchCommitted,
    Event,
    LagMeasured,
    LeaveFailed,
    PartitionsAssigned,
    PartitionsRevoked,
    RecordRejected,
    RestoreCompleted,
    RestoreProgressed,
    SlotCleared,
    StateMeasured,
    StateSwept,
    StateWiped,
    TransactionAborted,
)
from streams.engine.record import TopicPartition
from streams.runtime import metrics
from streams.runtime.logs import log

# One line per code in so many seconds; the metric counts them all.
_QUIET_S: Final = 10.0


class WorkerTelemetry:
    """Telemetry of one worker. `alive` is told of every event: the loop turns."""

    def __init__(self, slot: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slot = slot
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._partitions: set[TopicPartition] = set()

    def emit(self, event: Event) -> None:
        """Count it, and log it if somebody would want to know."""
        self._handle(event)

    @singledispatchmethod
    def _handle(self, event: object) -> None:
        """Commit steps and whatever else nobody watches."""

    @_handle.register
    def _(self, event: BatchCommitted) -> None:
        metrics.COMMIT_SECONDS.observe(event.seconds)
        metrics.COMMITTED_RECORDS.inc(event.records)
        for (name, *labels), increment in event.counts.items():
            metrics.COUNTS[name].labels(*labels).inc(increment)

    @_handle.register
    def _(self, event: LagMeasured) -> None:
        for partition, lag in event.lag.items():
            metrics.LAG.labels(partition.topic, str(partition.partition)).set(lag)

    @_handle.register
    def _(self, event: StateMeasured) -> None:
        metrics.STATE_BYTES.set(event.size_bytes)

    @_handle.register
    def _(self, event: StateSwept) -> None:
        metrics.STATE_SWEPT.inc(event.entries)

    @_handle.register
    def _(self, event: PartitionsAssigned) -> None:
        self._partitions.update(event.partitions)
        metrics.PARTITIONS.set(len(self._partitions))
        self._log(logging.INFO, "partitions assigned", count=len(event.partitions))

    @_handle.register
    def _(self, event: PartitionsRevoked) -> None:
        self._partitions.difference_update(event.partitions)
        metrics.PARTITIONS.set(len(self._partitions))
        for partition in event.partitions:
            labels = (partition.topic, str(partition.partition))
            for gauge in (metrics.LAG, metrics.RESTORE_REMAINING):
                _forget(gauge, labels)
        level = logging.WARNING if event.lost else logging.INFO
        self._log(level, "partitions revoked", count=len(event.partitions), lost=event.lost)

    @_handle.register
    def _(self, event: SlotCleared) -> None:
        if event.failure is None:
            self._log(logging.INFO, "dead slot cleared", dead=event.slot)
        else:
            self._log(
                logging.WARNING, "dead slot not cleared", dead=event.slot, reason=event.failure
            )

    @_handle.register
    def _(self, event: LeaveFailed) -> None:
        self._log(logging.WARNING, "group not left", reason=event.reason)

    @_handle.register
    def _(self, event: RestoreProgressed) -> None:
        at = event.partition
        metrics.RESTORE_REMAINING.labels(at.topic, str(at.partition)).set(event.remaining)

    @_handle.register
    def _(self, event: RestoreCompleted) -> None:
        at = event.partition
        metrics.RESTORE_REMAINING.labels(at.topic, str(at.partition)).set(0)
        metrics.RESTORED.inc(event.records)
        if event.records:
            seconds = round(event.seconds, 3)
            self._log(
                logging.INFO,
                "state restored",
                topic=at.topic,
                partition=at.partition,
                records=event.records,
                seconds=seconds,
            )

    @_handle.register
    def _(self, event: StateWiped) -> None:
        metrics.STATE_WIPED.inc()
        at = event.partition
        self._log(
            logging.WARNING,
            "local state wiped",
            topic=at.topic,
            partition=at.partition,
            reason=event.reason,
        )

    @_handle.register
    def _(self, event: TransactionAborted) -> None:
        metrics.ABORTED.labels(event.code).inc()
        if self._due("abort", event.code):
            self._log(logging.WARNING, "transaction aborted", code=event.code, reason=event.reason)

    @_handle.register
    def _(self, event: RecordRejected) -> None:
        if self._due("reject", event.code):
            self._log(
                logging.ERROR,
                "record rejected by the engine",
                code=event.code,
                reason=event.reason,
                topic=event.partition.topic,
                partition=event.partition.partition,
                offset=event.offset,
            )

    def _log(self, level: int, event: str, **fields: object) -> None:
        log("worker", level, event, slot=self._slot, **fields)

    def _due(self, kind: str, code: str) -> bool:
        now = self._clock()
        if now - self._last.get((kind, code), -_QUIET_S) < _QUIET_S:
            return False
        self._last[kind, code] = now
        return True


def _forget(gauge: Gauge, labels: tuple[str, str]) -> None:
    try:
        gauge.remove(*labels)
    except KeyError:
        return
