"""What a database must do for a view: the ports that `follow` and `query` are written against.

Lives here: protocols, what passes through them, and the errors of stores. Must not live here:
SQL (`writing`, `reading`), drivers (`sqlite`, `postgres`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streams.engine.record import TopicPartition
from streams.views.model import EventRow, ObjectId, ObjectRow, ReadingRow, Subject
from topics.errors import EXIT_CONFIG, EXIT_UNAVAILABLE, OperatorError

Place = tuple[str | int, ...]
"""What rows are ordered by, and where a page goes on; () is the beginning."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition is in the view.

    `topic_id` is Kafka's id of the topic, by which one that was made anew is known. `end` is
    the log's end when it was last looked at. `begun_ms` is when reading began at its beginning,
    `caught_up_ms` when the end was last known to be reached; 0: not yet.
    """

    topic_id: str
    next: int
    end: int
    begun_ms: int
    caught_up_ms: int = 0

    @property
    def lag(self) -> int:
        """Offsets between the view and the end; control records of transactions count too."""
        return max(0, self.end - self.next)


@dataclass(slots=True)
class Batch:
    """What one database transaction makes permanent. An object that is None is gone.

    Of readings with the same times the newest is kept (`add`), by the rule that `Writer.apply`
    goes by, so that it does not matter where one batch ends.
    """

    objects: dict[ObjectId, ObjectRow | None] = field(default_factory=dict)
    events: list[EventRow] = field(default_factory=list)
    readings: dict[tuple[str | int, ...], ReadingRow] = field(default_factory=dict)
    subjects: set[Subject] = field(default_factory=set)
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    def add(self, row: ReadingRow) -> None:
        """Add a series in place of an older one that has the same times."""
        times = (row.first_ms, row.last_ms, row.step_ms)
        alone = row.offset if row.step_ms < 0 else -1
        self.readings[row.context, row.key, row.reading_type, *times, alone] = row


class Writer(Protocol):
    """The follower's side of a store. One thread.

    Every method that writes raises FencedError if another follower has taken the view, and
    then has written nothing; and StoreUnavailableError if the database does not answer.
    """

    def take(self) -> None:
        """Become the view's one follower; whoever was it before is fenced from now on."""

    def positions(self) -> Mapping[TopicPartition, Position]:
        """Where each partition goes on; read after `take`."""

    def floor_ms(self) -> int:
        """Histories are kept from this append time on."""

    def begin(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Add partitions that are not in the view yet."""

    def apply(self, batch: Batch) -> None:
        """Rows and positions, in one transaction; series replace older ones of the same times."""

    def note(self, ends: Mapping[TopicPartition, int], now_ms: int) -> None:
        """What the ends of the logs were at `now_ms`; who has reached them was caught up then."""

    def forget_register(self, topic: str, context: str, noun: str) -> None:
        """Drop the objects of a register, and where its log was read to."""

    def trim(self, floor_ms: int, rows_max: int) -> int:
        """Move the floor, and remove at most so many rows below it; give how many."""

    def size_bytes(self) -> int:
        """Of the whole database on its disk."""

    def close(self) -> None:
        """Idempotent."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it is answered."""

    place: Place
    key: str
    body: bytes
    revision: int = 0


class Span(NamedTuple):
    """Where a series lies, without its values."""

    key: str
    reading_type: str
    first_ms: int
    last_ms: int
    offset: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows of a register or a history: `terms` are all to be met, each by one of its values.

    Times are after `after_ms`, up to and including `until_ms`.
    """

    context: str
    noun: str
    terms: Mapping[str, Sequence[str]]
    after_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What a view holds: rows by context and noun; `size_bytes` is that of the whole database."""

    floor_ms: int
    heartbeat_ms: int
    rows: Mapping[tuple[str, str], int]
    size_bytes: int


class Reader(Protocol):
    """The asking side of a store. One thread; each opens its own.

    Raises StoreUnavailableError where the database does not answer.
    """

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything that is read inside is of one moment."""

    def positions(self, topics: Collection[str] | None = None) -> Mapping[TopicPartition, Position]:
        """How far the view is, with these topics; None: with all."""

    def floor_ms(self) -> int:
        """Histories are whole from this append time on."""

    def heartbeat_ms(self) -> int:
        """When a follower last looked at the ends of the logs."""

    def objects(self, wanted: Wanted, after: Place, limit: int) -> list[Found]:
        """Objects of a register by key; `after` is the place of the last one seen, or ()."""

    def events(self, wanted: Wanted, after: Place, limit: int) -> list[Found]:
        """Events of a history by time."""

    def series(
        self,
        wanted: Wanted,
        keys: Mapping[str, frozenset[str]],
        after: Place,
        limit: int,
    ) -> list[Found]:
        """Series of these subjects by key, type and time.

        `wanted.terms` may name reading types (`type`). A subject is limited to the meters it
        comes with; an empty set is no limit.
        """

    def spans(self, context: str, keys: Sequence[str], first_ms: int, last_ms: int) -> list[Span]:
        """All series of these subjects that touch the period, both ends included."""

    def subject_keys(self, context: str, kind: str, values: Sequence[str]) -> list[tuple[str, str]]:
        """Value and key of the subjects of readings that have such a name or meter."""

    def status(self) -> Status:
        """What is there; counts rows, which takes a while."""

    def close(self) -> None:
        """Idempotent."""


class StoreUnavailableError(OperatorError):
    """The database does not answer, or not in time; trying again may help."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            "view_unavailable",
            what="the database of the view does not answer",
            where=where,
            why=why,
            fix="see that it runs and that its disk is not full",
            exit_code=EXIT_UNAVAILABLE,
        )


def view_missing(where: str) -> OperatorError:
    """The error of a question to a view that was never built."""
    return OperatorError(
        "view_missing",
        what="there is no view yet",
        where=where,
        fix="build it with `cimstream view follow`, or name another with --database",
        exit_code=EXIT_CONFIG,
    )


def version_differs(where: str, found: int, wanted: int) -> OperatorError:
    """The error of every command but `rebuild` on a view that another release made."""
    return OperatorError(
        "view_version",
        what=f"the view has tables of version {found}, this cimstream works with {wanted}",
        where=where,
        why="views are not migrated: everything they hold is in the logs",
        fix="build it again with `cimstream view rebuild`",
        exit_code=EXIT_CONFIG,
    )
