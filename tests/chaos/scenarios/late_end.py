"""A late EndTxn and the next transaction of the same producer: with the defence, and without.

Lives here: the two drivers of the engine's producer, in this process, where the order of things
is exact. Must not live here: the same fault under a whole system (`network.delayed_end`).

librdkafka does not implement KIP-890: an EndTxn of a transaction that was given up carries the
same producer id and epoch as the next one. The engine never uses a producer again after an
outcome it does not know. Without that the anomaly must show, or this test sees nothing.
"""

from __future__ import annotations

import uuid
from threading import Thread
from typing import Final

from confluent_kafka.admin import NewTopic

from streams.engine.errors import UnknownOutcomeError
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.kafka.transactions import _Status
from streams.engine.record import Output, TopicPartition
from tests.chaos.faults import Anomaly, Blind
from tests.chaos.observer import uncommitted
from tests.chaos.proxy import END_TXN
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage

_REQUEST_S: Final = 2.0


def with_the_defence(stage: Stage) -> None:
    """The late EndTxn is refused, and the next transaction is ended by nobody but its owner."""
    if _visible_before_its_commit(stage, careful=True):
        raise Anomaly("a late EndTxn committed the next transaction of a new producer")


def after_a_retry(stage: Stage) -> None:
    """The library itself sends the EndTxn again over a new connection; the first comes late.

    The commit ends well, and only the library's log tells of it.
    """
    topic = _new_topic(stage)
    log = TransactionalProducer(KafkaSettings(stage.cluster.proxied), topic)
    log.reset()
    log.begin()
    log.produce(Output(topic, None, b"first", (), 0))
    for proxy in stage.cluster.proxies:
        proxy.hold(END_TXN)
    cutting = Thread(target=_cut_when_caught, args=(stage,))
    cutting.start()
    log.commit()
    cutting.join()
    if _is_visible_early(stage, log, topic):
        raise Anomaly("a late EndTxn, sent again by the library, committed the next transaction")


def _cut_when_caught(stage: Stage) -> None:
    proxies = stage.cluster.proxies
    stage.until(lambda: any(proxy.caught for proxy in proxies), "no EndTxn comes by")
    for proxy in proxies:
        proxy.let_pass()
        proxy.cut()


def without_the_defence(stage: Stage) -> None:
    """The producer is used on: the late EndTxn commits what its owner then aborts."""
    if not _visible_before_its_commit(stage, careful=False):
        raise Blind("a late EndTxn did no harm to a producer that was used on")


def _visible_before_its_commit(stage: Stage, *, careful: bool) -> bool:
    """Whether a late EndTxn makes records of the open transaction visible."""
    topic = _new_topic(stage)
    cluster = stage.cluster
    settings = KafkaSettings(
        cluster.proxied, transaction_timeout_ms=60_000, request_timeout_s=_REQUEST_S
    )
    log = (TransactionalProducer if careful else _Careless)(settings, topic)
    log.reset()
    log.begin()
    log.produce(Output(topic, None, b"first", (), 0))
    for proxy in cluster.proxies:
        proxy.hold(END_TXN)
    try:
        log.commit()
    except UnknownOutcomeError:
        pass
    else:
        raise Blind("the commit was not held back")
    for proxy in cluster.proxies:
        proxy.let_pass()
        proxy.cut()
    log.reset()
    return _is_visible_early(stage, log, topic)


def _is_visible_early(stage: Stage, log: TransactionalProducer, topic: str) -> bool:
    """Write a second transaction, let the EndTxn of the first arrive, look before its commit."""
    log.begin()
    log.produce(Output(topic, None, b"second", (), 0))
    stage.until(lambda: _written(stage, topic) == 2, "the second transaction is not written")
    for proxy in stage.cluster.proxies:
        proxy.release()
    visible = any(record.value == b"second" for record in stage.read(topic))
    log.close()
    stage.cluster.delete_topics([topic])
    return visible


def _new_topic(stage: Stage) -> str:
    topic = f"chaos-late-end-{uuid.uuid4().hex[:8]}"
    (made,) = stage.cluster.admin.create_topics([NewTopic(topic, 1)]).values()
    made.result(stage.left_s)
    return topic


class _Careless(TransactionalProducer):
    """What the engine must never do: finish the commit in doubt, and keep the producer."""

    def reset(self) -> None:
        if self._producer is None:
            super().reset()
            return
        if self._status is not _Status.IDLE:
            self._producer.commit_transaction(10 * _REQUEST_S)
            self._status = _Status.IDLE


def _written(stage: Stage, topic: str) -> int:
    """Records in the topic, committed or not."""
    return len(uncommitted(stage.cluster.bootstrap, [topic])[TopicPartition(topic, 0)])


SCENARIOS: Final = (
    Scenario(
        "late-end",
        "a late EndTxn after the producer was thrown away does nothing",
        with_the_defence,
        selected=True,
        judged=False,
    ),
    Scenario(
        "late-end-after-retry",
        "a late EndTxn that the library itself has sent again does nothing",
        after_a_retry,
        selected=True,
        judged=False,
    ),
    Scenario(
        "late-end-undefended",
        "control: a late EndTxn to a producer that is used on commits what is open",
        without_the_defence,
        selected=True,
        judged=False,
    ),
)
