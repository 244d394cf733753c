"""Records that cannot be processed or written: they go, their neighbours stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.engine.errors import FatalError, RefusedError
from streams.engine.events import BatchCommitted, RecordRejected, TransactionAborted
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.record import Output, TopicPartition
from tests.integration.engine import rig

pytestmark = pytest.mark.integration

LIMIT = {"max.message.bytes": "20000"}
GUILTY = {
    b"poison": (b"poison", "processing_failed"),
    b"unpreparable": (b"unpreparable", "processing_failed"),
    b"output": (b"huge:50000", "produce_refused"),
    b"state": (b"state:50000", "produce_refused"),
}


def batch(guilty: dict[int, bytes], count: int = 30) -> list[tuple[bytes, bytes]]:
    """Harmless records with guilty ones at the given places."""
    return [
        (guilty[i], GUILTY[guilty[i]][0]) if i in guilty else (b"k%d" % i, b"v")
        for i in range(count)
    ]


def codes(*guilty: bytes) -> dict[bytes, str]:
    return {key: GUILTY[key][1] for key in guilty}


@pytest.mark.parametrize("place", [0, 14, 29], ids=["first", "middle", "last"])
@pytest.mark.parametrize("key", GUILTY, ids=[key.decode() for key in GUILTY])
def test_a_bad_record_is_rejected_alone_wherever_it_stands_in_the_batch(
    kafka: str, tmp_path: Path, key: bytes, place: int
) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names, 1, sink=LIMIT, seen=LIMIT)
    rig.feed(kafka, names, batch({place: key}))
    events = rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names, rejected=codes(key))
    rig.assert_local_state(kafka, names, tmp_path, complete=True)
    assert {e.offset for e in events if isinstance(e, RecordRejected)} == {place}


def test_bad_records_of_every_kind_in_one_batch_are_each_rejected(
    kafka: str, tmp_path: Path
) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names, 1, sink=LIMIT, seen=LIMIT)
    rig.feed(kafka, names, batch({3: b"output", 4: b"poison", 11: b"state", 12: b"unpreparable"}))
    events = rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names, rejected=codes(*GUILTY))
    # One refusal must not spoil the transactions after it: a producer that goes on after one
    # trips over its own sequence numbers.
    aborts = {event.code for event in events if isinstance(event, TransactionAborted)}
    assert aborts == {"produce_refused"}


def test_a_record_larger_than_the_client_may_send_is_rejected_without_a_trial(
    kafka: str, tmp_path: Path
) -> None:
    """The neighbours need not run one by one: it is known at once who it is."""
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, [(b"a", b"v"), (b"large", b"huge:2000000"), (b"b", b"v")])
    settings = KafkaSettings(kafka, message_bytes_max=100_000)
    subject = rig.worker(kafka, names, tmp_path, events, kafka=settings)
    with rig.running(subject, events) as until:
        until(rig.Progress(kafka, names).done)
    rig.assert_exact(kafka, names, rejected={b"large": "produce_refused"})
    assert rig.committed_records(events) == 3
    assert len([e for e in events if isinstance(e, BatchCommitted) and e.records]) == 1


def test_a_rejection_that_is_refused_in_turn_is_written_without_the_value(
    kafka: str, tmp_path: Path
) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names, 1, sink=LIMIT, rejected={"max.message.bytes": "5000"})
    large = b"huge:50000:" + os.urandom(10_000)
    rig.feed(kafka, names, [(b"a", b"v"), (b"large", large), (b"b", b"v")])
    rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names, rejected={b"large": "produce_refused"})
    assert [record.value for record in rig.read_all(kafka, names.rejected)] == [None]


def test_a_poisonous_record_too_large_for_its_rejection_is_rejected_without_the_value(
    kafka: str, tmp_path: Path
) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names, 1, rejected={"max.message.bytes": "5000"})
    # Not a number of bytes: the processor breaks on it.
    rig.feed(
        kafka, names, [(b"a", b"v"), (b"large", b"huge:x:" + os.urandom(10_000)), (b"b", b"v")]
    )
    rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names, rejected={b"large": "produce_refused"})


def test_where_not_even_the_bare_rejection_can_be_written_the_process_ends_with_a_reason(
    kafka: str, tmp_path: Path
) -> None:
    """Nothing is dropped silently: a rejected topic that takes nothing is a mistake to fix."""
    names, events = rig.new_names(), rig.Events()
    # Room for the marker that ends a transaction (78 bytes), and for nothing else.
    rig.make_topics(kafka, names, 1, sink=LIMIT, rejected={"max.message.bytes": "80"})
    rig.feed(kafka, names, [(b"a", b"v"), (b"large", b"huge:50000"), (b"b", b"v")])
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match=r"bare rejection of .*/0@1 is refused"):
        rig.turn_until(lambda: False, events, subject)
    assert [record.key for record in rig.read_all(kafka, names.sink)] == [b"a"]


def test_a_refusal_is_told_of_its_own_transaction_only(kafka: str) -> None:
    """Goal: whom the broker refused once is no suspect ever after, nor is its producer."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 1, sink=LIMIT)
    log = TransactionalProducer(KafkaSettings(kafka), names.member(0))
    log.reset()
    at = TopicPartition(names.source, 0)
    for offset in range(2):
        log.begin()
        log.produce(Output(names.sink, b"k", os.urandom(50_000)), (at, offset))
        with pytest.raises(RefusedError) as refused:
            log.commit()
        assert set(refused.value.origins) == {(at, offset)}
        log.abort()
    producer = log._producer
    log.begin()
    log.abort()
    assert log._producer is producer
    log.close()
