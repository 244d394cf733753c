"""What a connection may cost: a real server on a real socket, with clients that misbehave."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from connectors.access import Gatekeeper
from connectors.exchange import Place
from connectors.rest.config import RestLimits
from connectors.rest.events import EventDoor
from connectors.rest.server import RestDoor
from connectors.subscriptions import Batch, Beginning, Position
from streams.runtime.gateway.process import listen
from streams.runtime.gateway.protocol import guarded
from tests.integration.data_rig import message
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.fake_log import LOG_ID, FakeSubscription, FakeSubscriptions, outage
from topics import load_catalogue

PATIENCE_S = 20.0
LARGE_BYTES = 7 * 1024 * 1024
HEAD = b"POST /v1/I7/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\n"

HEAD_OF_PUT = HEAD.replace(b"POST /v1/I7/messages", b"PUT /v1/I1/Outages/o-1")


class LargeAnswers(FakeExchange):
    """Answers the message of one ID with more than any buffer of the system holds."""

    def answer(self, place: Place, value: bytes, **headers: str) -> None:
        if self.log[place.offset].header.message_id == "large":
            value = value.replace(b"</msg:Header>", b" " * LARGE_BYTES + b"</msg:Header>")
        super().answer(place, value, **headers)


class EndlessLog(FakeSubscriptions):
    """Has more to say than any buffer of the system holds."""

    ended = False

    async def open(self, topic: str, beginning: Beginning) -> FakeSubscription:
        return EndlessSubscription(self, Position(LOG_ID, (0, 0)))


class EndlessSubscription(FakeSubscription):
    async def next(self, within_s: float) -> Batch:
        event = outage(self.position.offsets[0], "a" * 10_000)
        self.position = self.position.behind(event)
        return Batch([event], self.position)

    def close(self) -> None:
        self._owner.ended = True  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A door that is as impatient as a test."""
    yield from serving(0.5, 600)


@pytest.fixture
def patient_port() -> Iterator[int]:
    """A door that waits for a head longer than any test."""
    yield from serving(600, 600)


def serving(
    head_s: float,
    unread_s: float,
    logs: FakeSubscriptions | None = None,
    behind: FakeExchange | None = None,
) -> Iterator[int]:
    """The port of a real server that has these behind it."""
    listening = listen("127.0.0.1", 0)
    listening.listen()  # now, so that nobody knocks before the server looks
    limits = RestLimits(body_s=0.5)
    events = EventDoor(load_catalogue(), logs or FakeSubscriptions(), limits, lambda *_: None)
    door = RestDoor(
        load_catalogue(),
        behind or LargeAnswers(),
        Gatekeeper(None),
        limits,
        lambda *_: None,
        events=events,
    )
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
    config = uvicorn.Config(
        door.application(), http=guarded(head_s, unread_s), ws="none", lifespan="off",
        log_config=None, access_log=False, timeout_keep_alive=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),), daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_S)


def connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def until_closed(one: socket.socket) -> bytes:
    """All that comes until the server hangs up; fails when it does not."""
    got = b""
    try:
        while data := one.recv(65_536):
            got += data
    except ConnectionResetError:
        pass
    return got


def exchange(one: socket.socket, body: bytes) -> bytes:
    one.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    got = b""
    while not got.endswith((b"</msg:ResponseMessage>", b"}")):
        got += one.recv(65_536)
    return got


def test_a_client_that_says_nothing_is_cut(port: int) -> None:
    with connection(port) as one:
        assert until_closed(one) == b""


def test_a_head_that_does_not_end_is_cut(port: int) -> None:
    with connection(port) as one:
        one.sendall(HEAD)
        assert until_closed(one) == b""


def test_a_head_that_drips_is_cut_however_long_it_goes_on(port: int) -> None:
    with connection(port) as one:
        one.sendall(HEAD)
        stop = threading.Event()

        def drip() -> None:
            try:
                while not stop.wait(0.05):
                    one.sendall(b"X")
            except OSError:
                pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert until_closed(one) == b""
        stop.set()
        dripping.join()


def test_a_head_that_is_too_large_is_cut(patient_port: int) -> None:
    with connection(patient_port) as one:
        one.sendall(HEAD)
        try:
            for _ in range(100):
                one.sendall(b"X-Filler: " + b"x" * 65_536)
        except OSError:
            pass
        assert until_closed(one) == b""


def test_a_connection_that_is_kept_and_then_misused_is_cut_too(port: int) -> None:
    with connection(port) as one:
        assert b" 200 " in exchange(one, message())
        one.sendall(b"\r\n")
        assert until_closed(one) == b""


@pytest.mark.parametrize("head", [HEAD, HEAD_OF_PUT], ids=["message", "resource"])
def test_a_body_that_does_not_come_is_answered_408_and_the_connection_closed(
    port: int, head: bytes
) -> None:
    with connection(port) as one:
        one.sendall(head + b"Content-Length: 1000\r\n\r\n<a>")
        got = until_closed(one)
    assert b" 408 " in got
    assert b"request_timeout" in got


@pytest.mark.parametrize("head", [HEAD, HEAD_OF_PUT], ids=["message", "resource"])
def test_what_is_left_of_a_refused_body_is_not_taken_for_a_request(port: int, head: bytes) -> None:
    inner = HEAD + b"Content-Length: 0\r\n\r\n"
    with connection(port) as one:
        one.sendall(head.replace(b"/xml", b"/pdf") + b"Content-Length: 5000\r\n\r\n" + inner)
        got = until_closed(one)
    assert got.count(b"HTTP/1.1 ") == 1
    assert b" 415 " in got


def test_one_connection_serves_one_request_after_the_other(port: int) -> None:
    with connection(port) as one:
        answers = [exchange(one, message()) for _ in range(3)]
    assert all(b" 200 " in answer for answer in answers)


def test_who_goes_away_in_the_middle_of_a_body_harms_nobody(port: int) -> None:
    with connection(port) as one:
        one.sendall(HEAD + b"Content-Length: 1000\r\n\r\n<a>")
    with connection(port) as one:
        assert b" 200 " in exchange(one, message())


def test_who_does_not_read_the_answer_does_not_keep_the_connection(port: int) -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(PATIENCE_S)
        one.connect(("127.0.0.1", port))
        large = message("large")
        one.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large)
        time.sleep(2.5)  # longer than a connection is kept here
        assert len(until_closed(one)) < LARGE_BYTES


def test_a_subscriber_that_does_not_read_is_cut_and_its_subscription_ends() -> None:
    logs = EndlessLog()
    with contextmanager(serving)(600, 0.5, logs) as port, socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(PATIENCE_S)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /v1/I1/Outages/events HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + PATIENCE_S
        while not logs.ended:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_subscriber_that_goes_away_ends_its_subscription() -> None:
    logs = EndlessLog()
    with contextmanager(serving)(600, 600, logs) as port:
        with connection(port) as one:
            one.sendall(b"GET /v1/I1/Outages/events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert one.recv(16)
        deadline = time.monotonic() + PATIENCE_S
        while not logs.ended:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_what_is_no_http_is_refused_and_cut(port: int) -> None:
    with connection(port) as one:
        one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert b" 200 " not in until_closed(one)
