"""What a connector is: the contract between a source and the runtime that drives it.

Lives here: the protocol, the values that cross it, and its errors. Must not live here:
anything of one system, Kafka, or retries (the runtime does them).

Delivery promise. The runtime writes a batch's records and its position updates in ONE Kafka
transaction and calls `committed` only after the commit. So a source whose system can be read
again (files, databases, logs) is exactly-once into Kafka: after a crash it is opened with the
positions of the last commit, which lie exactly behind the last record that exists. A source
whose peer cannot be asked again (SOAP, REST, DNP3 events) confirms to the peer in `committed`:
at-least-once on the wire, made exactly-once by the message's identity in intake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from connectors.inbound import Admitted
from topics.errors import EXIT_CONFIG, OperatorError


class PeerUnavailableError(Exception):
    """The system did not answer or is not there now; the runtime backs off and opens again."""


class SourceConfigError(OperatorError):
    """The source can never work as configured: refuse to start, say what to change."""

    def __init__(self, source: str, *, what: str, where: str = "", fix: str) -> None:
        super().__init__(
            "source_config",
            what=f"source {source!r}: {what}",
            where=where,
            fix=fix,
            exit_code=EXIT_CONFIG,
        )


@dataclass(frozen=True, slots=True)
class Received:
    """One message and where it came from (a path, a peer): for receipts and errors."""

    message: Admitted
    origin: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something the source could not take in and goes past; it comes again when it changes."""

    origin: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought.

    `positions` maps a position key (unique within the source) to where to go on after this
    batch; None forgets the key. A batch may carry positions without records.
    """

    records: tuple[Received, ...] = ()
    positions: Mapping[bytes, bytes | None] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()


class Source(Protocol):
    """A system that messages come from.

    Nothing happens in the constructor: all state comes from `open`. One thread calls.
    """

    @property
    def name(self) -> str:
        """Unique name; two running sources of one name fence each other out."""

    def check(self) -> None:
        """Reach the system and let go again; consume nothing.

        Raises:
            SourceConfigError: it cannot work as configured.
            PeerUnavailableError: it may work later.
        """

    def open(self, positions: Mapping[bytes, bytes]) -> None:
        """Begin after the committed positions, forgetting whatever was going on before.

        Raises as `check`.
        """

    def poll(self, records_max: int, timeout_s: float) -> Batch | None:
        """The next messages, None if there are none now.

        Never blocks much longer than `timeout_s`, never sleeps, never retries. Polling
        again without `committed` goes on behind the batch before; only `open` goes back.

        Raises:
            PeerUnavailableError: open again later.
        """

    def committed(self, batch: Batch) -> tuple[Skipped, ...]:
        """`batch` is permanent: confirm to the peer, tidy away. Gives what would not go."""

    def close(self) -> None:
        """Let go of everything. Idempotent; the source may be opened again."""
