"""Both clients on real sockets: each method says the same and gets the same."""

from __future__ import annotations

import asyncio
import inspect
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import Any

import pytest

from connectors.client import (
    AsyncClient,
    Client,
    ConflictError,
    NotFoundError,
    UnavailableError,
)
from connectors.exchange import Call
from schemas.envelope import Reply, reply_error
from schemas.errors import Problem
from tests.integration.data_rig import message
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.fake_log import FakeSubscriptions, outage
from tests.unit.gateway.test_protocol import serving

OUTAGES = b'<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>a</mRID></Outage></Outages>'
THREE = [outage(0, "a"), outage(1, "b", verb="change"), outage(0, "c", partition=1)]


def answering(call: Call) -> Reply | None:
    """Refuses what exists, answers nothing of one ID, and is content with the rest."""
    if call.header.message_id == "exists":
        return Reply("FAILED", (reply_error(Problem("object_exists")),))
    return None if call.header.message_id == "slow" else Reply("OK")


@pytest.fixture(scope="module")
def exchange() -> FakeExchange:
    return FakeExchange(answering)


@pytest.fixture(scope="module")
def url(exchange: FakeExchange) -> Iterator[str]:
    with contextmanager(serving)(600, 600, FakeSubscriptions(THREE), exchange) as port:
        yield f"http://127.0.0.1:{port}"


def in_both(url: str, use: Callable[[Any], Any]) -> list[Any]:
    """What the use of a client gives, for threads and for event loops."""
    with Client(url, source="OMS-1", patience_s=10) as client:
        found = [use(client)]

    async def use_async() -> None:
        async with AsyncClient(url, source="OMS-1", patience_s=10) as client:
            found.append(await use(client))

    asyncio.run(use_async())
    return found


def both_raise(url: str, kind: type[Exception], use: Callable[[Any], Any]) -> None:
    with Client(url, source="OMS-1", patience_s=0.5) as client, pytest.raises(kind):
        use(client)

    async def use_async() -> None:
        async with AsyncClient(url, source="OMS-1", patience_s=0.5) as client:
            with pytest.raises(kind):
                await use(client)

    asyncio.run(use_async())


def test_both_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(kind: type[Any]) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(found).parameters)
            for name, found in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)


def test_a_published_message_has_its_bytes_on_inbound(url: str, exchange: FakeExchange) -> None:
    body = message("p-1")
    receipts = in_both(url, lambda client: client.publish("I7", body))
    assert [receipt.identity for receipt in receipts] == ["HES-1|MeterReadings|p-1"] * 2
    assert [exchange.log[receipt.offset].message.value for receipt in receipts] == [body] * 2


def test_a_request_has_its_reply_and_a_receipt_too(url: str) -> None:
    replies = in_both(url, lambda client: client.request("I7", message("r-1")))
    assert [reply.result for reply in replies] == ["OK", "OK"]
    receipts = in_both(url, lambda client: client.publish("I7", message("r-2")))
    answers = in_both(url, lambda client: client.reply(receipts[0]))
    assert [reply.result for reply in answers] == ["OK", "OK"]


@pytest.mark.parametrize(
    ("method", "noun", "what", "verb"),
    [
        ("create", "Outages", OUTAGES, "create"),
        ("change", "Outages", OUTAGES, "change"),
        ("delete", "Assets", "a", "delete"),
        ("cancel", "Outages", "a", "cancel"),
        ("close_object", "Outages", "a", "close"),
    ],
    ids=lambda value: value if isinstance(value, str) else "payload",
)
def test_objects_of_registers_are_changed_by_verb(
    method: str, noun: str, what: Any, verb: str, url: str, exchange: FakeExchange
) -> None:
    home = {"Outages": "I1", "Assets": "I2"}[noun]
    made = in_both(url, lambda client: getattr(client, method)(home, noun, what))
    assert [reply.result for reply in made] == ["OK", "OK"]
    for call in exchange.log[-2:]:
        assert (call.header.verb, call.header.source) == (verb, "OMS-1")
        assert call.header.message_id


def test_a_refusal_is_an_exception_of_its_kind(url: str) -> None:
    said = {"message_id": "exists"}
    both_raise(url, ConflictError, lambda client: client.create("I1", "Outages", OUTAGES, **said))
    both_raise(url, NotFoundError, lambda client: client.publish("I12", message()))


def test_a_gateway_that_is_not_there_is_said_to_be_away() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{bound.getsockname()[1]}"
        both_raise(nowhere, UnavailableError, lambda client: client.publish("I7", message()))


def test_a_connection_that_breaks_leads_to_the_same_bytes_again() -> None:
    """A server that hangs up twice before it answers."""
    got: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        for number in range(3):
            connection, _ = listening.accept()
            with connection:
                data = b""
                while not data.endswith(b"</RequestMessage>"):
                    data += connection.recv(65_536)
                got.append(data.partition(b"\r\n\r\n")[2])
                if number == 2:
                    said = b'{"identity":"i","topic":"t","partition":0,"offset":0}'
                    connection.sendall(
                        b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
                    )

    body = message("again")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        with Client(f"http://127.0.0.1:{listening.getsockname()[1]}") as client:
            assert client.publish("I7", body).identity == "i"
        thread.join()
    assert got == [body] * 3


def test_a_subscription_goes_on_where_it_was_ended(url: str) -> None:
    """The stream of the fake log ends behind its last event."""
    with (
        Client(url) as client,
        closing(client.subscribe("I1", "Outages", begin="earliest")) as all_,
    ):
        got = [next(all_) for _ in THREE]
    assert [event.record["mRID"] for event in got] == ["a", "b", "c"]
    assert [event.verb for event in got] == ["create", "change", "create"]

    async def read() -> list[str]:
        async with AsyncClient(url) as client:
            stream = client.subscribe(
                "I1", "Outages", begin=got[0].position, field__mRID=["b", "c"]
            )
            async with aclosing(stream) as events:
                return [(await anext(events)).record["mRID"] for _ in range(2)]

    assert asyncio.run(read()) == ["b", "c"]


def test_an_application_needs_little_to_import_it() -> None:
    said = (
        "import sys, connectors.client;"
        "print([m for m in ('confluent_kafka', 'fastavro', 'numpy', 'pydantic', 'starlette',"
        " 'streams', 'topics') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
