"""A commit of which we do not hear whether it happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from streams.engine.errors import TransientError, UnknownOutcomeError
from streams.engine.events import RestoreCompleted, TransactionAborted
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.ports import Position
from streams.engine.record import Output, TopicPartition
from streams.engine.worker import Limits
from tests.integration.engine import rig

pytestmark = pytest.mark.integration


class Deaf(TransactionalProducer):
    """At its second commit it does not hear the answer; what became of it is up to the test."""

    def __init__(self, settings: KafkaSettings, member: str, *, happens: bool) -> None:
        super().__init__(settings, member)
        self._happens = happens
        self._commits = 0
        self.producers: list[object] = []

    def reset(self) -> None:
        super().reset()
        self.producers.append(self._producer)

    def commit(self) -> None:
        self._commits += 1
        if self._commits != 2:
            super().commit()
            return
        if self._happens:
            super().commit()
        raise self._doubt(UnknownOutcomeError("no answer"))


@pytest.mark.parametrize("happens", [True, False], ids=["it-happened", "it-did-not"])
def test_after_an_unheard_commit_the_worker_goes_on_from_what_kafka_says(
    kafka: str, tmp_path: Path, happens: bool
) -> None:
    """Goal: whatever became of the commit, nothing is lost, repeated or remembered wrongly.

    Method: batches of 10 commit one by one; after the second, local state must follow the
    changelog (one batch behind where it happened) before the third is processed.
    """
    names, events = rig.new_names(), rig.Events()
    rig.make_topics(kafka, names, 1)
    rig.feed(kafka, names, [(b"k%d" % (i % 35), b"v") for i in range(60)])
    log = Deaf(KafkaSettings(kafka), names.member(0), happens=happens)
    limits = Limits(batch_records_max=10, commit_interval_s=0)
    subject = rig.worker(kafka, names, tmp_path, events, log=log, limits=limits)
    with rig.running(subject, events) as until:
        until(rig.Progress(kafka, names).done)
    assert len(log.producers) == len(set(map(id, log.producers))) == 2
    assert [e.code for e in events if isinstance(e, TransactionAborted)] == ["outcome_unknown"]
    restored = [e.records for e in events if isinstance(e, RestoreCompleted)]
    assert restored == [0, 12 if happens else 0]  # ten keys, the number, one counter
    rig.assert_exact(kafka, names)
    rig.assert_local_state(kafka, names, tmp_path, complete=True)


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_producer_in_doubt_refuses_everything_until_it_is_replaced(kafka: str, end: str) -> None:
    """Goal: no second transaction on a producer whose first may still be ended from afar."""
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    settings = KafkaSettings(kafka)
    log = TransactionalProducer(settings, names.member(0))
    output = Output(names.sink, b"k", b"v", (), 0)
    with pytest.raises(UnknownOutcomeError):
        log.begin()
    log.reset()
    heard = 0  # the answer may come before even such a time is up
    while True:
        log.begin()
        for _ in range(2):
            log.produce(output)
        while len(rig.read_all(kafka, names.sink, committed=False)) <= 2 * heard:
            pass
        log._settings = replace(settings, request_timeout_s=1e-6)
        try:
            getattr(log, end)()
        except UnknownOutcomeError:
            break
        log._settings = settings
        heard += 1
        assert heard < 20
    refused: list[Callable[[], None]] = [
        log.begin,
        log.commit,
        log.abort,
        lambda: log.produce(output),
        lambda: log.send_offsets({TopicPartition(names.source, 0): Position(1)}, None),
    ]
    for call in refused:
        with pytest.raises(UnknownOutcomeError):
            call()
    log._settings = settings
    log.reset()
    before = 2 * heard if end == "commit" else 0
    assert len(rig.read_all(kafka, names.sink)) in (before, before + 2)
    log.begin()
    log.produce(output)
    log.commit()
    first = log.delivered()[TopicPartition(names.sink, 0)]
    assert rig.read_all(kafka, names.sink)[-1].offset == first.offset
    log.close()
    log.close()


def test_a_producer_whose_connection_broke_is_replaced_before_its_next_transaction(
    kafka: str,
) -> None:
    """Goal: a request that was sent again may still arrive; it must find an epoch that is over.

    Method: the library tells of the break in its log, and nowhere else.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    log = TransactionalProducer(KafkaSettings(kafka), names.member(0))
    log.reset()
    producers = [log._producer]
    for break_it in (False, True, False):
        if break_it:
            log._connections.logger.info("%s [%s] %s", "FAIL", "producer", "a:1/1: Disconnected")
        log.begin()
        log.produce(Output(names.sink, b"k", b"v"))
        log.commit()
        producers.append(log._producer)
    assert [b is a for a, b in pairwise(producers)] == [True, False, True]
    assert len(rig.read_all(kafka, names.sink)) == 3
    log.close()


def test_a_producer_that_could_not_be_replaced_is_not_used_again(kafka: str) -> None:
    names, settings = rig.new_names(), KafkaSettings(kafka)
    log = TransactionalProducer(settings, names.member(0))
    log.reset()
    log._settings = replace(settings, request_timeout_s=1e-6)
    with pytest.raises(TransientError):
        log.reset()
    with pytest.raises(UnknownOutcomeError):
        log.begin()
    log._settings = settings
    log.reset()
    log.begin()
    log.commit()
    log.close()


def test_a_discarded_producer_leaves_nothing_behind(kafka: str) -> None:
    """Goal: throwing away neither waits nor flushes nor keeps threads.

    Method: throw away a producer with thousands of queued records; its successor sees none.
    """
    names = rig.new_names()
    rig.make_topics(kafka, names, 1)
    log = TransactionalProducer(KafkaSettings(kafka), names.member(0))
    log.reset()
    threads = len(list(Path("/proc/self/task").iterdir())) if Path("/proc").exists() else 0
    for _ in range(3):
        log.begin()
        for _ in range(5000):
            log.produce(Output(names.sink, b"k", b"v"))
        log.reset()
    if threads:
        assert len(list(Path("/proc/self/task").iterdir())) <= threads
    log.close()
    assert rig.read_all(kafka, names.sink) == []
