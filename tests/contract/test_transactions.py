"""`Transactions`: what an end makes visible, and who may still end something."""

from __future__ import annotations

import pytest

from streams.engine.errors import FatalError, FencedError, UnknownOutcomeError
from streams.engine.ports import Position, Transactions
from streams.engine.record import Output, Record, TopicPartition
from tests.contract.clusters import Subject
from topics.partitioning import murmur2_partition


def put(log: Transactions, topic: str, *keys: bytes, partition: int = 0) -> None:
    for key in keys:
        log.produce(Output(topic, key, b"v", (), partition), None)


def keys(records: list[Record]) -> list[bytes | None]:
    return [record.key for record in records]


def test_what_was_produced_is_visible_when_it_is_committed_and_not_before(
    cluster: Subject,
) -> None:
    topic, log = cluster.topic(), cluster.transactions()
    log.begin()
    put(log, topic, b"a", b"b")
    assert cluster.visible(topic) == []
    log.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"a", b"b"])


def test_what_was_aborted_is_never_visible_and_takes_offsets_with_its_marker(
    cluster: Subject,
) -> None:
    topic, log = cluster.topic(), cluster.transactions()
    log.begin()
    put(log, topic, b"never")
    cluster.until(lambda: cluster.visible(topic, committed=False) != [])
    log.abort()
    log.begin()
    put(log, topic, b"a")
    log.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"a"])
    assert [record.offset for record in cluster.visible(topic)] == [2]


def test_a_transaction_is_visible_in_all_its_partitions_or_in_none(cluster: Subject) -> None:
    topic, log = cluster.topic(2), cluster.transactions()
    log.begin()
    put(log, topic, b"a", partition=0)
    put(log, topic, b"b", partition=1)
    assert cluster.visible(topic) == []
    log.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"a", b"b"])


def test_nobody_sees_past_a_transaction_that_is_undecided(cluster: Subject) -> None:
    topic, log = cluster.topic(), cluster.transactions()
    cluster.feed(topic, b"before")
    log.begin()
    put(log, topic, b"inside")
    cluster.until(lambda: len(cluster.visible(topic, committed=False)) == 2)
    cluster.feed(topic, b"behind")
    assert keys(cluster.visible(topic)) == [b"before"]
    log.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"before", b"inside", b"behind"])


def offsets(log: Transactions) -> dict[TopicPartition, int]:
    return {at: last.offset for at, last in log.delivered().items()}


def test_delivered_tells_the_last_offset_per_pinned_partition_of_the_last_commit(
    cluster: Subject,
) -> None:
    topic, log = cluster.topic(2), cluster.transactions()
    log.begin()
    put(log, topic, b"a", b"b", partition=0)
    put(log, topic, b"c", partition=1)
    log.commit()
    assert offsets(log) == {TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 0}
    log.begin()
    put(log, topic, b"d", partition=0)
    log.commit()
    assert offsets(log) == {TopicPartition(topic, 0): 3}  # behind the marker


def test_offsets_are_committed_with_the_transaction_and_not_before(cluster: Subject) -> None:
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source()
    at = TopicPartition(topic, 0)
    log.begin()
    put(log, topic, b"a")
    log.send_offsets({at: Position(7)}, source.group())
    assert cluster.stored(topic) == {}
    log.commit()
    cluster.until(lambda: cluster.stored(topic) == {0: 7})


def test_offsets_of_an_aborted_transaction_are_forgotten(cluster: Subject) -> None:
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source()
    at = TopicPartition(topic, 0)
    for offset, commits in ((3, True), (9, False), (5, True)):
        log.begin()
        put(log, topic, b"a")
        log.send_offsets({at: Position(offset)}, source.group())
        if commits:
            log.commit()
        else:
            log.abort()
    cluster.until(lambda: cluster.stored(topic) == {0: 5})


def test_a_transaction_may_hold_nothing_but_offsets_and_may_hold_nothing(
    cluster: Subject,
) -> None:
    topic, log, source = cluster.topic(), cluster.transactions(), cluster.source()
    log.begin()
    log.send_offsets({TopicPartition(topic, 0): Position(4)}, source.group())
    log.commit()
    log.begin()
    log.commit()
    log.begin()
    log.abort()
    cluster.until(lambda: cluster.stored(topic) == {0: 4})


def test_a_second_producer_of_the_id_fences_the_first_whose_transaction_vanishes(
    cluster: Subject,
) -> None:
    topic, first = cluster.topic(), cluster.transactions()
    first.begin()
    put(first, topic, b"never")
    cluster.until(lambda: cluster.visible(topic, committed=False) != [])
    second = cluster.transactions()
    second.begin()
    put(second, topic, b"a")
    second.commit()
    with pytest.raises(FencedError):
        first.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"a"])


