"""The REST door on an exchange without Kafka: what a client gets, and what reaches the exchange."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from connectors.access import Gatekeeper, Pace, Rule, SourceAccess, key_hash, new_key
from connectors.exchange import Call, Place
from connectors.rest.config import RestLimits
from connectors.rest.server import RestDoor
from schemas.envelope import Reply, reply_error, reply_to, write
from schemas.errors import CODES, Problem
from tests.integration.data_rig import message
from tests.unit.gateway.fake import FakeExchange
from topics import load_catalogue

CATALOGUE = load_catalogue()
KEY, OTHER_KEY = new_key(), new_key()
METERS = Rule(interface="I7", nouns=("MeterReadings",), verbs=("create",))
ACCESS = {
    "HES-1": SourceAccess(keys=(key_hash(KEY),), allow=(METERS,)),
    "HES-2": SourceAccess(keys=(key_hash(OTHER_KEY),), allow=(METERS,)),
}
XML = {"Content-Type": "application/xml"}
EVENT = message("m-e").replace(b"RequestMessage", b"EventMessage").replace(
    b"<Verb>create<", b"<Verb>created<"
)  # fmt: skip


class Client:
    """Speaks to a door without a socket."""

    def __init__(
        self,
        exchange: FakeExchange,
        access: dict[str, SourceAccess] | None = None,
        limits: RestLimits | None = None,
        clock: Any = lambda: 0.0,
    ) -> None:
        self.exchange = exchange
        self.seen: list[tuple[str, str]] = []
        self.door = RestDoor(
            CATALOGUE,
            exchange,
            Gatekeeper(access, clock=clock),
            limits or RestLimits(),
            lambda interface, outcome, _: self.seen.append((interface, outcome)),
        )
        self._application = self.door.application()

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        return asyncio.run(self._all([(method, path, given)]))[0]

    def post(self, body: Any = None, path: str = "/v1/I7/messages", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = message("m-1") if body is None else body
        return self("POST", path, content=content, headers={**XML, **named})

    def together(self, count: int) -> list[httpx.Response]:
        one = ("POST", "/v1/I7/messages", {"content": message(), "headers": XML})
        return asyncio.run(self._all([one] * count))

    async def _all(self, requests: list[tuple[str, str, Any]]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self._application)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return await asyncio.gather(
                *(client.request(method, path, **given) for method, path, given in requests)
            )


def reply_of(call: Call) -> bytes:
    """What the pipeline would write."""
    reply = reply_to(call.header, Reply("OK"), message_id="r", timestamp_ms=0, source="cimstream")
    return write(reply)


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem; all that one must have is there."""
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert all(document[part] for part in ("title", "where", "detail", "fix", "instance"))
    return document


def test_a_noun_under_the_name_that_others_give_it_is_taken() -> None:
    body = message("m-1").replace(b"MeterReadings", b"PubOutages")
    response = Client(FakeExchange()).post(body, "/v1/I1/messages")
    assert response.status_code == 200


def test_an_event_is_answered_202_with_where_it_lies() -> None:
    client = Client(FakeExchange())
    response = client.post(EVENT)
    assert response.status_code == 202
    assert response.json() == {
        "identity": "HES-1|MeterReadings|m-e", "topic": "cim.i7.inbound", "partition": 0,
        "offset": 0,
    }  # fmt: skip
    assert "location" not in response.headers
    assert client.exchange.log[0].message.value == EVENT


def test_a_request_waits_for_its_reply() -> None:
    response = Client(FakeExchange()).post()
    assert response.status_code == 200
    assert b"<msg:Result>OK</msg:Result>" in response.content


def test_a_request_that_is_not_answered_in_time_is_told_where_to_ask() -> None:
    exchange = FakeExchange(lambda _: None)
    client = Client(exchange)
    response = client.post(Prefer="wait=1")
    assert response.status_code == 202
    assert response.headers["retry-after"]
    location = response.headers["location"]
    assert client("GET", location).json() == {"answer": location, "status": "pending"}
    late = reply_of(exchange.log[0])
    exchange.answer(Place("cim.i7.inbound", 0, 0), late)
    answer = client("GET", location)
    assert (answer.status_code, answer.content) == (200, late)


