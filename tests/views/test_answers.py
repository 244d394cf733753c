"""Queries answered from a view: what is understood of them, and the payloads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.respond import NoAnswerError, Request, UnableError
from schemas.avro import encode_provenance, frame, wire
from schemas.envelope import read
from schemas.profiles import Item, declared, profile
from schemas.times import from_epoch_ms
from streams.views.answers import ViewAnswers
from streams.views.asking import LIMIT, Question, question_of
from streams.views.criteria import Criteria
from streams.views.model import DAY_MS
from streams.views.query import View
from streams.views.store import StoreUnavailableError
from tests.unit.intake.test_queries import query
from tests.unit.profiles.test_nouns import NOUNS, examples
from tests.views.rig import (
    ALARMS,
    CATALOGUE,
    DEVICE_EVENTS,
    KWH,
    LOGS,
    MIDNIGHT,
    OUTAGES,
    QUARTER,
    READINGS,
    Bench,
    alarm,
    event,
    named,
    outage,
    series,
)
from topics import Catalogue, Noun

GET_READINGS = """<GetMeterReadings xmlns="urn:x">
  <UsagePoint><mRID>up-1</mRID></UsagePoint>
  <EndDevice><Names><name>M 7</name><NameType><name>t</name></NameType></Names></EndDevice>
  <ReadingType ref="1.2"/><ReadingType><mRID>1.3</mRID></ReadingType>
