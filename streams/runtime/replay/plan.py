"""Which offsets a replay goes over, and how far before them it must read.

Lives here: from what was asked to ranges, and every reason to refuse or to remark on them. Must
not live here: reading what was typed (`streams.cli`), the records (`job`).

Invariant: a range ends where group `intake` has got to at the latest, so that every event of it
that intake leads to is committed, and none is under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.times import from_epoch_ms
from streams.engine.record import Record, TopicPartition
from streams.processors.pipeline import NAME as GROUP
from streams.runtime.reading import Range, TopicReader
from topics import Catalogue, TopicSpec, naming
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: where it begins, either by time or by places, and where it ends.

    Times are epoch ms UTC by the log; `until_ms` None: as far as possible. `places` give
    partitions of the inbound topic and an offset each; other partitions are then left out.
    """

    interface: str
    since_ms: int | None = None
    places: Mapping[TopicPartition, int] = field(default_factory=dict)
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed: `ranges` of the inbound topic, none empty.

    `before` is what is read for its marks only; `first_ms` the time of the range's first
    record; `notes` are remarks for people, sentences without their full stop.
    """

    interface: str
    topic: str
    ranges: Mapping[TopicPartition, Range]
    before: Mapping[TopicPartition, Range]
    first_ms: int
    notes: tuple[str, ...]


def resolve(reader: TopicReader, catalogue: Catalogue, wanted: Wanted) -> Plan:
    """The plan for what is asked; `require_topics` comes first.

    Raises:
        OperatorError: `place_foreign`, `offset_past_end`, `range_empty`,
            `broker_unreachable`.
    """
    topic = naming.inbound(wanted.interface)
    kept = _kept(reader, topic)
    begun, notes = _begun(reader, kept, wanted)
    done = reader.group_offsets(GROUP, begun)
    ends = dict(begun)
    if wanted.until_ms is not None:
        ends = {at: Range(0, s.start) for at, s in _from_time(reader, ends, wanted.until_ms)}
    ranges: dict[TopicPartition, Range] = {}
    for at, span in begun.items():
        end = min(ends[at].end, done.get(at, 0))
        # Offsets alone tell nothing: they may be a transaction's own records.
        if _first(reader, at, Range(max(span.start, end), ends[at].end)) is not None:
            notes.append(f"{at}: what lies at {end} and behind it is still intake's work")
        ranges[at] = Range(span.start, end)
    return _planned(reader, catalogue, wanted.interface, ranges, kept, notes)


def again(
    reader: TopicReader,
    catalogue: Catalogue,
    interface: str,
    ranges: Mapping[TopicPartition, Range],
) -> Plan:
    """The plan for ranges that were settled before.

    Raises:
        OperatorError: as `resolve`.
    """
    kept = _kept(reader, naming.inbound(interface))
    notes = [
        f"{at}: retention has meanwhile removed what lay before {kept[at].start}"
        for at, span in ranges.items()
        if kept[at].start > span.start
    ]
    return _planned(reader, catalogue, interface, ranges, kept, notes)


def require_logs_kept(plan: Plan, logs: Iterable[TopicSpec], now_ms: int) -> None:
    """Refuse to mend logs that are kept for less time than has gone by since the range.

    Raises:
        OperatorError: `log_kept_shorter`: what retention removed would seem to be missing.
    """
    for spec in logs:
        kept_ms = int(spec.config["retention.ms"])
        if now_ms - plan.first_ms >= kept_ms:
            raise OperatorError(
                "log_kept_shorter",
                what="what the log lacks of this range, its retention may have removed",
                where=spec.name,
                why=f"it is kept for {kept_ms // _DAY_MS} days, and the range begins at "
                + from_epoch_ms(plan.first_ms),
                fix="begin later, or replay into a side log (--into side)",
                exit_code=EXIT_CONFIG,
            )


def require_topics(reader: TopicReader, interface: str) -> None:
    """Refuse where a topic is missing that every replay reads or writes.

    Raises:
        OperatorError: `topic_missing`, `broker_unreachable`.
    """
    existing = reader.topics()
    for name in (naming.inbound(interface), naming.REPLAY_RUNS, naming.AUDIT):
        if name not in existing:
            raise OperatorError(
                "topic_missing",
                what=f"the cluster has no topic {name}",
                fix="run `cimstream topics apply`",
                exit_code=EXIT_CONFIG,
            )


def _kept(reader: TopicReader, topic: str) -> dict[TopicPartition, Range]:
    return reader.bounds(reader.topics()[topic])


def _begun(
    reader: TopicReader, kept: Mapping[TopicPartition, Range], wanted: Wanted
) -> tuple[dict[TopicPartition, Range], list[str]]:
    """The ranges begun where it is asked, and remarks on what is gone there."""
    if wanted.since_ms is not None:
        begun = dict(_from_time(reader, kept, wanted.since_ms))
        gone = [at for at, span in begun.items() if 0 < kept[at].start == span.start]
        return begun, [_gone(at, kept[at].start) for at in gone]
    begun, notes = {}, []
    for at, offset in wanted.places.items():
        if at not in kept:
            raise OperatorError(
                "place_foreign",
                what=f"{at}@{offset} is no place of {naming.inbound(wanted.interface)}",
                why=f"it has the partitions 0 to {len(kept) - 1}",
                fix="name places of the inbound topic of --interface",
                exit_code=EXIT_CONFIG,
            )
        if offset >= kept[at].end:
            raise OperatorError(
                "offset_past_end",
                what=f"{at}@{offset} is past the end of the log",
                why=f"{at} ends at {kept[at].end}",
                fix="name an offset before that",
                exit_code=EXIT_CONFIG,
            )
        if offset < kept[at].start:
            notes.append(_gone(at, kept[at].start))
        begun[at] = Range(max(offset, kept[at].start), kept[at].end)
    return begun, notes


def _from_time(
    reader: TopicReader, ranges: Mapping[TopicPartition, Range], time_ms: int
) -> list[tuple[TopicPartition, Range]]:
    return list(reader.starts_at(ranges, time_ms).items())


def _first(reader: TopicReader, at: TopicPartition, span: Range) -> Record | None:
    return next(reader.records({at: span}), None)


def _gone(at: TopicPartition, start: int) -> str:
    return f"{at} begins at {start}: what lay before it, retention has removed"


def _planned(
    reader: TopicReader,
    catalogue: Catalogue,
    interface: str,
    ranges: Mapping[TopicPartition, Range],
    kept: Mapping[TopicPartition, Range],
    notes: list[str],
) -> Plan:
    firsts = {
        at: first.timestamp_ms
        for at, span in ranges.items()
        if (first := _first(reader, at, span)) is not None
    }
    if not firsts:
        raise OperatorError(
            "range_empty",
            what="there is nothing to replay in this range",
            where=naming.inbound(interface),
            why="; ".join(notes),
            fix="begin earlier; `cimstream stats` shows what there is and how far intake is",
            exit_code=EXIT_FAILED,
        )
    first_ms = min(firsts.values())
    earlier = {at: Range(kept[at].start, ranges[at].start) for at in firsts}
    before = dict(_from_time(reader, earlier, first_ms - catalogue.dedup_horizon_ms))
    if any(0 < kept[at].start == span.start for at, span in before.items()):
        days = catalogue.dedup_horizon_ms // _DAY_MS
        since = from_epoch_ms(first_ms - catalogue.dedup_horizon_ms)
        notes.append(
            f"not all of the {days} days before the range is kept (since {since}): "
            "a repeat whose first message is gone counts as new"
        )
    return Plan(
        interface,
        naming.inbound(interface),
        {at: ranges[at] for at in firsts},
        before,
        first_ms,
        tuple(notes),
    )
