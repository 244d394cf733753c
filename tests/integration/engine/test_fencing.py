"""Two of one kind: what is fenced has no effect any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, IsolationLevel
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.engine.errors import FatalError, FencedError, TransientError
from streams.engine.kafka import GroupSource, KafkaSettings, TransactionalProducer
from streams.engine.processor import Context
from streams.engine.record import Output, Record
from streams.engine.worker import Limits, Worker
from tests.integration.engine import rig

pytestmark = pytest.mark.integration

RECORDS = [(b"k%d" % i, b"v") for i in range(60)]
# A transaction that is opened and stays so: nothing ends it but what a test does.
OPEN = Limits(batch_records_max=10, commit_interval_s=3600)


def leave_open(bootstrap: str, names: rig.Names, subject: Worker, events: rig.Events) -> None:
    """Start `subject` and stop turning it when it has a transaction with records in the log."""
    subject.start()
    rig.turn_until(lambda: subject._transaction is not None, events, subject)
    while not rig.read_all(bootstrap, names.sink, committed=False):
        pass


def test_a_second_worker_of_a_slot_fences_the_first_whose_open_transaction_vanishes(
    kafka: str, tmp_path: Path
) -> None:
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)
    first = rig.worker(kafka, names, tmp_path / "first", events, limits=OPEN)
    leave_open(kafka, names, first, events)
    rig.finish(kafka, names, tmp_path / "second")
    with pytest.raises(FencedError):
        rig.turn_until(lambda: False, events, first)
    rig.assert_exact(kafka, names)


def test_a_producer_that_takes_our_id_between_produce_and_commit_stops_the_commit(
    kafka: str, tmp_path: Path
) -> None:
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)
    settings, member = KafkaSettings(kafka), names.member(0)

    class Overtaken(TransactionalProducer):
        def commit(self) -> None:
            TransactionalProducer(settings, member).reset()
            super().commit()

    log = Overtaken(settings, member)
    subject = rig.worker(kafka, names, tmp_path, events, log=log)
    subject.start()
    # Nobody has joined with our instance id: the slot is ours, and the process starts again.
    with pytest.raises(FatalError, match="the slot is ours"):
        rig.turn_until(lambda: False, events, subject)
    assert rig.read_all(kafka, names.sink) == []
    assert rig.read_all(kafka, names.seen) == []
    assert set(rig.Progress(kafka, names).committed().values()) == {0}


def test_a_fence_is_recognised_while_produced_records_are_still_on_their_way(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: the library tells of a fence in many ways, each of them ends in FencedError.

    Method: the successor has already written to the same partition, so that the broker
    refuses the record itself, and the fence comes in while the commit flushes.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    settings, output = KafkaSettings(kafka), Output(names.sink, b"k", b"v")
    for _ in range(3):
        first = TransactionalProducer(settings, names.member(0))
        first.reset()
        first.begin()
        second = TransactionalProducer(settings, names.member(0))
        second.reset()
        second.begin()
        second.produce(output)
        second.commit()
        first.produce(output)
        with pytest.raises(FencedError):
            first.commit()
        second.close()
    assert len(rig.read_all(kafka, names.sink)) == 3


def test_a_member_that_takes_our_instance_id_ends_us_even_while_we_recover_from_an_error(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: a fenced member cannot rewind; it must hear of the fence instead of trying for ever.

    Method: the processor never gets anywhere (TransientError), then the id is taken.
    """
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)

    class Stuck(rig.Unique):
        calls = 0

        def process(self, record: Record, prepared: object, context: Context) -> None:
            self.calls += 1
            raise TransientError("not now")

    processor = Stuck(names)
    subject = rig.worker(kafka, names, tmp_path, events, processor=processor)
    subject.start()
    rig.turn_until(lambda: processor.calls > 0, events, subject)
    usurper = Consumer(KafkaSettings(kafka).group_consumer(names.prefix, names.member(0)))
    usurper.subscribe([names.source])
    while not usurper.assignment():
        usurper.consume(1, 0.1)
    with pytest.raises(FencedError):
        rig.turn_until(lambda: False, events, subject)
    usurper.close()
    assert rig.read_all(kafka, names.sink) == []


