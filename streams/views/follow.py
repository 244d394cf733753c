"""Keeps a view up with its logs, each record exactly once.

Lives here: where reading begins and goes on, what a batch is, when a log is not the one it was,
when rows leave the window. Must not live here: how Kafka is called (`LogSource`), SQL.

Invariant: the view is what a fold of each log up to its position gives; a position moves only
in the transaction of the rows that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from schemas.avro import WireFormatError
from streams.engine.errors import StateLostError, TransientError
from streams.engine.record import Record, TopicPartition
from streams.views.model import (
    Log,
    ObjectId,
    event_row,
    key_text,
    object_row,
    read,
    reading_row,
    subjects,
)
from streams.views.store import Batch, Position, Writer

_HOUR_MS: Final = 3_600_000
# A compacted log keeps what says that an object is gone for a day (delete.retention.ms). A view
# that has not stood at the end of a register's log for half of that reads it from its beginning.
STALE_MS: Final = 12 * _HOUR_MS
# How often the ends of the logs are looked at, more often by one who is behind and may soon not
# be; and how often also which topics they are.
_NOTE_S: Final = 2.0
_NOTE_BEHIND_S: Final = 0.5
_IDENTIFY_S: Final = 10.0
# Rows of one table removed at a time: some ms, between two batches.
TRIM_ROWS: Final = 2_000


class Extent(NamedTuple):
    """A partition as it is in Kafka: its topic's id, and from where to where it can be read."""

    topic_id: str
    start: int
    end: int


class Polled(NamedTuple):
    """Records in order of each partition, and behind which offset each partition now stands."""

    records: Sequence[Record]
    positions: Mapping[TopicPartition, int]


