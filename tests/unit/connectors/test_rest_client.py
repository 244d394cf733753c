"""A destination that is an HTTP server: what each answer, and each fault, means."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.destinations import Destination
from connectors.outbound import Outcome, Parcel, Verdict
from connectors.rest.client import RestClient, request_headers
from schemas.envelope import Header, Reply, ReplyError, reply_to, write
from tests.integration.delivery.rig import Answer, Crew, nobody

HEADER = Header("create", "WorkOrders", source="WMS", message_id="m-1")
PARCEL = Parcel(b"<x/>", {"ce_id": "m-1", "ce_source": "WMS", "cimstream_inbound": "secret"})


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    made.close()


def sent(url: str, **said: object) -> Outcome:
    settings = {"kind": "rest", "url": url, "timeout_s": 0.3, **said}

    async def attempt() -> Outcome:
        client = RestClient(Destination.model_validate(settings))
        try:
            return await client.send(PARCEL)
        finally:
            await client.close()

    return asyncio.run(attempt())


@pytest.mark.parametrize(
    ("answer", "verdict", "after_s"),
    [
        ((200, {}), Verdict.DONE, 0),
        ((202, {}), Verdict.DONE, 0),
        ((204, {}), Verdict.DONE, 0),
        ((301, {"Location": "/elsewhere"}), Verdict.REFUSED, 0),
        ((400, {}), Verdict.REFUSED, 0),
        ((409, {}), Verdict.REFUSED, 0),
        ((408, {}), Verdict.AGAIN, 0),
        ((429, {}), Verdict.AGAIN, 0),
        ((429, {"Retry-After": "7"}), Verdict.AGAIN, 7),
        ((429, {"Retry-After": "999999999"}), Verdict.AGAIN, 3600),
        ((429, {"Retry-After": "soon"}), Verdict.AGAIN, 0),
        ((429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), Verdict.AGAIN, 0),
        ((429, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}), Verdict.AGAIN, 3600),
        ((500, {}), Verdict.UNKNOWN, 0),
        ((503, {}), Verdict.UNKNOWN, 0),
        ((503, {"Retry-After": "2"}), Verdict.AGAIN, 2),
    ],
)
def test_each_status_has_one_meaning(
    crew: Crew, answer: Answer, verdict: Verdict, after_s: float
) -> None:
    crew.answering = lambda _: answer
    outcome = sent(crew.url)
    assert (outcome.verdict, outcome.after_s) == (verdict, after_s)


def test_the_message_goes_as_it_is_with_the_key_that_a_repeat_is_recognised_by(
    crew: Crew, tmp_path: Path
) -> None:
    secret = tmp_path / "key"
    secret.write_text("Bearer abc\n")
    assert sent(crew.url, credential_file=str(secret)).verdict is Verdict.DONE
    (call,) = crew.calls
    assert call.body == PARCEL.message
    assert call.headers["Idempotency-Key"] == call.headers["ce-id"] == "m-1"
    assert call.headers["Authorization"] == "Bearer abc"
    assert "secret" not in str(call.headers)


def test_what_a_header_cannot_hold_is_escaped() -> None:
    headers = request_headers(Parcel(b"", {"ce_id": "ü\r\nX: 1".replace("\r\n", " ")}))
    assert headers["Idempotency-Key"] == "\\xfc X: 1"


def test_where_nobody_listens_it_has_surely_not_arrived() -> None:
    assert sent(nobody()).verdict is Verdict.AGAIN


def test_a_connection_that_says_nothing_is_given_up_and_nobody_knows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert sent(url).verdict is Verdict.UNKNOWN


def test_an_answer_that_drips_for_longer_than_the_time_is_given_up(crew: Crew) -> None:
    crew.delay_s = 5
    assert sent(crew.url).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("result", "verdict"),
    [("OK", Verdict.DONE), ("PARTIAL", Verdict.DONE), ("FAILED", Verdict.REFUSED)],
)
def test_a_response_message_says_itself_whether_it_is_a_receipt(
    crew: Crew, result: str, verdict: Verdict
) -> None:
    reply = Reply(result, (ReplyError("2.9", "FATAL", "no"),))
    crew.body = write(reply_to(HEADER, reply, message_id="r", timestamp_ms=0))
    assert sent(crew.url, receipt="response").verdict is verdict


@pytest.mark.parametrize("body", [b"", b"<no", b"<html/>", b"x" * 1_100_000])
def test_an_answer_that_is_no_response_message_says_nothing(crew: Crew, body: bytes) -> None:
    crew.body = body
    assert sent(crew.url, receipt="response").verdict is Verdict.UNKNOWN


def test_where_the_receipt_is_a_reply_the_status_only_says_that_it_arrived(crew: Crew) -> None:
    assert sent(crew.url, receipt="reply").verdict is Verdict.TAKEN
