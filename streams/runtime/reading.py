"""Reading topics without a group: for people's commands and for what a source restores.

Lives here: metadata, bounds and committed records of named partitions. Must not live here:
consumer groups, transactions, what a record means.

Invariant: only committed records are ever handed out, and a bounded read ends exactly at its
bound, past control records and aborted ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
)
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from streams.engine.kafka import KafkaSettings
from streams.engine.kafka.source import to_record
from streams.engine.record import Record, TopicPartition
from topics.errors import EXIT_UNAVAILABLE, OperatorError

# A broker that says nothing for this long while there is something to read is not coming
# back soon: three times the default time-out of one request.
_SILENCE_S: Final = 30.0
_POLL_S: Final = 0.1
# A broker that is there tells its topics in milliseconds, over a new TLS connection in one
# second; whoever waits at a terminal should hear soon that none is there.
_HELLO_S: Final = 5.0
_RECORDS_PER_POLL: Final = 1000

# The library leaves these factories untyped.
_EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]

T = TypeVar("T")

# A cluster, or a topic, that is just coming up answers so for a moment.
_SETTLING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_SETTLE_S: Final = 0.1


class Range(NamedTuple):
    """Offsets of one partition, end excluded."""

    start: int
    end: int


class TopicReader:
    """Reads partitions from where it is told. One thread; close it, or use it in a `with`."""

    def __init__(self, settings: KafkaSettings, name: str = "cimstream-reader") -> None:
        self._settings = settings
        self._name = name
        self._admin = AdminClient(settings.admin())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def topics(self) -> dict[str, tuple[TopicPartition, ...]]:
        """All topics of the cluster with their partitions.

        Raises:
            OperatorError: `broker_unreachable`.
        """
        try:
            found = self._admin.list_topics(timeout=_HELLO_S).topics
        except KafkaException as error:
            raise self._unreachable(error) from error
        return {
            name: tuple(TopicPartition(name, number) for number in sorted(topic.partitions))
            for name, topic in found.items()
        }

    def bounds(
        self, partitions: Iterable[TopicPartition], *, committed: bool = True
    ) -> dict[TopicPartition, Range]:
        """Log start and end of each partition now.

        Args:
            partitions: Which ones.
            committed: End at the last stable offset; otherwise at the high watermark, where
                a read waits for the transactions that are open below it.

        Raises:
            OperatorError: `broker_unreachable`.
        """
        wanted = list(partitions)
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        starts = self._offsets(wanted, _EARLIEST, level)
        ends = self._offsets(wanted, _LATEST, level)
        return {at: Range(starts[at], ends[at]) for at in wanted}

    def starts_at(
        self, ranges: Mapping[TopicPartition, Range], time_ms: int
    ) -> dict[TopicPartition, Range]:
        """The same ranges, begun at the first record not older than `time_ms` (epoch UTC).

        Raises:
            OperatorError: `broker_unreachable`.
        """
        level = IsolationLevel.READ_COMMITTED
        found = self._offsets(list(ranges), OffsetSpec.for_timestamp(time_ms), level)
        return {
            at: Range(min(found[at] if found[at] >= 0 else end, end), end)
            for at, (_, end) in ranges.items()
        }

    def group_offsets(
        self, group: str, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Next offset of a consumer group per partition; those it never committed are left out.

        Raises:
            OperatorError: `broker_unreachable`.
        """
        wanted = [KafkaPartition(*at) for at in partitions]
        if not wanted:
            return {}
        # Not the admin client: its ListConsumerGroupOffsets crashes the process (librdkafka
        # 2.16.0, rd_kafka_cgrp_op on no group) while the coordinator is still loading.
        consumer: Consumer = Consumer(self._settings.lone_consumer(group))
        try:
            found = self._patiently(
                lambda: consumer.committed(wanted, self._settings.request_timeout_s)
            )
        finally:
            consumer.close()
        return {
            TopicPartition(at.topic, at.partition): at.offset
            for at in found
            if at.error is None and at.offset >= 0
        }

    def records(self, ranges: Mapping[TopicPartition, Range]) -> Iterator[Record]:
        """Committed records of the ranges, in order within each partition; ends by itself.

        Raises:
            OperatorError: `broker_unreachable` where nothing comes for a long time.
        """
        pending = {at: span for at, span in ranges.items() if span.start < span.end}
        if not pending:
            return
        heard = time.monotonic()
        consumer = self._assigned({at: span.start for at, span in pending.items()})
        try:
            while pending:
                for at, position, record in _consume(consumer, _POLL_S):
                    span = pending.get(at)
                    if span is None:
                        continue
                    if record is not None and record.offset < span.end:
                        yield record
                    heard = time.monotonic()
                    if position >= span.end:
                        del pending[at]
                if time.monotonic() - heard > _SILENCE_S:
                    raise self._unreachable(None)
        finally:
            consumer.close()

    def follow(self, starts: Mapping[TopicPartition, int]) -> Iterator[Record | None]:
        """Committed records from these offsets on, for ever; None when there is none just now."""
        consumer = self._assigned(starts)
        try:
            while True:
                records = [record for _, _, record in _consume(consumer, _POLL_S) if record]
                yield from records or (None,)
        finally:
            consumer.close()

    def last(self, ranges: Mapping[TopicPartition, Range], count: int) -> list[Record]:
        """The newest `count` records of the ranges together, oldest first.

        Control records and aborted ones take offsets too, so what is read is doubled until
        each partition gave enough or has no more.
        """
        found: dict[TopicPartition, list[Record]] = {at: [] for at in ranges}
        reach = dict.fromkeys(ranges, max(count, 1))
        pending = dict(ranges) if count > 0 else {}
        while pending:
            spans = {
                at: Range(max(span.start, span.end - reach[at]), span.end)
                for at, span in pending.items()
            }
            for at in spans:
                found[at] = []
            for record in self.records(spans):
                kept = found[record.source]
                kept.append(record)
                del kept[:-count]
            pending = {
                at: ranges[at]
                for at, span in spans.items()
                if len(found[at]) < count and span.start > ranges[at].start
            }
            for at in pending:
                reach[at] *= 2
        together = sorted((r for kept in found.values() for r in kept), key=in_time)
        return together[-count:] if count > 0 else []

    def close(self) -> None:
        """Nothing is held between calls but a client without a session."""

    def _assigned(self, starts: Mapping[TopicPartition, int]) -> Consumer:
        consumer: Consumer = Consumer(
            # A log's start may move while we read towards it: what is gone is gone.
            {**self._settings.lone_consumer(self._name), "auto.offset.reset": "earliest"}
        )
        consumer.assign([KafkaPartition(*at, start) for at, start in starts.items()])
        return consumer

    def _offsets(
        self, partitions: list[TopicPartition], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        request = {KafkaPartition(*at): spec for at in partitions}

        def ask() -> dict[TopicPartition, int]:
            answers = self._admin.list_offsets(
                request,
                isolation_level=level,
                request_timeout=self._settings.request_timeout_s,
            )
            found = {
                TopicPartition(at.topic, at.partition): answer.result().offset
                for at, answer in answers.items()
            }
            if OFFSET_INVALID in found.values():
                # What the library says, without an error, where a leader did not answer.
                raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
            return found

        return self._patiently(ask)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer; while leaders or coordinators are still being found, ask again."""
        deadline = time.monotonic() + self._settings.request_timeout_s
        while True:
            try:
                return ask()
            except KafkaException as error:
                settling = error.args[0].code() in _SETTLING
                if not settling or time.monotonic() >= deadline:
                    raise self._unreachable(error) from error
                time.sleep(_SETTLE_S)

    def _unreachable(self, error: KafkaException | None) -> OperatorError:
        return broker_unreachable(
            self._settings, error.args[0].str() if error else "no records for a long time"
        )


def in_time(record: Record) -> tuple[int, str, int, int]:
    """Sort key: by the log's time, then by place, so that the order is the same every time."""
    return (record.timestamp_ms, record.topic, record.partition, record.offset)


def broker_unreachable(settings: KafkaSettings, why: str) -> OperatorError:
    """The error of a command that finds no broker."""
    return OperatorError(
        "broker_unreachable",
        what="no Kafka broker answers",
        where=settings.bootstrap_servers,
        why=why,
        fix="start one with `cimstream broker up`, or name yours with --bootstrap-server",
        exit_code=EXIT_UNAVAILABLE,
    )


def _consume(
    consumer: Consumer, timeout_s: float
) -> Iterator[tuple[TopicPartition, int, Record | None]]:
    """What came: partition, position behind it, and the record; no record at a log's end.

    Waits for the first one only: `consume(n, t)` alone would wait for all n of them.
    """
    messages = consumer.consume(1, timeout_s)
    messages += consumer.consume(_RECORDS_PER_POLL, 0) if messages else []
    for message in messages:
        error = message.error()
        if error is None:
            record = to_record(message)
            yield record.source, record.offset + 1, record
        elif error.code() == KafkaError._PARTITION_EOF:
            at = TopicPartition(message.topic() or "", message.partition() or 0)
            yield at, message.offset() or 0, None
