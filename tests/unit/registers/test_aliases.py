"""Nouns of others that mean one of ours."""

from __future__ import annotations

import pytest

from streams.demo import messages as m
from tests.unit.registers.driver import House, header

SPACE = "http://epri.com/powergeneration/2020/MaintenanceOrders#"


def maintenance(message_id: str, verb: str, *objects: str) -> bytes:
    payload = f'<MaintenanceOrders xmlns="{SPACE}">{"".join(objects)}</MaintenanceOrders>'
    return m.envelope(
        payload, message_id=message_id, verb=verb, noun="MaintenanceOrders", source="EAM"
    )


def order(mrid: str, more: str = "") -> str:
    return (
        f"<MaintenanceOrder><mRID>{mrid}</mRID><priorityKind>high</priorityKind>"
        f"<maintenanceWorkKind>refurbish</maintenanceWorkKind>{more}</MaintenanceOrder>"
    )


@pytest.fixture
def house() -> House:
    return House()


def test_a_maintenance_order_is_a_work_order(house: House) -> None:
    house.send(maintenance("1", "create", order("a")), "I4")
    payload = '<WorkOrders xmlns="urn:cimstream:WorkOrders:1"><WorkOrder><mRID>a</mRID></WorkOrder>'
    data = m.envelope(f"{payload}</WorkOrders>", message_id="2", verb="close", noun="WorkOrders")
    house.send(data, "I4")
    assert house.codes("I4") == []
    (there,) = house.current("WorkOrders").values()
    said = (there["kind"], there["priority"]["type"], there["lifeCycle"])
    assert said == ("refurbishment", "high", "closed")
    nouns = [answer.header.noun for answer in house.replies("I4") if answer.header]
    assert nouns == ["MaintenanceOrders", "WorkOrders"], "who asks is answered in its own words"
    log = house.logs["cim.i4.work-orders"]
    assert {header(one, "ce_noun") for one in log} == {"WorkOrders"}


def test_what_is_wrong_is_told_in_the_words_of_the_sender(house: House) -> None:
    house.send(maintenance("1", "create", order("a"), order("b", "<mystery/>")), "I4")
    house.send(maintenance("2", "change", order("c")), "I4")
    house.send(maintenance("3", "create"), "I4")
    assert house.codes("I4") == ["transaction_aborted", "object_missing", "payload_missing"]
    places = [header(one, "cimstream_where") for one in house.logs["cim.i4.rejected"]]
    assert "/MaintenanceOrders/MaintenanceOrder[2]/mystery line" in places[0]
    assert "/RequestMessage/Payload/MaintenanceOrders/MaintenanceOrder line" in places[1]


def test_changes_under_an_alias_and_under_the_name_are_applied_by_one_task(house: House) -> None:
    house.send(maintenance("1", "create", order("a")), "I4")
    assert {one.key for one in house.logs["cim.i4.work-orders.current"]} == {b"a"}
    assert house.counts["received", "I4", "PRODUCTION", "WorkOrders", ""] == 1


def test_a_published_outage_is_an_outage(house: House) -> None:
    published = (
        '<PubOutages xmlns="http://iec.ch/TC57/2014/PubOutages#"><Outage><mRID>o</mRID>'
        "<communityDescriptor>49001</communityDescriptor><metersAffected>7</metersAffected>"
        "<outageKind>unplanned</outageKind><statusKind>confirmed</statusKind>"
        "<Incident><Location><geoInfoReference>POINT (1 2)</geoInfoReference>"
        "<zoneKind>other</zoneKind></Location></Incident></Outage></PubOutages>"
    )
    data = m.envelope(published, message_id="1", verb="created", noun="PubOutages", source="OMS")
    house.send(data, "I1")
    assert house.codes("I1") == []
    (there,) = house.current("Outages").values()
    assert (there["metersAffected"], there["incident"]["location"]["zoneKind"]) == (7, "other")
