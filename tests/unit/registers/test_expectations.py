"""When a register takes a change: what its sender has seen, and what a control goes through."""

from __future__ import annotations

import pytest

from streams.demo import messages as m
from streams.processors.registers.life_cycle import Life, refusal, transition
from tests.unit.registers.driver import CATALOGUE, House

PAST, FUTURE = "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
CONTROLS = ["Controls", "DERGroupDispatches", "EndDeviceControls", "SwitchingOrders"]


def outages(message_id: str, verb: str, *mrids: str, expected: str | None = None) -> bytes:
    objects = "".join(
        f"<Outage><mRID>{one}</mRID><outageKind>unplanned</outageKind></Outage>" for one in mrids
    )
    payload = f'<Outages xmlns="urn:cimstream:Outages:1">{objects}</Outages>'
    value = "" if expected is None else f"<Value>{expected}</Value>"
    said = f"<Property><Name>ExpectedRevision</Name>{value}</Property>"
    extra = "" if expected is None else said
    return m.envelope(payload, message_id=message_id, verb=verb, noun="Outages", extra=extra)


def control(message_id: str, verb: str, *, whole: bool = False, expiry: str = FUTURE) -> bytes:
    said = (
        f"<expiryDateTime>{expiry}</expiryDateTime><kind>Command</kind>"
        "<ControlModel><modelKind>direct</modelKind></ControlModel>"
        "<PowerSystemResource><mRID>psr</mRID></PowerSystemResource>"
    )
    one = f"<Control><mRID>c</mRID>{said if whole else ''}</Control>"
    payload = f'<Controls xmlns="urn:cimstream:Controls:1">{one}</Controls>'
    return m.envelope(payload, message_id=message_id, verb=verb, noun="Controls", source="SCADA")


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.parametrize(
    ("verb", "expected", "codes"),
    [
        ("change", "1", []),
        ("change", "001", []),
        ("change", "0", ["revision_outdated"]),
        ("close", "2", ["revision_outdated"]),
        ("create", "0", ["object_exists"]),
    ],
)
def test_the_expected_revision_is_that_of_the_object_as_it_is(
    house: House, verb: str, expected: str, codes: list[str]
) -> None:
    house.send(outages("1", "create", "a"), "I1")
    house.send(outages("2", verb, "a", expected=expected), "I1")
    assert house.codes("I1") == codes


@pytest.mark.parametrize(
    ("verb", "expected", "codes"),
    [
        ("create", "0", []),
        ("create", "3", ["revision_outdated"]),
        ("change", "3", ["object_missing"]),
        ("change", "0", ["object_missing"]),
    ],
)
def test_what_is_not_there_has_revision_0(
    house: House, verb: str, expected: str, codes: list[str]
) -> None:
    house.send(outages("1", verb, "a", expected=expected), "I1")
    assert house.codes("I1") == codes


@pytest.mark.parametrize("expected", ["abc", "-1", "1.0", "", "1" * 19, "W/1", "²"])
def test_an_expected_revision_that_is_no_number_is_refused_for_that(
    house: House, expected: str
) -> None:
    house.send(outages("1", "create", "a"), "I1")
    house.send(outages("2", "change", "a", expected=expected), "I1")
    assert house.codes("I1") == ["expected_revision_invalid"]
    answer = house.replies("I1")[-1].reply
    assert answer is not None
    assert "ExpectedRevision" in answer.errors[0].reason


def test_an_expected_revision_is_said_once_and_of_one_object(house: House) -> None:
    house.send(outages("1", "create", "a", "b"), "I1")
    house.send(outages("2", "change", "a", "b", expected="1"), "I1")
    twice = outages("3", "change", "a", expected="1").replace(
        b"<MessageID>",
        b"<Property><Name>expectedRevision</Name><Value>1</Value></Property><MessageID>",
    )
    house.send(twice, "I1")
    assert house.codes("I1") == ["expected_revision_ambiguous", "expected_revision_invalid"]
    assert [e["revision"] for e in house.events("Outages")] == [1, 1]


@pytest.mark.parametrize(
    ("before", "verb", "taken"),
    [
        (["execute"], "execute", False),
        (["execute", "executed"], "execute", False),
        (["execute", "executed"], "executed", False),
        (["execute", "changed"], "execute", False),
        (["execute", "cancel"], "execute", False),
        (["cancel"], "execute", False),
        (["execute"], "executed", True),
        (["executed"], "execute", False),
        (["execute"], "cancel", True),
        (["execute"], "changed", True),
    ],
)
def test_a_control_is_executed_once(
    house: House, before: list[str], verb: str, *, taken: bool
) -> None:
    house.send(control("0", "create", whole=True), "I9")
    for number, earlier in enumerate(before):
        house.send(control(f"b{number}", earlier, whole=earlier == "changed"), "I9")
    assert house.codes("I9") == []
    there = house.current("Controls")
    house.send(control("x", verb, whole=verb == "changed"), "I9")
    assert house.codes("I9") == ([] if taken else ["transition_illegal"])
    assert (house.current("Controls") != there) is taken


def test_a_control_that_is_being_executed_says_so(house: House) -> None:
    for verb in ("create", "execute", "changed", "executed"):
        house.send(control(verb, verb, whole=verb in ("create", "changed")), "I9")
    lives = [event["lifeCycle"] for event in house.events("Controls")]
    assert lives == ["open", "executing", "executing", "closed"]


@pytest.mark.parametrize("whole", [True, False], ids=["which says it anew", "which names it"])
def test_a_control_past_its_expiry_is_not_executed(house: House, *, whole: bool) -> None:
    house.send(control("1", "create", whole=True, expiry=PAST), "I9")
    house.send(control("2", "execute", whole=whole, expiry=PAST), "I9")
    assert house.codes("I9") == ["control_expired"]
    assert [e["lifeCycle"] for e in house.events("Controls")] == ["open"]


def test_what_expired_may_be_canceled_and_told_to_have_been_executed(house: House) -> None:
    house.send(control("1", "create", whole=True, expiry=PAST), "I9")
    house.send(control("2", "executed"), "I9")
    assert house.codes("I9") == []


def test_the_instant_of_expiry_is_too_late(house: House) -> None:
    house.send(control("1", "create", whole=True, expiry="2026-10-31T23:06:40Z"), "I9")
    house.now_ms = 1_793_488_000_000  # that instant
    house.send(control("2", "execute"), "I9")
    assert house.codes("I9") == ["control_expired"]
    house.now_ms -= 1
    house.send(control("3", "execute"), "I9")
    assert house.codes("I9") == ["control_expired"]
    assert house.events("Controls")[-1]["lifeCycle"] == "executing"


def test_the_nouns_that_make_somebody_act_are_executed_once_and_studies_as_often_as_asked() -> None:
    assert (
        sorted(
            noun.name
            for noun in CATALOGUE.nouns.values()
            if noun.control and noun.kind == "register" and "execute" in noun.verbs
        )
        == CONTROLS
    )
    again = transition("execute", control=True)
    assert refusal(again, Life.EXECUTING) == "transition_illegal"
    assert refusal(transition("execute", control=False), Life.OPEN) is None
    assert transition("execute", control=False).after(Life.OPEN) is Life.OPEN