class LogSource(Protocol):
    """Committed records of named partitions.

    Raises TransientError for a broker that does not answer.
    """

    def identify(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Kafka's id of each topic; one that does not exist is left out."""

    def extents(self, topics: Mapping[str, str]) -> Mapping[TopicPartition, Extent]:
        """The partitions of topics with these ids as they are now."""

    def starts_at(
        self, extents: Mapping[TopicPartition, Extent], time_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The first offset not older than `time_ms` of each partition; its end if there is none."""

    def assign(self, starts: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from there on, and no others."""

    def poll(self, timeout_s: float) -> Polled:
        """What came.

        Raises:
            StateLostError: a log does not have the offset it was to be read from.
        """


class Clock(Protocol):
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds."""

    def epoch_ms(self) -> int:
        """Milliseconds UTC."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A follower begins; `read_again` registers from their beginnings."""

    partitions: int
    read_again: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch is permanent."""

    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event of ours was passed over."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """The ends of the logs were looked at."""

    lag: Mapping[str, int]
    floor_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """So many rows left the window."""

    rows: int


FollowEvent = Opened | Applied | Unreadable | Noted | Trimmed


class Telemetry(Protocol):
    """Where the events of a follower go."""

    def emit(self, event: FollowEvent) -> None:
        """Take note of `event`; must not raise and must not block."""


class Follower:
    """Follows all logs of one view. One thread: `open`, then `turn` after `turn`."""

    def __init__(
        self,
        writer: Writer,
        source: LogSource,
        logs: Mapping[str, Log],
        *,
        window_ms: int,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._writer = writer
        self._source = source
        self._logs = logs
        self._window_ms = window_ms
        self._clock = clock
        self._telemetry = telemetry
        self._ids: Mapping[str, str] = {}
        self._floor_ms = 0
        self._at: dict[TopicPartition, int] = {}
        self._behind = True
        self._note_at = 0.0
        self._identify_at = 0.0
        self._trimming = False

    @property
    def caught_up(self) -> bool:
        """Whether every log was read to the end it had when it was last looked at."""
        return not self._behind

    def open(self) -> None:
        """Take the view, and begin where it stands; again after an error that passes.

        Raises:
            StateLostError: a log is not the one that was read, or lost what was not read yet.
            TransientError, StoreUnavailableError: try again later.
        """
        self._identify()  # before the view is taken from one who may have a broker
        self._writer.take()
        now_ms = self._clock.epoch_ms()
        self._floor_ms = max(self._writer.floor_ms(), self._wanted_floor(now_ms))
        known = self._writer.positions()
        extents = self._source.extents(self._ids)
        self._check(extents, known)
        again = self._forget_stale(known, now_ms)
        begun = self._begun(extents, now_ms)
        self._writer.begin(begun)
        self._writer.trim(self._floor_ms, TRIM_ROWS)
        self._at = {
            at: position.next
            for at, position in self._writer.positions().items()
            if at.topic in self._logs
        }
        self._source.assign(self._at)
        self._behind = True
        self._note_at = self._clock.monotonic()
        self._trimming = True
        self._telemetry.emit(Opened(len(self._at), len(again)))

    def turn(self, timeout_s: float) -> None:
        """One batch, if one comes in time; and what is due beside it.

        Raises:
            FencedError: another follower has taken the view.
            StateLostError, TransientError, StoreUnavailableError: as `open`.
        """
        polled = self._source.poll(0 if self._trimming else timeout_s)
        moved = {at: n for at, n in polled.positions.items() if n != self._at.get(at)}
        if moved:
            started = self._clock.monotonic()
            self._writer.apply(
                changes(polled.records, moved, self._logs, self._floor_ms, self._telemetry)
            )
            self._at.update(moved)
            seconds = self._clock.monotonic() - started
            self._telemetry.emit(Applied(len(polled.records), seconds))
        if self._clock.monotonic() >= self._note_at:
            self._note()
        if self._trimming:
            self._trim()

    # ------------------------------------------------------------- positions

    def _identify(self) -> None:
        self._ids = self._source.identify(self._logs)
        missing = sorted(self._logs.keys() - self._ids.keys())
        if missing:
            # A broker that has just started may not know of it yet; if it was made anew, its id
            # will tell.
            raise TransientError(f"there is no topic {missing[0]}; {len(missing)} are missing")
        self._identify_at = self._clock.monotonic() + _IDENTIFY_S

    def _check(
        self, extents: Mapping[TopicPartition, Extent], known: Mapping[TopicPartition, Position]
    ) -> None:
        """Refuse a log that was made anew, cut, or emptied before it was read."""
        for at, position in known.items():
            extent = extents.get(at)
            if at.topic not in self._logs:
                continue
            if extent is None or extent.topic_id != position.topic_id:
                why = "was deleted and made anew"
            elif position.next > extent.end:
                why = f"ends at {extent.end}, and the view has read it to {position.next}"
            elif position.next < extent.start:
                why = f"begins at {extent.start}, and the view has read it to {position.next} only"
            else:
                continue
            raise StateLostError(
                f"{at} {why}: what the view holds of it can no longer be brought up to date."
                " Build the view anew with `cimstream view rebuild`"
            )

    def _forget_stale(
        self, known: Mapping[TopicPartition, Position], now_ms: int
    ) -> frozenset[str]:
        """Registers whose deletions may have been missed; what the view has of them goes."""
        stale = self._stale(known, now_ms)
        for topic in sorted(stale):
            log = self._logs[topic]
            self._writer.forget_register(topic, log.context, log.noun)
        return stale

    def _stale(self, known: Mapping[TopicPartition, Position], now_ms: int) -> frozenset[str]:
        return frozenset(
            at.topic
            for at, position in known.items()
            if at.topic in self._logs
            and self._logs[at.topic].kind == "register"
            and max(position.begun_ms, position.caught_up_ms) < now_ms - STALE_MS
        )

    def _begun(
        self, extents: Mapping[TopicPartition, Extent], now_ms: int
    ) -> Mapping[TopicPartition, Position]:
        """Where partitions that are not in the view begin: registers whole, histories by window."""
        known = self._writer.positions()
        new = {at: extent for at, extent in extents.items() if at not in known}
        histories = {
            at: extent for at, extent in new.items() if self._logs[at.topic].kind != "register"
        }
        starts = self._source.starts_at(histories, self._floor_ms)
        return {
            at: Position(extent.topic_id, starts.get(at, extent.start), extent.end, now_ms)
            for at, extent in new.items()
        }

    # ---------------------------------------------------------- housekeeping

    def _note(self) -> None:
        """Look where the logs end, and whether they are still those that are read."""
        # Before the ends are asked for: who stands at them was caught up at that time.
        now, now_ms = self._clock.monotonic(), self._clock.epoch_ms()
        if now >= self._identify_at:
            self._identify()
        # Before the ends, too: one who took the view meanwhile may go past them.
        known = self._writer.positions()
        extents = self._source.extents(self._ids)
        if extents.keys() - known.keys():
            raise TransientError("a topic has more partitions than before")
        self._check(extents, known)
        if self._stale(known, now_ms):
            raise TransientError("a register's log was not read to its end for too long")
        self._writer.note({at: extent.end for at, extent in extents.items()}, now_ms)
        lag: dict[str, int] = {}
        for at, extent in extents.items():
            lag[at.topic] = lag.get(at.topic, 0) + max(0, extent.end - self._at[at])
        self._behind = any(lag.values())
        self._telemetry.emit(Noted(lag, self._floor_ms, self._writer.size_bytes()))
        self._note_at = now + (_NOTE_BEHIND_S if self._behind else _NOTE_S)
        wanted = self._wanted_floor(now_ms)
        if wanted > self._floor_ms:
            self._floor_ms, self._trimming = wanted, True

    def _trim(self) -> None:
        removed = self._writer.trim(self._floor_ms, TRIM_ROWS)
        self._trimming = removed > 0
        if removed:
            self._telemetry.emit(Trimmed(removed))

    def _wanted_floor(self, now_ms: int) -> int:
        """To the hour, so that rows leave once an hour and not all the time."""
        return max(0, now_ms - self._window_ms) // _HOUR_MS * _HOUR_MS


def changes(
    records: Sequence[Record],
    moved: Mapping[TopicPartition, int],
    logs: Mapping[str, Log],
    floor_ms: int,
    telemetry: Telemetry,
) -> Batch:
    """What records, and the positions behind them, change in a view.

    Records of histories below the floor are passed over, and told ones that are no event.
    """
    batch = Batch(positions=dict(moved))
    for record in records:
        log = logs[record.topic]
        if log.kind != "register" and record.timestamp_ms < floor_ms:
            continue
        try:
            _add(batch, log, record)
        except (WireFormatError, KeyError) as error:
            telemetry.emit(Unreadable(str(record), type(error).__name__))
    return batch


def _add(batch: Batch, log: Log, record: Record) -> None:
    if log.kind == "register":
        row = None if record.value is None else object_row(read(record.value), record.value)
        batch.objects[ObjectId(log.context, log.noun, key_text(record))] = row
        return
    event = read(record.value or b"")
    if log.kind == "events":
        batch.events.append(event_row(log, record, event))
        return
    reading = reading_row(log, record, event)
    batch.subjects.update(subjects(reading, event))
    batch.add(reading)
