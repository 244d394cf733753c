"""Which rejections may enter again, and why others may not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from connectors.inbound import admit, admit_oversize, refuse
from schemas.errors import Problem
from streams.engine.record import Output, Record
from streams.processors.outputs import rejection as rejected_output
from streams.runtime.redrivable import About, LeftOut, Plan, make_plan, why_not
from streams.runtime.rejections import Filter, parse_place, spans
from tests.unit.intake.driver import CATALOGUE, HOUR_MS, START_MS, Driver
from tests.unit.runtime.rejected import (
    EARLIER,
    EDITION,
    REJECTED,
    lying,
    place,
    rejection,
    request,
)


def inbound(data: bytes, *headers: tuple[str, bytes]) -> Record:
    return Record("cim.i7.inbound", 0, 7, START_MS, b"k", data, headers)


def operations(verb: str, header_verb: str = "create") -> bytes:
    return (
        f"<RequestMessage {EDITION}><Header><Verb>{header_verb}</Verb><Noun>MeterConfig</Noun>"
        "<MessageID>m-1</MessageID></Header><Payload><OperationSet><Operation><operationId>1"
        f"</operationId><noun>MeterConfig</noun><verb>{verb}</verb></Operation></OperationSet>"
        "</Payload></RequestMessage>"
    ).encode()


# ----------------------------------------------------------------------------------- why not


def test_a_message_that_was_kept_whole_may_enter_again() -> None:
    assert why_not(rejection(request()), CATALOGUE, "I7") is None
    assert why_not(rejection(b"no XML at all"), CATALOGUE, "I7") is None


@pytest.mark.parametrize("noun", ["EndDeviceControls", "MeterConfig", "NobodyKnowsThis"])
def test_what_is_to_be_executed_is_never_redriven(noun: str) -> None:
    assert why_not(rejection(request("execute", noun)), CATALOGUE, "I7") is LeftOut.CONTROL


@pytest.mark.parametrize("verb", ["create", "change", "cancel", "delete", "close"])
def test_a_request_about_a_control_is_never_redriven(verb: str) -> None:
    record = rejection(request(verb, "EndDeviceControls"))
    assert why_not(record, CATALOGUE, "I7") is LeftOut.CONTROL


def test_a_query_about_controls_and_the_report_of_one_are_no_controls() -> None:
    expiry = b"<Property><Name>Expiry</Name><Value>soon</Value></Property></Header>"
    query = request("get", "EndDeviceControls").replace(b"</Header>", expiry)
    assert why_not(rejection(query), CATALOGUE, "I7") is None
    for verb in ("executed", "created"):
        data = request(verb, "EndDeviceControls").replace(b"RequestMessage", b"EventMessage")
        assert why_not(rejection(data), CATALOGUE, "I7") is None


def test_a_control_among_the_operations_of_a_set_is_found() -> None:
    assert why_not(rejection(operations("execute")), CATALOGUE, "I7") is LeftOut.CONTROL
    assert why_not(rejection(operations("change")), CATALOGUE, "I7") is None


def test_a_control_in_another_encoding_is_found() -> None:
    for data in (request("execute"), operations("execute")):
        text = '<?xml version="1.0" encoding="UTF-16"?>' + data.decode()
        record = lying(Output(REJECTED, b"k", text.encode("utf-16")))
        assert why_not(record, CATALOGUE, "I7") is LeftOut.CONTROL


def test_headers_that_say_less_than_the_message_hide_no_control() -> None:
    lie = (("ce_verb", b"created"), ("ce_noun", b"MeterReadings"))
    record = lying(Output(REJECTED, b"k", request("execute"), lie))
    assert why_not(record, CATALOGUE, "I7") is LeftOut.CONTROL


def test_headers_that_say_it_is_a_control_are_believed() -> None:
    record = lying(Output(REJECTED, b"k", b"cannot be read", (("ce_verb", b"EXECUTE"),)))
    assert why_not(record, CATALOGUE, "I7") is LeftOut.CONTROL


def test_a_message_of_which_only_the_head_was_kept_is_not_redriven() -> None:
    data = request().ljust(CATALOGUE.bytes_max("I7") + 1)
    at_the_edge = admit(data, "I7", CATALOGUE, received_ms=0)
    behind_it = rejected_output(inbound(data), REJECTED, None, Problem("message_too_large"))
    unseen = admit_oversize(request(), "I7", CATALOGUE, size=10**9, sha256="0" * 64, received_ms=0)
    for headers, value in (
        (at_the_edge.headers, at_the_edge.value),
        (behind_it.headers, behind_it.value),
        (unseen.headers, unseen.value),
    ):
        record = lying(Output(REJECTED, b"k", value, headers))
        assert why_not(record, CATALOGUE, "I7") is LeftOut.INCOMPLETE


def test_a_message_of_which_nothing_was_kept_is_not_redriven() -> None:
    problem = Problem("produce_refused")
    output = rejected_output(inbound(request()), REJECTED, None, problem, with_value=False)
    assert why_not(lying(output), CATALOGUE, "I7") is LeftOut.INCOMPLETE


def test_bytes_that_differ_from_what_their_digest_says_are_not_redriven() -> None:
    data = request()
    for sha256, expected in (
        (hashlib.sha256(data).hexdigest(), None),
        (hashlib.sha256(b"other").hexdigest(), LeftOut.INCOMPLETE),
    ):
        told = (("cimstream_size", str(len(data)).encode()), ("cimstream_sha256", sha256.encode()))
        assert why_not(lying(Output(REJECTED, b"k", data, told)), CATALOGUE, "I7") is expected


def test_a_small_message_that_the_broker_refused_is_whole() -> None:
    refusal = refuse(admit(request(), "I7", CATALOGUE, received_ms=0), "produce_refused", "no")
    record = lying(Output(refusal.topic, refusal.key, refusal.value, refusal.headers))
    assert why_not(record, CATALOGUE, "I7") is None


def test_a_message_over_a_limit_that_was_lowered_is_not_redriven() -> None:
    sizing = replace(CATALOGUE.sizing, message_bytes_max=100)
    small = replace(CATALOGUE, sizing=sizing)
    assert why_not(rejection(request()), small, "I7") is LeftOut.TOO_LARGE


@pytest.mark.parametrize("code", ["identity_conflict", "identity_uncomparable", "reply_failed"])
def test_a_message_whose_identity_another_one_has_is_not_redriven(code: str) -> None:
    output = rejected_output(inbound(request()), REJECTED, None, Problem(code))
    assert why_not(lying(output), CATALOGUE, "I7") is LeftOut.SETTLED


# ----------------------------------------------------------------------------------- plan


def plan(*records: Record, limit: int | None = None, done: tuple[int, ...] = ()) -> Plan:
    places = {place(offset) for offset in done}
    return make_plan(records, CATALOGUE, places.intersection, now_ms=START_MS, limit=limit)


def offsets(made: Plan) -> list[int]:
    return [candidate.place.offset for candidate in made.candidates]


def test_a_plan_groups_what_is_redriven_and_says_why_the_rest_is_not() -> None:
    driver = Driver(catalogue=EARLIER)
    records = [rejection(request(message_id=f"m-{n}"), n, driver=driver) for n in range(5)]
    records.append(rejection(b"no XML", 5))
    records.append(rejection(request("execute"), 6))
    made = plan(*records, done=(1,))
    assert offsets(made) == [0, 2, 3, 4, 5]
    groups = {about: (tally.count, tally.first) for about, tally in made.groups().items()}
    assert groups == {
        About("noun_planned", "I7", "HES-1", "MeterConfig"): (
            4, [f"{REJECTED}/0@{n}" for n in (0, 2, 3)],
        ),
        About("xml_not_wellformed", "I7", "", ""): (1, [f"{REJECTED}/0@5"]),
    }  # fmt: skip
    left_out = {reason: tally.first for reason, tally in made.left_out.items()}
    assert left_out == {
        LeftOut.CONTROL: [f"{REJECTED}/0@6"],
        LeftOut.REDRIVEN: [f"{REJECTED}/0@1"],
    }
    assert made.matched == 7


def test_a_limit_takes_the_oldest_that_are_redrivable_so_that_repeats_go_on() -> None:
    records = [
        lying(Output(REJECTED, b"k", request()), offset, time_ms=START_MS - offset)
        for offset in range(6)
    ]
    first = plan(*records, limit=2)
    assert (offsets(first), first.beyond) == ([5, 4], 4)
    second = plan(*records, limit=2, done=(5, 4))
    assert (offsets(second), second.beyond) == ([3, 2], 2)
    assert second.matched == 6


def test_what_was_rejected_longer_ago_than_messages_are_remembered_is_counted() -> None:
    horizon_ms = CATALOGUE.dedup_horizon_ms
    records = [
        lying(Output(REJECTED, b"k", request()), n, time_ms=START_MS - horizon_ms + n * HOUR_MS)
        for n in (-1, 0, 1)
    ]
    assert plan(*records).old == 1


def test_the_audit_is_not_read_where_nothing_is_redrivable() -> None:
    def read(_: object) -> tuple[()]:
        raise AssertionError("read")

    made = make_plan([rejection(request("execute"))], CATALOGUE, read, now_ms=START_MS)
    assert made.candidates == []


# ----------------------------------------------------------------------------------- filter


def test_a_filter_lets_through_what_every_part_of_it_names() -> None:
    record = rejection(request())
    assert Filter(code="noun_planned", source="HES-1").lets_through(record)
    assert not Filter(code="noun_planned", source="HES-2").lets_through(record)
    assert not Filter(code="noun_unknown", source="HES-1").lets_through(record)
    assert Filter().empty
    assert not Filter(until_ms=0).empty


def test_places_far_apart_are_read_without_what_lies_between() -> None:
    assert spans([]) == []
    assert spans([5]) == [(5, 6)]
    assert spans([0, 1000, 2001, 2002]) == [(0, 1001), (2001, 2003)]


def test_a_place_is_read_as_it_is_written_and_what_is_none_is_none() -> None:
    assert parse_place(str(place(42)).encode()) == place(42)
    for other in (None, b"", b"I7", b"cim.i7.inbound", b"a/b@c", b"run-1@host", b"\xff/0@x"):
        assert parse_place(other) is None
