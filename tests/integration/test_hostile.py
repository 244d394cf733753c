"""What a producer that knows nothing of us can put into an inbound topic, and its fate."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.demo import messages as m
from streams.demo.scenario import scenario
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record
from streams.runtime.reading import TopicReader
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import Run, await_committed, cimstream, new_source

pytestmark = pytest.mark.integration

INBOUND = "cim.i7.inbound"
REJECTED = "cim.i7.rejected"


@pytest.fixture
def running(kafka: str, tmp_path: Path) -> Iterator[Run]:
    cimstream(kafka, "topics", "apply")
    subject = Run(kafka, tmp_path / "state", "--interface", "I7")
    subject.await_event("partitions assigned")
    yield subject
    assert subject.end() == 0


@pytest.fixture
def produce(kafka: str) -> Callable[..., None]:
    """Produces raw values with librdkafka's own partitioner and no headers."""
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "message.max.bytes": 200_000_000,
            "compression.type": "lz4",
            "queue.buffering.max.kbytes": 400_000,
        }
    )

    def send(*values: bytes, key: bytes | None = None) -> None:
        for value in values:
            producer.produce(INBOUND, key=key, value=value)
        assert producer.flush(60) == 0

    return send


def rejections(bootstrap: str) -> list[Record]:
    with TopicReader(KafkaSettings(bootstrap)) as reader:
        return list(reader.records(reader.bounds(reader.topics()[REJECTED])))


def code(record: Record) -> str:
    return dict(record.headers)["cimstream_code"].decode()


def await_idle(bootstrap: str) -> None:
    """Wait until intake has processed all there is."""
    deadline = time.monotonic() + PATIENCE_S
    while json.loads(cimstream(bootstrap, "stats", "-i", "I7", "-o", "json"))["lag"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def readings(source: str, number: int = 0) -> bytes:
    meter = m.full_meter(f"{source}-{number}", m.values(number, 4), m.times(4))
    return m.envelope(m.meter_readings([meter]), message_id=f"m-{number}", source=source)


@pytest.mark.usefixtures("running")
def test_a_message_that_is_small_only_while_compressed_is_refused_by_its_real_size(
    kafka: str, produce: Callable[..., None]
) -> None:
    """Goal: Kafka counts compressed bytes, the limit counts real ones; the line goes on."""
    source = new_source()
    huge = readings(source).replace(b"<Header>", b"<Header>" + b" " * 100_000_000)

    produce(huge, readings(source, 1))

    await_committed(kafka, source, 1)
    found = [r for r in rejections(kafka) if dict(r.headers).get("cimstream_size") ==
             str(len(huge)).encode()]  # fmt: skip
    assert [code(record) for record in found] == ["message_too_large"]
    assert found[0].value == huge[: 64 * 1024]


@pytest.mark.usefixtures("running")
def test_repeats_of_a_producer_with_keys_of_its_own_are_recognised(
    kafka: str, produce: Callable[..., None]
) -> None:
    """Goal: dedup does not depend on the producer. Each message comes under three keys."""
    source = new_source()
    messages = [readings(source, number) for number in range(20)]
    for key in (None, b"meter-1", uuid.uuid4().bytes):
        produce(*messages, key=key)
    produce(readings(source, 99))

    records = await_committed(kafka, source, 21)

    assert len({record.key for record in records}) == len(records) == 21


@pytest.mark.usefixtures("running")
def test_every_hostile_message_of_the_scenario_is_rejected_with_its_code_whatever_its_way_in(
    kafka: str, produce: Callable[..., None]
) -> None:
    bad = [
        sent
        for sent in scenario(new_source())
        if sent.expected.rejected
        and not sent.expected.events
        # A conflict needs the first message, which does not come here.
        and "identity_conflict" not in sent.expected.rejected
    ]
    before = len(rejections(kafka))

    produce(*(sent.data for sent in bad))

    await_idle(kafka)
    found = Counter(code(record) for record in rejections(kafka)[before:])
    assert found == Counter(code for sent in bad for code in sent.expected.rejected)


@pytest.mark.usefixtures("running")
def test_empty_and_missing_values_are_rejected_and_the_line_goes_on(
    kafka: str, produce: Callable[..., None]
) -> None:
    source = new_source()
    before = len(rejections(kafka))
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(INBOUND, key=b"k", value=None, partition=0)
    producer.produce(INBOUND, key=None, value=b"", partition=0)
    assert producer.flush(30) == 0
    produce(*(readings(source, number) for number in range(12)))

    await_committed(kafka, source, 12)
    await_idle(kafka)

    codes = [code(record) for record in rejections(kafka)[before:]]
    assert codes.count("xml_not_wellformed") >= 2
