"""Reading changelog partitions for a restore.

Invariant: an offset that is no longer in the log is reported, never skipped over
(`auto.offset.reset` is `error`): a default reset once turned a checkpoint below the log's
start into a silently empty store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
)
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, TopicDescription
from confluent_kafka.admin._listoffsets import OffsetSpec

from streams.engine.errors import EngineError, FatalError, StateCorruptError, TransientError
from streams.engine.kafka.failures import translate_read
from streams.engine.kafka.settings import KafkaSettings
from streams.engine.kafka.source import to_record
from streams.engine.kafka.waking import wake
from streams.engine.ports import Bounds, Stretch
from streams.engine.record import TopicPartition

T = TypeVar("T")

# The library leaves these factories untyped.
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class _Piece:
    """A stretch in the making."""

    __slots__ = ("last", "records", "writes")

    def __init__(self, first: Message) -> None:
        self.writes: dict[bytes, bytes | None] = {}
        self.records = 0
        self.last = first

    def done(self) -> tuple[TopicPartition, Stretch]:
        last = to_record(self.last)
        return last.source, Stretch(self.writes, self.records, last.offset + 1, last.timestamp_ms)


class ChangelogReader:
    """See `streams.engine.ports.Changelogs`. `name` only labels the client."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._consumer: Consumer = Consumer(settings.restore_consumer(name))
        self._admin = AdminClient(settings.admin())
        self._timeout_s = settings.request_timeout_s
        self._following: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._problems: dict[TopicPartition | None, EngineError] = {}

    def bounds(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Log start, high watermark (it counts undecided records too) and topic id of each."""
        wanted = list(partitions)
        first, last = self._ask(wanted, _EARLIEST), self._ask(wanted, _LATEST)
        ids = self._admin.describe_topics(
            TopicCollection(sorted({at.topic for at in wanted})), request_timeout=self._timeout_s
        )
        # In this order: of a partition that a topic lacks, offsets are "not known just now".
        topics = {at: _topic_id(at, ids[at.topic]) for at in wanted}
        return {
            at: Bounds(_offset(at, first[at]), _offset(at, last[at]), topic_id)
            for at, topic_id in topics.items()
        }

    def follow(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions; those followed already go on where they are."""
        added = {p: o for p, o in positions.items() if p not in self._following}
        removed = self._following.keys() - positions.keys()
        if removed:
            self._consumer.incremental_unassign([KafkaPartition(*p) for p in removed])
        if added:
            self._consumer.incremental_assign([KafkaPartition(*p, o) for p, o in added.items()])
            wake(self._consumer, added)
        for partition in removed:
            del self._following[partition]
            self._reached.pop(partition, None)
            self._problems.pop(partition, None)
        self._following.update(added)

    def poll(self, records_max: int, timeout_s: float) -> Mapping[TopicPartition, Stretch]:
        """Committed records, folded; ends of partitions are noted for `reached`.

        What is wrong is raised only when no record is left to give: the consumer has moved
        past those it gave, and nobody would read them again. It is raised one by one: the library
        tells of each partition once.
        """
        messages = self._consume(1, timeout_s)
        if messages:
            # Asked for with no wait: a wait for many lasts until there are as many.
            messages += self._consume(records_max - 1, 0)
        pieces: dict[tuple[str | None, int | None], _Piece] = {}
        for message in messages:
            problem = message.error()
            if problem is not None:
                self._note(message, problem)
                continue
            at = (message.topic(), message.partition())
            piece = pieces.get(at)
            if piece is None:
                piece = pieces[at] = _Piece(message)
            piece.records += 1
            piece.last = message
            key = message.key()
            if key is not None:
                piece.writes[key] = message.value()
        if self._problems and not pieces:
            raise self._problems.pop(next(iter(self._problems)))
        return dict(piece.done() for piece in pieces.values())

    def _consume(self, records_max: int, timeout_s: float) -> list[Message]:
        try:
            return self._consumer.consume(records_max, timeout_s)
        except KafkaException as error:
            self._problems.setdefault(None, translate_read(error, "restore"))
            return []

    def _note(self, message: Message, error: KafkaError) -> None:
        at = TopicPartition(message.topic() or "", message.partition() or 0)
        if error.code() == KafkaError._PARTITION_EOF:
            if at in self._following:
                self._reached[at] = message.offset() or 0
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            reason = f"changelog {at} no longer holds the offset to go on from ({error.str()})"
            self._problems.setdefault(at, StateCorruptError(at, reason))
        elif not isinstance(failure := translate_read(error, "restore"), TransientError):
            self._problems.setdefault(at, failure)

    def reached(self) -> Mapping[TopicPartition, int]:
        """Positions at the last stable offset, as far as it was seen."""
        return self._reached

    def close(self) -> None:
        """Idempotent in librdkafka."""
        self._consumer.close()

    def _ask(
        self, partitions: Iterable[TopicPartition], spec: OffsetSpec
    ) -> dict[TopicPartition, Future[ListOffsetsResultInfo]]:
        futures = self._admin.list_offsets(
            {KafkaPartition(*p): spec for p in partitions},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=self._timeout_s,
        )
        return {TopicPartition(at.topic, at.partition): f for at, f in futures.items()}


def _offset(partition: TopicPartition, future: Future[ListOffsetsResultInfo]) -> int:
    offset = int(_answer(partition, future).offset)
    if offset == OFFSET_INVALID:
        # What the library says, without an error, where the leader did not answer (seen on three
        # brokers behind connections that went half-open): taken for the end, all would be lost.
        raise TransientError(f"bounds of {partition}: its leader did not answer")
    return offset


def _topic_id(partition: TopicPartition, future: Future[TopicDescription]) -> str:
    described = _answer(partition, future)
    if all(there.id != partition.partition for there in described.partitions):
        raise _missing(partition)
    return str(described.topic_id)


def _answer(partition: TopicPartition, future: Future[T]) -> T:
    try:
        return future.result()
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
            raise _missing(partition) from error
        raise translate_read(error, f"bounds of {partition}") from error


def _missing(partition: TopicPartition) -> FatalError:
    return FatalError(
        f"changelog {partition} does not exist: run `cimstream topics apply` "
        "(it needs as many partitions as the input topic)"
    )
