"""What a reader of logs is told where a broker is silent."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

from confluent_kafka import OFFSET_INVALID
from confluent_kafka.admin import AdminClient

from streams.engine.kafka import KafkaSettings
from streams.engine.record import TopicPartition
from streams.runtime.reading import Range, TopicReader

AT = TopicPartition("cim.i7.meter-readings", 0)


class Hesitant:
    """Brokers of which one does not answer at first: the client gives no offset and no error."""

    def __init__(self) -> None:
        self._offsets = [OFFSET_INVALID, 3, OFFSET_INVALID, 7]

    def list_offsets(self, asked: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        answer.set_result(SimpleNamespace(offset=self._offsets.pop(0)))
        return dict.fromkeys(asked, answer)


def test_an_offset_that_no_broker_told_is_asked_for_again() -> None:
    reader = TopicReader(KafkaSettings("localhost:1"))
    reader._admin = cast(AdminClient, Hesitant())
    assert reader.bounds([AT]) == {AT: Range(3, 7)}
