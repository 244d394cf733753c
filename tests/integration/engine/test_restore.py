"""Local state and its changelog: what is read back, and when it is not believed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.errors import FatalError
from streams.engine.events import RestoreCompleted, StateWiped
from streams.engine.kafka import ChangelogReader, KafkaSettings
from streams.engine.record import TopicPartition
from tests.integration.engine import rig

pytestmark = pytest.mark.integration

REMOVABLE = {"cleanup.policy": "compact,delete"}


def keys(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % i, b"v") for i in range(first, last)]


def restored(events: rig.Events) -> int:
    return sum(event.records for event in events if isinstance(event, RestoreCompleted))


def test_an_intact_store_is_not_read_again_and_a_wiped_one_in_full(
    kafka: str, tmp_path: Path
) -> None:
    names = rig.new_names()
    rig.make_topics(kafka, names)
    rig.feed(kafka, names, keys(0, 100))
    rig.finish(kafka, names, tmp_path)
    assert restored(rig.finish(kafka, names, tmp_path)) == 0
    shutil.rmtree(tmp_path)
    rig.feed(kafka, names, keys(50, 120))
    written = len(rig.read_all(kafka, names.seen)) + len(rig.read_all(kafka, names.counters))
    assert restored(rig.finish(kafka, names, tmp_path)) == written
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


def test_a_checkpoint_below_the_start_of_the_changelog_gives_the_store_up_and_reads_what_is_left(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: a hole between disk and log is noticed; it once gave a silently empty store.

    Method: an old disk comes back after the log has lost the part that followed it.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names, 1, seen=REMOVABLE)
    rig.feed(kafka, names, keys(0, 20))
    rig.finish(kafka, names, tmp_path / "old")
    rig.feed(kafka, names, keys(20, 40))
    rig.finish(kafka, names, tmp_path / "new")
    log = rig.read_all(kafka, names.seen)
    rig.remove_records(kafka, TopicPartition(names.seen, 0), log[-6].offset)
    events = rig.finish(kafka, names, tmp_path / "old")
    assert [event for event in events if isinstance(event, StateWiped)]
    assert restored(events) >= 6
    rig.assert_local_state(kafka, names, tmp_path / "old", complete=True)


def test_a_changelog_whose_start_moves_while_it_is_read_is_read_from_its_new_start(
    kafka: str, tmp_path: Path
) -> None:
    """Method: retention strikes between the question for the bounds and the first fetch."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 2, seen=REMOVABLE)
    rig.feed(kafka, names, keys(0, 60))
    rig.finish(kafka, names, tmp_path / "other")
    victim = TopicPartition(names.seen, 0)
    log = [r for r in rig.read_all(kafka, names.seen) if r.source == victim]

    class Unlucky(ChangelogReader):
        struck = False

        def follow(self, positions: Mapping[TopicPartition, int]) -> None:
            if victim in positions and not self.struck:
                self.struck = True
                rig.remove_records(kafka, victim, log[-5].offset)
            super().follow(positions)

    events = rig.Events()
    changelogs = Unlucky(KafkaSettings(kafka), "unlucky")
    subject = rig.worker(kafka, names, tmp_path / "mine", events, changelogs=changelogs)
    with rig.running(subject, events) as until:
        until(lambda: subject.ready)
    assert changelogs.struck
    assert len([event for event in events if isinstance(event, StateWiped)]) == 1
    rig.assert_local_state(kafka, names, tmp_path / "mine", complete=True)


def test_a_changelog_that_ends_in_an_aborted_transaction_is_restored_to_its_end(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: an end that holds no records is reached all the same, and nothing of it counts."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 20))
    rig.finish(kafka, names, tmp_path)
    foreign = rig.foreign_producer(kafka, f"{names.prefix}-foreign")
    foreign.begin_transaction()
    for topic in (names.seen, names.counters):
        for _ in range(3):
            foreign.produce(topic, key=b"never", value=b"was", partition=0)
    foreign.flush()
    foreign.abort_transaction(30)
    for wiped in (False, True):
        if wiped:
            shutil.rmtree(tmp_path)
        rig.feed(kafka, names, keys(10, 25))
        rig.finish(kafka, names, tmp_path)
        rig.assert_exact(kafka, names)
        rig.assert_local_state(kafka, names, tmp_path, complete=True)


@pytest.mark.parametrize("commits", [True, False], ids=["committed", "aborted"])
def test_a_restore_waits_for_a_transaction_that_is_undecided_when_it_begins(
    kafka: str, tmp_path: Path, commits: bool
) -> None:
    """Goal: what a predecessor may still have committed is waited for, not guessed.

    Method: a foreign transaction stays open on the changelog; many turns later the worker
    still does not run; then it is decided.
    """
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 20))
    rig.finish(kafka, names, tmp_path)
    foreign = rig.foreign_producer(kafka, f"{names.prefix}-foreign")
    foreign.begin_transaction()
    foreign.produce(names.seen, key=b"k20", value=b"seen elsewhere", partition=0)
    assert foreign.flush(30) == 0
    rig.feed(kafka, names, [(b"k20", b"v"), (b"k21", b"v")])
    subject = rig.worker(kafka, names, tmp_path, events)
    with rig.running(subject, events) as until:
        turns = iter(range(60))
        until(lambda: next(turns, None) is None)
        assert not subject.ready
        assert rig.committed_records(events) == 0
        if commits:
            foreign.commit_transaction(30)
        else:
            foreign.abort_transaction(30)
        until(rig.Progress(kafka, names).done)
    emitted = [record.key for record in rig.read_all(kafka, names.sink)][20:]
    assert emitted == ([b"k21"] if commits else [b"k20", b"k21"])
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


def test_a_changelog_that_ends_before_the_local_checkpoint_is_a_fatal_error_with_a_way_out(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: a topic that was deleted and made anew is never taken for an empty state."""
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 20))
    rig.finish(kafka, names, tmp_path)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([names.seen])[names.seen].result(30)
    while names.seen in admin.list_topics(timeout=10).topics:
        pass
    admin.create_topics([NewTopic(names.seen, 1, 1)])[names.seen].result(30)
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match=r"ends at 0, before the local checkpoint .* backup"):
        rig.turn_until(lambda: False, events, subject)


def test_a_changelog_that_does_not_exist_is_a_fatal_error_that_names_it(
    kafka: str, tmp_path: Path
) -> None:
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 2)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([names.seen])[names.seen].result(30)
    while names.seen in admin.list_topics(timeout=10).topics:
        pass
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match=f"{names.seen}/. does not exist"):
        rig.turn_until(lambda: False, events, subject)


def test_a_damaged_disk_ends_the_process_once_and_is_restored_by_the_next(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: damage is never taken for an answer, nor for the fault of a record.

    Method: flip a byte in each table; the database opens, and breaks when it is read.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 200))
    rig.finish(kafka, names, tmp_path)
    tables = list((tmp_path / names.member(0)).glob("*.sst"))
    assert tables
    for table in tables:
        data = bytearray(table.read_bytes())
        data[len(data) // 3] ^= 0xFF
        table.write_bytes(data)
    rig.feed(kafka, names, keys(100, 250))
    events = rig.Events()
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(FatalError, match="restored when the process starts again"):
        rig.turn_until(lambda: False, events, subject)
    subject._state.close()
    assert restored(rig.finish(kafka, names, tmp_path)) > 200
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)
