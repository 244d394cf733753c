"""Intake's decisions: what takes effect, what is a repeat, a conflict, a rejection."""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import replace

import pytest

from schemas.envelope import read
from streams.demo import messages as m
from streams.demo.scenario import scenario
from tests.unit.intake.driver import CATALOGUE, HOUR_MS, Driver, codes, events, header

LOG = "cim.i7.meter-readings"


@pytest.fixture
def driver() -> Driver:
    return Driver()


def readings(mrid: str = "meter-1", numbers: list[str] | None = None) -> str:
    return m.meter_readings([m.full_meter(mrid, numbers or m.values(1, 4), m.times(4))])


def test_a_message_becomes_events_with_provenance_and_cloudevents_headers(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1", extra="<CorrelationID>c-1</CorrelationID>")

    (output,) = driver.send(data)

    (event,) = events([output])
    record = next(iter(driver.log.values()))
    assert event["provenance"] == {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "messageID": "m-1",
        "source": "HES-1",
        "index": 0,
    }
    assert output.key == b"meter-1"
    expected = {
        "content-type": "application/avro",
        "ce_specversion": "1.0",
        "ce_id": "m-1#0",
        "ce_messageid": "m-1",
        "ce_source": "HES-1",
        "ce_type": "cim.MeterReadings.created",
        "ce_time": "2026-11-02T00:10:00Z",
        "ce_interface": "I7",
        "ce_noun": "MeterReadings",
        "ce_verb": "created",
        "ce_correlationid": "c-1",
    }
    assert {name: header(output, name) for name in expected} == expected


def test_a_message_with_a_misspelt_namespace_takes_effect_and_is_counted(driver: Driver) -> None:
    right = "http://iec.ch/TC57/2011/MeterReadings#"
    wrong = readings().replace(right, "https://iec.ch/TC57/2011/MeterReadings")
    assert wrong != readings()

    (output,) = driver.send(m.envelope(wrong, message_id="m-1"))
    (other,) = driver.send(m.envelope(readings(), message_id="m-2"))

    (event,), (expected,) = events([output]), events([other])
    assert {**event, "provenance": None} == {**expected, "provenance": None}
    assert driver.count("misspelt") == 1


def test_every_event_of_a_message_has_an_id_of_its_own(driver: Driver) -> None:
    meters = [m.full_meter(f"m{i}", m.values(i, 4), m.times(4)) for i in range(3)]

    outputs = driver.send(m.envelope(m.meter_readings(meters), message_id="m-1"))

    assert [header(o, "ce_id") for o in outputs] == ["m-1#0", "m-1#1", "m-1#2"]


def test_the_same_bytes_again_have_no_second_effect(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1")
    driver.send(data)

    assert driver.send(data) == []
    assert (driver.count("received"), driver.count("duplicates")) == (2, 1)


def test_the_same_content_in_another_serialisation_is_a_repeat(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1")
    again = m.reserialised(data)
    driver.send(data)

    assert again != data
    assert driver.send(again) == []
    assert driver.count("duplicates") == 1


def test_the_same_identity_with_other_content_is_rejected_and_the_first_stands(
    driver: Driver,
) -> None:
    first = m.envelope(readings(numbers=["1", "2", "3", "4"]), message_id="m-1")
    other = m.envelope(readings(numbers=["1", "2", "3", "5"]), message_id="m-1")
    driver.send(first)

    outputs = driver.send(other)

    assert codes(outputs) == ["identity_conflict"]
    assert outputs[0].value == other
    assert driver.send(first) == []
    assert driver.count("duplicates") == 1


def test_a_conflict_whose_first_message_is_gone_is_rejected_as_uncomparable(
    driver: Driver,
) -> None:
    driver.send(m.envelope(readings(), message_id="m-1"))
    driver.log.clear()

    outputs = driver.send(m.reserialised(m.envelope(readings(), message_id="m-1")))

    assert codes(outputs) == ["identity_uncomparable"]


def test_a_repeat_is_caught_up_to_the_horizon_and_not_beyond(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1")
    driver.send(data)

    driver.now_ms += CATALOGUE.dedup_horizon_ms
    assert driver.send(data) == []
    driver.now_ms += 1
    assert len(driver.send(data)) == 1


def test_a_repeat_does_not_prolong_the_horizon(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1")
    driver.send(data)
    driver.now_ms += CATALOGUE.dedup_horizon_ms - HOUR_MS
    driver.send(data)
    driver.now_ms += 2 * HOUR_MS

    assert len(driver.send(data)) == 1


def test_messages_of_different_sources_with_one_id_are_different_messages(driver: Driver) -> None:
    driver.send(m.envelope(readings(), message_id="m-1", source="HES-1"))

    assert len(driver.send(m.envelope(readings(), message_id="m-1", source="HES-2"))) == 1


def test_a_training_message_goes_to_the_training_log_and_does_not_shadow_production(
    driver: Driver,
) -> None:
    training = m.envelope(readings(), message_id="m-1", extra="<Context>training</Context>")
    production = m.envelope(readings(), message_id="m-1", extra="<Context>Production</Context>")

    assert [o.topic for o in driver.send(training)] == ["cim.training.i7.meter-readings"]
    assert [o.topic for o in driver.send(production)] == [LOG]


def test_an_unknown_context_is_rejected(driver: Driver) -> None:
    outputs = driver.send(
        m.envelope(readings(), message_id="m-1", extra="<Context>SANDPIT</Context>")
    )

    assert codes(outputs) == ["context_unknown"]
    assert outputs[0].topic == "cim.i7.rejected"


def test_a_history_without_message_id_is_recognised_by_its_content(driver: Driver) -> None:
    driver.send(m.envelope(readings(), timestamp="2026-11-02T00:00:00Z"))

    assert driver.send(m.envelope(readings(), timestamp="2026-11-02T05:00:00Z")) == []
    assert len(driver.send(m.envelope(readings("meter-2")))) == 1


@pytest.mark.parametrize("verb", ["create", "change", "cancel", "execute"])
def test_a_request_that_changes_something_needs_a_message_id(driver: Driver, verb: str) -> None:
    data = m.envelope("<EndDeviceControls/>", verb=verb, noun="EndDeviceControls")

    outputs = driver.send(data)

    assert codes(outputs) == ["message_id_missing"]


def test_good_and_bad_meters_in_one_message_are_told_apart(driver: Driver) -> None:
    bad = m.full_meter("bad", ["1", "x", "3", "4"], m.times(4))
    good = m.full_meter("good", m.values(1, 4), m.times(4))
    data = m.envelope(
        m.meter_readings([bad, good]),
        message_id="m-1",
        extra="<AckRequired>true</AckRequired>",
    )

    outputs = driver.send(data)

    assert [o.topic for o in outputs] == ["cim.i7.rejected", LOG, "cim.i7.outbound"]
    assert header(outputs[0], "cimstream_object") == "0"
    assert b"good" not in (outputs[0].value or b"")
    reply = read(outputs[2].value or b"").reply
    assert reply is not None
    assert (reply.result, reply.errors[0].code, len(reply.errors)) == ("PARTIAL", "0.2", 2)


def test_a_rejected_object_can_be_corrected_and_sent_again_by_itself(driver: Driver) -> None:
    bad = m.full_meter("bad", ["1", "x", "3", "4"], m.times(4))
    good = m.full_meter("good", m.values(1, 4), m.times(4))
    data = m.envelope(m.meter_readings([good, bad]), message_id="m-1")
    rejected = driver.send(data)[0].value or b""

    assert codes(driver.send(rejected)) == ["value_not_number"]
    (output,) = driver.send(rejected.replace(b">x<", b">2<"))

    assert (output.key, header(output, "ce_messageid")) == (b"bad", "m-1#1")


def test_a_rejected_object_with_other_than_ascii_names_is_kept_as_it_came(driver: Driver) -> None:
    """Found by fuzzing: such a message once broke the processor."""
    payload = readings(numbers=["x", "1", "1", "1"]).replace("xmlns=", 'xmlns:é="urn:e" xmlns=')
    data = m.envelope(payload.replace("<Meter>", "<é:ß/><Meter>"), message_id="m-1")

    outputs = driver.send(data)

    assert codes(outputs) == ["profile_violation"]
    assert "é:ß" in (outputs[0].value or b"").decode()


@pytest.mark.parametrize("space", ["", "urn:other"], ids=["none", "another"])
def test_a_rejected_object_of_another_namespace_is_kept_in_its_payload(
    driver: Driver, space: str
) -> None:
    """Found by fuzzing: one in no namespace once broke the processor."""
    stray = f'<MeterReading xmlns="{space}"/>'
    good = m.full_meter("good", m.values(1, 4), m.times(4))
    data = m.envelope(m.meter_readings([good, stray]), message_id="m-1")

    outputs = driver.send(data)

    assert codes(outputs) == ["profile_violation"]
    assert len(list(events(outputs))) == 1
    kept = read(outputs[0].value or b"").payload
    assert kept is not None
    assert kept.tag == f"{{{m.READINGS}}}MeterReadings"
    assert [child.tag for child in kept] == [
        f"{{{space}}}MeterReading" if space else "MeterReading"
    ]


def test_objects_are_numbered_through_all_operations(driver: Driver) -> None:
    good, bad = readings("good"), readings("bad", ["x", "1", "1", "1"])
    data = m.envelope(
        operation_set(good, good.replace("good", "other"), bad, integrity=False),
        verb="create",
        message_id="m-1",
    )

    (rejected,) = (o for o in driver.send(data) if o.topic.endswith(".rejected"))

    assert header(rejected, "cimstream_object") == "2"


def test_a_partial_message_that_comes_again_rejects_nothing_twice(driver: Driver) -> None:
    bad = m.full_meter("bad", ["1", "x", "3", "4"], m.times(4))
    good = m.full_meter("good", m.values(1, 4), m.times(4))
    data = m.envelope(m.meter_readings([bad, good]), message_id="m-1")
    driver.send(data)

    assert driver.send(data) == []
    assert driver.count("rejected") == 1


def test_a_message_of_which_nothing_is_good_leaves_no_mark(driver: Driver) -> None:
    data = m.envelope(readings(numbers=["x", "1", "1", "1"]), message_id="m-1")

    assert codes(driver.send(data)) == ["value_not_number"]
    assert codes(driver.send(data)) == ["value_not_number"]
    assert driver.count("duplicates") == 0


def test_a_corrected_message_takes_effect_after_its_rejection(driver: Driver) -> None:
    driver.send(m.envelope(readings(numbers=["x", "1", "1", "1"]), message_id="m-1"))

    assert len(driver.send(m.envelope(readings(), message_id="m-1"))) == 1


def operation_set(*payloads: str, integrity: bool) -> str:
    operations = "".join(
        f"<Operation><operationId>{i}</operationId><noun>MeterReadings</noun>"
        f"<verb>create</verb>{payload}</Operation>"
        for i, payload in enumerate(payloads, 1)
    )
    flag = (
        f"<enforceTransactionalIntegrity>{str(integrity).lower()}</enforceTransactionalIntegrity>"
    )
    return f"<OperationSet>{flag}{operations}</OperationSet>"


def test_a_rejected_object_keeps_the_verb_of_its_operation(driver: Driver) -> None:
    bad = operation_set(readings("good"), readings("bad", ["x", "1", "1", "1"]), integrity=False)
    data = m.envelope(
        bad.replace("<verb>create</verb>", "<verb>changed</verb>"), verb="created", message_id="m-1"
    )

    (rejected,) = (o for o in driver.send(data) if o.topic.endswith(".rejected"))

    kept = read(rejected.value or b"").header
    assert kept is not None
    assert (kept.verb, kept.message_id) == ("changed", "m-1#1")


@pytest.mark.parametrize(("outer", "inner"), [("created", "change"), ("create", "changed")])
def test_an_operation_asks_in_a_request_and_tells_in_an_event(
    driver: Driver, outer: str, inner: str
) -> None:
    steps = operation_set(readings("good"), integrity=False)
    steps = steps.replace("<verb>create</verb>", f"<verb>{inner}</verb>")

    (rejected, *_) = driver.send(m.envelope(steps, verb=outer, message_id="m-1"))

    assert header(rejected, "cimstream_code") == "operation_verb"
    assert "/Payload/OperationSet/Operation line" in header(rejected, "cimstream_where")


def test_an_operation_without_payload_is_not_passed_over(driver: Driver) -> None:
    data = m.envelope(
        operation_set(readings("good"), "", integrity=False), verb="create", message_id="m-1"
    )

    outputs = driver.send(data)

    assert codes(outputs)[0] == "payload_missing"
    assert list(events(outputs)) == []


def test_an_operation_set_without_integrity_passes_object_by_object(driver: Driver) -> None:
    bad = readings("bad", ["x", "1", "1", "1"])
    data = m.envelope(
        operation_set(readings("good"), bad, integrity=False), verb="create", message_id="m-1"
    )

    outputs = driver.send(data)

    assert codes(outputs) == ["value_not_number"]
    assert len(list(events(outputs))) == 1


def test_an_operation_set_with_integrity_has_no_effect_if_one_object_is_bad(
    driver: Driver,
) -> None:
    bad = readings("bad", ["x", "1", "1", "1"])
    data = m.envelope(
        operation_set(readings("good"), bad, integrity=True), verb="create", message_id="m-1"
    )

    outputs = driver.send(data)

    assert codes(outputs) == ["transaction_aborted"]
    assert list(events(outputs)) == []
    reply = read(outputs[-1].value or b"").reply
    assert reply is not None
    assert (reply.result, reply.errors[0].code) == ("FAILED", "5.9")


def test_a_request_is_answered_and_its_repeat_gets_the_same_answer(driver: Driver) -> None:
    data = m.envelope(readings(), verb="create", message_id="m-1")

    first = driver.send(data)
    driver.now_ms += HOUR_MS
    again = driver.send(data)

    assert [o.topic for o in first] == [LOG, "cim.i7.outbound"]
    assert [o.topic for o in again] == ["cim.i7.outbound"]
    assert again[0].value == first[1].value
    answer = read(first[1].value or b"")
    assert answer.reply is not None
    assert answer.header is not None
    assert (answer.reply.result, answer.reply.errors[0].code) == ("OK", "0.0")
    assert answer.header.correlation_id == "m-1"
    assert header(first[1], "ce_destination") == "HES-1"


def test_a_rejected_request_is_answered_with_the_standard_code(driver: Driver) -> None:
    data = m.envelope("<Crews/>", verb="create", noun="Crews", message_id="m-1")

    outputs = driver.send(data)

    assert codes(outputs) == ["interface_not_allowed"]
    reply = read(outputs[-1].value or b"").reply
    assert reply is not None
    assert reply.result == "FAILED"


def test_a_message_on_a_foreign_partition_is_forwarded_once_to_its_own(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1")
    driver.send(data)
    home = next(iter(driver.log))[0]

    (forwarded,) = driver.send(data, partition=(home + 1) % driver.partitions)

    assert (forwarded.topic, forwarded.partition, forwarded.value) == (driver.topic, home, data)
    assert driver.send(data, headers=forwarded.headers) == []
    assert (driver.count("rerouted"), driver.count("duplicates")) == (1, 1)


def test_a_forwarded_message_that_is_misplaced_again_is_rejected(driver: Driver) -> None:
    data = m.envelope(readings(), message_id="m-1")
    driver.send(data)
    foreign = (next(iter(driver.log))[0] + 1) % driver.partitions
    (forwarded,) = driver.send(data, partition=foreign)

    outputs = driver.send(data, partition=foreign, headers=forwarded.headers)

    assert codes(outputs) == ["misrouted"]


def test_what_is_too_large_is_cut_to_its_head_with_size_and_digest(driver: Driver) -> None:
    driver.catalogue = replace(
        CATALOGUE, sizing=replace(CATALOGUE.sizing, message_bytes_max=100_000)
    )
    driver.__post_init__()
    data = m.envelope(readings(), message_id="m-1") + b" " * 200_000

    (output,) = driver.send(data)

    assert codes([output]) == ["message_too_large"]
    assert output.value == data[: 64 * 1024]
    assert header(output, "cimstream_size") == str(len(data))


def test_of_a_noun_that_is_none_it_is_told_first_and_which_is_meant(driver: Driver) -> None:
    data = m.envelope(readings(), verb="create", noun="MasterDataLinkageConfig")
    output, *_ = driver.send(data)
    assert header(output, "cimstream_code") == "noun_unknown"
    assert "perhaps UsagePointConfig or MeterConfig" in header(output, "cimstream_why")


def test_a_rejection_names_code_place_reason_and_remedy_and_keeps_the_bytes(
    driver: Driver,
) -> None:
    data = m.envelope(readings(), message_id="m-1", noun="Toasters")

    (output,) = driver.send(data)

    record = next(iter(driver.log.values()))
    assert output.value == data
    assert header(output, "cimstream_code") == "noun_unknown"
    assert header(output, "cimstream_iec_code") == "2.5"
    assert header(output, "cimstream_inbound") == str(record)
    assert header(output, "__connect.errors.topic") == record.topic
    assert header(output, "__connect.errors.offset") == str(record.offset)
    for name in ("cimstream_what", "cimstream_why", "cimstream_fix"):
        assert header(output, name)


def test_a_compressed_payload_is_the_payload(driver: Driver) -> None:
    packed = base64.b64encode(gzip.compress(readings().encode())).decode()
    plain = m.envelope(readings(), message_id="m-1")
    driver.send(plain)

    compressed = m.envelope(
        f"<Compressed>{packed}</Compressed><Format>XML</Format>", message_id="m-1"
    )

    assert driver.send(compressed) == []
    assert driver.count("duplicates") == 1


def test_the_same_input_from_the_same_state_gives_the_same_bytes() -> None:
    first, second = Driver(), Driver()
    everything = list(scenario("HES-1"))
    for sent in everything[:20] + everything[-40:]:
        if len(sent.data) < CATALOGUE.bytes_max("I7"):
            assert first.send(sent.data) == second.send(sent.data)


def test_end_device_events_go_to_their_own_log(driver: Driver) -> None:
    data = m.envelope(m.end_device_events(["d-1", "d-2"]), noun="EndDeviceEvents", message_id="e-1")

    outputs = driver.send(data)

    assert [o.topic for o in outputs] == ["cim.i7.end-device-events"] * 2
    assert [o.key for o in outputs] == [b"d-1", b"d-2"]


@pytest.mark.parametrize("interface", sorted(set(CATALOGUE.interfaces) - {"I7"}))
def test_every_interface_rejects_a_noun_that_is_still_planned(interface: str) -> None:
    driver = Driver(interface)
    names = CATALOGUE.interfaces[interface].accepts
    planned = [n for n in sorted(names) if CATALOGUE.nouns[n].profile is None]
    for number, noun in enumerate(planned):
        verb = min(names[noun])
        data = m.envelope(f"<{noun}/>", noun=noun, verb=verb, message_id=f"m-{number}")
        assert codes(driver.send(data)) == ["noun_planned"], noun


def test_the_engine_is_given_a_rejection_that_fits_when_the_broker_refused_one(
    driver: Driver,
) -> None:
    data = m.envelope(readings(), message_id="m-1")
    driver.send(data)
    record = next(iter(driver.log.values()))
    from streams.engine.processor import Buffer, Context

    context = Context({}, Buffer(), None, driver)  # type: ignore[arg-type]
    driver.intake.reject(record, "produce_refused", "", context, with_value=False)

    (output,) = context.outputs
    assert output.value == b""
    assert header(output, "cimstream_size") == str(len(data))


def test_a_rejected_object_keeps_the_definitions_that_it_refers_to(driver: Driver) -> None:
    """Corrected and sent again, it says what it would have said in its message."""
    types = "".join(
        f"<ReadingType><mRID>{ref}</mRID><Names><name>{name}</name></Names></ReadingType>"
        for ref, name in (("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "kWh"), ("9", "unused"))
    )
    both = readings("good").replace("</MeterReadings>", types + "</MeterReadings>")
    bad = re.search("<MeterReading>.*</MeterReading>", readings("bad", ["x", "1", "1", "1"]))
    assert bad is not None
    data = both.replace("<ReadingType><mRID>0.0.2", bad[0] + "<ReadingType><mRID>0.0.2", 1)

    outputs = driver.send(m.envelope(data, message_id="m-1"))

    (good,) = events(outputs)
    (rejected,) = (o for o in outputs if o.topic.endswith(".rejected"))
    kept = (rejected.value or b"").replace(b"<value>x<", b"<value>1<")
    assert b"unused" not in kept
    (mended,) = events(driver.send(kept))
    assert mended["readingTypeDefinition"] == good["readingTypeDefinition"] is not None
