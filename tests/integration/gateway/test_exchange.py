"""The contract of the exchange, on the fake and on a real Kafka: the same tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from threading import Event, Thread
from typing import Any, Protocol

import pytest

from connectors.exchange import (
    Call,
    CallUnknownError,
    Exchange,
    Place,
    UnavailableError,
    read_call,
)
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output
from streams.runtime.gateway.exchange import KafkaExchange
from streams.runtime.sending import Delivery, LoopSender, Sender
from tests.integration.data_rig import committed, make_topics, message
from tests.unit.gateway.fake import FakeExchange
from topics import load_catalogue, naming
from topics.replies import ANSWERS

CATALOGUE = load_catalogue()
# Who waits so long for a reply that is on its way gets it on any machine.
LONG_S = 60.0


class Side(Protocol):
    """An exchange and what plays the pipeline behind it."""

    exchange: Exchange

    def respond(self, place: Place, value: bytes, **headers: str) -> None: ...

    async def another(self) -> Exchange: ...


class FakeSide:
    def __init__(self) -> None:
        self.exchange = FakeExchange(lambda _: None)

    def respond(self, place: Place, value: bytes, **headers: str) -> None:
        self.exchange.answer(place, value, **headers)

    async def another(self) -> Exchange:
        return self.exchange


class KafkaSide:
    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._started: list[KafkaExchange] = []
        self.exchange: Any = None

    def respond(self, place: Place, value: bytes, **headers: str) -> None:
        said = {"ce_verb": "reply", **(headers or {ANSWERS: str(place)})}
        sender = Sender(KafkaSettings(self._bootstrap), timeout_s=LONG_S)
        failures: list[Delivery] = []
        encoded = tuple((name, text.encode()) for name, text in said.items())
        output = Output(naming.outbound("I7"), SOURCE.encode(), value, encoded)
        sender.send(output, failures.append)
        sender.finish()
        assert not failures[0].failure

    async def another(self) -> Exchange:
        exchange = KafkaExchange(
            KafkaSettings(self._bootstrap), CATALOGUE, f"test-{uuid.uuid4().hex[:6]}",
            timeout_s=LONG_S, count=lambda _: None,
        )  # fmt: skip
        await exchange.start()
        self._started.append(exchange)
        return exchange

    async def stop(self) -> None:
        for exchange in self._started:
            await exchange.stop()


SOURCE = f"HES-{uuid.uuid4().hex[:8]}"
Run = Callable[[Callable[[Side], Awaitable[None]]], None]


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.integration)])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test in a loop, with a side."""

    def on_fake(test: Callable[[Side], Awaitable[None]]) -> None:
        asyncio.run(test(FakeSide()))  # type: ignore[arg-type]

    def on_kafka(test: Callable[[Side], Awaitable[None]]) -> None:
        bootstrap = request.getfixturevalue("kafka")
        make_topics(bootstrap)

        async def all_of_it() -> None:
            side = KafkaSide(bootstrap)
            side.exchange = await side.another()
            try:
                await test(side)
            finally:
                await side.stop()

        asyncio.run(all_of_it())

    return on_fake if request.param == "fake" else on_kafka


def call(message_id: str = "", correlation_id: str = "", noun: str = "MeterReadings") -> Call:
    body = message(message_id or uuid.uuid4().hex, source=SOURCE)
    if correlation_id:
        said = f"<CorrelationID>{correlation_id}</CorrelationID></Header>".encode()
        body = body.replace(b"</Header>", said)
    body = body.replace(b">MeterReadings<", f">{noun}<".encode())
    return read_call(body, "I7", CATALOGUE, received_ms=0, traceparent="")


async def recalled(exchange: Exchange, place: Place) -> bytes | None:
    """What is found by who goes on asking; a look may end before the log does."""
    for _ in range(200):
        found = await exchange.recall(place)
        if found.reply is not None:
            return found.reply
        await asyncio.sleep(0.1)
    return None


def test_what_was_submitted_lies_where_the_receipt_says(run: Run) -> None:
    async def test(side: Side) -> None:
        first, second = call(), call()
        places = [await side.exchange.submit(one) for one in (first, second)]
        assert len(set(places)) == 2
        for place in places:
            found = await side.exchange.recall(place)
            assert (found.source, found.reply) == (SOURCE, None)

    run(test)


def test_the_reply_reaches_who_waits_for_it(run: Run) -> None:
    async def test(side: Side) -> None:
        place = await side.exchange.submit(call())
        waiting = asyncio.create_task(side.exchange.reply(place, LONG_S))
        await asyncio.sleep(0)
        await asyncio.to_thread(side.respond, place, b"<reply/>")
        assert await waiting == b"<reply/>"

    run(test)


