"""What the ledger tells of its work, and those events as metrics and log lines.

Must not live here: anything that decides. Normal operation is silent in the log: a line where a
destination stops to take messages, takes them again, or where a message ends undelivered.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.outbound import Verdict
from streams.runtime import metrics
from streams.runtime.delivery.table import Counted
from streams.runtime.logs import log


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt. `failures` is how many in a row the destination has failed now."""

    destination: str
    verdict: Verdict
    why: str
    seconds: float
    failures: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery is over, in a transaction that is about to be committed."""

    destination: str
    place: str
    fate: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Restored:
    """Partitions were taken over, with what is pending on them."""

    partitions: int
    pending: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, per destination, at `now_ms`."""

    counted: Mapping[str, Counted]
    now_ms: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A transaction was given up and is written again after `retry_s`."""

    code: str
    reason: str
    retry_s: float


DeliveryEvent = Tried | Ended | Restored | Waiting | Interrupted


class DeliveryTelemetry(Protocol):
    """Where events go."""

    def emit(self, event: DeliveryEvent) -> None:
        """Take note of `event`; must not raise and must not block."""


class DeliveryLog:
    """Events as metrics and log lines."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def emit(self, event: DeliveryEvent) -> None:
        """See `DeliveryTelemetry`."""
        match event:
            case Tried():
                metrics.DELIVERY_ATTEMPTS.labels(event.destination, event.verdict.value).inc()
                metrics.DELIVERY_ATTEMPT_SECONDS.observe(event.seconds)
                self._turned(event)
            case Ended(destination, place, fate, why, seconds):
                metrics.DELIVERIES.labels(destination, fate).inc()
                metrics.DELIVERY_SECONDS.observe(seconds)
                if fate != "delivered":
                    told = {"destination": destination, "at": place, "code": fate, "why": why}
                    log("delivery", logging.WARNING, "not delivered", **told)
            case Waiting(counted, now_ms):
                for destination, (pending, oldest_ms) in counted.items():
                    age_s = max(0, now_ms - oldest_ms) / 1000 if oldest_ms else 0
                    metrics.DELIVERY_PENDING.labels(destination).set(pending)
                    metrics.DELIVERY_OLDEST.labels(destination).set(age_s)
            case Restored(partitions, pending):
                taken = {"partitions": partitions, "pending": pending}
                log("delivery", logging.INFO, "deliveries taken over", **taken)
            case Interrupted(code, reason, retry_s):
                fields = {"code": code, "reason": reason, "retry_s": retry_s}
                log("delivery", logging.WARNING, "delivery interrupted", **fields)

    def _turned(self, event: Tried) -> None:
        name = event.destination
        if event.failures and name not in self._failing:
            self._failing.add(name)
            told = {"destination": name, "why": event.why}
            log("delivery", logging.WARNING, "destination does not take messages", **told)
        elif not event.failures and name in self._failing:
            self._failing.discard(name)
            log("delivery", logging.INFO, "destination takes messages again", destination=name)