@pytest.mark.slow
def test_a_transaction_that_outlived_its_time_out_is_fatal_and_not_a_fence(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: a machine that slept is started again; only a real rival keeps us down.

    Method: leave a transaction open until the broker has ended it (seen from outside: the last
    stable offset reaches the high watermark), then go on.
    """
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)
    settings = KafkaSettings(kafka, transaction_timeout_ms=1000)
    subject = rig.worker(kafka, names, tmp_path, events, limits=OPEN, kafka=settings)
    leave_open(kafka, names, subject, events)
    admin = AdminClient({"bootstrap.servers": kafka})

    def ends(level: IsolationLevel) -> list[int]:
        wanted = {KafkaPartition(names.sink, p): OffsetSpec.latest() for p in (0, 1)}
        futures = admin.list_offsets(wanted, isolation_level=level)
        return [future.result().offset for future in futures.values()]

    while ends(IsolationLevel.READ_COMMITTED) != ends(IsolationLevel.READ_UNCOMMITTED):
        pass
    with pytest.raises(FatalError, match="1000 ms"):
        rig.turn_until(lambda: False, events, subject)
    del subject
    rig.finish(kafka, names, tmp_path / "restarted")
    rig.assert_exact(kafka, names)


@pytest.mark.slow
def test_a_worker_that_was_silent_too_long_cannot_commit_what_another_has_taken_over(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: a zombie with a healthy producer is stopped by its group membership (KIP-447).

    Method: one worker opens a transaction and is not turned until the group has given its
    partitions to another, which processes everything and fences nobody; then it commits
    without looking.
    """

    class Lenient(TransactionalProducer):
        def clear(self, transactional_ids: Sequence[str]) -> Mapping[str, str]:
            return {}

    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, RECORDS)
    # No poll for so long counts as dead, however well the heartbeats of its thread go.
    silent = KafkaSettings(
        kafka,
        transaction_timeout_ms=60_000,
        extra={"max.poll.interval.ms": 6000, "session.timeout.ms": 6000},
    )
    zombie = rig.worker(kafka, names, tmp_path, events, limits=OPEN, kafka=silent)
    leave_open(kafka, names, zombie, events)
    lenient = Lenient(KafkaSettings(kafka), names.member(1))
    heir = rig.worker(kafka, names, tmp_path, events, slot=1, log=lenient)
    heir.start()
    rig.turn_until(rig.Progress(kafka, names).done, events, heir)
    with pytest.raises(TransientError) as refused:
        zombie._commit()
    zombie._fail(refused.value)
    rig.feed(kafka, names, [(b"late%d" % i, b"v") for i in range(20)])
    rig.turn_until(rig.Progress(kafka, names).done, events, zombie, heir)
    rig.assert_exact(kafka, names)
    zombie.stop()
    heir.stop()


def test_a_worker_that_lost_its_place_to_itself_is_no_rival(kafka: str, tmp_path: Path) -> None:
    """Goal: a broker that was away for a session does not make us give up our slot.

    Method: another member has our place. That is a rival, unless we were told before that our
    partitions are lost: then it is ourselves, as far as anybody can say.
    """
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    rig.turn_until(lambda: subject.ready, events, subject)
    source = subject._source
    assert isinstance(source, GroupSource)
    again = Consumer(KafkaSettings(kafka).group_consumer(names.prefix, names.member(0)))
    again.subscribe([names.source])
    while not again.assignment():
        again.consume(1, 0.1)
    before = source.rivalled()
    source._on_lost(source._consumer, source._consumer.assignment())
    assert (before, source.rivalled()) == (True, False)
    again.close()