def test_a_fenced_producer_hears_of_it_when_it_aborts(cluster: Subject) -> None:
    """And not of a doubt, which it would settle by taking the id back."""
    topic, first = cluster.topic(), cluster.transactions()
    first.begin()
    put(first, topic, b"never")
    cluster.until(lambda: cluster.visible(topic, committed=False) != [])
    cluster.transactions()
    with pytest.raises(FencedError):
        first.abort()


def test_a_fenced_producer_cannot_bind_offsets(cluster: Subject) -> None:
    topic, first, source = cluster.topic(), cluster.transactions(), cluster.source()
    first.begin()
    cluster.transactions()
    with pytest.raises(FencedError):
        first.send_offsets({TopicPartition(topic, 0): Position(1)}, source.group())
    assert cluster.stored(topic) == {}


def test_producers_of_different_ids_do_not_disturb_each_other(cluster: Subject) -> None:
    topic, one = cluster.topic(), cluster.transactions("one")
    one.begin()
    put(one, topic, b"a")
    other = cluster.transactions("other")
    other.begin()
    put(other, topic, b"never")
    other.abort()
    one.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"a"])


def test_a_reset_settles_what_was_left_open_at_once(cluster: Subject) -> None:
    topic, log = cluster.topic(), cluster.transactions()
    log.begin()
    put(log, topic, b"never")
    cluster.until(lambda: cluster.visible(topic, committed=False) != [])
    log.reset()
    cluster.feed(topic, b"behind")
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"behind"])
    log.begin()
    put(log, topic, b"a")
    log.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"behind", b"a"])


def test_a_closed_producer_is_of_no_use_until_it_is_reset(cluster: Subject) -> None:
    topic, log = cluster.topic(), cluster.transactions()
    log.close()
    log.close()
    with pytest.raises(UnknownOutcomeError):
        log.begin()
    log.reset()
    log.begin()
    put(log, topic, b"a")
    log.commit()


def test_an_abort_without_a_transaction_does_nothing(cluster: Subject) -> None:
    log = cluster.transactions()
    log.abort()
    log.begin()
    log.commit()


@pytest.mark.parametrize("call", ["commit", "produce", "send_offsets"])
def test_what_needs_an_open_transaction_is_a_mistake_without_one(
    cluster: Subject, call: str
) -> None:
    log = cluster.transactions()
    arguments = {"produce": (Output("t", b"k", b"v"), None), "send_offsets": ({}, None)}
    with pytest.raises(RuntimeError):
        getattr(log, call)(*arguments.get(call, ()))


def test_a_partition_that_does_not_exist_is_a_fatal_error(cluster: Subject) -> None:
    topic, log = cluster.topic(), cluster.transactions()
    log.begin()
    put(log, topic, b"a")

    def beside() -> None:
        put(log, topic, b"b", partition=7)
        log.commit()

    with pytest.raises(FatalError):
        beside()


def test_what_is_not_pinned_goes_where_its_key_belongs(cluster: Subject) -> None:
    """The partitioner is the JVM's murmur2, on both."""
    topic, log = cluster.topic(5), cluster.transactions()
    log.begin()
    for number in range(20):
        log.produce(Output(topic, b"k%d" % number, b"v"), None)
    log.commit()
    cluster.until(lambda: len(cluster.visible(topic)) == 20)
    for record in cluster.visible(topic):
        assert record.partition == murmur2_partition(record.key or b"", 5)


def test_a_long_transaction_outlives_an_ordinary_one_and_the_next_is_ordinary_again(
    cluster: Subject,
) -> None:
    topic, beside = cluster.topic(2), cluster.topic()
    log, other = cluster.transactions("long"), cluster.transactions("ordinary")
    log.begin(long=True)
    put(log, topic, b"long")
    other.begin()
    put(other, beside, b"never")
    cluster.until(lambda: cluster.visible(beside, committed=False) != [])
    cluster.pass_transaction()
    with pytest.raises(FatalError):
        other.commit()
    log.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"long"])
    log.begin()
    put(log, topic, b"never", partition=1)
    cluster.until(lambda: len(cluster.visible(topic, committed=False)) == 2)
    cluster.pass_transaction()
    with pytest.raises(FatalError):
        log.commit()
    assert keys(cluster.visible(topic)) == [b"long"]


def test_clearing_an_id_ends_what_it_left_open_and_fences_it(cluster: Subject) -> None:
    topic, dead, heir = cluster.topic(), cluster.transactions("dead"), cluster.transactions("heir")
    dead.begin()
    put(dead, topic, b"never")
    cluster.until(lambda: cluster.visible(topic, committed=False) != [])
    assert heir.clear([dead.transactional_id]) == {}
    heir.begin()
    put(heir, topic, b"a")
    heir.commit()
    cluster.until(lambda: keys(cluster.visible(topic)) == [b"a"])
    with pytest.raises(FencedError):
        dead.commit()
