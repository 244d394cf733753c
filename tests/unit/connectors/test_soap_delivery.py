"""A destination that is a SOAP server: what each answer means for the message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from connectors.destinations import Destination
from connectors.outbound import Outcome, Parcel, Verdict
from connectors.soap.delivery import SoapDelivery
from schemas.envelope import Header, Reply, ReplyError, reply_to, write
from tests.integration.delivery.rig import Crew, nobody, work_order

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGE = work_order("m-1", "wo-1", "CREW")


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    made.close()


def sent(url: str, message: bytes = MESSAGE, **said: object) -> Outcome:
    settings = {"kind": "soap", "url": url, "timeout_s": 0.5, **said}

    async def attempt() -> Outcome:
        client = SoapDelivery(Destination.model_validate(settings))
        try:
            return await client.send(Parcel(message, {"ce_id": "m-1"}))
        finally:
            await client.close()

    return asyncio.run(attempt())


def enveloped(body: bytes) -> bytes:
    return b'<s:Envelope xmlns:s="%s"><s:Body>%s</s:Body></s:Envelope>' % (SOAP.encode(), body)


def response(result: str) -> bytes:
    asked = Header("create", "WorkOrders", source="WMS", message_id="m-1")
    reply = Reply(result, (ReplyError("2.9", "FATAL", "no"),))
    data = write(reply_to(asked, reply, message_id="r", timestamp_ms=0))
    return enveloped(data.partition(b"?>")[2])


def fault(code: str) -> bytes:
    return enveloped(
        f"<s:Fault><faultcode>s:{code}</faultcode><faultstring>x</faultstring></s:Fault>".encode()
    )


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"", Verdict.DONE),
        (200, response("OK"), Verdict.DONE),
        (200, response("FAILED"), Verdict.REFUSED),
        (500, fault("Client"), Verdict.REFUSED),
        (500, fault("Server"), Verdict.UNKNOWN),
        (429, b"busy", Verdict.AGAIN),
        (404, b"<html/>", Verdict.REFUSED),
        (502, b"<html/>", Verdict.UNKNOWN),
    ],
)
def test_each_answer_has_one_meaning(
    crew: Crew, status: int, body: bytes, verdict: Verdict
) -> None:
    crew.body = body
    crew.answering = lambda _: (status, {"Content-Type": "text/xml"})
    assert sent(crew.url).verdict is verdict
    assert b"<title>x</title>" in crew.calls[0].body


def test_an_empty_answer_is_no_receipt_where_a_response_message_has_to_be_one(crew: Crew) -> None:
    assert sent(crew.url, receipt="response").verdict is Verdict.UNKNOWN


def test_where_nobody_listens_it_has_surely_not_arrived() -> None:
    assert sent(nobody()).verdict is Verdict.AGAIN


def test_a_server_that_is_silent_leaves_nobody_knowing(crew: Crew) -> None:
    crew.delay_s = 5
    assert sent(crew.url).verdict is Verdict.UNKNOWN
