"""A noun in the singular: one object where its payload should stand."""

from __future__ import annotations

import copy

import pytest
from lxml import etree

from schemas.envelope import read
from schemas.profiles import alone, declared_names, profile
from streams.demo import messages as m
from tests.unit.profiles.test_nouns import examples
from tests.unit.registers.driver import CATALOGUE, House, header
from topics import Noun

EVENTS = "http://iec.ch/TC57/2011/EndDeviceEvents#"
EVENT = (
    f'<EndDeviceEvent xmlns="{EVENTS}"><mRID>e</mRID><createdDateTime>2026-03-01T00:00:00Z'
    '</createdDateTime><Assets><mRID>m</mRID></Assets><EndDeviceEventType ref="3.26.0.85"/>'
    "{}</EndDeviceEvent>"
)
TYPE = "<EndDeviceEventType><Names><name>t</name></Names></EndDeviceEventType>"
DEFINED = (
    f'<EndDeviceEvents xmlns="{EVENTS}">{EVENT.replace("3.26.0.85", "t")}{TYPE}</EndDeviceEvents>'
)
SINGULAR = [
    noun
    for noun in CATALOGUE.nouns.values()
    if profile(noun.profile or "").objects & set(noun.aliases)
]
DECLARED = [noun for noun in SINGULAR if noun.profile in declared_names()]


def payload_of(data: bytes) -> etree._Element:
    payload = read(data).payload
    assert payload is not None
    return payload


def event(message_id: str, payload: str, noun: str) -> bytes:
    return m.envelope(payload, message_id=message_id, verb="created", noun=noun, source="HES")


def test_the_nouns_of_readings_and_registers_are_known_in_the_singular() -> None:
    assert len(SINGULAR) == 29


@pytest.mark.parametrize("noun", DECLARED, ids=[noun.name for noun in DECLARED])
def test_an_object_alone_says_what_it_says_within_its_payload(noun: Noun) -> None:
    reader = profile(noun.profile or "")
    there = examples(noun)
    payload = payload_of(there.get("create") or there["created"])
    first = next(e for e in payload if etree.QName(e).localname in noun.aliases)
    within = etree.Element(f"{{{etree.QName(first).namespace}}}{noun.name}")
    within.append(copy.deepcopy(first))
    taken = alone.read(reader, first, "")
    assert [item.body for item in taken.items] == [i.body for i in reader.read(within, "").items]
    assert taken.items


@pytest.mark.parametrize("noun", ["EndDeviceEvent", "EndDeviceEvents"])
@pytest.mark.parametrize("space", [EVENTS, "http://iec.ch/TC57/2011/schema/message"])
def test_an_event_alone_is_an_event_whatever_number_the_header_says(noun: str, space: str) -> None:
    house = House()
    house.send(event("1", EVENT.format("").replace(EVENTS, space), noun), "I7")
    house.send(
        event("2", f'<EndDeviceEvents xmlns="{EVENTS}">{EVENT.format("")}</EndDeviceEvents>', noun),
        "I7",
    )
    assert house.codes("I7") == []
    one, other = house.events("EndDeviceEvents")
    assert {**one, "provenance": None} == {**other, "provenance": None}
    assert {header(one, "ce_noun") for one in house.logs["cim.i7.end-device-events"]} == {
        "EndDeviceEvents"
    }


def test_places_are_those_of_the_message_as_it_was_sent() -> None:
    house = House()
    house.send(event("1", EVENT.format("<mystery/>"), "EndDeviceEvent"), "I7")
    (kept,) = house.logs["cim.i7.rejected"]
    assert "/EventMessage/Payload/EndDeviceEvent/mystery line" in header(kept, "cimstream_where")


def test_an_object_of_an_operation_may_stand_alone() -> None:
    space = "http://iec.ch/TC57/2011/UsagePointConfig#"
    operations = "".join(
        f"<Operation><operationId>{n}</operationId><noun>UsagePoint</noun>"
        f'<verb>create</verb><UsagePoint xmlns="{space}"><mRID>{n}</mRID></UsagePoint>'
        "</Operation>"
        for n in (1, 2)
    )
    data = m.envelope(
        f"<OperationSet>{operations}</OperationSet>",
        message_id="1", verb="create", noun="UsagePoint", source="CIS",
    )  # fmt: skip
    house = House()
    house.send(data, "I7")
    assert house.codes("I7") == []
    assert house.current("UsagePointConfig").keys() == {b"1", b"2"}


@pytest.mark.parametrize(
    ("noun", "payload"),
    [
        ("EndDeviceEvent", EVENT),
        ("EndDeviceEvent", f'<EndDeviceEvents xmlns="{EVENTS}">{EVENT}</EndDeviceEvents>'),
        ("EndDeviceEvent", DEFINED),
        ("EndDeviceEvents", EVENT),
    ],
    ids=["alone", "within its payload", "with a definition", "alone under the plural"],
)
def test_what_is_rejected_can_be_sent_again_once_it_is_put_right(noun: str, payload: str) -> None:
    house = House()
    house.send(event("1", payload.replace("{}", "<mystery/>"), noun), "I7")
    (kept,) = house.logs["cim.i7.rejected"]
    house.send((kept.value or b"").replace(b"<mystery/>", b""), "I7")
    assert house.codes("I7") == ["profile_violation"]
    (told,) = house.events("EndDeviceEvents")
    assert (told["endDeviceEventTypeDefinition"] is not None) == (payload == DEFINED)


def test_a_rejected_market_document_is_kept_as_it_was_sent() -> None:
    house = House()
    data = examples(CATALOGUE.nouns["ReserveBid_MarketDocument"])["created"]
    broken = data.replace(b"</createdDateTime>", b"</createdDateTime><mystery/>", 1)
    house.send(broken, "I10")
    (kept,) = house.logs["cim.i10.rejected"]
    house.send((kept.value or b"").replace(b"<mystery/>", b""), "I10")
    assert house.codes("I10") == ["profile_violation"]
    assert len(house.events("ReserveBid_MarketDocument")) == 1
