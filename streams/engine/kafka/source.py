"""The consumer group side of a slot: static member, offsets from the group, never silent.

Must not live here: what to do with records or with a changed assignment (see `worker`).

Invariant: before a record of a partition is handed out, the partition's committed offset names
this slot, and what its owner before left open is decided, unless that one is still a member.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as KafkaPartition

from streams.engine.errors import EngineError, FatalError, TransientError
from streams.engine.kafka.failures import translate_read
from streams.engine.kafka.leaving import leave_group
from streams.engine.kafka.membership import Membership
from streams.engine.kafka.settings import KafkaSettings
from streams.engine.kafka.waking import wake
from streams.engine.note import Note, owned
from streams.engine.ports import Listener, Position
from streams.engine.record import Record, TopicPartition

# A rebalance callback must end with an assignment or not at all; the broker answers an
# offset query at once unless a transaction on it is undecided, at most its time-out long.
_ASSIGN_ATTEMPTS = 3
# A topic that was just made, or a broker that just came back, has no leader for a moment.
_ASSIGN_WAIT_S = 0.2
# Who stops has left nothing undecided: an answer comes at once, or is not worth waiting for.
_FAREWELL_S = 1.0


def to_record(message: Message) -> Record:
    """The engine's view of a consumed message."""
    kind, timestamp = message.timestamp()
    headers = message.headers()
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        message.key(),
        message.value(),
        tuple(cast("list[tuple[str, bytes]]", headers)) if headers else (),
    )


