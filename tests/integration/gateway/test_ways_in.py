"""One message, four ways in: the same canonical records, byte for byte, and one effect.

What each way brings to Kafka is read back from it. What the pipeline makes of each is computed in
memory, once for every way by itself; what the real one made of all four together is in the logs.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from connectors.inbound import admit
from connectors.soap.namespaces import WSA
from schemas.envelope import peek_header
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output, Record
from streams.runtime.sending import Delivery, LoopSender
from tests.integration.data_rig import cimstream, committed, make_topics
from tests.integration.gateway.rig import GatewayRun, awaited, make_gateway, post
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run
from tests.unit.gateway.soap_client import CATALOGUE, SOAP_11, SOAP_12, enveloped
from tests.unit.registers.driver import House

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = {
    "I1": ["outages-create", "switching-plans-create", "alarms-created"],
    "I2": ["assets-create", "asset-catalogue-create", "network-data-set-create"],
    "I3": ["load-forecasts-created"],
    "I4": ["work-orders-create", "crews-create"],
    "I5": ["der-proposals-create"],
    "I6": ["trouble-tickets-create"],
    "I7": [
        "readings-day", "create-with-receipt", "end-device-events", "interval-blocks", "compressed",
        "operation-set", "dst-day",
    ],
    "I8": ["der-groups-create"],
    "I9": ["measurements-created"],
    "I10": ["publication-market-document-created"],
    "I11": ["reliability-indices-created"],
}  # fmt: skip
RUN = uuid.uuid4()
WAYS = ("rest", "soap", "file", "kafka")
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ID = re.compile(rb"(MessageID>)([^<]*)")


@pytest.fixture(scope="module")
def kafka(own_kafka: str) -> str:
    """One that nobody else sends to."""
    return own_kafka


def example(name: str) -> bytes:
    """An example whose message and objects nobody has sent before."""
    (file,) = EXAMPLES.rglob(f"{name}.xml")
    data = _UUID.sub(
        lambda found: str(uuid.uuid5(RUN, found[0].decode())).encode(), file.read_bytes()
    )
    return _ID.sub(lambda found: b"%b%b-%b" % (found[1], found[2], RUN.hex.encode()), data, count=1)


MESSAGES = [(interface, example(name)) for interface, names in NAMES.items() for name in names]


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    make_topics(kafka)
    with contextmanager(make_gateway)(kafka) as start:
        file = tmp_path_factory.mktemp("nonces") / "nonces.sqlite"
        yield start(CIMSTREAM__SOAP__NONCE_FILE=str(file))


@pytest.fixture(scope="module")
def brought(
    kafka: str, gateway: GatewayRun, tmp_path_factory: pytest.TempPathFactory
) -> list[list[Record]]:
    """Every message on every way, one way after the other: its records on inbound, by way."""
    by_rest(gateway)
    by_soap(gateway)
    by_file(kafka, tmp_path_factory.mktemp("outbox"))
    by_kafka(kafka)
    inbound = {i: committed(kafka, f"cim.{i.lower()}.inbound") for i in NAMES}
    found = []
    for interface, data in MESSAGES:
        header = peek_header(data)
        assert header is not None
        records = [
            record for record in inbound[interface] if peek_header(record.value or b"") == header
        ]
        found.append(sorted(records, key=lambda record: record.offset))
    return found


def by_rest(gateway: GatewayRun) -> None:
    for interface, data in MESSAGES:
        assert post(gateway.url, data, interface, Prefer="respond-async").status_code == 202


def by_soap(gateway: GatewayRun) -> None:
    """Each version of SOAP in turn; prefixes of the message declared around it."""
    nowhere = f'<a:ReplyTo xmlns:a="{WSA}"><a:Address>{WSA}/none</a:Address></a:ReplyTo>'
    scope = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:odd="urn:odd"'
    for number, (interface, data) in enumerate(MESSAGES):
        version = (SOAP_11, SOAP_12)[number % 2]
        response = httpx.post(
            f"{gateway.url}/soap/{interface}",
            content=enveloped(data, nowhere, version, scope),
            headers={"Content-Type": version.media},
            timeout=PATIENCE_S,
        )
        assert response.status_code == 202, response.text


def by_file(kafka: str, folder: Path) -> None:
    for number, (interface, data) in enumerate(MESSAGES):
        (folder / interface).mkdir(exist_ok=True)
        (folder / interface / f"{number:02}.xml").write_bytes(data)
    for interface in NAMES:
        done = cimstream(kafka, "send", folder / interface, "--interface", interface)
        assert done.returncode == 0, done.stderr.decode()


def by_kafka(kafka: str) -> None:
    """As a system that writes to inbound itself: the message, under the key of the contract."""
    sender = LoopSender(KafkaSettings(kafka), timeout_s=PATIENCE_S)
    failures: list[str] = []

    def reported(delivery: Delivery) -> None:
        failures.append(delivery.failure)

    for interface, data in MESSAGES:
        key = admit(data, interface, CATALOGUE, received_ms=0).key
        assert sender.offer(Output(f"cim.{interface.lower()}.inbound", key, data, ()), reported)
    sender.finish(PATIENCE_S)
    assert failures == [""] * len(MESSAGES)


def made_of(records: list[Record]) -> list[tuple[str, bytes | None, bytes | None]]:
    """What the pipeline makes of these records alone: topic, key and value of all but raw bytes."""
    house = House()
    for record in records:
        house.append(
            Output(record.topic, record.key, record.value, record.headers, record.partition)
        )
    return [(topic, one.key, one.value) for topic, log in sorted(house.logs.items()) for one in log]


def test_there_are_twenty_messages_and_each_came_on_every_way(brought: list[list[Record]]) -> None:
    assert len(MESSAGES) >= 20
    assert [len(records) for records in brought] == [len(WAYS)] * len(MESSAGES)
    for records in brought:
        rest, _, file, kafka = (record.value for record in records)
        assert rest == file == kafka
        assert len({(record.key, record.partition) for record in records}) == 1


def test_on_every_way_the_canonical_records_are_the_same_byte_for_byte(
    brought: list[list[Record]],
) -> None:
    by_way = [made_of([records[way] for records in brought]) for way in range(len(WAYS))]
    topics = Counter(topic for topic, _, _ in by_way[0])
    assert not any(topic.endswith(".rejected") for topic in topics), topics
    assert sum(count for topic, count in topics.items() if topic.endswith(".current")) >= 8
    for way, made in zip(WAYS, by_way, strict=True):
        assert made == by_way[0], way


def test_all_four_together_have_one_effect(
    kafka: str, brought: list[list[Record]], tmp_path: Path
) -> None:
    expected = made_of([records[0] for records in brought])
    logs = Counter(
        topic for topic, _, _ in expected if not topic.endswith((".outbound", ".current"))
    )
    headers = filter(None, (peek_header(data) for _, data in MESSAGES))
    ids = {header.message_id.encode() for header in headers}

    def told() -> Counter[str]:
        return Counter(
            topic
            for topic in logs
            for record in committed(kafka, topic)
            if dict(record.headers).get("ce_messageid") in ids
        )

    more = [word for one in NAMES if one != "I7" for word in ("--interface", one)]
    with contextmanager(make_run)(kafka, tmp_path) as start:
        run = start(*more)
        run.await_event("partitions assigned")
        awaited(lambda: [told()] if told() == logs else [], 1)
        assert run.end() == 0
    assert told() == logs
