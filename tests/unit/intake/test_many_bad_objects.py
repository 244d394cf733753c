"""Messages of very many bad objects: nothing is lost, and little is written."""

from __future__ import annotations

from collections import Counter

import pytest
from lxml import etree

from schemas.envelope import read
from schemas.profiles.model import ALONE_BYTES_MAX, ALONE_MAX
from streams.demo import messages as m
from streams.engine.record import Output
from tests.unit.intake.driver import Driver, codes, events, header

GOOD = m.full_meter("good", m.values(1, 4), m.times(4))


def bad(number: int) -> str:
    return m.full_meter(f"bad-{number}", ["x", "1", "1", "1"], m.times(4))


def send(driver: Driver, payload: str, message_id: str = "m-1") -> list[Output]:
    acknowledged = "<AckRequired>true</AckRequired>"
    return driver.send(m.envelope(payload, message_id=message_id, extra=acknowledged))


def rejections(outputs: list[Output]) -> list[Output]:
    return [output for output in outputs if output.topic.endswith(".rejected")]


def objects(rejected: Output) -> list[etree._Element]:
    """All that a rejected message has in its payload, or in those of its operations."""
    message = read(rejected.value or b"")
    if message.operation_set is None:
        return list(message.payload) if message.payload is not None else []
    operations = message.operation_set.operations
    return [child for one in operations if one.payload is not None for child in one.payload]


def meters(rejected: Output) -> list[str]:
    return [one.findtext("{*}Meter/{*}mRID") or "" for one in objects(rejected)]


def test_each_bad_object_is_in_exactly_one_rejection_and_the_good_ones_take_effect() -> None:
    """Goal: nothing lost, nothing twice. Method: good and bad objects take turns."""
    many = ALONE_MAX + 50
    outputs = send(Driver(), m.meter_readings([bad(n) + GOOD for n in range(many)]))
    written = rejections(outputs)
    assert len(written) == ALONE_MAX + 1
    found = [mrid for output in written for mrid in meters(output)]
    assert found == [f"bad-{n}" for n in range(many)]
    assert [event["meter"]["mRID"] for event in events(outputs)] == ["good"] * many


def test_the_rest_says_how_many_they_are_and_what_is_wrong_with_the_first() -> None:
    outputs = send(Driver(), m.meter_readings([bad(n) for n in range(ALONE_MAX + 50)]))
    *alone, rest = rejections(outputs)
    assert {header(one, "cimstream_code") for one in alone} == {"value_not_number"}
    assert header(rest, "cimstream_code") == "objects_rejected"
    assert header(rest, "cimstream_objects") == "50"
    why = header(rest, "cimstream_why")
    assert why.startswith(f"50 objects; the first, number {ALONE_MAX}: value_not_number")
    assert f"MeterReading[{ALONE_MAX + 1}]" in header(rest, "cimstream_where")
    said = read(rest.value or b"").header
    assert said is not None
    assert said.message_id == f"m-1#{ALONE_MAX}+"


def test_as_many_bad_objects_as_are_allowed_leave_no_rest() -> None:
    outputs = send(Driver(), m.meter_readings([bad(n) for n in range(ALONE_MAX)]))
    assert Counter(codes(outputs)) == {"value_not_number": ALONE_MAX}


@pytest.mark.parametrize(("objects", "result"), [(GOOD, "PARTIAL"), ("", "FAILED")])
def test_the_reply_is_that_of_any_message_with_bad_objects(objects: str, result: str) -> None:
    driver = Driver()
    outputs = send(driver, m.meter_readings([*map(bad, range(ALONE_MAX + 5)), objects]))
    (answer,) = (read(o.value or b"").reply for o in outputs if o.topic.endswith(".outbound"))
    assert answer is not None
    assert answer.result == result
    assert len(answer.errors) == 100
    assert driver.count("rejected") == ALONE_MAX + 1


def test_the_rest_sent_again_is_rejected_again_object_by_object() -> None:
    driver = Driver()
    payload = m.meter_readings([GOOD, *map(bad, range(ALONE_MAX + 3))])
    rest = rejections(send(driver, payload))[-1]
    outputs = driver.send(rest.value or b"")
    assert codes(outputs) == ["value_not_number"] * 3
    assert [meters(output) for output in rejections(outputs)] == [
        [f"bad-{n}"] for n in range(ALONE_MAX, ALONE_MAX + 3)
    ]


def test_the_rest_corrected_takes_effect_beside_the_good_objects() -> None:
    driver = Driver()
    payload = m.meter_readings([GOOD, *map(bad, range(ALONE_MAX + 3))])
    rest = rejections(send(driver, payload))[-1].value or b""
    outputs = driver.send(rest.replace(b">x<", b">2<"))
    assert codes(outputs) == []
    assert [event["meter"]["mRID"] for event in events(outputs)] == [
        f"bad-{n}" for n in range(ALONE_MAX, ALONE_MAX + 3)
    ]


def test_what_is_written_for_bad_objects_is_bounded_by_their_bytes_too() -> None:
    """Each object alone repeats the namespaces that it stood under."""
    spaces = " ".join(f'xmlns:p{n}="urn:{"x" * 500}"' for n in range(60))
    stray = "<stray/>" * ALONE_MAX
    payload = f'<MeterReadings xmlns="{m.READINGS}" {spaces}>{stray}</MeterReadings>'
    outputs = send(Driver(), payload)
    written = rejections(outputs)
    assert len(written) < ALONE_MAX
    assert sum(len(objects(output)) for output in written) == ALONE_MAX
    assert sum(len(output.value or b"") for output in written) < 2 * ALONE_BYTES_MAX


def test_the_allowance_is_that_of_the_message_whatever_its_operations() -> None:
    many = ALONE_MAX + 20
    operations = "".join(
        f"<Operation><operationId>{n}</operationId><noun>MeterReadings</noun>"
        f"<verb>create</verb>{m.meter_readings([bad(n)])}</Operation>"
        for n in range(many)
    )
    data = m.envelope(f"<OperationSet>{operations}</OperationSet>", verb="create", message_id="m-1")
    written = rejections(Driver().send(data))
    assert len(written) == ALONE_MAX + 1
    assert [mrid for output in written for mrid in meters(output)] == [
        f"bad-{n}" for n in range(many)
    ]
    rest = read(written[-1].value or b"").operation_set
    assert rest is not None
    assert [one.verb for one in rest.operations] == ["create"] * 20
