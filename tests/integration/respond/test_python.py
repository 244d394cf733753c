"""A responder inside a Python process, and queries that come in over Kafka without a gateway."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from lxml import etree

from connectors.inbound import admit
from connectors.respond import Answer, Request, Responder
from schemas.envelope import read
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output
from streams.runtime.responding import serve
from streams.runtime.sending import Delivery, Sender
from streams.runtime.settings import load_settings
from tests.integration.gateway.rig import new_source
from tests.integration.respond.rig import awaited, query, replies
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run
from topics import load_catalogue

pytestmark = pytest.mark.integration

CATALOGUE = load_catalogue()
INTERFACE, NOUN, OUTBOUND = "I3", "LoadForecasts", "cim.i3.outbound"


@pytest.fixture(scope="module")
def bootstrap(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka with intake of I3."""
    with contextmanager(make_run)(kafka, tmp_path_factory.mktemp("run")) as start_run:
        start_run("--interface", INTERFACE).await_event("partitions assigned")
        yield kafka


def send(bootstrap: str, data: bytes) -> Delivery:
    """As any producer that knows the keys."""
    message = admit(data, INTERFACE, CATALOGUE, received_ms=0)
    sender = Sender(KafkaSettings(bootstrap), timeout_s=PATIENCE_S)
    delivered: list[Delivery] = []
    output = Output(message.topic, message.key, message.value, message.headers)
    sender.send(output, delivered.append)
    sender.finish()
    return delivered[0]


def test_a_responder_in_a_process_of_ones_own_answers_what_comes_in_over_kafka(
    bootstrap: str, tmp_path: Path
) -> None:
    responder, asked = Responder(), []

    @responder.answers(NOUN)
    def answer(request: Request) -> Answer:
        asked.append(request.header.message_id)
        return Answer(etree.fromstring(b'<LoadForecasts xmlns="urn:cimstream:LoadForecasts:1"/>'))

    settings = load_settings(
        worker={"state_folder": tmp_path}, respond={"interfaces": (INTERFACE,), "http_port": 0}
    )
    stopping, source = Event(), new_source()
    serving = Thread(
        target=serve, args=(bootstrap, settings, responder, stopping), kwargs={"slot": 30}
    )
    serving.start()
    ids = [uuid.uuid4().hex for _ in range(3)]
    places = [send(bootstrap, query(one, source, NOUN)) for one in ids]
    found = awaited(lambda: len(r := replies(bootstrap, source, OUTBOUND)) == len(ids) and r)
    stopping.set()
    serving.join(PATIENCE_S)
    assert not serving.is_alive()
    assert sorted(asked) == sorted(ids)
    named = {f"{p.topic}/{p.partition}@{p.offset}".encode() for p in places}
    assert set(found) == named
    for each in found.values():
        (record,) = each
        message = read(record.value or b"")
        assert message.reply is not None
        assert message.reply.result == "OK"
        assert message.payload is not None
