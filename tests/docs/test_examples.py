"""The example messages do what their table says (examples/README.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import pytest
from lxml import etree

from schemas.envelope import read
from tests.unit.intake.driver import Driver, codes, events

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
XSD = EXAMPLES.parent / "schemas" / "envelope" / "message.xsd"
FILES = sorted((EXAMPLES / "i7").glob("*.xml"))
READINGS = "cim.i7.meter-readings"
EVENTS = "cim.i7.end-device-events"


@dataclass(frozen=True, slots=True)
class Row:
    readings: int
    events: int
    rejected: list[str]
    reply: str


def rows() -> dict[str, Row]:
    """What the table says, by file name."""
    table: dict[str, Row] = {}
    for line in (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ["):
            name, _, readings, events_, rejected, reply = (
                cell.strip() for cell in line.strip("|").split("|")
            )
            found = re.match(r"\[(.*?)\]\(i7/\1\)", name)
            assert found, line
            table[found[1]] = Row(
                int(readings or 0), int(events_ or 0), re.findall(r"`(\w+)`", rejected), reply
            )
    return table


TABLE = rows()


def test_the_table_names_every_example() -> None:
    assert sorted(TABLE) == [path.name for path in FILES]


def sent_up_to(name: str) -> tuple[Driver, list]:
    """Send the examples in order of name, as `cimstream send` does, to the one wanted."""
    driver = Driver()
    for path in FILES:
        outputs = driver.send(path.read_bytes())
        if path.name == name:
            return driver, outputs
    raise AssertionError(name)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_an_example_leads_to_what_the_table_says(name: str) -> None:
    _, outputs = sent_up_to(name)
    replies = [read(o.value or b"").reply for o in outputs if o.topic == "cim.i7.outbound"]
    said = " ".join(f"{r.result} {r.errors[0].code}" for r in replies if r)
    assert TABLE[name] == Row(
        sum(o.topic == READINGS for o in outputs),
        sum(o.topic == EVENTS for o in outputs),
        codes(outputs),
        said,
    )


@pytest.mark.parametrize("name", sorted(TABLE))
def test_an_example_that_took_effect_does_nothing_when_it_is_sent_again(name: str) -> None:
    driver, first = sent_up_to(name)
    again = driver.send((EXAMPLES / "i7" / name).read_bytes())
    replies = [o for o in first if o.topic == "cim.i7.outbound"]
    if any(o.topic.endswith(("readings", "events")) for o in first):
        assert [o.value for o in again] == [o.value for o in replies]
    else:
        assert codes(again) == codes(first) != []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_envelope_of_an_example_is_valid(path: Path) -> None:
    schema = etree.XMLSchema(etree.parse(str(XSD)))
    schema.assertValid(etree.parse(str(path)))


def test_the_training_example_is_in_the_training_log_only() -> None:
    _, outputs = sent_up_to("training.xml")
    assert [o.topic for o in outputs] == ["cim.training.i7.meter-readings"]


def test_the_day_on_which_summer_time_ends_is_one_regular_series_of_25_hours() -> None:
    _, outputs = sent_up_to("dst-day.xml")
    (series,) = events(outputs)
    assert (len(series["values"]), series["intervalMs"], series["timeStamps"]) == (
        25,
        3_600_000,
        [],
    )


def test_a_reading_without_value_is_a_gap_with_its_quality() -> None:
    _, outputs = sent_up_to("readings-day.xml")
    (series,) = events(outputs)
    gaps = [index for index, value in enumerate(series["values"]) if isnan(value)]
    runs = [(run["from"], run["count"], run["ref"]) for run in series["qualities"]]
    assert gaps == [10]
    assert runs == [(0, 10, "1.0.0"), (10, 1, "2.5.259"), (11, 2, "2.8.0"), (13, 11, "1.0.0")]
