"""The only owner of a transactional producer.

Lives here: begin, produce, send_offsets, commit, abort, and throwing a producer away.
Must not live here: when to do which (see `commit` and `worker`).

Invariant: after any call whose outcome is unknown, and after a connection that broke, the
producer is never used again, except to be thrown away. librdkafka does not implement KIP-890: a
delayed EndTxn of this producer epoch could end the next transaction of the same epoch. A new
producer has a new epoch.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.kafka.connections import Connections
from streams.engine.kafka.failures import HOPELESS, LOST, PURGED, REFUSED, translate
from streams.engine.kafka.settings import KafkaSettings
from streams.engine.ports import Delivered, Origin, Position
from streams.engine.record import Output, TopicPartition

# Waiting for room in the local queue: one transaction's life, in steps that serve delivery
# reports, which is what makes room.
_QUEUE_STEP_S = 0.05

# librdkafka's RD_KAFKA_PARTITION_UA: let the partitioner choose.
ANY_PARTITION = -1


class _Status(Enum):
    NONE = "no producer"
    IDLE = "idle"
    OPEN = "in a transaction"
    DOUBTFUL = "outcome unknown"


class TransactionalProducer:
    """One transactional id, one producer at a time.

    Call `reset` first: it makes the producer and settles what a predecessor left open.
    """

    def __init__(self, settings: KafkaSettings, transactional_id: str) -> None:
        self._settings = settings
        self.transactional_id = transactional_id
        self._producer: Producer | None = None
        self._status = _Status.NONE
        self._delivered: dict[TopicPartition, Delivered] = {}
        self._refused: dict[Origin | None, str] = {}
        self._failed: str | None = None
        self._hopeless = False
        self._spoilt = False
        self._connections = Connections()
        self._begun_at = (0.0, 0.0)
        self._long = False

    def reset(self) -> None:
        """Throw the producer away, if any; make a new one; settle the open transaction.

        Raises:
            TransientError: the coordinator did not answer; call again.
            FencedError, FatalError: as named.
        """
        self.close()
        self._connections = Connections()
        logger = self._connections.logger
        properties = self._settings.producer(self.transactional_id, logger, long=self._long)
        producer = Producer(properties)
        try:
            producer.init_transactions(self._settings.request_timeout_s)
        except KafkaException as error:
            failure = translate(error, "init_transactions")
            _discard(producer)
            if isinstance(failure, UnknownOutcomeError):
                raise TransientError(str(failure)) from error
            raise failure from error
        self._producer = producer
        self._status = _Status.IDLE

    def begin(self, *, long: bool = False) -> None:
        """Start a transaction, with a new producer where a connection of the last one broke.

        And where the last one's transactions were not `long` and this one is, or the other way
        round: a producer tells the broker once how long its transactions live.

        Raises:
            TransientError: the coordinator did not answer.
        """
        producer = self._require(_Status.IDLE)
        with contextlib.suppress(KafkaException, SystemError):
            producer.poll(0)  # the library's log comes in; what else is wrong shows below
        if self._connections.broken or self._long != long:
            self._long = long
            self.reset()
            producer = self._require(_Status.IDLE)
        self._delivered.clear()
        self._refused.clear()
        self._failed = None
        self._hopeless = False
        self._spoilt = False
        self._begun_at = _clocks()
        try:
            producer.begin_transaction()
        except KafkaException as error:
            raise translate(error, "begin_transaction") from error
        self._status = _Status.OPEN

    def produce(self, output: Output, origin: Origin | None = None) -> None:
        """Queue `output` inside the open transaction.

        Raises:
            RefusedError: larger than the client may send, or the broker has meanwhile refused
                a record that was queued before.
            TransientError: no room in the queue for the length of a transaction, or the
                transaction is lost; `abort` says why.
            FatalError: the output names a topic or partition that does not exist.
        """
        producer = self._require(_Status.OPEN)
        report = functools.partial(self._report, origin, output.partition is not None)
        partition = ANY_PARTITION if output.partition is None else output.partition
        waited_s = 0.0
        while True:
            try:
                producer.produce(
                    output.topic,
                    output.value,
                    output.key,
                    partition,
                    report,
                    headers=list(output.headers),
                )
            except BufferError as error:
                if waited_s * 1000 >= self._settings.life_ms(long=self._long):
                    raise TransientError("the producer's queue stays full") from error
                self._serve(producer, _QUEUE_STEP_S)
                waited_s += _QUEUE_STEP_S
            except KafkaException as error:
                cause = error.args[0]
                if cause.code() in REFUSED:
                    raise _refusal({origin: cause.name()}, local=True) from error
                if cause.code() in LOST:
                    self._spoilt = True
                    self._serve(producer, 0.0)
                    raise self._blame(TransientError(f"produce: {cause.name()}")) from error
                raise self._doubt(translate(error, f"produce to {output.topic}")) from error
            else:
                return

    def send_offsets(self, offsets: Mapping[TopicPartition, Position], group: object) -> None:
        """Bind the next input offsets to the transaction, fenced by the group (KIP-447)."""
        producer = self._require(_Status.OPEN)
        positions = [
            KafkaPartition(at.topic, at.partition, position.offset, position.note or "")
            for at, position in offsets.items()
        ]
        try:
            producer.send_offsets_to_transaction(positions, group, self._settings.request_timeout_s)
        except KafkaException as error:
            raise self._lost(error, "send_offsets_to_transaction") from error

    def commit(self) -> None:
        """Deliver everything and commit; see `Transactions.commit` for what is raised."""
        producer = self._require(_Status.OPEN)
        try:
            producer.commit_transaction(self._settings.request_timeout_s)
        except KafkaException as error:
            raise self._lost(error, "commit_transaction") from error
        except SystemError as error:
            raise self._garbled(producer) from error
        self._status = _Status.IDLE

    def abort(self) -> None:
        """Undo the open transaction; nothing to do where none is open.

        Where records of it had failed, the producer is replaced as well: librdkafka goes on
        with gaps in its sequence numbers, and the next transactions fail or stall until their
        time-out (seen: 10 s). It is aborted first all the same, which tells of a fence.

        Raises:
            UnknownOutcomeError: no answer in time; call `reset`.
        """
        if self._status is _Status.IDLE:
            return
        producer = self._require(_Status.OPEN)
        try:
            producer.abort_transaction(self._settings.request_timeout_s)
        except KafkaException as error:
            failure = self._judge(error, "abort_transaction")
            if isinstance(failure, TransientError):
                failure = UnknownOutcomeError(str(failure))
            raise self._doubt(failure) from error
        except SystemError as error:
            raise self._garbled(producer) from error
        self._status = _Status.IDLE
        if self._spoilt:
            try:
                self.reset()
            except TransientError as error:
                raise UnknownOutcomeError(str(error)) from error

    def delivered(self) -> Mapping[TopicPartition, Delivered]:
        """Last record per partition of what was produced to a named partition."""
        return self._delivered

    def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
        """End what producers of other ids left open, by fencing them; all at the same time.

        Measured: 0.6 s each, most of it librdkafka's wait between two attempts.
        """
        with ThreadPoolExecutor(max_workers=len(transactional_ids) or 1) as threads:
            failures = zip(
                transactional_ids, threads.map(self._fence, transactional_ids), strict=True
            )
            return {name: reason for name, reason in failures if reason is not None}

    def _fence(self, transactional_id: str) -> str | None:
        """Why it could not be done, if so."""
        producer = Producer(self._settings.producer(transactional_id))
        try:
            producer.init_transactions(self._settings.request_timeout_s)
        except KafkaException as error:
            return str(translate(error, "init_transactions"))
        finally:
            _discard(producer)
        return None

    def close(self) -> None:
        """Throw the producer away as it is: nothing is flushed, no transaction is ended."""
        if self._producer is not None:
            _discard(self._producer)
        self._producer = None
        self._status = _Status.NONE

    def _require(self, status: _Status) -> Producer:
        if self._producer is None or self._status is _Status.DOUBTFUL:
            raise UnknownOutcomeError(
                f"the producer of {self.transactional_id} must be reset first"
            )
        if self._status is not status:
            raise RuntimeError(f"the producer of {self.transactional_id} is {self._status.value}")
        return self._producer

    def _report(
        self, origin: Origin | None, pinned: bool, error: KafkaError | None, message: Message
    ) -> None:
        """Delivery report: remember offsets of pinned records, and who was refused."""
        if error is None:
            offset = message.offset() if pinned else None
            # A retry that the broker recognised as a repeat may have no offset: then what is
            # known stays, and the checkpoint behind the state, which is safe.
            if offset is not None and offset >= 0:
                where = TopicPartition(message.topic() or "", message.partition() or 0)
                last = self._delivered.get(where)
                if last is None or offset > last.offset:
                    self._delivered[where] = Delivered(offset, message.timestamp()[1])
        elif error.code() in REFUSED:
            self._refused[origin] = error.name()
            self._spoilt = True
        elif error.code() not in PURGED:
            self._failed = self._failed or f"{message.topic()}: {error.name()}"
            self._hopeless = self._hopeless or error.code() in HOPELESS
            self._spoilt = True

    def _serve(self, producer: Producer, timeout_s: float) -> None:
        """Let delivery reports in. A fatal error shows here, too; the abort will tell it."""
        try:
            producer.poll(timeout_s)
        except (KafkaException, SystemError) as error:
            raise TransientError(f"the transaction is lost: {error}") from error

    def _lost(self, error: KafkaException, doing: str) -> EngineError:
        """What a failed call of the open transaction means, delivery reports considered."""
        self._spoilt = True
        failure = self._judge(error, doing)
        if isinstance(failure, TransientError) and self._producer is not None:
            self._serve(self._producer, 0.0)
        return self._doubt(self._blame(failure))

    def _judge(self, error: KafkaException, doing: str) -> EngineError:
        """Translate; a transaction that grew too old looks fenced, but nobody took our slot."""
        failure = translate(error, doing)
        if isinstance(failure, FencedError) and self._outlived():
            return FatalError(
                f"{failure}: the transaction was open for longer than the "
                f"{self._settings.life_ms(long=self._long)} ms after which the broker ends it "
                "(a suspended machine, or a batch too heavy for its time), or another process "
                "has this slot"
            )
        return failure

    def _blame(self, failure: EngineError) -> EngineError:
        """Say which records are behind a lost transaction, where delivery reports did."""
        if not isinstance(failure, TransientError):
            return failure
        if self._refused:
            return _refusal(self._refused, local=False)
        if self._hopeless:
            return FatalError(f"{failure} ({self._failed})")
        if self._failed is not None:
            return TransientError(f"{failure} ({self._failed})")
        return failure

    def _garbled(self, producer: Producer) -> EngineError:
        """A fatal error met a delivery report inside the library, which then cannot tell it.

        Aborting does: in the fatal state it answers at once and changes nothing.
        """
        try:
            producer.abort_transaction(0)
        except KafkaException as error:
            if error.args[0].fatal():
                return self._judge(error, "end of the transaction")
        return self._doubt(UnknownOutcomeError("the library lost the answer to a transaction"))

    def _outlived(self) -> bool:
        """Whether the broker may have ended the transaction because of its age.

        By either clock: the monotonic one stands still while a machine is suspended.
        """
        ages = (now - then for now, then in zip(_clocks(), self._begun_at, strict=True))
        return max(ages) * 1000 >= self._settings.life_ms(long=self._long)

    def _doubt(self, failure: EngineError) -> EngineError:
        if isinstance(failure, UnknownOutcomeError):
            self._status = _Status.DOUBTFUL
        return failure


def _refusal(refused: Mapping[Origin | None, str], *, local: bool) -> EngineError:
    origins = [origin for origin in refused if origin is not None]
    reason = ", ".join(sorted(set(refused.values())))
    if not origins:
        return FatalError(f"records without an input record behind them are refused: {reason}")
    return RefusedError(origins, reason, local=local)


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()


def _discard(producer: Producer) -> None:
    """Drop queued records, so that destroying the producer waits for nothing.

    Their reports are served, because the library keeps what nobody takes.
    """
    producer.purge(in_queue=True, in_flight=True, blocking=False)
    with contextlib.suppress(KafkaException, SystemError):
        producer.poll(0)
