"""From one slot to another: at once when it stops, and without its leftovers when it died.

Time is told by comparison: with a session or transaction time-out that is longer than the
patience of a test, what happens at all did not happen by waiting for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.engine.errors import FatalError, TransientError
from streams.engine.events import Event, LeaveFailed, SlotCleared
from streams.engine.kafka import KafkaSettings
from streams.engine.kafka.leaving import leave_group
from streams.engine.kafka.membership import Membership
from streams.engine.limits import Limits
from streams.engine.record import TopicPartition
from streams.engine.worker import Worker
from tests.integration.engine import rig

pytestmark = pytest.mark.integration

OPEN = Limits(batch_records_max=10, commit_interval_s=3600)


def patient(bootstrap: str, **extra: str | int) -> KafkaSettings:
    """Time-outs beyond what a test waits: for a silent member, and for its transaction."""
    return KafkaSettings(
        bootstrap, session_timeout_ms=300_000, transaction_timeout_ms=60_000, extra=extra
    )


def keys(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % i, b"v") for i in range(first, last)]


def cleared(events: rig.Events) -> list[Event]:
    return [event for event in events if isinstance(event, SlotCleared)]


def both_at_work(
    bootstrap: str, names: rig.Names, folder: Path, settings: KafkaSettings
) -> tuple[tuple[Worker, rig.Events], tuple[Worker, rig.Events]]:
    """Two workers of one group that have shared the partitions and processed some input."""
    mine, others = rig.Events(), rig.Events()
    first = rig.worker(bootstrap, names, folder, mine, kafka=settings)
    second = rig.worker(bootstrap, names, folder, others, slot=1, kafka=settings)
    first.start()
    second.start()
    rig.turn_until(lambda: bool(first._tasks and second._tasks), others, first, second)
    rig.turn_until(rig.Progress(bootstrap, names).done, others, first, second)
    return (first, mine), (second, others)


def test_a_worker_that_stops_gives_its_partitions_away_without_waiting_for_its_session(
    kafka: str, tmp_path: Path
) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, keys(0, 50))
    (first, mine), (second, others) = both_at_work(kafka, names, tmp_path, patient(kafka))
    first.stop()
    assert [event for event in mine if isinstance(event, LeaveFailed)] == []
    rig.feed(kafka, names, keys(40, 100))
    rig.turn_until(lambda: len(second._tasks) == 2, others, second)
    rig.turn_until(rig.Progress(kafka, names).done, others, second)
    rig.assert_exact(kafka, names)
    # A partition that changes hands between the living is no reason to fence anybody.
    assert cleared(mine) == cleared(others) == []
    second.stop()


def test_the_last_worker_stays_a_member_so_that_it_comes_back_without_a_rebalance(
    kafka: str, tmp_path: Path
) -> None:
    names, settings = rig.new_names(), patient(kafka)
    rig.make_topics(kafka, names)
    events = rig.Events()
    subject = rig.worker(kafka, names, tmp_path, events, kafka=settings)
    with rig.running(subject, events) as until:
        until(lambda: subject.ready)
    assert Membership(settings, names.prefix).members().keys() == {names.member(0)}


def test_a_worker_that_fails_does_not_leave(kafka: str, tmp_path: Path) -> None:
    """Goal: the process that is started again has its partitions without a rebalance."""
    names, settings = rig.new_names(), patient(kafka)
    rig.make_topics(kafka, names)
    (first, _), (second, _) = both_at_work(kafka, names, tmp_path, settings)

    def fail() -> None:
        raise FatalError("the disk is full")

    first._commit = fail  # type: ignore[method-assign]
    with pytest.raises(FatalError):
        first.stop()
    members = Membership(settings, names.prefix).members()
    assert members.keys() == {names.member(0), names.member(1)}
    del first._commit
    first.stop()
    second.stop()


def test_a_worker_does_not_throw_out_the_one_that_has_taken_its_slot(
    kafka: str, tmp_path: Path
) -> None:
    names, settings = rig.new_names(), patient(kafka)
    rig.make_topics(kafka, names)
    (first, _), (second, _) = both_at_work(kafka, names, tmp_path, settings)
    membership = Membership(settings, names.prefix)
    before = membership.members()
    with pytest.raises(TransientError, match="leave"):
        leave_group(settings, names.prefix, names.member(0), "the-one-before")
    assert membership.members() == before
    first.stop()
    second.stop()


def test_a_group_that_cannot_be_left_is_told_of_and_the_worker_ends_all_the_same(
    kafka: str, tmp_path: Path
) -> None:
    """Method: a property that cannot be said to the library that leaves."""
    names = rig.new_names()
    rig.make_topics(kafka, names)
    settings = patient(kafka, **{"ssl.providers": "default"})
    (first, mine), (second, _) = both_at_work(kafka, names, tmp_path, settings)
    first.stop()
    second.stop()
    assert ["ssl.providers" in e.reason for e in mine if isinstance(e, LeaveFailed)] == [True]


def leave_open(
    bootstrap: str, names: rig.Names, folder: Path, settings: KafkaSettings
) -> tuple[Worker, rig.Events]:
    """A worker with its very first transaction open, records of it in the log."""
    events = rig.Events()
    subject = rig.worker(bootstrap, names, folder, events, limits=OPEN, kafka=settings)
    subject.start()
    rig.turn_until(lambda: subject._transaction is not None, events, subject)
    while not rig.read_all(bootstrap, names.sink, committed=False):
        pass
    return subject, events


def test_an_heir_ends_what_a_dead_slot_left_open_so_that_readers_need_not_wait_for_it(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: nobody waits for the time-out of a transaction whose process does not come back.

    Method: the dead one had committed nothing ever; that it owned the partitions is known all
    the same. Then a session passes, and another slot gets them.
    """
    names, others = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, keys(0, 60))
    settings = KafkaSettings(kafka, transaction_timeout_ms=60_000)
    dead, _ = leave_open(kafka, names, tmp_path, settings)
    dead._source.close()
    heir = rig.worker(kafka, names, tmp_path, others, slot=1, kafka=settings)
    with rig.running(heir, others) as until:
        until(rig.Progress(kafka, names).done)
        assert cleared(others) == [SlotCleared(names.member(0), None)]
        rig.assert_exact(kafka, names)


