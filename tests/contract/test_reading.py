"""`Changelogs` and `Reader`: what a restore is told, and what can be read back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.engine.errors import FatalError, StateCorruptError, TransientError
from streams.engine.ports import Changelogs
from streams.engine.record import Output, TopicPartition
from tests.contract.clusters import Subject

TURN_S = 0.05


def polled(
    cluster: Subject, changelogs: Changelogs, enough: Callable[[list[bytes]], bool]
) -> list[bytes]:
    """The keys of everything polled until it is enough."""
    found: list[bytes] = []

    def asked() -> bool:
        for stretch in changelogs.poll(100, TURN_S).values():
            found.extend(stretch.writes)
        return enough(found)

    cluster.until(asked)
    return found


def bounds(changelogs: Changelogs, at: TopicPartition) -> tuple[int, int]:
    found = changelogs.bounds([at])[at]
    return found.start, found.end


def test_bounds_are_the_logs_start_and_its_high_watermark_with_what_is_undecided(
    cluster: Subject,
) -> None:
    topic, log, changelogs = cluster.topic(), cluster.transactions(), cluster.changelogs()
    at = TopicPartition(topic, 0)
    assert bounds(changelogs, at) == (0, 0)
    cluster.feed(topic, b"a", b"b")
    log.begin()
    log.produce(Output(topic, b"c", b"v", (), 0), None)
    cluster.until(lambda: bounds(changelogs, at) == (0, 3))
    log.commit()
    cluster.until(lambda: bounds(changelogs, at) == (0, 4))
    cluster.remove(at, 1)
    assert bounds(changelogs, at) == (1, 4)


def test_bounds_of_a_partition_that_does_not_exist_are_a_fatal_error(cluster: Subject) -> None:
    topic = cluster.topic()
    with pytest.raises(FatalError, match="does not exist"):
        cluster.changelogs().bounds([TopicPartition(topic, 7)])


def test_a_restore_is_given_committed_records_only_from_where_it_asks(cluster: Subject) -> None:
    topic, log, changelogs = cluster.topic(), cluster.transactions(), cluster.changelogs()
    cluster.feed(topic, b"before", b"a")
    log.begin()
    log.produce(Output(topic, b"never", b"v", (), 0), None)
    cluster.until(lambda: len(cluster.visible(topic, committed=False)) == 3)
    log.abort()
    cluster.feed(topic, b"b")
    changelogs.follow({TopicPartition(topic, 0): 1})
    assert polled(cluster, changelogs, lambda found: len(found) == 2) == [b"a", b"b"]


def test_the_end_is_reached_past_markers_and_aborted_records(cluster: Subject) -> None:
    topic, log, changelogs = cluster.topic(), cluster.transactions(), cluster.changelogs()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a")
    log.begin()
    log.produce(Output(topic, b"never", b"v", (), 0), None)
    cluster.until(lambda: len(cluster.visible(topic, committed=False)) == 2)
    log.abort()
    changelogs.follow({at: 0})
    assert changelogs.reached() == {}
    found = polled(cluster, changelogs, lambda _: changelogs.reached().get(at) == 3)
    assert found == [b"a"]


def test_the_end_of_an_empty_partition_is_reached(cluster: Subject) -> None:
    topic, changelogs = cluster.topic(), cluster.changelogs()
    at = TopicPartition(topic, 0)
    changelogs.follow({at: 0})
    assert polled(cluster, changelogs, lambda _: changelogs.reached() == {at: 0}) == []


def test_an_undecided_transaction_holds_the_reach_back_until_it_is_decided(
    cluster: Subject,
) -> None:
    topic, log, changelogs = cluster.topic(), cluster.transactions(), cluster.changelogs()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a")
    log.begin()
    log.produce(Output(topic, b"b", b"v", (), 0), None)
    cluster.until(lambda: bounds(changelogs, at) == (0, 2))
    changelogs.follow({at: 0})
    assert polled(cluster, changelogs, lambda _: changelogs.reached() == {at: 1}) == [b"a"]
    log.commit()
    assert polled(cluster, changelogs, lambda _: changelogs.reached() == {at: 3}) == [b"b"]


def test_partitions_that_are_followed_already_go_on_where_they_are(cluster: Subject) -> None:
    topic, changelogs = cluster.topic(2), cluster.changelogs()
    one, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    cluster.feed(topic, b"a", b"b", partition=0)
    cluster.feed(topic, b"c", partition=1)
    changelogs.follow({one: 0})
    polled(cluster, changelogs, lambda found: len(found) == 2)
    changelogs.follow({one: 0, other: 0})
    assert polled(cluster, changelogs, lambda _: len(changelogs.reached()) == 2) == [b"c"]
    changelogs.follow({other: 0})
    assert set(changelogs.reached()) == {other}
    cluster.feed(topic, b"unheard", partition=0)
    cluster.feed(topic, b"d", partition=1)
    assert polled(cluster, changelogs, lambda found: len(found) == 1) == [b"d"]


@pytest.mark.parametrize("offset", [0, 9], ids=["below-the-start", "behind-the-end"])
def test_an_offset_that_is_not_in_the_log_is_told_and_never_passed_over(
    cluster: Subject, offset: int
) -> None:
    topic, changelogs = cluster.topic(), cluster.changelogs()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"a", b"b", b"c")
    cluster.remove(at, 2)
    changelogs.follow({at: offset})
    with pytest.raises(StateCorruptError) as told:
        polled(cluster, changelogs, bool)
    assert told.value.store == at


def test_a_record_is_read_back_with_its_place_and_content(cluster: Subject) -> None:
    topic, reader = cluster.topic(2), cluster.reader()
    cluster.feed(topic, b"a", b"b", partition=1)
    record = reader.read(TopicPartition(topic, 1), 1)
    assert record is not None
    assert (record.source, record.offset, record.key) == (TopicPartition(topic, 1), 1, b"b")


def test_what_is_not_there_is_not_read_back(cluster: Subject) -> None:
    """Gone by retention, a marker, aborted, or not yet written."""
    topic, log, reader = cluster.topic(), cluster.transactions(), cluster.reader()
    at = TopicPartition(topic, 0)
    cluster.feed(topic, b"gone")
    log.begin()
    log.produce(Output(topic, b"never", b"v", (), 0), None)
    cluster.until(lambda: len(cluster.visible(topic, committed=False)) == 2)
    log.abort()
    cluster.feed(topic, b"a")
    cluster.remove(at, 1)
    assert [reader.read(at, offset) for offset in (0, 1, 2, 4, 9)] == [None] * 5
    found = reader.read(at, 3)
    assert found is not None
    assert found.key == b"a"


def test_a_topic_that_was_made_anew_has_another_id(cluster: Subject) -> None:
    topic, changelogs = cluster.topic(), cluster.changelogs()
    at = TopicPartition(topic, 0)
    before = changelogs.bounds([at])[at].topic_id
    assert changelogs.bounds([at])[at].topic_id == before
    cluster.make_anew(topic)

    def anew() -> bool:
        try:
            return changelogs.bounds([at])[at].topic_id != before
        except (FatalError, TransientError):
            return False  # a leader is being found

    cluster.until(anew)
