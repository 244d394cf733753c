"""`Input` and the offsets of a transaction: who is given what, and whose offsets still count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from streams.engine.errors import FatalError, FencedError, TransientError
from streams.engine.note import LogEnd, Note
from streams.engine.ports import Input, Position
from streams.engine.record import Output, Record, TopicPartition
from tests.contract.clusters import Assignment, Subject

TURN_S = 0.05


def join(cluster: Subject, source: Input, topic: str) -> Assignment:
    """Subscribe and wait for the first assignment."""
    listener = Assignment()
    source.subscribe([topic], listener)
    taken: list[Record] = []

    def assigned() -> bool:
        if not listener.offsets:
            taken.extend(source.consume(1, TURN_S))
        return bool(listener.offsets)

    cluster.until(assigned)
    if taken:
        source.rewind(tuple(listener.offsets))
    return listener


def take(cluster: Subject, source: Input, count: int) -> list[Record]:
    """The next `count` records."""
    found: list[Record] = []

    def enough() -> bool:
        found.extend(source.consume(count - len(found), TURN_S))
        return len(found) >= count

    cluster.until(enough)
    return found


def keys(records: list[Record]) -> list[bytes | None]:
    return [record.key for record in records]


def turning(*sources: Input) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """A condition that is asked after every source has shown a sign of life."""

    def wrapped(condition: Callable[[], bool]) -> Callable[[], bool]:
        def asked() -> bool:
            for source in sources:
                source.consume(1, TURN_S)
            return condition()

        return asked

    return wrapped


def test_a_member_is_given_every_partition_from_its_start(cluster: Subject) -> None:
    topic, source = cluster.topic(2), cluster.source()
    cluster.feed(topic, b"a", b"b", partition=0)
    cluster.feed(topic, b"c", partition=1)
    listener = join(cluster, source, topic)
    assert listener.offsets == {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0}
    assert sorted(r.key or b"" for r in take(cluster, source, 3)) == [b"a", b"b", b"c"]


def test_input_is_given_only_when_it_is_committed_and_its_end_counts_the_marker(
    cluster: Subject,
) -> None:
    topic, log, source = cluster.topic(), cluster.transactions("feeder"), cluster.source()
    at = TopicPartition(topic, 0)
    for key, commits in ((b"a", True), (b"never", False), (b"b", True)):
        log.begin()
        log.produce(Output(topic, key, b"v", (), 0), None)
        if commits:
            log.commit()
        else:
            # Else the record might never have left the client.
            cluster.until(lambda: len(cluster.visible(topic, committed=False)) == 2)
            log.abort()
    join(cluster, source, topic)
    assert keys(take(cluster, source, 2)) == [b"a", b"b"]
    cluster.until(turning(source)(lambda: source.ends().get(at) == 6))


def test_a_rewind_goes_back_to_what_is_committed(cluster: Subject) -> None:
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a", b"b", b"c")
    join(cluster, source, topic)
    take(cluster, source, 2)
    assert source.rewind([at]) == {at: Position(0)}
    assert keys(take(cluster, source, 3)) == [b"a", b"b", b"c"]
    log.begin()
    log.send_offsets({at: Position(2, "note")}, source.group())
    log.commit()
    assert source.rewind([at]) == {at: Position(2, "note")}
    assert keys(take(cluster, source, 1)) == [b"c"]


def test_an_end_counts_only_until_the_position_goes_back(cluster: Subject) -> None:
    """Else what is read once more would be passed over as if nothing were there."""
    topic, source = cluster.topic(), cluster.source()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a", b"b")
    join(cluster, source, topic)
    take(cluster, source, 2)
    cluster.until(turning(source)(lambda: source.ends().get(at) == 2))
    source.rewind([at])
    assert source.ends() == {}
    take(cluster, source, 2)
    cluster.until(turning(source)(lambda: source.ends().get(at) == 2))


def test_an_end_counts_only_until_the_partitions_are_assigned_anew(cluster: Subject) -> None:
    topic, source, other = cluster.topic(), cluster.source("0"), cluster.source("1")
    at = TopicPartition(topic, 0)
    told: list[dict[TopicPartition, int]] = []

    class Asking(Assignment):
        def assigned(self, partitions: Mapping[TopicPartition, Position]) -> None:
            super().assigned(partitions)
            told.append(dict(source.ends()))

    cluster.feed(topic, b"a", b"b")
    source.subscribe([topic], Asking())
    take(cluster, source, 2)
    cluster.until(turning(source)(lambda: source.ends().get(at) == 2))
    other.subscribe([topic], Assignment())
    cluster.until(turning(source, other)(lambda: len(told) == 2))
    assert told == [{}, {}]


def test_a_rewind_right_after_a_commit_never_finds_the_offset_before_it(
    cluster: Subject,
) -> None:
    """The marker may still be on its way; the answer waits for it."""
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, *(b"k%d" % number for number in range(30)))
    join(cluster, source, topic)
    for offset in range(1, 30):
        log.begin()
        log.send_offsets({at: Position(offset)}, source.group())
        log.commit()
        assert source.rewind([at])[at].offset == offset


def test_a_paused_partition_is_held_back_and_resumed_where_it_was(cluster: Subject) -> None:
    topic, source = cluster.topic(2), cluster.source()
    held, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    listener = join(cluster, source, topic)
    source.pause([held])
    cluster.feed(topic, b"held", partition=0)
    cluster.feed(topic, b"a", b"b", partition=1)
    assert {record.source for record in take(cluster, source, 2)} == {other}
    assert source.consume(10, TURN_S) == []
    assert source.ends().get(held, 0) == 0
    source.resume([held])
    assert keys(take(cluster, source, 1)) == [b"held"]
    assert listener.gone == []


def test_lag_counts_what_was_not_handed_out(cluster: Subject) -> None:
    topic, source = cluster.topic(), cluster.source()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a", b"b", b"c")
    join(cluster, source, topic)
    take(cluster, source, 3)
    cluster.until(turning(source)(lambda: source.lag().get(at) == 0))


def test_a_committed_offset_below_the_logs_start_is_fatal(cluster: Subject) -> None:
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a", b"b", b"c")
    log.begin()
    log.send_offsets({at: Position(1)}, source.group())
    log.commit()
    cluster.until(lambda: cluster.stored(topic) == {0: 1})
    cluster.remove(at, 2)
    source.subscribe([topic], Assignment())
    with pytest.raises(FatalError):
        take(cluster, source, 1)


def test_a_second_member_is_given_a_share_after_the_first_gave_up_all(cluster: Subject) -> None:
    topic, first, second = cluster.topic(2), cluster.source("0"), cluster.source("1")
    mine, theirs = join(cluster, first, topic), Assignment()
    second.subscribe([topic], theirs)
    both = turning(first, second)
    cluster.until(both(lambda: len(theirs.offsets) == 1 and len(mine.offsets) == 1))
    assert mine.gone == ["revoked"]
    assert set(mine.offsets) | set(theirs.offsets) == {TopicPartition(topic, p) for p in (0, 1)}


def test_who_takes_the_instance_id_gets_the_partitions_and_the_first_is_fenced(
    cluster: Subject,
) -> None:
    topic, first, second = cluster.topic(2), cluster.source("0"), cluster.source("0")
    mine = join(cluster, first, topic)
    theirs = join(cluster, second, topic)
    assert set(theirs.offsets) == set(mine.offsets)
    with pytest.raises(FencedError):
        cluster.until(turning(first)(lambda: False))


def test_offsets_of_a_fenced_member_are_refused(cluster: Subject) -> None:
    """Also where its producer is healthy."""
    topic, log = cluster.topic(), cluster.transactions()
    first, second = cluster.source("0"), cluster.source("0")
    join(cluster, first, topic)
    stale = first.group()
    join(cluster, second, topic)
    log.begin()
    with pytest.raises(FencedError):
        log.send_offsets({TopicPartition(topic, 0): Position(1)}, stale)
    assert cluster.stored(topic) == {}


def test_offsets_of_a_generation_that_is_over_are_refused(cluster: Subject) -> None:
    topic, log = cluster.topic(2), cluster.transactions()
    first, second = cluster.source("0"), cluster.source("1")
    join(cluster, first, topic)
    stale = first.group()
    theirs = Assignment()
    second.subscribe([topic], theirs)
    cluster.until(turning(first, second)(lambda: len(theirs.offsets) == 1))
    log.begin()
    with pytest.raises(TransientError):
        log.send_offsets({TopicPartition(topic, 0): Position(1)}, stale)
    log.abort()
    log.begin()
    log.send_offsets(dict.fromkeys(theirs.offsets, Position(1)), second.group())
    log.commit()
    cluster.until(lambda: list(cluster.stored(topic).values()) == [1])


def test_offsets_of_no_member_are_refused_where_the_group_has_some(cluster: Subject) -> None:
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source("0")
    stranger = cluster.source("1").group()
    join(cluster, source, topic)
    log.begin()
    with pytest.raises(TransientError):
        log.send_offsets({TopicPartition(topic, 0): Position(1)}, stranger)


def test_a_successor_waits_for_the_offsets_of_an_undecided_transaction(
    cluster: Subject,
) -> None:
    """It would otherwise process again what is about to be committed.

    The producer of the first is not fenced here: only its transaction's time-out ends it.
    """
    topic, log = cluster.topic(), cluster.transactions()
    at = TopicPartition(topic, 0)
    first = cluster.source("0")
    cluster.feed(topic, b"a", b"b")
    join(cluster, first, topic)
    log.begin()
    log.send_offsets({at: Position(1)}, first.group())
    second = cluster.source("0")
    theirs = join(cluster, second, topic)
    assert theirs.offsets == {at: 0}  # undone by then
    with pytest.raises((FatalError, FencedError)):
        log.commit()
    assert cluster.stored(topic) == {}


def test_a_member_that_is_silent_too_long_loses_its_partitions_to_the_others(
    cluster: Subject,
) -> None:
    topic, first, second = cluster.topic(2), cluster.source("0"), cluster.source("1")
    mine, theirs = join(cluster, first, topic), Assignment()
    second.subscribe([topic], theirs)
    cluster.until(turning(first, second)(lambda: bool(mine.offsets and theirs.offsets)))
    first.close()
    cluster.pass_session(lambda: second.consume(1, TURN_S))
    cluster.until(turning(second)(lambda: len(theirs.offsets) == 2))


def test_a_member_finds_the_note_that_stands_beside_what_is_committed(cluster: Subject) -> None:
    """It keeps what the note says of the logs, and has its own name written to it."""
    topic, log = cluster.topic(), cluster.transactions()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a", b"b", b"c")
    first = cluster.source("0")
    join(cluster, first, topic)
    said = Note("somebody", {"store": LogEnd("id", 7, 9)})
    log.begin()
    log.send_offsets({at: Position(3, said.to_text())}, first.group())
    log.commit()
    second = cluster.source("0")
    theirs = join(cluster, second, topic)
    assert theirs.offsets == {at: 3}
    found = Note.from_text(second.rewind([at])[at].note or "")
    assert found.logs == said.logs
    assert found.by not in ("", "somebody")


def test_where_only_an_owner_was_named_nothing_was_committed(cluster: Subject) -> None:
    topic = cluster.topic()
    at = TopicPartition(topic, 0)
    join(cluster, cluster.source("0"), topic)
    theirs = join(cluster, cluster.source("0"), topic)
    assert theirs.notes == {at: None}


def test_an_heir_is_told_whose_partitions_it_was_given(cluster: Subject) -> None:
    """Not where the owner is a member still, and not of itself."""
    topic, first, second = cluster.topic(2), cluster.source("0"), cluster.source("1")
    mine, theirs = join(cluster, first, topic), Assignment()
    second.subscribe([topic], theirs)
    cluster.until(turning(first, second)(lambda: len(mine.offsets) == len(theirs.offsets) == 1))
    assert theirs.heir_of == []
    first.close()
    cluster.pass_session(lambda: second.consume(1, TURN_S))
    cluster.until(turning(second)(lambda: len(theirs.offsets) == 2))
    assert len(theirs.heir_of) == 1


def test_an_heir_is_given_offsets_as_they_are_behind_what_it_has_ended(cluster: Subject) -> None:
    """Asked for before, they would be waited for: as long as the transaction may be open."""
    topic, dead, source = cluster.topic(), cluster.transactions("dead"), cluster.source()
    at, note = TopicPartition(topic, 0), Note("nobody").to_text()
    nobody = cluster.source("1").group()
    cluster.feed(topic, b"a", b"b")
    dead.begin()
    dead.send_offsets({at: Position(1, note)}, nobody)
    dead.commit()
    dead.begin()
    dead.send_offsets({at: Position(2, note)}, nobody)

    class Ending(Assignment):
        def inherited(self, slots: Sequence[str]) -> None:
            super().inherited(slots)
            dead.commit()

    listener = Ending()
    source.subscribe([topic], listener)
    cluster.until(turning(source)(lambda: bool(listener.offsets)))
    assert (listener.heir_of, listener.offsets) == (["nobody"], {at: 2})


def test_who_leaves_hands_over_and_leaves_nothing_to_look_after(cluster: Subject) -> None:
    topic, first, second = cluster.topic(2), cluster.source("0"), cluster.source("1")
    mine, theirs = join(cluster, first, topic), Assignment()
    second.subscribe([topic], theirs)
    cluster.until(turning(first, second)(lambda: len(mine.offsets) == len(theirs.offsets) == 1))
    first.leave()
    cluster.until(turning(second)(lambda: len(theirs.offsets) == 2))
    assert theirs.heir_of == []


def test_a_rival_is_who_holds_our_instance_id_and_nobody_else(cluster: Subject) -> None:
    topic, first, other = cluster.topic(2), cluster.source("0"), cluster.source("1")
    join(cluster, first, topic)
    theirs, its = Assignment(), Assignment()
    other.subscribe([topic], theirs)
    cluster.until(turning(first, other)(lambda: bool(theirs.offsets)))
    assert not first.rivalled()
    rival = cluster.source("0")
    rival.subscribe([topic], its)
    cluster.until(turning(rival)(lambda: bool(its.offsets)))
    assert first.rivalled()
    assert not rival.rivalled()
