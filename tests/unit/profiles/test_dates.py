"""Dates of declared profiles, at the edges of the calendar."""

from __future__ import annotations

from datetime import date

import pytest
from lxml import etree

from schemas.profiles import mapping
from schemas.profiles.places import Findings, xpath
from schemas.profiles.shapes import DataType, Field, Scalar, Shape

DAY = Shape("Day", (Field("date", "date", DataType(Scalar.DATE)),))


def read(text: str) -> tuple[date | None, list[str]]:
    element = etree.fromstring(f"<Day><date>{text}</date></Day>")
    findings = Findings(element, lambda: xpath(element))
    record = mapping.reader(DAY, "")(element, findings)
    return record["date"], [problem.code for problem in findings.problems]


@pytest.mark.parametrize("text", ["-2025-11-19", "12025-11-19", "0000-01-01"])
def test_a_date_that_no_calendar_here_has_is_refused_and_stops_nothing(text: str) -> None:
    assert read(text) == (None, ["timestamp_invalid"])


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "2025-11-19Z", "2025-11-19+14:00"])
def test_a_date_is_the_day_that_is_written_whatever_its_zone(text: str) -> None:
    assert read(text) == (date.fromisoformat(text[:10]), [])
