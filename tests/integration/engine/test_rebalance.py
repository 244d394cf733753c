"""Workers come and go: partitions move, state follows, nothing is lost or done twice."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from streams.engine.errors import TransientError
from streams.engine.events import (
    BatchCommitted,
    PartitionsAssigned,
    PartitionsRevoked,
    TransactionAborted,
)
from streams.engine.processor import Context
from streams.engine.record import Record, TopicPartition
from streams.engine.worker import Limits
from tests.integration.engine import rig

pytestmark = pytest.mark.integration

PARTITIONS = 4


def keys(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % i, b"v") for i in range(first, last)]


def held(events: rig.Events) -> set[int]:
    """Input partitions that the worker of these events has now."""
    now: set[TopicPartition] = set()
    for event in events:
        if isinstance(event, PartitionsAssigned):
            now |= set(event.partitions)
        elif isinstance(event, PartitionsRevoked):
            now -= set(event.partitions)
    return {partition.partition for partition in now}


@pytest.mark.slow
def test_partitions_and_their_state_follow_a_worker_that_joins_and_one_that_leaves(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: a repeat is recognised wherever its partition has gone meanwhile.

    Method: one worker, then two, then the first alone again (once the session of the other,
    a static member, is over); each phase repeats the keys of those before.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names, PARTITIONS)
    done = rig.Progress(kafka, names).done
    rig.feed(kafka, names, keys(0, 80))
    events, others = rig.Events(), rig.Events()
    first = rig.worker(kafka, names, tmp_path, events)
    first.start()
    rig.turn_until(done, events, first)

    second = rig.worker(kafka, names, tmp_path, others, slot=1)
    second.start()
    rig.turn_until(lambda: len(held(others)) == PARTITIONS / 2, events, first, second)
    rig.feed(kafka, names, keys(40, 160))
    rig.turn_until(done, events, first, second)
    assert held(events).isdisjoint(held(others))
    assert rig.committed_records(others) > 0
    rig.assert_exact(kafka, names)

    second.stop()
    rig.feed(kafka, names, keys(120, 200))
    rig.turn_until(done, events, first)
    assert len(held(events)) == PARTITIONS
    first.stop()
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


def test_a_revoke_commits_the_open_transaction_before_the_partitions_go(
    kafka: str, tmp_path: Path
) -> None:
    names, events, others = rig.new_names(), rig.Events(), rig.Events()
    rig.make_topics(kafka, names, PARTITIONS)
    rig.feed(kafka, names, keys(0, 200))
    limits = Limits(batch_records_max=10, commit_interval_s=3600)
    first = rig.worker(kafka, names, tmp_path, events, limits=limits)
    first.start()
    rig.turn_until(lambda: first._transaction is not None, events, first)
    second = rig.worker(kafka, names, tmp_path, others, slot=1)
    second.start()
    # From here on the first takes nothing: whatever it commits was open before.
    first._limits = Limits(batch_records_max=0, commit_interval_s=3600)
    open_records = first._transaction.records if first._transaction else 0
    rig.turn_until(lambda: bool(held(others)), events, first, second)
    kinds = [
        event
        for event in events
        if isinstance(event, (BatchCommitted, PartitionsRevoked, TransactionAborted))
    ]
    assert isinstance(kinds[0], BatchCommitted)
    assert kinds[0].records >= open_records > 0
    assert isinstance(kinds[1], PartitionsRevoked)
    first._limits = Limits()
    rig.turn_until(rig.Progress(kafka, names).done, events, first, second)
    rig.assert_exact(kafka, names)
    first.stop()
    second.stop()


class Flaky(rig.Unique):
    """Cannot go on at every thirteenth record, once each; the batch must be repeated."""

    def __init__(self, names: rig.Names) -> None:
        super().__init__(names)
        self.failed: set[str] = set()
        self.calls = 0

    def process(self, record: Record, prepared: object, context: Context) -> None:
        super().process(record, prepared, context)
        self.calls += 1
        if self.calls % 13 == 0 and str(record) not in self.failed:
            self.failed.add(str(record))
            raise TransientError("not now")


@pytest.mark.slow
def test_batches_given_up_half_way_while_members_join_are_processed_again_in_full(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: an abort takes the consumer back on every partition it keeps.

    Method: the processor gives batches up in the middle again and again while a second
    worker joins and both go on. An abort without a seek lost records here.
    """
    names, events, others = rig.new_names(), rig.Events(), rig.Events()
    rig.make_topics(kafka, names, PARTITIONS)
    rig.feed(kafka, names, keys(0, 300))
    limits = Limits(batch_records_max=20, commit_interval_s=0)
    shaky, shakier = Flaky(names), Flaky(names)
    first = rig.worker(kafka, names, tmp_path, events, processor=shaky, limits=limits)
    second = rig.worker(kafka, names, tmp_path, others, slot=1, processor=shakier, limits=limits)
    first.start()
    rig.turn_until(lambda: len(shaky.failed) >= 2, events, first)
    second.start()
    rig.turn_until(lambda: bool(held(others)), events, first, second)
    rig.feed(kafka, names, keys(300, 400))
    rig.turn_until(rig.Progress(kafka, names).done, events, first, second)
    assert len(shaky.failed | shakier.failed) > 5
    rig.assert_exact(kafka, names)
    first.stop()
    second.stop()
    rig.assert_local_state(kafka, names, tmp_path, complete=False)
    rig.assert_local_state(kafka, names, tmp_path, slot=1, complete=False)


def test_a_worker_that_is_stopped_while_partitions_are_offered_to_it_ends(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: no moment is the wrong one for a SIGTERM.

    Method: wait, by the group's own word, until the assignment is there; it was not yet taken
    note of, and the worker is stopped. Closing a consumer then once waited for ever.
    """
    admin = AdminClient({"bootstrap.servers": kafka})
    for _ in range(3):
        names = rig.new_names()
        rig.make_topics(kafka, names, 1)
        rig.feed(kafka, names, keys(0, 5))
        subject = rig.worker(kafka, names, tmp_path, rig.Events())
        subject.start()
        state = None
        while state is not ConsumerGroupState.STABLE:
            groups = admin.describe_consumer_groups([names.prefix])
            state = groups[names.prefix].result(30).state
        stopping = threading.Thread(target=subject.stop, daemon=True)
        stopping.start()
        stopping.join(30)
        assert not stopping.is_alive()
        rig.finish(kafka, names, tmp_path)
        rig.assert_exact(kafka, names)