def test_an_answer_is_fetched_with_the_status_it_would_have_had() -> None:
    failing = Reply("FAILED", (reply_error(Problem("object_exists")),))
    client = Client(FakeExchange(lambda _: failing))
    location = client.post(Prefer="respond-async").headers["location"]
    assert client("GET", location).status_code == 409


def test_who_asks_for_a_call_that_never_was_or_is_no_longer_kept_hears_which() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    refused(client("GET", "/v1/I7/answers/0-5"), 404, "call_unknown")
    refused(client("GET", "/v1/I7/answers/x"), 404, "call_unknown")
    exchange.expired_below = 3
    refused(client("GET", "/v1/I7/answers/0-1"), 410, "call_expired")


def test_an_event_has_no_answer_to_ask_for() -> None:
    client = Client(FakeExchange())
    client.post(EVENT)
    refused(client("GET", "/v1/I7/answers/0-0"), 404, "call_unknown")


BAD = {
    "no XML": (b"meters", "I7", 400, "xml_not_wellformed"),
    "cut off": (message()[:-9], "I7", 400, "xml_not_wellformed"),
    "a DTD": (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "I7", 400, "xml_forbidden"),
    "no envelope": (b"<a/>", "I7", 400, "root_unknown"),
    "an unknown noun": (message().replace(b">MeterReadings<", b">Gas<"), "I7", 404, "noun_unknown"),
    "another interface": (message(), "I1", 403, "interface_not_allowed"),
    "another verb": (message().replace(b">create<", b">close<"), "I7", 403, "verb_not_allowed"),
    "an unknown context": (message(context="LUNCH"), "I7", 400, "context_unknown"),
    "an interface that is none": (message(), "I12", 404, "interface_unknown"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_taken_is_refused_with_its_status_and_never_reaches_kafka(case: str) -> None:
    body, interface, status, code = BAD[case]
    client = Client(FakeExchange())
    refused(client.post(body, f"/v1/{interface}/messages"), status, code)
    assert (client.exchange.log, client.exchange.audited) == ([], [])


def test_who_sends_an_unknown_noun_is_told_which_may_be_meant() -> None:
    body = message().replace(b">MeterReadings<", b">EndDeviceConfig<")
    document = refused(Client(FakeExchange()).post(body), 404, "noun_unknown")
    assert document["detail"] == "perhaps MeterConfig is meant"


def test_a_malformed_message_is_told_the_line() -> None:
    body = message().replace(b"<Payload>", b"\n\n<Payload>")[:-9]
    assert (
        "line 4" in refused(Client(FakeExchange()).post(body), 400, "xml_not_wellformed")["where"]
    )


def test_a_body_that_is_too_large_is_refused_without_being_read() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(9):
            read += 1
            yield b" " * 1024 * 1024

    client = Client(FakeExchange())
    size = {"Content-Length": str(9 * 1024 * 1024)}
    response = client("POST", "/v1/I7/messages", content=body(), headers={**XML, **size})
    refused(response, 413, "message_too_large")
    assert response.headers["connection"] == "close"
    assert read == 0


@pytest.mark.parametrize(
    ("header", "value", "status", "code"),
    [
        ("Accept", "application/pdf", 406, "not_acceptable"),
        ("Idempotency-Key", "another", 400, "idempotency_key_mismatch"),
        ("Prefer", "wait=soon", 400, "preference_invalid"),
    ],
)
def test_what_could_not_be_answered_as_asked_is_not_accepted(
    header: str, value: str, status: int, code: str
) -> None:
    client = Client(FakeExchange())
    refused(client.post(**{header: value}), status, code)
    assert client.exchange.log == []


def test_a_packed_message_is_taken_as_what_it_is_unpacked() -> None:
    client = Client(FakeExchange())
    response = client.post(gzip.compress(EVENT), Content_Encoding="gzip")
    assert response.status_code == 202
    assert client.exchange.log[0].message.value == EVENT


def test_a_path_that_is_none_and_a_method_that_is_not_served_are_problems_too() -> None:
    client = Client(FakeExchange())
    refused(client("GET", "/v1/I7"), 404, "path_unknown")
    refused(client("POST", "/v1/I7/messages/"), 404, "path_unknown")
    response = client("PUT", "/v1/I7/messages")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_when_kafka_does_not_confirm_the_client_is_told_to_send_again() -> None:
    exchange = FakeExchange()
    exchange.away = True
    response = Client(exchange).post()
    assert "MessageID" in refused(response, 503, "unavailable")["fix"]
    assert response.headers["retry-after"]


def test_a_fault_of_ours_is_a_problem_without_a_word_of_the_message() -> None:
    def broken(call: Any) -> Reply:
        raise RuntimeError(call.message.value)

    response = Client(FakeExchange(broken)).post()
    refused(response, 500, "processing_failed")
    assert b"0000aaaa" not in response.content


def test_more_requests_than_can_be_held_are_told_to_come_back() -> None:
    limits = RestLimits(requests_max=2, wait_s=0.2)
    client = Client(FakeExchange(lambda _: None), limits=limits)
    codes = sorted(response.status_code for response in client.together(5))
    assert codes == [202, 202, 503, 503, 503]
    assert client.post().status_code == 202, "the places were not given back"


def test_bodies_are_held_up_to_a_limit_together_and_one_always_fits() -> None:
    exchange = FakeExchange()
    exchange.delay_s = 0.2
    client = Client(exchange, limits=RestLimits(held_bytes_max=10))
    assert sorted(r.status_code for r in client.together(3)) == [200, 503, 503]
    assert client.post().status_code == 200, "the room was not given back"


# --- who may ------------------------------------------------------------------------------------


def test_with_an_access_file_nobody_comes_in_without_a_key() -> None:
    client = Client(FakeExchange(), ACCESS)
    response = client.post()
    refused(response, 401, "authentication_needed")
    assert "ApiKey" in response.headers["www-authenticate"]
    refused(client.post(X_API_Key=new_key()), 401, "authentication_failed")
    refused(client.post(X_API_Key="x" * 10_000), 401, "authentication_failed")
    assert client.exchange.log == []


def test_the_right_key_lets_its_source_in() -> None:
    assert Client(FakeExchange(), ACCESS).post(X_API_Key=KEY).status_code == 200


def test_a_noun_is_let_in_by_its_name_whatever_the_message_calls_it() -> None:
    data = message().replace(b">MeterReadings<", b">MeterReading<")
    assert Client(FakeExchange(), ACCESS).post(data, X_API_Key=KEY).status_code == 200


def test_a_source_cannot_send_under_the_name_of_another() -> None:
    client = Client(FakeExchange(), ACCESS)
    refused(client.post(X_API_Key=OTHER_KEY), 403, "source_mismatch")
    nobody = message().replace(b"<Source>HES-1</Source>", b"")
    refused(client.post(nobody, X_API_Key=KEY), 403, "source_mismatch")
    assert client.exchange.log == []


def test_a_source_sends_only_what_its_rules_say() -> None:
    client = Client(FakeExchange(), ACCESS)
    refused(client.post(EVENT, X_API_Key=KEY), 403, "not_authorised")
    assert client.exchange.log == []


def test_a_refused_system_is_audited_with_who_what_and_outcome_and_no_secret() -> None:
    client = Client(FakeExchange(), ACCESS)
    document = refused(client.post(EVENT, X_API_Key=KEY), 403, "not_authorised")
    refused(client.post(X_API_Key=new_key()), 401, "authentication_failed")
    first, second = client.exchange.audited
    assert first | {"peer": ""} == {
        "action": "refused", "about": document["instance"], "by": "HES-1",
        "code": "not_authorised", "door": "rest", "interface": "I7", "peer": "",
        "request": document["instance"], "noun": "MeterReadings", "verb": "created",
        "identity": "HES-1|MeterReadings|m-e",
    }  # fmt: skip
    assert (second["by"], second["code"]) == ("unknown", "authentication_failed")
    assert "cimstream_" not in str(client.exchange.audited)


def test_what_is_no_matter_of_security_is_not_audited() -> None:
    client = Client(FakeExchange(), ACCESS)
    client.post(b"<a", X_API_Key=KEY)
    assert client.exchange.audited == []


def test_nobody_sees_the_answers_to_another_source() -> None:
    client = Client(FakeExchange(), ACCESS)
    location = client.post(X_API_Key=KEY, Prefer="respond-async").headers["location"]
    assert client("GET", location, headers={"X-API-Key": KEY}).status_code == 200
    refused(client("GET", location, headers={"X-API-Key": OTHER_KEY}), 404, "call_unknown")


def test_a_source_above_its_rate_waits_and_others_do_not() -> None:
    now = 0.0
    paced = {**ACCESS, "HES-1": ACCESS["HES-1"].model_copy(update={"requests_per_s": 2.0})}
    client = Client(FakeExchange(), paced, clock=lambda: now)
    assert [client.post(X_API_Key=KEY).status_code for _ in range(3)] == [200, 200, 429]
    response = client.post(X_API_Key=KEY)
    assert refused(response, 429, "rate_exceeded")["iec_code"] == "5.1"
    assert response.headers["retry-after"]
    other = message(source="HES-2")
    assert client.post(other, X_API_Key=OTHER_KEY).status_code == 200
    now = 0.5
    assert [client.post(X_API_Key=KEY).status_code for _ in range(2)] == [200, 429]


def test_retry_after_is_as_long_as_it_takes() -> None:
    paced = {"HES-1": ACCESS["HES-1"].model_copy(update={"requests_per_s": 0.1})}
    client = Client(FakeExchange(), paced)
    assert client.post(X_API_Key=KEY).status_code == 200
    assert client.post(X_API_Key=KEY).headers["retry-after"] == "10"


def test_a_flood_of_strangers_is_no_flood_of_audit_records() -> None:
    client = Client(FakeExchange(), ACCESS)
    now = 0.0
    client.door.entrance._strangers = Pace(10, 3, lambda: now)
    for _ in range(8):
        client.post()
    assert len(client.exchange.audited) == 3
    now = 1.0
    client.post()
    assert client.exchange.audited[-1]["unrecorded"] == 5
    refused(client.post(EVENT, X_API_Key=KEY), 403, "not_authorised")
    assert client.exchange.audited[-1]["by"] == "HES-1", "a known source is always recorded"


def test_a_header_that_comes_twice_is_a_list_or_refused() -> None:
    client = Client(FakeExchange(lambda _: None))

    def post(*more: tuple[str, str]) -> httpx.Response:
        headers = [("Content-Type", "application/xml"), *more]
        return client("POST", "/v1/I7/messages", content=message(), headers=headers)

    assert post(("Prefer", "respond-async"), ("Prefer", "handling=lenient")).status_code == 202
    refused(post(("Content-Type", "application/xml")), 415, "media_type_unsupported")
    guarded = Client(FakeExchange(), ACCESS)
    two_keys = [*XML.items(), ("X-API-Key", KEY), ("X-API-Key", OTHER_KEY)]
    response = guarded("POST", "/v1/I7/messages", content=message(), headers=two_keys)
    refused(response, 401, "authentication_failed")


def test_every_outcome_is_counted_under_a_bounded_name() -> None:
    client = Client(FakeExchange())
    client.post()
    client.post(b"<a")
    client.post(path="/v1/secret/messages")
    assert client.seen == [
        ("I7", "served"), ("I7", "xml_not_wellformed"), ("", "interface_unknown"),
    ]  # fmt: skip


def test_the_codes_of_refused_systems_are_those_of_the_standard() -> None:
    assert {CODES[c].iec_code for c in ("authentication_needed", "authentication_failed",
            "source_mismatch", "not_authorised")} == {"7.2", "7.4", "7.5"}  # fmt: skip
