"""Controls that came without mRID and name."""

from __future__ import annotations

import pytest

from streams.demo import messages as m
from tests.unit.registers.driver import House

SPACE = "http://iec.ch/TC57/2011/EndDeviceControls#"
UNNAMED = (
    '<EndDeviceControl><EndDeviceControlType ref="3.31.0.23"/><EndDevices><mRID>m</mRID>'
    "</EndDevices></EndDeviceControl>"
)


def message(message_id: str, verb: str, *controls: str, source: str = "MDM") -> bytes:
    payload = f'<EndDeviceControls xmlns="{SPACE}">{"".join(controls)}</EndDeviceControls>'
    return m.envelope(
        payload, message_id=message_id, verb=verb, noun="EndDeviceControls", source=source
    )


def named(name: str, authority: str = "MDM") -> str:
    kind = f"<NameTypeAuthority><name>{authority}</name></NameTypeAuthority>"
    return (
        '<EndDeviceControl><EndDeviceControlType ref="3.31.0.23"/>'
        f"<Names><name>{name}</name><NameType><name>MessageID</name>{kind}"
        "</NameType></Names></EndDeviceControl>"
    )


def lives(house: House) -> dict[str, str]:
    there = house.current("EndDeviceControls")
    return {key.decode(): record["lifeCycle"] for key, record in there.items()}


@pytest.fixture
def house() -> House:
    return House()


def test_a_control_without_name_has_that_of_its_message(house: House) -> None:
    house.send(message("1", "create", UNNAMED), "I7")
    house.send(message("1", "create", UNNAMED, source="CIS"), "I8")
    assert lives(house) == {"MDM|MessageID|1#0": "open", "CIS|MessageID|1#0": "open"}
    (told,) = [reply.reply.ids for reply in house.replies("I7")[:1] if reply.reply]
    ids = [(one.value, one.kind, one.id_type, one.id_authority) for one in told]
    assert ids == [("1#0", "name", "MessageID", "MDM")]


def test_each_control_of_a_message_is_one_and_those_with_a_name_keep_it(house: House) -> None:
    house.send(message("1", "create", UNNAMED, named("a"), UNNAMED), "I7")
    keys = ["MDM|MessageID|1#0", "MDM|MessageID|a", "MDM|MessageID|1#2"]
    assert list(lives(house)) == keys


def test_controls_of_several_operations_are_told_apart(house: House) -> None:
    payload = f'<EndDeviceControls xmlns="{SPACE}">{UNNAMED}</EndDeviceControls>'
    operations = "".join(
        f"<Operation><operationId>{n}</operationId><verb>create</verb>{payload}</Operation>"
        for n in (7, 8)
    )
    data = m.envelope(
        f"<OperationSet>{operations}</OperationSet>",
        message_id="1", verb="create", noun="EndDeviceControls", source="MDM",
    )  # fmt: skip
    house.send(data, "I7")
    assert list(lives(house)) == ["MDM|MessageID|1#0", "MDM|MessageID|1#1"]


def test_a_control_that_is_sent_again_is_executed_once(house: House) -> None:
    house.send(message("1", "execute", UNNAMED), "I7")
    house.send(message("1", "execute", UNNAMED), "I7")
    assert len(house.events("EndDeviceControls")) == 1
    house.now_ms += house.catalogue.dedup_horizon_ms + house.catalogue.dedup_slack_ms + 1
    house.send(message("1", "execute", UNNAMED), "I7")
    assert house.codes("I7") == ["transition_illegal"], "also when the message is forgotten"
    assert lives(house) == {"MDM|MessageID|1#0": "executing"}


def test_the_name_leads_to_the_control(house: House) -> None:
    house.send(message("1", "create", UNNAMED), "I7")
    house.send(message("2", "execute", named("1#0")), "I7")
    house.send(message("3", "executed", named("1#0")).replace(b"Request", b"Event"), "I7")
    assert house.codes("I7") == []
    assert lives(house) == {"MDM|MessageID|1#0": "closed"}


@pytest.mark.parametrize("verb", ["change", "cancel"])
def test_what_is_there_already_must_be_named(house: House, verb: str) -> None:
    house.send(message("1", "create", UNNAMED), "I7")
    house.send(message("2", verb, UNNAMED), "I7")
    assert house.codes("I7") == ["object_unidentified"]