class GroupSource:
    """Input of one slot; see `streams.engine.ports.Input`."""

    def __init__(
        self, settings: KafkaSettings, group: str, instance: str, *, begin_ms: int | None = None
    ) -> None:
        """Where nothing was ever committed, inputs are read from `begin_ms` on (append time).

        None: from the log's beginning.
        """
        self._begin_ms = begin_ms
        self._settings = settings
        self._group = group
        self._instance = instance
        self._consumer: Consumer = Consumer(settings.group_consumer(group, instance))
        self._membership = Membership(settings, group)
        self._timeout_s = settings.request_timeout_s
        self._undecided_s = settings.transaction_timeout_ms / 1000 + settings.request_timeout_s
        self._listener: Listener | None = None
        self._member = ""
        self._ends: dict[TopicPartition, int] = {}
        self._closed = False

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        """Join the group."""
        self._listener = listener
        self._consumer.subscribe(
            list(topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def consume(self, records_max: int, timeout_s: float) -> list[Record]:
        """Records, or an engine error for what librdkafka reports as an error message."""
        try:
            messages = self._consumer.consume(records_max, timeout_s)
        except KafkaException as error:
            raise translate_read(error, "consume") from error
        records = []
        for message in messages:
            problem = message.error()
            if problem is None:
                records.append(to_record(message))
            elif problem.code() == KafkaError._PARTITION_EOF:
                at = TopicPartition(message.topic() or "", message.partition() or 0)
                self._ends[at] = message.offset() or 0
            elif (failure := _serious(message, problem)) is not None:
                raise failure
        return records

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop handing out records of these partitions."""
        self._consumer.pause([KafkaPartition(*p) for p in partitions])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Hand them out again."""
        resumed = list(partitions)
        self._consumer.resume([KafkaPartition(*p) for p in resumed])
        wake(self._consumer, resumed)

    def rewind(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Position]:
        """Seek each partition back to its committed offset."""
        wanted = list(partitions)
        if not wanted:
            return {}
        positions = self._committed(wanted)
        for partition, position in positions.items():
            self._ends.pop(partition, None)
            try:
                self._consumer.seek(KafkaPartition(*partition, position.offset))
            except KafkaException as error:
                raise TransientError(f"seek {partition}: {error.args[0].name()}") from error
        return positions

    def lag(self) -> Mapping[TopicPartition, int]:
        """Cached end of the log less our position; unknown ones are left out."""
        lag = {}
        for at in self._consumer.position(self._consumer.assignment()):
            partition = TopicPartition(at.topic, at.partition)
            _, high = self._consumer.get_watermark_offsets(at, cached=True)
            position = max(at.offset, self._ends.get(partition, at.offset))
            if high >= 0 and position >= 0:
                lag[partition] = max(0, high - position)
        return lag

    def ends(self) -> Mapping[TopicPartition, int]:
        """Where the end was seen."""
        return self._ends

    def group(self) -> object:
        """The consumer group metadata of KIP-447."""
        return self._consumer.consumer_group_metadata()

    def rivalled(self) -> bool:
        """Whether another process holds our instance id; where nobody says, it is not known to.

        Nor is it after we were silent for a session: the library joins again as another member,
        and its last heartbeat as the old one is answered with a fence, which is by itself.
        """
        if not self._member:
            return False
        try:
            return self._membership.taken(self._instance, self._member)
        except TransientError:
            return False

    def leave(self) -> None:
        """Go silent and, if there is anybody to take over, leave.

        The last member stays until its session is over: it comes back sooner to a group that
        was never empty (a broker's `group.initial.rebalance.delay.ms`, 3 s by default).
        """
        if self._closed:
            return
        try:
            others = self._membership.members(_FAREWELL_S).keys() - {self._instance}
            handed = bool(self._member and others)
            if handed:
                self._disown()
        finally:
            self.close()
        if handed:
            leave_group(self._settings, self._group, self._instance, self._member)

    def close(self) -> None:
        """Go silent; the partitions wait for the slot's successor until the session is over.

        The consumer is dropped, not closed: a static member does not leave its group either
        way, and closing waits for ever when an assignment is offered at that moment (the
        library asks a thread of its own that has already gone).
        """
        if not self._closed:
            self._closed = True
            del self._consumer

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        self._member = consumer.memberid()
        wanted = [TopicPartition(p.topic, p.partition) for p in partitions]
        ours = self._inherit(wanted)
        positions = self._patiently_committed(wanted)
        self._name({p: at for p, at in positions.items() if p not in ours}, self._instance)
        self._ends.clear()
        consumer.assign([KafkaPartition(*p, positions[p].offset) for p in wanted])
        if self._listener is not None:
            self._listener.assigned(positions)

    def _on_revoke(self, _: Consumer, partitions: list[KafkaPartition]) -> None:
        if self._listener is not None:
            self._listener.revoked([TopicPartition(p.topic, p.partition) for p in partitions])

    def _on_lost(self, _: Consumer, partitions: list[KafkaPartition]) -> None:
        try:
            if self._listener is not None:
                self._listener.lost([TopicPartition(p.topic, p.partition) for p in partitions])
        finally:
            self._member = ""

    def _inherit(self, wanted: Sequence[TopicPartition]) -> set[TopicPartition]:
        """Have ended what owners left open that are no longer there; give what is ours already.

        Before offsets are asked for, because those wait for undecided transactions. Where the
        coordinator does not answer, the transactions' own time-out ends them.
        """
        if not wanted or self._listener is None:
            return set()
        try:
            owners = self._membership.owners(wanted)
            others = set(owners.values()) - {self._instance}
            gone = others - self._membership.members().keys() if others else set()
        except TransientError:
            return set()
        if gone:
            self._listener.inherited(sorted(gone))
        return {partition for partition, owner in owners.items() if owner == self._instance}

    def _disown(self) -> None:
        """Take our name from what we hold: whoever gets it need not look for leftovers."""
        held = [TopicPartition(p.topic, p.partition) for p in self._consumer.assignment()]
        with contextlib.suppress(TransientError):
            self._name(self._committed(held, _FAREWELL_S), "")

    def _name(self, positions: Mapping[TopicPartition, Position], owner: str) -> None:
        """Write the owner to the notes of committed offsets, which stay what they are.

        As a member of the present generation: refused when the next one is already coming,
        which brings the partitions and this question up again.
        """
        named = [
            KafkaPartition(*partition, position.offset, owned(position.note, owner))
            for partition, position in positions.items()
            if position.offset >= 0
        ]
        if named:
            with contextlib.suppress(KafkaException):
                self._consumer.commit(offsets=named, asynchronous=False)

    def _patiently_committed(
        self, wanted: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Position]:
        for attempt in range(_ASSIGN_ATTEMPTS):
            try:
                return self._committed(wanted)
            except TransientError as error:
                if attempt == _ASSIGN_ATTEMPTS - 1:
                    raise FatalError(f"no committed offsets to be had: {error}") from error
                time.sleep(_ASSIGN_WAIT_S)
        raise AssertionError("unreachable")

    def _committed(
        self, wanted: Sequence[TopicPartition], timeout_s: float | None = None
    ) -> dict[TopicPartition, Position]:
        """Committed offsets; where nothing was ever committed, where inputs begin.

        Read with the stable flag, so it waits for undecided transactions on them.
        """
        if not wanted:
            return {}
        try:
            found = self._consumer.committed(
                [KafkaPartition(*p) for p in wanted], timeout_s or self._undecided_s
            )
        except KafkaException as error:
            raise translate_read(error, "committed offsets") from error
        positions = {}
        for at in found:
            if at.error is not None:
                raise translate_read(at.error, f"committed offset of {at.topic}/{at.partition}")
            partition = TopicPartition(at.topic, at.partition)
            begun = at.offset >= 0 and Note.from_text(at.metadata or "").begun
            positions[partition] = (
                Position(at.offset, at.metadata or "")
                if begun
                else Position(self._start(partition))
            )
        return positions

    def _start(self, partition: TopicPartition) -> int:
        at = KafkaPartition(*partition)
        try:
            low, high = self._consumer.get_watermark_offsets(at, self._timeout_s)
            if self._begin_ms is None:
                return low if low >= 0 else OFFSET_BEGINNING
            at.offset = self._begin_ms
            (found,) = self._consumer.offsets_for_times([at], self._timeout_s)
        except KafkaException as error:
            raise translate_read(error, f"start of {partition}") from error
        if found.error is not None:
            raise translate_read(found.error, f"start of {partition}")
        # The end was asked for before: what came since is not passed over.
        return found.offset if found.offset >= 0 else high


def _serious(message: Message, error: KafkaError) -> EngineError | None:
    """Errors that end something; librdkafka recovers from the rest by itself."""
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        return FatalError(
            f"{message.topic()}/{message.partition()} no longer holds the committed offset "
            f"({error.str()}): records were removed before they were processed. "
            "Raise the topic's retention; to go on without them, set the group's offset"
        )
    failure = translate_read(error, "consume")
    return None if isinstance(failure, TransientError) else failure