def test_a_worker_that_only_slept_is_started_again_after_its_heir_has_fenced_it(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: the fence of an heir is not that of a rival: the slot is not given up.

    Method: a worker is not turned until another has its partitions; then it goes on.
    """
    names, others = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, keys(0, 60))
    settings = KafkaSettings(
        kafka,
        transaction_timeout_ms=60_000,
        extra={"max.poll.interval.ms": 6000, "session.timeout.ms": 6000},
    )
    zombie, events = leave_open(kafka, names, tmp_path, settings)
    heir = rig.worker(kafka, names, tmp_path, others, slot=1)
    heir.start()
    rig.turn_until(rig.Progress(kafka, names).done, others, heir)
    with pytest.raises(FatalError, match="the slot is ours"):
        rig.turn_until(lambda: False, events, zombie)
    zombie._state.close()
    again = rig.worker(kafka, names, tmp_path, events)
    again.start()
    rig.feed(kafka, names, keys(50, 100))
    rig.turn_until(lambda: bool(again._tasks and heir._tasks), events, again, heir)
    rig.turn_until(rig.Progress(kafka, names).done, events, again, heir)
    rig.assert_exact(kafka, names)
    again.stop()
    heir.stop()


def test_a_partition_is_owned_by_the_slot_it_was_given_to_before_that_has_done_anything(
    kafka: str, tmp_path: Path
) -> None:
    names, settings = rig.new_names(), patient(kafka)
    rig.make_topics(kafka, names)
    membership = Membership(settings, names.prefix)
    partitions = [TopicPartition(names.source, p) for p in (0, 1)]
    assert membership.owners(partitions) == {}
    (first, _), (second, _) = both_at_work(kafka, names, tmp_path, settings)
    held = {p: names.member(0) for p in first._tasks} | {p: names.member(1) for p in second._tasks}
    assert membership.owners(partitions) == held
    first.stop()
    second.stop()
