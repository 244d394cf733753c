"""One thing has one meaning, whichever interface speaks of it: an outage, followed across them."""

from __future__ import annotations

from typing import Any

from schemas.glossary import glossary
from schemas.profiles import declared
from schemas.profiles.shapes import Field
from streams.demo import messages as m
from tests.unit.registers.driver import House, header

OUTAGE = "0a7e1c44-0000-4000-8000-0000000000a1"
POINT = "9990000000001"
SPACE = "urn:cimstream:{}:1"


def named(tag: str, name: str) -> str:
    return f"<{tag}><Names><name>{name}</name></Names></{tag}>"


def outages(verb: str, message_id: str, source: str, content: str) -> bytes:
    body = f"<Outage><mRID>{OUTAGE}</mRID>{content}</Outage>"
    payload = f'<Outages xmlns="{SPACE.format("Outages")}">{body}</Outages>'
    return m.envelope(payload, message_id=message_id, verb=verb, noun="Outages", source=source)


def ticket() -> bytes:
    body = (
        "<TroubleTicket><mRID>t1</mRID><dateTimeOfReport>2026-03-02T05:40:00Z</dateTimeOfReport>"
        "<reportingKind>call</reportingKind>"
        f"<Outage><mRID>{OUTAGE}</mRID></Outage>{named('UsagePoint', POINT)}</TroubleTicket>"
    )
    payload = f'<TroubleTickets xmlns="{SPACE.format("TroubleTickets")}">{body}</TroubleTickets>'
    return m.envelope(payload, message_id="t1", verb="create", noun="TroubleTickets", source="CIS")


def field(profile: str, tag: str) -> Field:
    return next(f for f in declared(profile).shape.fields if f.tag == tag)


def test_an_outage_reported_on_i6_and_one_of_the_control_room_are_one_object_of_one_schema() -> (
    None
):
    house = House()
    start = "<actualPeriod><start>2026-03-02T05:38:00Z</start></actualPeriod>"
    guess = f"<outageKind>unplanned</outageKind><statusKind>predicted</statusKind>{start}"
    house.send(outages("create", "c1", "CIS", guess + named("UsagePoints", POINT)), "I6")
    house.send(ticket(), "I6")
    certain = f"<outageKind>unplanned</outageKind><statusKind>confirmed</statusKind>{start}"
    house.send(outages("change", "o1", "OMS", certain + named("UsagePoints", POINT)), "I1")
    assert house.codes("I1") == house.codes("I6") == []

    log = house.logs["cim.i1.outages"]
    assert [header(one, "ce_source") for one in log] == ["CIS", "OMS"]
    assert {(one.key, (one.value or b"")[:5]) for one in log} == {
        (OUTAGE.encode(), (log[0].value or b"")[:5])
    }, "one key, one schema"
    guessed, confirmed = house.events("Outages")
    assert [guessed["statusKind"], confirmed["statusKind"]] == ["predicted", "confirmed"]
    assert house.current("Outages") == {OUTAGE.encode(): confirmed}
    (reported,) = house.events("TroubleTickets")
    assert reported["outage"]["mRID"] == confirmed["mRID"]


def test_an_interruption_is_the_customers_and_an_outage_the_equipments_on_both_interfaces() -> None:
    """Both nouns call what the customer has by one term, and it is not the outage's."""
    assert field("trouble_tickets", "Outage").term == declared("outages").shape.term == "outage"
    assert field("trouble_tickets", "UsagePoint").term == "interruption"
    assert field("outages", "UsagePoints").term == "interruption"
    terms = glossary().terms
    assert "customer" in terms["interruption"].definition
    assert terms["outage"].definition != terms["interruption"].definition
    assert {"I1", "I6"} <= set(terms["outage"].interfaces) & set(terms["interruption"].interfaces)


def test_the_outage_minutes_of_a_year_follow_from_the_log_alone() -> None:
    """What a regulator asks: closed outages stay in the log with every change."""
    house = House()
    for number, (start, end, meters) in enumerate(
        [("05:00:00", "06:30:00", 40), ("12:00:00", "12:20:00", 3)]
    ):
        begun = f"<mRID>{number}</mRID><metersAffected>{meters}</metersAffected>"
        kind, day = "<outageKind>unplanned</outageKind>", "2025-11-02T"
        first = f"<actualPeriod><start>{day}{start}Z</start></actualPeriod>"
        over = f"<actualPeriod><end>{day}{end}Z</end><start>{day}{start}Z</start></actualPeriod>"
        for verb, content in (("create", begun + kind + first), ("close", begun + over)):
            payload = (
                f'<Outages xmlns="{SPACE.format("Outages")}"><Outage>{content}</Outage></Outages>'
            )
            data = m.envelope(
                payload, message_id=f"{number}{verb}", verb=verb, noun="Outages", source="OMS"
            )
            house.send(data, "I1")
    assert customer_minutes(house.events("Outages"), 2025) == 40 * 90 + 3 * 20
    assert customer_minutes(house.events("Outages"), 2026) == 0


def customer_minutes(log: list[dict[str, Any]], year: int) -> float:
    closed = [event for event in log if event["lifeCycle"] == "closed"]
    return sum(
        event["metersAffected"]
        * (event["actualPeriod"]["end"] - event["actualPeriod"]["start"]).total_seconds()
        / 60
        for event in closed
        if event["actualPeriod"]["start"].year == year
    )
