"""Which events a subscriber gets: criteria, and those that nothing can meet."""

from __future__ import annotations

import pytest

from connectors.selection import SelectionError, select
from connectors.subscriptions import Event
from tests.unit.gateway.fake_log import outage

MRID = "0000aaaa-1111-4222-8333-44445555bbbb"
STORM = outage(
    7, MRID, verb="change", cause="storm", customersRestored=12,
    feeder={"mRID": "F-1", "names": []}, status={"value": "confirmed"},
    equipments=[{"mRID": "E-1", "names": []}, {"mRID": "E-2", "names": []}],
)  # fmt: skip


def meets(event: Event, *criteria: tuple[str, str]) -> bool:
    return select(criteria, "Outage").meets(event)


def test_without_criteria_everything_is_wanted() -> None:
    assert meets(STORM)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mrid", MRID),
        ("mrid", f"urn:uuid:{MRID.upper()}"),
        ("verb", "change"),
        ("source", "OMS-1"),
        ("status", "confirmed"),
        ("field.cause", "storm"),
        ("field.lifeCycle", "open"),
        ("field.customersRestored", "12"),
        ("field.customersRestored", "12.0"),
        ("field.feeder.mRID", "F-1"),
        ("field.equipments.mRID", "E-2"),
        ("field.provenance.messageID", "m-7"),
    ],
)
def test_an_event_meets_what_it_says_and_nothing_else(name: str, value: str) -> None:
    assert meets(STORM, (name, value))
    assert not meets(STORM, (name, f"{value}1"))
    assert not meets(
        outage(8, "other", source="OMS-2", revision=2, lifeCycle="closed"), (name, value)
    )


def test_all_criteria_must_be_met_and_of_each_one_value() -> None:
    assert meets(STORM, ("verb", "create"), ("verb", "change"), ("source", "OMS-1"))
    assert not meets(STORM, ("verb", "change"), ("source", "OMS-2"))


@pytest.mark.parametrize("name", ["colour", "mRID", "field.colour", "field.feeder", "field."])
def test_a_criterion_that_nothing_can_meet_is_refused(name: str) -> None:
    with pytest.raises(SelectionError) as error:
        select([(name, "secret")], "Outage")
    assert "secret" not in str(error.value)


def test_a_status_is_asked_only_of_what_has_one() -> None:
    with pytest.raises(SelectionError):
        select([("status", "x")], "MeterReadingSeries")


def test_a_planned_noun_has_nothing_to_hold_a_path_against() -> None:
    assert not select([("field.anything", "x")], None).meets(STORM)


def test_a_record_that_is_not_ours_meets_nothing_that_asks_what_it_says() -> None:
    foreign = Event("t", 0, 0, 0, b"k", {"ce_verb": "create"}, b"\x01not ours")
    assert meets(foreign, ("verb", "create"))
    assert not meets(foreign, ("field.cause", "storm"))
