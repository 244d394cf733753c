"""What a client does next, told what came of the step before: no socket, no clock."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from connectors.client import flows
from connectors.client.config import configure
from connectors.client.errors import (
    ClientError,
    ConflictError,
    ExpiredError,
    NoReplyError,
    NotAllowedError,
    RefusedError,
    UnavailableError,
)
from connectors.client.flows import Connect, Failure, Opened, Pause, World
from connectors.client.mapping import Event, HttpAnswer, HttpRequest, Receipt, compose
from schemas.envelope import Reply, read, reply_to, write

CONFIG = configure("http://localhost:8080", source="HES-1", key="secret-key", patience_s=30)
MESSAGE = compose("get", "Outages", source="HES-1", message_id="m-1")
GONE = Failure("ConnectError")
RECEIPT = Receipt("HES-1|Outages|m-1", "cim.i1.inbound", 3, 42, "/v1/I1/answers/3-42")


class Script:
    """Drives a flow by a list of outcomes; remembers the steps and how long it paused."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.steps: list[Any] = []
        self.now = 0.0
        self.world = World(lambda: self.now, lambda: 1.0)

    def run(self, flow: Generator[Any, Any, Any]) -> Any:
        outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as done:
                return done.value
            self.steps.append(step)
            outcome = None
            if isinstance(step, Pause):
                self.now += step.seconds
            elif not isinstance(step, Event):
                if not self.outcomes:  # the test has seen enough
                    return None
                outcome = self.outcomes.pop(0)

    def of(self, kind: type[Any]) -> list[Any]:
        return [step for step in self.steps if isinstance(step, kind)]


def answer(status: int, body: bytes = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(status, {n.replace("_", "-"): v for n, v in headers.items()}, body)


def problem(status: int, code: str, **headers: str) -> HttpAnswer:
    said = {"code": code, "title": "what", "detail": "why", "fix": "do", "instance": "urn:uuid:1"}
    body = json.dumps(said).encode()
    return answer(status, body, content_type="application/problem+json", **headers)


def receipt(*, replies: bool = True) -> HttpAnswer:
    said = {"identity": RECEIPT.identity, "topic": RECEIPT.topic, "partition": 3, "offset": 42}
    return answer(202, json.dumps(said | ({"answer": RECEIPT.answer} if replies else {})).encode())


def ok() -> HttpAnswer:
    header = read(MESSAGE).header
    assert header is not None
    reply = reply_to(header, Reply("OK"), message_id="r", timestamp_ms=0, source="cimstream")
    return answer(200, write(reply))


def test_a_message_is_published_with_the_key_and_without_waiting_for_a_reply() -> None:
    script = Script(receipt())
    assert script.run(flows.publish(CONFIG, script.world, "i1", MESSAGE)) == RECEIPT
    (asked,) = script.of(HttpRequest)
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/I1/messages", MESSAGE)
    assert asked.headers["X-API-Key"] == "secret-key"
    assert asked.headers["Prefer"] == "respond-async"


@pytest.mark.parametrize(
    "outcome",
    [GONE, problem(503, "unavailable"), problem(429, "rate_exceeded"),
     problem(408, "request_timeout"), answer(502), answer(504), answer(500)],
)  # fmt: skip
def test_without_a_final_answer_the_same_bytes_are_sent_again(outcome: Any) -> None:
    script = Script(outcome, outcome, receipt())
    assert script.run(flows.publish(CONFIG, script.world, "I1", MESSAGE)) == RECEIPT
    assert [asked.body for asked in script.of(HttpRequest)] == [MESSAGE] * 3


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (problem(400, "xml_not_wellformed"), RefusedError),
        (problem(401, "authentication_failed"), NotAllowedError),
        (problem(403, "source_mismatch"), NotAllowedError),
        (problem(409, "identity_conflict"), ConflictError),
        (problem(412, "revision_outdated"), ConflictError),
        (problem(500, "processing_failed"), RefusedError),
        (problem(502, "reply_unreadable"), RefusedError),
    ],
)
def test_a_final_refusal_is_not_sent_again_and_says_why(
    outcome: Any, kind: type[RefusedError]
) -> None:
    script = Script(outcome)
    with pytest.raises(kind) as error:
        script.run(flows.publish(CONFIG, script.world, "I1", MESSAGE))
    told = error.value
    assert (told.code, told.status) == (json.loads(outcome.body)["code"], outcome.status)
    assert (told.what, told.why, told.fix, told.instance) == ("what", "why", "do", "urn:uuid:1")


def test_pauses_grow_to_a_bound_and_end_with_the_patience() -> None:
    script = Script(*[GONE] * 100)
    with pytest.raises(UnavailableError) as error:
        script.run(flows.publish(CONFIG, script.world, "I1", MESSAGE))
    pauses = [pause.seconds for pause in script.of(Pause)]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert max(pauses) == 5.0
    assert script.now <= CONFIG.patience_s
    assert "ConnectError" in str(error.value)


def test_pauses_are_spread_and_as_long_as_the_gateway_asks() -> None:
    script = Script(problem(429, "rate_exceeded", retry_after="7"), receipt())
    script.world = World(script.world.clock, lambda: 0.5)
    script.run(flows.publish(CONFIG, script.world, "I1", MESSAGE))
    assert [pause.seconds for pause in script.of(Pause)] == [7.05]


