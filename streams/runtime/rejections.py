"""The rejected records of the cluster: which there are, and which of them are meant.

Lives here: the one filter of `dlq list` and `dlq redrive`, and the reading by it or by place.
Must not live here: options (`streams.cli`), why a message is rejected (intake), what becomes of
it (`redrive`).

Invariant: payloads pass through one at a time; what is kept of them is bounded by the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from streams.engine.record import Record, TopicPartition
from streams.runtime.headers import header
from streams.runtime.reading import Range, TopicReader, in_time
from topics import Catalogue, TopicSpec

# Opening a consumer costs some 50 ms; reading over a gap of so many small records, less.
_GAP_MAX: Final = 1_000


class Place(NamedTuple):
    """Where one record lies."""

    at: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.at}@{self.offset}"


def parse_place(text: bytes | None) -> Place | None:
    """What `str` of a place says, None where it is none."""
    where, _, offset = (text or b"").decode("utf-8", "replace").rpartition("@")
    topic, _, partition = where.rpartition("/")
    try:
        return Place(TopicPartition(topic, int(partition)), int(offset))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rejections; an empty field does not filter.

    Times are epoch milliseconds UTC by the log: from `since_ms` on, before `until_ms`.
    """

    interface: str = ""
    code: str = ""
    source: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def empty(self) -> bool:
        """Whether it lets everything through."""
        return self == Filter()

    @property
    def reads_headers(self) -> bool:
        """Whether a record has to be read to know if it is meant."""
        return bool(self.code or self.source)

    def lets_through(self, record: Record) -> bool:
        """Whether a record of the ranges that `ranges` gave is meant."""
        return self.code in ("", header(record, "cimstream_code")) and self.source in (
            "",
            header(record, "ce_source"),
        )


def undelivered_from(record: Record) -> str:
    """The outbound topic of a message that did not reach its destination; "" for other rejections.

    Such a message has taken effect: on inbound it would be a repeat.
    """
    topic = header(record, "__connect.errors.topic")
    return topic if topic.endswith(".outbound") else ""


def rejected_topics(catalogue: Catalogue) -> dict[str, TopicSpec]:
    """Every topic of rejections, those of parallel contexts too, by name."""
    return {spec.name: spec for spec in catalogue.topics() if spec.purpose == "rejected"}


def ranges(
    reader: TopicReader, catalogue: Catalogue, wanted: Filter
) -> dict[TopicPartition, Range]:
    """What has to be read for `wanted`, up to what is committed now.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    existing = reader.topics()
    found = reader.bounds(
        at
        for name, spec in rejected_topics(catalogue).items()
        if name in existing and wanted.interface in ("", spec.interface)
        for at in existing[name]
    )
    if wanted.until_ms is not None:
        behind = reader.starts_at(found, wanted.until_ms)
        found = {at: Range(span.start, behind[at].start) for at, span in found.items()}
    if wanted.since_ms is not None:
        begun = reader.starts_at(found, wanted.since_ms)
        found = {at: Range(max(begun[at].start, start), end) for at, (start, end) in found.items()}
    return found


def matching(reader: TopicReader, catalogue: Catalogue, wanted: Filter) -> Iterator[Record]:
    """The rejections that `wanted` lets through, in order within each partition.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    for record in reader.records(ranges(reader, catalogue, wanted)):
        if wanted.lets_through(record):
            yield record


def newest(reader: TopicReader, catalogue: Catalogue, wanted: Filter, count: int) -> list[Record]:
    """The newest `count` rejections that `wanted` lets through, oldest first.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    if not wanted.reads_headers:
        return reader.last(ranges(reader, catalogue, wanted), count)
    kept: dict[TopicPartition, deque[Record]] = {}
    for record in matching(reader, catalogue, wanted):
        kept.setdefault(record.source, deque(maxlen=count)).append(record)
    found = sorted((record for records in kept.values() for record in records), key=in_time)
    return found[-count:]


def at_places(reader: TopicReader, places: Collection[Place]) -> Iterator[Record]:
    """The committed records at these places, in order within each partition.

    A place outside its log, or one that holds no message, gives nothing.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    wanted: dict[TopicPartition, set[int]] = {}
    for at, offset in places:
        wanted.setdefault(at, set()).add(offset)
    existing = reader.topics()
    bounds = reader.bounds(at for at in wanted if at in existing.get(at.topic, ()))
    for at, within in bounds.items():
        offsets = sorted(o for o in wanted[at] if within.start <= o < within.end)
        for span in spans(offsets):
            for record in reader.records({at: span}):
                if record.offset in wanted[at]:
                    yield record


def spans(offsets: Iterable[int]) -> list[Range]:
    """Ranges that hold the offsets (ascending), cut where nothing is wanted for long."""
    ordered = list(offsets)
    if not ordered:
        return []
    cuts = [(a, b) for a, b in pairwise(ordered) if b - a > _GAP_MAX]
    starts = [ordered[0], *(b for _, b in cuts)]
    ends = [*(a for a, _ in cuts), ordered[-1]]
    return [Range(start, end + 1) for start, end in zip(starts, ends, strict=True)]
