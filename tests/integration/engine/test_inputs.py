"""Where a worker begins to read, and what it makes of an input that lost records."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from streams.engine.errors import FatalError
from streams.engine.events import BatchCommitted
from streams.engine.kafka import KafkaSettings, RecordReader
from streams.engine.record import TopicPartition
from streams.engine.worker import Limits
from tests.integration.engine import rig

pytestmark = pytest.mark.integration


def keys(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % i, b"v") for i in range(first, last)]


def test_a_group_without_offsets_begins_where_the_log_begins(kafka: str, tmp_path: Path) -> None:
    """At the start of what is there, even if retention has taken something before."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 20))
    rig.remove_records(kafka, TopicPartition(names.source, 0), 5)
    rig.finish(kafka, names, tmp_path)
    rig.assert_exact(kafka, names)
    assert [r.key for r in rig.read_all(kafka, names.sink)] == [k for k, _ in keys(5, 20)]


@pytest.mark.parametrize(
    ("later_ms", "expected"), [(0, range(10, 30)), (86_400_000, range(20, 30))]
)
def test_a_group_without_offsets_may_begin_at_a_time(
    kafka: str, tmp_path: Path, later_ms: int, expected: range
) -> None:
    """At the first record of that time; at the end where there is none yet. Never a second time."""
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 10))
    time.sleep(0.05)
    begin_ms = time.time_ns() // 1_000_000 + later_ms
    time.sleep(0.05)
    rig.feed(kafka, names, keys(10, 20))
    subject = rig.worker(kafka, names, tmp_path, events, begin_ms=begin_ms)
    with rig.running(subject, events) as until:
        until(lambda: subject.ready)
        rig.feed(kafka, names, keys(20, 30))
        until(lambda: rig.Progress(kafka, names).committed() == {0: 30})
    rig.finish(kafka, names, tmp_path)  # goes on where it was, not where it began
    found = [record.key for record in rig.read_all(kafka, names.sink)]
    assert found == [b"k%d" % number for number in expected]


def test_records_removed_before_they_were_processed_are_a_fatal_error_and_not_skipped(
    kafka: str, tmp_path: Path
) -> None:
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 10))
    rig.finish(kafka, names, tmp_path)
    rig.feed(kafka, names, keys(10, 30))
    rig.remove_records(kafka, TopicPartition(names.source, 0), 15)
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match="removed before they were processed"):
        rig.turn_until(lambda: False, events, subject)
    assert rig.Progress(kafka, names).committed() == {0: 10}


def test_an_input_that_does_not_exist_is_a_fatal_error_that_names_it(
    kafka: str, tmp_path: Path
) -> None:
    names, events = rig.new_names(), rig.Events()
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match=names.source):
        rig.turn_until(lambda: False, events, subject)


def test_retention_that_takes_only_what_was_processed_never_looks_like_a_loss(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: an input that ends in a transaction's marker can be emptied by retention.

    The committed offset would otherwise stay before the marker, below the log's new start.
    Method: as said; nothing may be lagging, either.
    """
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 2)
    rig.feed(kafka, names, keys(0, 30), transactional=True)
    done = rig.Progress(kafka, names).done
    subject = rig.worker(kafka, names, tmp_path, events)
    with rig.running(subject, events) as until:
        until(lambda: rig.committed_records(events) == 30)
        until(lambda: len(subject._source.ends()) == 2)
        assert set(subject._source.lag().values()) == {0}
        assert not done()
    assert done()
    for partition in range(2):
        rig.remove_records(kafka, TopicPartition(names.source, partition), -1)
    rig.feed(kafka, names, keys(20, 40))
    rig.finish(kafka, names, tmp_path)
    emitted = [record.key or b"" for record in rig.read_all(kafka, names.sink)]
    assert sorted(emitted) == sorted(key for key, _ in keys(0, 40))


def committed_all(events: rig.Events) -> bool:
    return rig.committed_records(events) == 100


def test_a_transaction_is_bounded_by_records_and_by_bytes(kafka: str, tmp_path: Path) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, [(key, b"x" * 1000) for key, _ in keys(0, 100)])
    for slot, limits in enumerate(
        (
            Limits(batch_records_max=10, commit_interval_s=0),
            Limits(batch_bytes_max=10_000, commit_interval_s=0),
            Limits(batch_records_max=5, commit_interval_s=3600, transaction_bytes_max=10_000),
        )
    ):
        group = rig.Names(f"{names.prefix}-{slot}")
        rig.make_topics(kafka, group, 1)
        processor = rig.Unique(group)
        processor.inputs = {names.source: processor.inputs[group.source]}
        events = rig.Events()
        subject = rig.worker(kafka, group, tmp_path, events, processor=processor, limits=limits)
        with rig.running(subject, events) as until:
            until(functools.partial(committed_all, events))
        sizes = [e.records for e in events if isinstance(e, BatchCommitted) and e.records]
        assert max(sizes) == 10


def test_one_record_is_read_back_by_its_offset_or_not_at_all(kafka: str) -> None:
    """Goal: only the very record; never its successor, never a wait for one to come."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 3), transactional=True)
    rig.feed(kafka, names, keys(3, 6))
    at = TopicPartition(names.source, 0)
    rig.remove_records(kafka, at, 1)
    reader = RecordReader(KafkaSettings(kafka), "reader")
    found = {offset: reader.read(at, offset) for offset in (5, 1, 2, 0, 3, 4, 6, 7, 100)}
    reader.close()
    reader.close()
    assert {offset: record.key if record else None for offset, record in found.items()} == {
        0: None,  # removed
        1: b"k1",
        2: b"k2",
        3: None,  # the marker of the transaction
        4: b"k3",
        5: b"k4",
        6: b"k5",
        7: None,  # not there yet
        100: None,
    }


def test_an_input_partition_without_its_changelog_is_a_fatal_error_and_not_waited_for(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: an input that got more partitions is noticed; its repeats would not meet any more."""
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_partitions([NewPartitions(names.source, 2)])[names.source].result(30)
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match="as many partitions as the input"):
        rig.turn_until(lambda: False, events, subject)