def test_no_reply_in_time_is_none_and_the_late_one_is_found_afterwards(run: Run) -> None:
    async def test(side: Side) -> None:
        place = await side.exchange.submit(call())
        assert await side.exchange.reply(place, 0.01) is None
        await asyncio.to_thread(side.respond, place, b"<late/>")
        assert await recalled(side.exchange, place) == b"<late/>"

    run(test)


@pytest.mark.parametrize("convention", ["correlation ID", "message ID"])
def test_both_conventions_of_correlation_lead_to_the_call(run: Run, convention: str) -> None:
    async def test(side: Side) -> None:
        message_id, correlation_id = uuid.uuid4().hex, uuid.uuid4().hex
        asking = call(message_id, correlation_id)
        place = await side.exchange.submit(asking)
        said = {
            "ce_destination": SOURCE, "ce_noun": "MeterReadings",
            "ce_correlationid": correlation_id if convention == "correlation ID" else message_id,
        }  # fmt: skip
        await asyncio.to_thread(lambda: side.respond(place, b"<foreign/>", **said))
        assert await recalled(side.exchange, place) == b"<foreign/>"
        assert await recalled(await side.another(), place) == b"<foreign/>"

    run(test)


def test_another_process_knows_the_call_and_its_reply_and_each_sending_its_own(run: Run) -> None:
    """What a gateway must do after it was killed with calls open."""

    async def test(side: Side) -> None:
        first = await side.exchange.submit(call("m-again"))
        second = await side.exchange.submit(call("m-again"))
        await asyncio.to_thread(side.respond, first, b"<first/>")
        other = await side.another()
        assert await recalled(other, first) == b"<first/>"
        assert (await other.recall(second)).reply is None
        await asyncio.to_thread(side.respond, second, b"<second/>")
        assert await recalled(other, second) == b"<second/>"

    run(test)


def test_a_call_is_known_to_another_process_whatever_the_message_calls_its_noun(run: Run) -> None:
    async def test(side: Side) -> None:
        place = await side.exchange.submit(call(noun="MeterReading"))
        await asyncio.to_thread(side.respond, place, b"<reply/>")
        assert await recalled(await side.another(), place) == b"<reply/>"

    run(test)


def test_where_nothing_was_submitted_there_is_no_call(run: Run) -> None:
    async def test(side: Side) -> None:
        place = await side.exchange.submit(call())
        for wrong in (place._replace(offset=place.offset + 10_000), place._replace(partition=999)):
            with pytest.raises(CallUnknownError):
                await side.exchange.recall(wrong)

    run(test)


@pytest.mark.integration
def test_an_audit_record_is_in_the_audit_topic(kafka: str) -> None:
    make_topics(kafka)
    about = uuid.uuid4().hex

    async def test() -> None:
        side = KafkaSide(kafka)
        exchange = await side.another()
        exchange.audit("refused", about, "HES-1", {"code": "not_authorised"})
        await side.stop()

    asyncio.run(test())
    (record,) = [r for r in committed(kafka, naming.AUDIT) if r.key == about.encode()]
    assert b"not_authorised" in (record.value or b"")


def test_without_kafka_nothing_is_accepted() -> None:
    async def test() -> list[BaseException | Place]:
        settings = KafkaSettings("127.0.0.1:1", extra={"log_level": 0})
        exchange = KafkaExchange(settings, CATALOGUE, "away", timeout_s=1, count=lambda _: None)
        serving = asyncio.create_task(exchange._serve())
        try:
            return await asyncio.gather(
                *(exchange.submit(call()) for _ in range(3)), return_exceptions=True
            )
        finally:
            serving.cancel()

    assert [type(found) for found in asyncio.run(test())] == [UnavailableError] * 3


def test_what_finds_no_room_before_kafka_is_refused_at_once_and_every_other_is_reported() -> None:
    settings = KafkaSettings("127.0.0.1:1", message_bytes_max=1, extra={"log_level": 0})
    sender = LoopSender(settings, timeout_s=1, buffer_bytes=10)
    reported: list[Delivery] = []
    output = Output("cim.i7.inbound", b"k", b"12345678", ())
    assert [sender.offer(output, reported.append) for _ in range(3)] == [True, False, False]
    sender.finish(LONG_S)
    assert [bool(delivery.failure) for delivery in reported] == [True]
    assert sender.offer(output, reported.append), "the room was not given back"


def test_an_exchange_that_nobody_reads_replies_for_is_broken_and_not_just_silent() -> None:
    settings = KafkaSettings("127.0.0.1:1", extra={"log_level": 0})
    exchange = KafkaExchange(settings, CATALOGUE, "dead", timeout_s=1, count=lambda _: None)
    stop = Event()
    exchange._thread = Thread(target=stop.wait)
    exchange._thread.start()
    assert not exchange.broken
    stop.set()
    exchange._thread.join()
    assert exchange.broken
