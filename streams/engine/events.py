"""What happens inside the engine, as values. The runtime turns them into logs and metrics.

Must not live here: formatting, loggers, metric libraries. No event carries a payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from streams.engine.record import TopicPartition


class Step(StrEnum):
    """The steps of one commit, in order. Each is announced before and after."""

    OUTPUTS = "outputs"
    OFFSETS = "offsets"
    COMMIT = "commit"
    APPLY = "apply"
    ACKNOWLEDGE = "acknowledge"


@dataclass(frozen=True, slots=True)
class StepReached:
    """A commit is about to do (`done` False) or has done a step."""

    step: Step
    done: bool


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """The group gave us these input partitions; they restore before they run."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class PartitionsRevoked:
    """The group took these input partitions away; `lost` means without a chance to commit."""

    partitions: tuple[TopicPartition, ...]
    lost: bool


@dataclass(frozen=True, slots=True)
class SlotCleared:
    """What a slot that is gone left open was ended, or not: then `failure` says why."""

    slot: str
    failure: str | None


@dataclass(frozen=True, slots=True)
class LeaveFailed:
    """The group could not be left; it gives our partitions away after the session time-out."""

    reason: str


@dataclass(frozen=True, slots=True)
class RestoreProgressed:
    """Changelog records still to be read before an input partition may run."""

    partition: TopicPartition
    remaining: int


@dataclass(frozen=True, slots=True)
class RestoreCompleted:
    """The local state of an input partition equals its committed changelogs."""

    partition: TopicPartition
    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchCommitted:
    """A transaction is permanent and local state has followed.

    `counts` are the increments the processor counted in it.
    """

    records: int
    outputs: int
    seconds: float
    counts: Mapping[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """Input records not yet processed, per assigned partition."""

    lag: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class StateMeasured:
    """Bytes that the slot's local database takes on the disk."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class StateSwept:
    """Entries past their horizon were removed from local stores."""

    entries: int


@dataclass(frozen=True, slots=True)
class TransactionAborted:
    """A transaction was given up; its input will be processed again."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordRejected:
    """The engine, not the processor, rejected a record: it broke the processor or the broker."""

    partition: TopicPartition
    offset: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class StateWiped:
    """Local state was thrown away and is restored from its changelog."""

    partition: TopicPartition
    reason: str


Event = (
    StepReached
    | PartitionsAssigned
    | PartitionsRevoked
    | SlotCleared
    | LeaveFailed
    | RestoreProgressed
    | RestoreCompleted
    | BatchCommitted
    | LagMeasured
    | StateMeasured
    | StateSwept
    | TransactionAborted
    | RecordRejected
    | StateWiped
)


class Telemetry(Protocol):
    """Where events go."""

    def emit(self, event: Event) -> None:
        """Take note of `event`; must not raise and must not block."""
