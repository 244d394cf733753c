"""Queries on their way through intake: to whoever answers them, and nowhere else."""

from __future__ import annotations

import pytest

from schemas.times import from_epoch_ms
from streams.demo import messages as m
from streams.engine.record import Output, Record
from streams.processors.queries import told_expiry_ms
from tests.unit.intake.driver import START_MS, Driver, codes, header

REQUESTS = "cim.i7.requests"


@pytest.fixture
def driver() -> Driver:
    return Driver()


def query(
    noun: str = "MeterReadings", message_id: str = "q-1", *, asks: str = "", extra: str = ""
) -> bytes:
    body = f"<Request>{asks}</Request></RequestMessage>"
    data = m.envelope("", verb="get", noun=noun, message_id=message_id, extra=extra)
    return data.replace(b"</RequestMessage>", body.encode())


def expiry(text: str) -> str:
    return f"<Property><Name>Expiry</Name><Value>{text}</Value></Property>"


def of_topic(outputs: list[Output], topic: str = REQUESTS) -> list[Output]:
    return [output for output in outputs if output.topic == topic]


@pytest.mark.parametrize("noun", ["MeterReadings", "MeterConfig", "EndDeviceControls"])
def test_a_query_goes_to_requests_as_it_came_with_all_that_a_responder_needs(
    driver: Driver, noun: str
) -> None:
    to = "<Property><Name>Destination</Name><Value>HES-2</Value></Property>"
    data = query(noun, extra=f"<CorrelationID>c-1</CorrelationID>{to}")
    (output,) = driver.send(data)
    assert (output.topic, output.value) == (REQUESTS, data)
    assert output.key == f"HES-1|{noun}|q-1".encode()
    partition, offset = driver.last
    expected = {
        "ce_id": "q-1",
        "ce_source": "HES-1",
        "ce_type": f"cim.{noun}.get",
        "ce_interface": "I7",
        "ce_noun": noun,
        "ce_verb": "get",
        "ce_correlationid": "c-1",
        "ce_destination": "HES-2",
        "ce_expirytime": from_epoch_ms(START_MS + 600_000),
        "cimstream_inbound": f"cim.i7.inbound/{partition}@{offset}",
        "cimstream_inboundtime": str(START_MS),
    }
    assert {name: header(output, name) for name in expected} == expected


def test_a_query_about_a_noun_of_another_home_goes_to_the_responders_of_that() -> None:
    (output,) = Driver(interface="I6").send(query("Outages"))
    assert output.topic == "cim.i1.requests"
    assert header(output, "ce_interface") == "I6"


def test_a_query_says_itself_until_when_somebody_waits(driver: Driver) -> None:
    (output,) = driver.send(query(extra=expiry("2030-01-01T00:00:00+01:00")))
    assert header(output, "ce_expirytime") == "2029-12-31T23:00:00Z"
    record = Record(REQUESTS, 0, 0, 0, b"", b"", output.headers)
    assert from_epoch_ms(told_expiry_ms(record) or 0) == "2029-12-31T23:00:00Z"


@pytest.mark.parametrize(
    ("text", "code"),
    [("soon", "timestamp_invalid"), ("2030-01-01T00:00:00", "timestamp_without_zone")],
)
def test_an_expiry_that_nobody_can_read_is_refused_and_leaves_no_mark(
    driver: Driver, text: str, code: str
) -> None:
    outputs = driver.send(query(extra=expiry(text)))
    assert codes(outputs) == [code]
    assert of_topic(outputs, "cim.i7.outbound")
    assert of_topic(driver.send(query()))


def test_a_repeat_is_asked_too_under_its_own_place(driver: Driver) -> None:
    (first,) = driver.send(query())
    (again,) = driver.send(query())
    assert driver.count("duplicates") == 1
    assert first.key == again.key
    assert header(first, "cimstream_inbound") != header(again, "cimstream_inbound")


def test_another_query_under_the_same_identity_is_a_conflict(driver: Driver) -> None:
    driver.send(query())
    outputs = driver.send(query(asks="<StartTime>2026-01-01T00:00:00Z</StartTime>"))
    assert codes(outputs) == ["identity_conflict"]
    assert not of_topic(outputs)


def test_a_query_without_an_id_is_a_new_question_each_time(driver: Driver) -> None:
    data = query(message_id="")
    assert [of_topic(driver.send(data))[0].value for _ in range(2)] == [data, data]
    assert driver.count("duplicates") == 0


def test_an_answer_with_the_verb_of_a_query_is_no_query(driver: Driver) -> None:
    data = query().replace(b"RequestMessage", b"ResponseMessage")
    data = data.replace(b"<Request></Request>", b"<Reply><Result>OK</Result></Reply>")
    outputs = driver.send(data)
    assert codes(outputs) == ["verb_not_allowed"]
    assert not of_topic(outputs)


def test_a_replay_asks_nobody() -> None:
    from streams.processors.replay import Replay

    driver = Driver()
    driver.intake = Replay(driver.intake, driver.catalogue, outlet=None)  # type: ignore[assignment,arg-type]
    assert driver.send(query()) == []