def test_who_is_asked_to_wait_longer_than_his_patience_is_told_at_once() -> None:
    script = Script(problem(503, "overloaded", retry_after="3600"))
    with pytest.raises(UnavailableError) as error:
        script.run(flows.publish(CONFIG, script.world, "I1", MESSAGE))
    assert (error.value.code, error.value.status) == ("overloaded", 503)


def test_a_request_waits_for_its_reply() -> None:
    script = Script(ok())
    assert script.run(flows.request(CONFIG, script.world, "I1", MESSAGE, 12.3)).result == "OK"
    assert script.of(HttpRequest)[0].headers["Prefer"] == "wait=13"


def test_a_reply_that_does_not_come_with_the_answer_is_asked_for() -> None:
    pending = answer(202, b"{}", retry_after="1")
    script = Script(receipt(), pending, GONE, ok())
    assert script.run(flows.request(CONFIG, script.world, "I1", MESSAGE, 30)).result == "OK"
    assert [a.path for a in script.of(HttpRequest)] == ["/v1/I1/messages", *[RECEIPT.answer] * 3]


def test_who_waited_in_vain_has_a_receipt_to_ask_again_with() -> None:
    pending = answer(202, b"{}", retry_after="1")
    script = Script(receipt(), *[pending] * 10)
    with pytest.raises(NoReplyError) as error:
        script.run(flows.request(CONFIG, script.world, "I1", MESSAGE, 3))
    assert error.value.receipt == RECEIPT
    script = Script(ok())
    assert script.run(flows.reply(CONFIG, script.world, error.value.receipt, 1)).result == "OK"


def test_a_message_without_a_reply_is_not_waited_for() -> None:
    script = Script(receipt(replies=False))
    with pytest.raises(ClientError) as error:
        script.run(flows.request(CONFIG, script.world, "I1", MESSAGE, 30))
    assert error.value.code == "pattern_without_reply"


def test_what_is_no_answer_of_a_gateway_is_told_so() -> None:
    for outcome in (answer(200, b"<html/>"), answer(200, MESSAGE), answer(202, b"[]")):
        script = Script(outcome)
        with pytest.raises(ClientError) as error:
            script.run(flows.request(CONFIG, script.world, "I1", MESSAGE, 30))
        assert error.value.code == "answer_unreadable"


def test_an_interface_that_is_none_never_becomes_part_of_a_path() -> None:
    script = Script()
    with pytest.raises(ClientError):
        script.run(flows.publish(CONFIG, script.world, "../I1", MESSAGE))
    assert script.steps == []


# --- subscriptions ------------------------------------------------------------------------------


def block(position: str, number: int) -> bytes:
    said = {"headers": {"ce_id": f"m#{number}"}, "event": {"n": number}}
    return f"id: {position}\ndata: {json.dumps(said)}\n\n".encode()


def subscribed(script: Script, **criteria: Any) -> list[Event]:
    script.run(flows.subscription(CONFIG, script.world, "I1", "Outages", "latest", criteria))
    return script.of(Event)


def test_events_come_in_pieces_of_any_size() -> None:
    data = b"retry: 1000\nid: L.0\n\n" + block("L.1", 1) + b":\nid: L.7\n\n" + block("L.8", 2)
    pieces = [data[n : n + 3] for n in range(0, len(data), 3)]
    events = subscribed(Script(Opened(), *pieces))
    assert [(event.position, event.record["n"]) for event in events] == [("L.1", 1), ("L.8", 2)]
    assert events[0].id == "m#1"


def test_after_an_interruption_it_goes_on_behind_the_last_event() -> None:
    script = Script(
        Opened(), b"id: L.0\n\n", block("L.1", 1), b"id: L.2\nda", GONE,
        Opened(), block("L.2", 2), b"",
        GONE, problem(503, "unavailable"),
        Opened(), b":\nid: L.5\n\n", b'event: end\ndata: {"code":"gateway_stopping"}\n\n',
        Opened(),
    )  # fmt: skip
    events = subscribed(script, mrid="a")
    assert [event.record["n"] for event in events] == [1, 2]
    said = [one.request.headers.get("Last-Event-ID", "") for one in script.of(Connect)]
    assert said == ["", "L.1", "L.2", "L.2", "L.2", "L.5"]
    assert {one.request.path for one in script.of(Connect)} == {
        "/v1/I1/Outages/events?mrid=a&from=latest"
    }


@pytest.mark.parametrize(
    "outcomes",
    [
        [problem(410, "position_expired")],
        [Opened(), b'event: end\ndata: {"code":"position_expired"}\n\n'],
    ],
)
def test_events_that_are_lost_are_an_error_and_not_passed_over(outcomes: list[Any]) -> None:
    with pytest.raises(ExpiredError) as error:
        subscribed(Script(*outcomes))
    assert error.value.code == "position_expired"


def test_a_refused_subscription_is_not_tried_again() -> None:
    with pytest.raises(NotAllowedError):
        subscribed(Script(problem(403, "not_authorised")))


def test_patience_begins_anew_with_everything_that_is_heard() -> None:
    outcomes = [GONE] * 8 + [Opened(), b"id: L.0\n\n"]
    script = Script(*outcomes * 3, *[GONE] * 100)
    with pytest.raises(UnavailableError):
        subscribed(script)
    assert script.now > CONFIG.patience_s
    assert script.outcomes  # and it does end


def test_a_stream_that_is_none_is_told_so() -> None:
    with pytest.raises(ClientError) as error:
        subscribed(Script(Opened(), b"data: <html>\n\n"))
    assert error.value.code == "answer_unreadable"
