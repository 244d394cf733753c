"""A message that names a destination goes there, in the transaction of its effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.times import to_epoch_ms
from streams.demo import messages as m
from streams.engine.record import Output
from tests.integration.delivery.rig import work_order
from tests.unit.registers.driver import House, header

OUTBOUND = "cim.i4.outbound"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "nouns" / "i4"


@pytest.fixture
def house() -> House:
    return House()


def addressed(house: House, topic: str = OUTBOUND) -> list[Output]:
    return [one for one in house.logs[topic] if header(one, "ce_verb") != "reply"]


def test_a_work_order_is_put_on_outbound_as_it_came_keyed_by_its_destination(house: House) -> None:
    data = work_order("m-1", "wo-1", "CREW")
    house.send(data, "I4")
    (one,) = addressed(house)
    assert (one.key, one.value) == (b"CREW", data)
    names = ("ce_destination", "ce_id", "ce_source", "ce_noun", "ce_verb", "ce_interface")
    said = {name: header(one, name) for name in names}
    assert list(said.values()) == ["CREW", "m-1", "WMS", "WorkOrders", "create", "I4"]
    assert header(one, "ce_subject").endswith("wo-1")
    assert [reply.reply.result for reply in house.replies("I4") if reply.reply] == ["OK"]


def test_without_a_destination_and_for_a_noun_that_nobody_delivers_there_is_nothing(
    house: House,
) -> None:
    house.send(work_order("m-1", "wo-1"), "I4")
    crew = '<Crews xmlns="urn:cimstream:Crews:1"><Crew><mRID>c-1</mRID></Crew></Crews>'
    named = "<Property><Name>Destination</Name><Value>CREW</Value></Property>"
    data = m.envelope(crew, message_id="m-2", verb="create", noun="Crews", source="WMS")
    house.send(data.replace(b"</Header>", f"{named}</Header>".encode()), "I4")
    assert addressed(house) == []


def test_what_has_no_effect_is_not_delivered(house: House) -> None:
    data = work_order("m-1", "wo-1", "CREW")
    house.send(data, "I4")
    house.send(data, "I4")
    house.send(work_order("m-2", "wo-1", "CREW"), "I4")  # it exists already
    assert [header(one, "ce_id") for one in addressed(house)] == ["m-1"]
    assert house.codes("I4") == ["object_exists"]


def test_a_message_about_several_objects_names_none(house: House) -> None:
    data = work_order("m-1", "wo-1", "CREW")
    order = data[data.index(b"<WorkOrder>") : data.index(b"</WorkOrders>")]
    second = order.replace(b"wo-1", b"wo-2")
    house.send(data.replace(b"</WorkOrders>", second + b"</WorkOrders>"), "I4")
    (one,) = addressed(house)
    assert "ce_subject" not in dict(one.headers)


def test_a_control_expires_when_its_order_says_so(house: House) -> None:
    named = b"<Property><Name>Destination</Name><Value>CREW</Value></Property>"
    data = (EXAMPLES / "switching-orders-execute.xml").read_bytes()
    house.send(data.replace(b"</Header>", named + b"</Header>"), "I4")
    assert house.codes("I4") == []
    (one,) = addressed(house)
    assert header(one, "cimstream_expires") == str(to_epoch_ms("2099-03-04T09:00:00Z"))


def test_a_training_order_lies_on_the_outbound_of_its_context(house: House) -> None:
    data = work_order("m-1", "wo-1", "CREW")
    house.send(data.replace(b"<Timestamp>", b"<Context>TRAINING</Context><Timestamp>"), "I4")
    assert addressed(house) == []
    assert len(addressed(house, "cim.training.i4.outbound")) == 1
