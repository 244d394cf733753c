"""Limits of the REST door. Must not live here: addresses, TLS, Kafka (`streams.runtime`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestLimits:
    """What one process takes on. Seconds and bytes.

    `wait_s` is how long a reply is waited for unless `Prefer: wait` says so, `wait_max_s` the
    most that can be asked for. `body_s` bounds the arrival of a whole body. `held_bytes_max` is
    what all bodies being worked on may take together, unpacked. A subscriber hears something
    every `heartbeat_s` at least.
    """

    wait_s: float = 10.0
    wait_max_s: float = 60.0
    body_s: float = 30.0
    held_bytes_max: int = 256 * 1024 * 1024
    requests_max: int = 2_000
    subscriptions_max: int = 1_000
    subscriptions_per_source: int = 100
    heartbeat_s: float = 15.0
