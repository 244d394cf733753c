"""What becomes of one query: a reply, once, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connectors.respond import Answer, NoAnswerError, Request, UnableError
from streams.engine.errors import FatalError
from streams.engine.record import Output, Record
from streams.processors.responder.answered import Answered
from tests.unit.intake.driver import CATALOGUE, HOUR_MS, START_MS, header
from tests.unit.intake.test_queries import expiry, query
from tests.unit.responder.driver import REQUESTS, SPACE, House, codes_in, reply_in, some_payload
from topics.replies import ANSWERS, SAME_AS

DAY_MS = 24 * HOUR_MS
SECRET = "meter-of-a-person"


def whole(request: Request) -> Answer:
    return Answer(some_payload())


def raising(error: Exception) -> Callable[[Request], Answer]:
    def respond(request: Request) -> Answer:
        raise error

    return respond


def names(output: Output) -> set[str]:
    return {name for name, _ in output.headers}


def test_the_answer_is_the_reply_to_the_query_addressed_to_its_sender() -> None:
    house = House(whole)
    (output,) = house.send(query(extra="<CorrelationID>c-1</CorrelationID>"))
    message = reply_in(output)
    assert message.reply is not None
    assert message.header is not None
    assert message.payload is not None
    assert (message.reply.result, codes_in(output)) == ("OK", ["0.0"])
    assert message.payload.tag == f"{{{SPACE}}}MeterReadings"
    assert (message.header.verb, message.header.noun) == ("reply", "MeterReadings")
    assert message.header.correlation_id == "c-1"
    assert (output.topic, output.key) == ("cim.i7.outbound", b"HES-1")
    partition, offset = house.intake.last
    assert header(output, ANSWERS) == f"cim.i7.inbound/{partition}@{offset}"
    assert header(output, "ce_correlationid") == "c-1"
    assert house.counted("answered") == [("I7", "PRODUCTION", "MeterReadings", "0.0")]


def test_the_function_is_given_what_the_query_asks_for() -> None:
    asked: list[Request] = []

    def respond(request: Request) -> Answer:
        asked.append(request)
        return Answer()

    house = House(respond)
    house.send(
        query(
            asks="<StartTime>2026-11-01T00:00:00Z</StartTime><EndTime>2026-11-02T00:00:00Z</EndTime>"
            "<Option><name>Limit</name><value>5</value></Option>"
            '<ID kind="uuid">meter-1</ID><Get xmlns="urn:x"/>'
        )
    )
    (request,) = asked
    assert (request.interface, request.noun) == ("I7", "MeterReadings")
    assert request.expires_ms == START_MS + 600_000
    assert request.query.end_ms is not None
    assert request.query.start_ms == request.query.end_ms - DAY_MS
    assert [(o.name, o.value) for o in request.query.options] == [("limit", "5")]
    assert [one.value for one in request.query.ids] == ["meter-1"]
    assert [element.tag for element in request.query.others] == ["{urn:x}Get"]


def test_a_partial_answer_says_so_and_why() -> None:
    answer = Answer(some_payload(), "0.1", ("the view is behind",), (("Cursor", "abc"),))
    (output,) = House(lambda _: answer).send(query())
    message = reply_in(output)
    assert message.reply is not None
    assert message.header is not None
    assert message.reply.result == "PARTIAL"
    assert [error.code for error in message.reply.errors] == ["0.1", "0.1"]
    assert message.reply.errors[1].reason == "the view is behind"
    assert message.header.properties == (("Cursor", "abc"),)


def test_a_repeat_is_told_where_the_first_reply_is_and_the_function_is_asked_once() -> None:
    asked: list[Request] = []

    def respond(request: Request) -> Answer:
        asked.append(request)
        return Answer()

    house = House(respond)
    (first,) = house.send(query())
    (again,) = house.send(query())
    assert len(asked) == 1
    assert again.value == b""
    assert header(again, SAME_AS) == header(first, ANSWERS)
    assert header(again, ANSWERS) != header(first, ANSWERS)
    assert (again.topic, again.key) == (first.topic, first.key)
    assert SAME_AS not in names(first)
    assert house.counted("repeated") == [("I7", "PRODUCTION", "MeterReadings", "")]


def test_a_refusal_stands_for_the_repeat_too() -> None:
    house = House(raising(NoAnswerError("criteria_too_wide", "of nobody")))
    (first,) = house.send(query())
    (again,) = house.send(query())
    assert codes_in(first) == ["3.1 criteria_too_wide"]
    assert header(again, SAME_AS) == header(first, ANSWERS)
    assert house.counted("unanswered") == [
        ("I7", "PRODUCTION", "MeterReadings", "criteria_too_wide")
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnableError("view_unanswered"), "5.7 view_unanswered"),
        (TimeoutError(), "4.1 responder_slow"),
        (RuntimeError(SECRET), "5.3 responder_failed"),
    ],
)
def test_a_failure_is_told_and_the_repeat_is_asked_anew(error: Exception, code: str) -> None:
    house = House(raising(error))
    (first,) = house.send(query())
    assert codes_in(first) == [code]
    assert SECRET.encode() not in (first.value or b"")
    house.ask = lambda _respond, request: whole(request)
    (again,) = house.send(query())
    assert codes_in(again) == ["0.0"]
    assert header(again, ANSWERS) != header(first, ANSWERS)


def test_an_answer_that_no_envelope_can_hold_is_a_failure_of_the_responder() -> None:
    bare = some_payload().makeelement("NoNamespace")
    (output,) = House(lambda _: Answer(bare)).send(query())
    assert codes_in(output) == ["5.3 responder_failed"]


def test_an_answer_that_is_too_large_is_refused() -> None:
    large = some_payload()
    large.text = " " * 5000
    small = replace(CATALOGUE, sizing=replace(CATALOGUE.sizing, message_bytes_max=4096))
    (output,) = House(lambda _: Answer(large), catalogue=small).send(query())
    assert codes_in(output) == ["3.1 answer_too_large"]


@pytest.mark.parametrize(("late_ms", "answered"), [(-1, True), (0, False), (1, False)])
def test_a_query_that_nobody_waits_for_any_more_is_not_answered(
    late_ms: int, *, answered: bool
) -> None:
    house = House(whole)
    (output,) = [o for o in house.intake.send(query()) if o.topic == REQUESTS]
    record = house.record(output)
    house.now_ms = START_MS + 600_000 + late_ms
    assert bool(house.run(record)) is answered
    assert bool(house.counted("expired")) is not answered


def test_a_query_that_expired_leaves_its_repeat_to_be_answered() -> None:
    house = House(whole)
    assert house.send(query(extra=expiry("2020-01-01T00:00:00Z"))) == []
    (output,) = house.send(query())
    assert codes_in(output) == ["0.0"]


def test_past_the_horizon_a_query_is_answered_anew() -> None:
    house = House(whole)
    (first,) = house.send(query())
    house.now_ms += 7 * DAY_MS + 1
    (again,) = house.send(query())
    assert SAME_AS not in names(again)
    assert header(again, ANSWERS) != header(first, ANSWERS)


def test_a_query_without_an_id_is_answered_anew_each_time() -> None:
    house = House(whole)
    answers = [house.send(query(message_id="")) for _ in range(2)]
    assert [codes_in(output) for (output,) in answers] == [["0.0"], ["0.0"]]
    assert not house.counted("repeated")


def test_what_others_answer_is_left_to_them() -> None:
    house = House(raising(AssertionError("it is not ours")))
    assert house.send(query("MeterConfig")) == []
    assert not house.counts


@pytest.mark.parametrize(
    ("asks", "code"),
    [
        ("<StartTime>yesterday</StartTime>", "1.8 timestamp_invalid"),
        ("<StartTime>2026-11-01T00:00:00</StartTime>", "1.8 timestamp_without_zone"),
        ("<EndTime>2026-11-01T00:00:00Z</EndTime>" * 2, "1.8 request_invalid"),
        ("<Option><value>5</value></Option>", "1.8 request_invalid"),
        ("<Option><name>a</name><name>b</name></Option>", "1.8 request_invalid"),
        ("<Option><name>a</name></Option>" * 201, "1.8 request_invalid"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(asks: str, code: str) -> None:
    house = House(raising(AssertionError("nothing can be asked")))
    (output,) = house.send(query(asks=asks))
    assert [one.split(" ")[1] for one in codes_in(output)] == [code.split(" ")[1]]
    assert house.counted("unanswered") == [
        ("I7", "PRODUCTION", "MeterReadings", code.split(" ")[1])
    ]


def test_what_intake_did_not_write_is_passed_over() -> None:
    house = House(whole)
    headers = (("ce_interface", b"I7"), ("ce_noun", b"MeterReadings"))
    for value in (b"", b"no XML", query()):
        assert house.run(Record(REQUESTS, 0, 0, START_MS, b"k", value, headers)) == []


def test_what_breaks_the_engine_is_not_taken_for_a_failure_of_the_function() -> None:
    with pytest.raises(FatalError):
        House(raising(FatalError("stuck"))).send(query())


def test_a_reply_that_the_broker_refuses_is_replaced_by_the_reason() -> None:
    house = House(whole)
    (output,) = [o for o in house.intake.send(query()) if o.topic == REQUESTS]
    context, _ = house.context()
    house.processor.reject(
        house.record(output), "produce_refused", "too large", context, with_value=False
    )
    (reply,) = context.outputs
    assert codes_in(reply) == ["5.3 produce_refused"]
    assert header(reply, ANSWERS) == header(output, "cimstream_inbound")


def test_an_entry_of_another_version_is_not_guessed_at() -> None:
    packed = Answered(5, "cim.i7.inbound/0@1").pack()
    assert Answered.unpack(packed) == Answered(5, "cim.i7.inbound/0@1")
    with pytest.raises(ValueError, match="version 9"):
        Answered.unpack(b"\x09" + packed[1:])