</GetMeterReadings>"""
UUID = "0A7E0000-0000-4000-8000-000000000001"


def request(noun: str, asks: str = "", *, extra: str = "", payload: str = "") -> Request:
    data = query(noun, asks=asks, extra=extra)
    if payload:
        body = f"<Payload>{payload}</Payload></RequestMessage>"
        data = data.replace(b"</RequestMessage>", body.encode())
    message = read(data)
    return Request.of(message, interface="I1", noun=noun, place="p", expires_ms=None)


def asked(noun: str, asks: str = "", **how: str) -> Question:
    return question_of(request(noun, asks, **how), CATALOGUE.nouns[noun])


def option(name: str, value: str) -> str:
    return f"<Option><name>{name}</name><value>{value}</value></Option>"


def answers(bench: Bench, catalogue: Catalogue = CATALOGUE) -> ViewAnswers:
    def open_view() -> View:
        return View(bench.reader, LOGS, fresh_ms=1_000, clock_ms=lambda: bench.now_ms)

    return ViewAnswers(catalogue, open_view)


# --- what is understood -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noun", "asks", "criteria"),
    [
        ("Outages", "", {}),
        ("Outages", '<ID kind="uuid">o-1</ID>', {"mrids": ("o-1",)}),
        ("Outages", "<ID>o-1</ID>", {"mrids": ("o-1",)}),
        ("Outages", f'<ID objectType="Outage">{UUID}</ID>', {"mrids": (UUID, UUID.lower())}),
        ("Outages", '<ID kind="name">Mill</ID><ID idType="x">Lane</ID>',
         {"names": ("Mill", "Lane")}),
        ("Outages", '<ID objectType="Feeder" kind="name">F12</ID>', {"feeders": ("F12",)}),
        ("MeterReadings", '<ID objectType="ReadingType">1.2</ID>', {"reading_types": ("1.2",)}),
        ("MeterReadings", '<ID objectType="Meter">m-1</ID>', {"mrids": ("m-1",)}),
        ("Alarms", '<ID objectType="Meter">m-1</ID>', {"mrids": ("m-1",)}),
        ("Outages",
         option("STATUS", "confirmed") + option("life", "open") + option("life", "closed"),
         {"statuses": ("confirmed",), "lives": ("open", "closed")}),
        ("Outages", option("feeder", "f-1") + option("name", "n") + option("mRID", "o-1"),
         {"feeders": ("f-1",), "names": ("n",), "mrids": ("o-1",)}),
        ("MeterReadings", option("readingType", KWH), {"reading_types": (KWH,)}),
        ("Outages",
         "<StartTime>1970-01-01T00:00:01Z</StartTime><EndTime>1970-01-01T00:00:02Z</EndTime>",
         {"after_ms": 1000, "until_ms": 2000}),
        ("MeterReadings",
         GET_READINGS,
         {"mrids": ("up-1",), "names": ("M 7",), "reading_types": ("1.2", "1.3")}),
        ("Outages", '<GetOutages xmlns="urn:x"><Outage><mRID>o-1</mRID></Outage></GetOutages>',
         {"mrids": ("o-1",)}),
    ],
)  # fmt: skip
def test_the_words_of_a_query_are_criteria(noun: str, asks: str, criteria: dict[str, Any]) -> None:
    question = asked(noun, asks)
    assert question.criteria == Criteria(noun, **criteria)
    assert (question.limit, question.cursor) == (LIMIT, None)


def test_a_page_is_asked_for_by_options() -> None:
    question = asked("Outages", option("limit", "7") + option("cursor", "abc"))
    assert (question.limit, question.cursor) == (7, "abc")


def test_a_query_of_another_context_asks_for_that() -> None:
    data = query("Outages", extra="<Context>TRAINING</Context>")
    asking = Request.of(read(data), interface="I1", noun="Outages", place="p", expires_ms=None)
    assert question_of(asking, CATALOGUE.nouns["Outages"]).criteria.context == "TRAINING"


@pytest.mark.parametrize(
    ("asks", "code"),
    [
        (option("severity", "high"), "criteria_unknown"),
        ("<Option><name>status</name></Option>", "criteria_unknown"),
        (option("limit", "5") * 2, "criteria_unknown"),
        ('<ID objectType="Meter">m-1</ID>', "object_id_invalid"),
        ('<ID kind="transaction">1</ID>', "object_id_invalid"),
        ("<ID/>", "object_id_invalid"),
        (option("limit", "0"), "limit_invalid"),
        (option("limit", "1001"), "limit_invalid"),
        (option("limit", "٣"), "limit_invalid"),
        (option("limit", "9" * 5000), "limit_invalid"),
        ('<GetAlarms xmlns="urn:x"/>', "criteria_unknown"),
        ('<GetOutages xmlns="urn:x"><GenerationUnit/></GetOutages>', "criteria_unknown"),
        ('<GetOutages xmlns="urn:x"><Outage><cause>x</cause></Outage></GetOutages>',
         "criteria_unknown"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_and_not_passed_over(asks: str, code: str) -> None:
    with pytest.raises(NoAnswerError) as caught:
        asked("Outages", asks)
    assert caught.value.problem.code == code


def test_a_query_with_a_payload_is_refused() -> None:
    with pytest.raises(NoAnswerError, match="criteria_unknown"):
        asked("Outages", payload='<Outages xmlns="urn:cimstream:Outages:1"/>')


# --- what is answered ---------------------------------------------------------------------------


def test_an_object_is_answered_as_the_payload_that_says_it_with_its_revision(
    file_bench: Bench,
) -> None:
    body = outage("o-1", revision=3, statusKind="confirmed", names=[named("Mill Lane")])
    file_bench.add(OUTAGES, "o-1", body)
    file_bench.add(OUTAGES, "o-2", outage("o-2"))
    answer = answers(file_bench)(request("Outages", option("mRID", "o-1")))
    assert answer.payload is not None
    (element,) = answer.payload
    assert element.findtext("{*}mRID") == "o-1"
    assert element.findtext("{*}Names/{*}name") == "Mill Lane"
    assert answer.payload.tag == f"{{{declared('outages').namespaces[0]}}}Outages"
    assert (answer.code, answer.told) == ("0.0", ())
    assert answer.properties == (("Revision", "3"),)


def test_nothing_found_is_a_whole_answer_without_payload(file_bench: Bench) -> None:
    answer = answers(file_bench)(request("Outages", option("mRID", "nobody")))
    assert (answer.payload, answer.code) == (None, "0.0")


def test_from_page_to_page_everything_is_answered_once(file_bench: Bench) -> None:
    for number in range(5):
        file_bench.add(OUTAGES, f"o-{number}", outage(f"o-{number}"))
    found, cursor, answer = [], "", answers(file_bench)
    while True:
        asks = option("limit", "2") + (option("cursor", cursor) if cursor else "")
        page = answer(request("Outages", asks))
        assert page.payload is not None
        found += [element.findtext("{*}mRID") for element in page.payload]
        cursor = dict(page.properties).get("Cursor", "")
        assert page.code == ("0.1" if cursor else "0.0")
        if not cursor:
            break
    assert found == [f"o-{number}" for number in range(5)]


def test_readings_are_those_of_the_period_and_read_back_as_they_were(file_bench: Bench) -> None:
    day = series(
        [float(n) for n in range(96)], first=MIDNIGHT + QUARTER, usage_point={"mRID": "up-1"}
    )
    file_bench.add(READINGS, "up-1", day)
    start, end = (from_epoch_ms(MIDNIGHT + hours * 4 * QUARTER) for hours in (1, 2))
    asks = f"<StartTime>{start}</StartTime><EndTime>{end}</EndTime>{option('mRID', 'up-1')}"
    answer = answers(file_bench)(request("MeterReadings", asks))
    assert answer.payload is not None
    values = [element.text for element in answer.payload.iter("{*}value")]
    assert values == ["4.0", "5.0", "6.0", "7.0"]
    outcome = profile("meter_readings").read(answer.payload)
    assert (len(outcome.items), outcome.rejected) == (1, [])


def m_day(epoch_ms: int) -> str:
    from schemas.times import from_epoch_ms

    return from_epoch_ms(epoch_ms)[:10]


def test_several_series_are_one_payload(file_bench: Bench) -> None:
    for number in range(3):
        one = series([1.0, 2.0], usage_point={"mRID": f"up-{number}"})
        file_bench.add(READINGS, f"up-{number}", one)
    answer = answers(file_bench)(request("MeterReadings", "<ID>up-0</ID><ID>up-2</ID>"))
    assert answer.payload is not None
    about = [point.findtext("{*}mRID") for point in answer.payload.iter("{*}UsagePoint")]
    assert about == ["up-0", "up-2"]


def test_a_history_that_reaches_back_before_the_window_says_that_it_may_lack_something(
    file_bench: Bench,
) -> None:
    file_bench.add(ALARMS, "a-1", alarm("a-1", MIDNIGHT))
    file_bench.writer.trim(MIDNIGHT - DAY_MS, 10)
    answer = answers(file_bench)(request("Alarms"))
    assert answer.code == "0.2"
    assert answer.told == (
        "the view keeps histories from a time on, and older ones were asked for",
    )


def test_device_events_are_answered_too(file_bench: Bench) -> None:
    body = event(
        "EndDeviceEvent", mRID="e-1", createdDateTime=MIDNIGHT,
        endDeviceEventType="3.26.0.85", assets={"mRID": "m-1", "names": []},
    )  # fmt: skip
    file_bench.add(DEVICE_EVENTS, "m-1", body)
    answer = answers(file_bench)(request("EndDeviceEvents", "<ID>m-1</ID>"))
    assert answer.payload is not None
    assert profile("end_device_events").read(answer.payload).rejected == []


@pytest.mark.parametrize(
    ("noun", "asks", "code"),
    [
        ("MeterReadings", "", "criteria_too_wide"),
        ("MeterReadings", option("mRID", "m") + option("status", "x"), "criteria_unfit"),
        ("Alarms", option("life", "open"), "criteria_unfit"),
        ("Outages", option("cursor", "abc"), "cursor_invalid"),
    ],
)
def test_a_question_that_the_view_refuses_is_refused_with_a_code(
    file_bench: Bench, noun: str, asks: str, code: str
) -> None:
    with pytest.raises(NoAnswerError) as caught:
        answers(file_bench)(request(noun, asks))
    assert caught.value.problem.code == code
    assert not isinstance(caught.value, UnableError)


def test_where_the_rows_are_more_than_a_message_holds_the_page_has_fewer(
    file_bench: Bench,
) -> None:
    small = replace(CATALOGUE, sizing=replace(CATALOGUE.sizing, message_bytes_max=4096))
    for number in range(40):
        name = named(f"Lane {number} " + "x" * 200)
        file_bench.add(OUTAGES, f"o-{number:02}", outage(f"o-{number:02}", names=[name]))
    answer = answers(file_bench, small)(request("Outages"))
    assert answer.payload is not None
    assert 0 < len(answer.payload) < 40
    assert answer.code == "0.1"
    assert answer.properties[0][0] == "Cursor"


def test_one_object_that_no_message_holds_is_refused(file_bench: Bench) -> None:
    small = replace(CATALOGUE, sizing=replace(CATALOGUE.sizing, message_bytes_max=1024))
    file_bench.add(OUTAGES, "o-1", outage("o-1", names=[named("x" * 2000)]))
    with pytest.raises(NoAnswerError) as caught:
        answers(file_bench, small)(request("Outages"))
    assert caught.value.problem.code == "answer_too_large"


def test_a_view_that_cannot_be_read_is_opened_again_for_the_next_query(file_bench: Bench) -> None:
    opened: list[str] = []

    def open_view() -> View:
        opened.append("once more")
        if len(opened) == 1:
            raise StoreUnavailableError("host-of-ours", "it is away")
        return View(file_bench.reader, LOGS, fresh_ms=1_000, clock_ms=lambda: file_bench.now_ms)

    answer = ViewAnswers(CATALOGUE, open_view)
    with pytest.raises(UnableError) as caught:
        answer(request("Outages"))
    assert "host-of-ours" not in str(caught.value)
    assert answer(request("Outages")).code == "0.0"
    assert answer(request("Outages")).code == "0.0"
    assert len(opened) == 2


def test_every_noun_that_a_view_keeps_is_answered_but_models(file_bench: Bench) -> None:
    kept = {entry.noun for entry in LOGS.values()}
    responder = answers(file_bench).responder(kept)
    answered = {noun for noun in kept if responder.of("I1", noun) is not None}
    assert kept - answered == {"NetworkDataSet"}
    assert answers(file_bench).responder(kept - {"Outages"}).of("I1", "Outages") is None


def put(bench: Bench, noun: Noun, example: bytes) -> list[Item]:
    """The objects of an example, in the view."""
    reader, message = declared(noun.profile or ""), read(example)
    assert message.payload is not None
    items = reader.read(message.payload, "").items
    (topic,) = [
        log.topic for log in LOGS.values() if (log.noun, log.context) == (noun.name, "PRODUCTION")
    ]
    of_register = wire.long(1) + wire.long(0) if reader.register else b""
    start = frame(reader.schema) + encode_provenance("t", 0, 0, "m", "s", 0) + of_register
    for item in items:
        bench.add(topic, item.key.decode(), start + item.body)
    return items


@pytest.mark.parametrize("noun", NOUNS, ids=[noun.name for noun in NOUNS])
def test_what_is_answered_says_what_was_sent(file_bench: Bench, noun: Noun) -> None:
    there = examples(noun)
    put_in = put(file_bench, noun, there.get("create") or there["created"])
    answer = answers(file_bench)(request(noun.name))
    assert answer.payload is not None
    outcome = profile(noun.profile or "").read(answer.payload, "")
    assert not outcome.rejected
    assert {item.body for item in outcome.items} == {item.body for item in put_in}


def test_a_document_is_answered_alone_whatever_the_limit(file_bench: Bench) -> None:
    noun = CATALOGUE.nouns["Acknowledgement_MarketDocument"]
    example = examples(noun)["created"]
    put(file_bench, noun, example)
    put(file_bench, noun, example)
    answer = answers(file_bench)(request(noun.name, option("limit", "5")))
    assert answer.payload is not None
    assert (answer.code, answer.properties[0][0]) == ("0.1", "Cursor")
