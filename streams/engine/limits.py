"""How much a worker takes on at once, and when that is enough.

Must not live here: what happens then (see `worker`).
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.engine.record import Record


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one turn and one transaction may hold.

    `poll_timeout_s` bounds the wait for a first record; `commit_interval_s` the age of a
    transaction; `batch_records_max` and `batch_bytes_max` what is taken from the input in
    one turn, `transaction_bytes_max` the input bytes behind one transaction.
    `transaction_s_max` ends a transaction in the midst of a batch whose records are heavy: it
    is half of the shortest time after which the broker may be told to end it.
    """

    poll_timeout_s: float = 0.1
    commit_interval_s: float = 0.1
    batch_records_max: int = 1000
    batch_bytes_max: int = 8 * 1024 * 1024
    transaction_bytes_max: int = 64 * 1024 * 1024
    transaction_s_max: float = 2.5


@dataclass(slots=True)
class OpenTransaction:
    """What the open transaction holds so far."""

    opened_at: float
    records: int = 0
    outputs: int = 0
    bytes: int = 0

    def add(self, record: Record, outputs: int) -> None:
        """A record was run and has led to so many outputs."""
        self.records += 1
        self.outputs += outputs
        self.bytes += len(record.value or b"")

    def aged(self, limits: Limits, now: float) -> bool:
        """Whether it is so old that it must not take on another record."""
        return now - self.opened_at >= limits.transaction_s_max

    def full(self, limits: Limits, now: float) -> bool:
        """Whether it is old or large enough to be committed."""
        return (
            now - self.opened_at >= limits.commit_interval_s
            or self.bytes >= limits.transaction_bytes_max
        )
