"""Local state and its changelog: what is read back, and when it is not believed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.errors import FatalError, StateLostError
from streams.engine.events import RestoreCompleted, StateWiped
from streams.engine.kafka import ChangelogReader, KafkaSettings, accept_loss
from streams.engine.processor import Horizon
from streams.engine.record import Output, TopicPartition
from streams.engine.worker import Worker
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


def make_anew(kafka: str, topic: str, partitions: int = 1) -> None:
    """Delete a topic and create it again, empty."""
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([topic])[topic].result(30)
    while topic in admin.list_topics(timeout=10).topics:
        pass
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)


def empty(kafka: str, topic: str) -> None:
    """Remove everything from a topic of one partition."""
    rig.remove_records(kafka, TopicPartition(topic, 0), -1)


def refuses(subject: Worker, events: rig.Events, match: str) -> None:
    """It ends with state_lost, and processes nothing before that."""
    before = rig.committed_records(events)
    with pytest.raises(StateLostError, match=match) as caught:
        rig.turn_until(lambda: False, events, subject)
    assert "accept-loss" in str(caught.value)
    assert rig.committed_records(events) == before


LONG = Horizon(horizon_ms=7 * 24 * 3_600_000, slack_ms=0, time_of=lambda _: 2**62)


@pytest.mark.parametrize("disk", ["kept", "lost"])
@pytest.mark.parametrize("loss", ["made anew", "made anew and filled", "emptied"])
def test_a_changelog_that_lost_its_records_is_never_taken_for_an_empty_state(
    kafka: str, tmp_path: Path, disk: str, loss: str
) -> None:
    """Goal: state that is gone is told from state that never was, by the note at the offsets."""
    names, events = rig.new_names(), rig.Events()
    processor = rig.Unique(names, LONG)
    rig.make_topics(kafka, names, 1, seen=REMOVABLE)
    rig.feed(kafka, names, keys(0, 20))
    first = rig.worker(kafka, names, tmp_path, events, processor=processor)
    with rig.running(first, events) as until:
        until(rig.Progress(kafka, names).done)
        rig.feed(kafka, names, keys(20, 30))
        until(rig.Progress(kafka, names).done)
    if loss == "emptied":
        empty(kafka, names.seen)
    else:
        make_anew(kafka, names.seen)
    if loss == "made anew and filled":
        producer = Producer({"bootstrap.servers": kafka})
        for i in range(100):
            producer.produce(names.seen, key=b"x%d" % i, value=b"0")
        assert producer.flush(30) == 0
    if disk == "lost":
        shutil.rmtree(tmp_path)
    rig.feed(kafka, names, keys(0, 5))
    subject = rig.worker(kafka, names, tmp_path, events, processor=processor)
    subject.start()
    refuses(subject, events, "created again" if loss != "emptied" else "was emptied")


@pytest.mark.parametrize("loss", ["made anew", "emptied"])
def test_a_changelog_that_is_lost_under_a_running_worker_ends_it(
    kafka: str, tmp_path: Path, loss: str
) -> None:
    """Method: with work going on and without it, the worker itself has to notice."""
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1, seen=REMOVABLE)
    rig.feed(kafka, names, keys(0, 20))
    subject = rig.worker(kafka, names, tmp_path, events, processor=rig.Unique(names, LONG))
    subject.start()
    rig.turn_until(rig.Progress(kafka, names).done, events, subject)
    if loss == "emptied":
        empty(kafka, names.seen)
    else:
        make_anew(kafka, names.seen)
    refuses(subject, events, "created again" if loss != "emptied" else "was emptied")


def test_accepting_a_loss_lets_the_worker_go_on_with_what_the_changelog_holds(
    kafka: str, tmp_path: Path
) -> None:
    """Goal: the way out works, and it is the operator's: the repeat has a second effect."""
    names, events = rig.new_names(), rig.Events()
    processor = rig.Unique(names, LONG)
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 20))
    settings = KafkaSettings(kafka)
    partition = TopicPartition(names.source, 0)
    first = rig.worker(kafka, names, tmp_path, events, processor=processor)
    with rig.running(first, events) as until:
        until(rig.Progress(kafka, names).done)
        with pytest.raises(FatalError, match="member"):
            accept_loss(settings, names.prefix, [partition], Output(names.rejected, None, b"told"))
    make_anew(kafka, names.seen)
    rig.feed(kafka, names, keys(0, 1))
    await_no_members(kafka, names)
    told = Output(names.rejected, None, b"told")
    assert accept_loss(settings, names.prefix, [partition], told) == {partition: 20}
    assert [record.value for record in rig.read_all(kafka, names.rejected)] == [b"told"]
    second = rig.worker(kafka, names, tmp_path, events, processor=processor)
    with rig.running(second, events) as until:
        until(rig.Progress(kafka, names).done)
    assert [r.key for r in rig.read_all(kafka, names.sink)][20:] == [b"k0"]
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


def await_no_members(kafka: str, names: rig.Names) -> None:
    """A static member is missed only after its session time-out."""
    admin = AdminClient({"bootstrap.servers": kafka})
    for _ in range(rig.TURNS_MAX):
        found = admin.describe_consumer_groups([names.prefix])[names.prefix].result(30)
        if not found.members:
            return
        time.sleep(0.1)
    raise AssertionError("the group still has members")


def test_state_without_a_committed_offset_is_not_built_upon(kafka: str, tmp_path: Path) -> None:
    """Goal: offsets that expired do not let a month of input take effect again."""
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, keys(0, 20))
    rig.finish(kafka, names, tmp_path)
    await_no_members(kafka, names)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_consumer_groups([names.prefix])[names.prefix].result(30)
    shutil.rmtree(tmp_path)
    subject = rig.worker(kafka, names, tmp_path, events)
    subject.start()
    with pytest.raises(StateLostError, match="no offset is committed"):
        rig.turn_until(lambda: False, events, subject)
    assert len(rig.read_all(kafka, names.sink)) == 20


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
