"""Objects with very many children, and payloads with very many objects.

Found by looking for what takes the square of a message's length: sizes here are such that it
would not be missed.
"""

from __future__ import annotations

import pytest
from lxml import etree

from schemas import xml
from schemas.profiles import Outcome, profile
from schemas.profiles.model import ALONE_MAX
from schemas.profiles.pieces import PIECE, crowded

NAMESPACE = "http://iec.ch/TC57/2011/MeterReadings#"
TYPE = '<ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/>'
METER = "<Meter><mRID>m-1</mRID></Meter>"
QUALITY = '<ReadingQualities><ReadingQualityType ref="1.0.0"/></ReadingQualities>'
LATE = f"<MeterReading>{METER}<valuesInterval><end>x</end></valuesInterval></MeterReading>"
MANY = 20 * PIECE


def read(objects: str) -> Outcome:
    text = f'<MeterReadings xmlns="{NAMESPACE}">{objects}</MeterReadings>'
    return profile("meter_readings").read(xml.parse(text.encode()))


def readings(count: int, *, bad: int = -1, inside: str = "") -> str:
    return "".join(
        f"<Readings><timeStamp>{'x' if i == bad else '2026-01-01T00:15:00Z'}</timeStamp>"
        f"<value>1</value>{inside}{TYPE}</Readings>"
        for i in range(count)
    )


def places(outcome: Outcome) -> list[tuple[str, str | None]]:
    (rejected,) = outcome.rejected
    return [(problem.code, problem.xpath) for problem in rejected.problems]


def test_an_object_of_nothing_but_faults_is_rejected_for_the_first_of_them() -> None:
    many = places(read(f"<MeterReading>{METER}{'<Readings/>' * MANY}</MeterReading>"))
    few = places(read(f"<MeterReading>{METER}{'<Readings/>' * 30}</MeterReading>"))
    assert many == few
    assert many[0] == ("reading_type_missing", "/MeterReadings/MeterReading/Readings[1]")


@pytest.mark.parametrize("bad", [0, PIECE - 1, PIECE, 3 * PIECE + 7, 4 * PIECE])
def test_one_bad_reading_among_very_many_is_found_at_its_place(bad: int) -> None:
    outcome = read(f"<MeterReading>{METER}{readings(4 * PIECE + 1, bad=bad)}</MeterReading>")
    path = f"/MeterReadings/MeterReading/Readings[{bad + 1}]/timeStamp"
    assert places(outcome) == [("timestamp_invalid", path)]


def test_a_rejected_object_with_very_many_children_is_kept_as_it_was() -> None:
    inside = METER + readings(3 * PIECE, bad=PIECE + 1)
    (rejected,) = read(f"<MeterReading>{inside}</MeterReading>").rejected
    kept = etree.tostring(etree.fromstring(rejected.element), method="c14n").decode()
    alone = f'<MeterReading xmlns="{NAMESPACE}">{inside}</MeterReading>'
    assert kept == etree.tostring(etree.fromstring(alone), method="c14n").decode()


def test_a_good_object_with_very_many_children_is_read_whatever_their_order() -> None:
    in_order = read(f"<MeterReading>{METER}{readings(3 * PIECE)}</MeterReading>")
    other = read(f"<MeterReading>{readings(3 * PIECE)}{METER}</MeterReading>")
    assert in_order.rejected == other.rejected == []
    assert [item.body for item in in_order.items] == [item.body for item in other.items]


def test_what_only_the_whole_can_tell_is_told_of_an_object_with_very_many_children() -> None:
    doubled = f"<MeterReading>{METER}{METER}{readings(3 * PIECE)}</MeterReading>"
    assert places(read(doubled))[0][0] == "profile_violation"
    unknown = f"<MeterReading>{METER}{readings(3 * PIECE)}<Unknown/></MeterReading>"
    assert places(read(unknown))[0][0] == "profile_violation"


def test_faults_far_down_are_found_beside_very_many_others() -> None:
    qualities = QUALITY * (2 * PIECE) + "<ReadingQualities><comment>c</comment></ReadingQualities>"
    outcome = read(f"<MeterReading>{METER}{readings(2, inside=qualities)}</MeterReading>")
    assert places(outcome)[0][1] == (
        f"/MeterReadings/MeterReading/Readings[1]/ReadingQualities[{2 * PIECE + 1}]"
    )


def test_of_very_many_bad_objects_the_first_are_told_one_by_one_and_the_rest_are_found() -> None:
    outcome = read("<MeterReading/>" * MANY)
    assert [one.problems[0].xpath for one in outcome.rejected] == [
        f"/MeterReadings/MeterReading[{number}]" for number in range(1, ALONE_MAX + 1)
    ]
    assert outcome.rest.indexes == list(range(ALONE_MAX, MANY))
    (first,) = outcome.rest.problems
    assert first.xpath == f"/MeterReadings/MeterReading[{ALONE_MAX + 1}]"
    assert outcome.objects == MANY


@pytest.mark.parametrize(
    "kind",
    ["<a/>", "<MeterReading><a/></MeterReading>", "<MeterReading/>", LATE],
    ids=["stray", "invalid", "without a meter", "with a wrong time"],
)
def test_good_objects_beyond_very_many_bad_ones_are_good_and_bad_ones_are_bad(kind: str) -> None:
    good = f"<MeterReading>{METER}{readings(1)}</MeterReading>"
    outcome = read(kind * (ALONE_MAX + 2) + good + kind + good)
    assert len(outcome.items) == 2
    assert outcome.rest.indexes == [ALONE_MAX, ALONE_MAX + 1, ALONE_MAX + 3]


def test_very_many_equal_qualities_of_one_reading_are_all_kept() -> None:
    outcome = read(f"<MeterReading>{METER}{readings(1, inside=QUALITY * MANY)}</MeterReading>")
    assert outcome.rejected == []
    assert len(outcome.items) == 1


def test_only_objects_with_very_many_children_are_judged_in_pieces() -> None:
    assert crowded(etree.fromstring(f"<a>{'<b/>' * PIECE}</a>")) == []
    nested = etree.fromstring(f"<a>{'<b/>' * PIECE}<c>{'<d/>' * (PIECE + 1)}</c></a>")
    assert [element.tag for element in crowded(nested)] == ["c", "a"]
