"""`cimstream codes`, and the codes in the lines of `cimstream tail`."""

from __future__ import annotations

import json

import pytest

from streams import cli
from streams.cli.records import event_line
from tests.commands import examples

HOURLY_KWH = "0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.execute(["codes", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", examples(("codes",)), ids=" ".join)
def test_the_examples_of_the_help_find_something(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(arguments) == 0
    assert "energy" in capsys.readouterr().out


def test_a_code_is_told_in_words_and_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = run(capsys, HOURLY_KWH).splitlines()
    assert first == "ReadingType: 60-minute delta of forward energy in kWh, electricity"
    rows = [line.split() for line in others]
    assert ["measurementKind", "12", "energy", "energy", "espi,", "connexo", "X"] in rows
    assert ["interharmonicNumerator", "0", "0"] in rows


def test_a_code_as_json_has_number_name_and_source_of_each_field(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = json.loads(run(capsys, "3.26.0.9999", "-o", "json"))
    assert (told["code"], told["kind"]) == ("3.26.0.9999", "EndDeviceEventType")
    assert told["text"] == "electric meter, power: eventOrAction(9999)"
    assert told["fields"][1] == {
        "field": "domain", "number": 26, "name": "Power", "text": "power",
        "sources": ["connexo"], "confidence": "R",
    }  # fmt: skip
    assert told["fields"][3] == {
        "field": "eventOrAction", "number": 9999, "name": "eventOrAction(9999)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "field", "number"),
    [("kWh", None, None), ("WH", "unit", "72"), ("sagstarted", "eventOrAction", "223"),
     ("cover opened", "number", "3.1"), ("°c", "unit", "23"), ("eur", "currency", "978")],
)  # fmt: skip
def test_a_name_is_found_in_any_case_by_name_words_or_symbol(
    text: str, field: str | None, number: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if field is None:
        assert cli.execute(["codes", text]) == 1
        return
    lines = [json.loads(line) for line in run(capsys, text, "-o", "json").splitlines()]
    assert (field, number) in {(line["field"], line["number"]) for line in lines}


@pytest.mark.parametrize("text", ["", "1-0:1.8.0*255", "no such name"])
def test_what_is_no_code_and_no_name_is_one_message(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["codes", text]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "code: code_unknown" in printed.err


@pytest.mark.parametrize(
    ("reading_type", "shown"),
    [(HOURLY_KWH, "60-minute delta of forward energy in kWh, electricity"),
     ("1-0:1.8.0*255", "1-0:1.8.0*255"), ("3.0.129.160", "3.0.129.160")],
)  # fmt: skip
def test_a_line_of_readings_says_what_was_read_and_leaves_other_texts_as_they_are(
    reading_type: str, shown: str
) -> None:
    event = {
        "values": [1.0], "firstTimeStamp": "T", "intervalMs": None, "readingType": reading_type,
    }  # fmt: skip
    assert event_line("MeterReadingSeries", event) == f"1 reading from T  {shown}"


def test_a_line_of_an_event_says_what_happened() -> None:
    event = {"endDeviceEventType": "3.26.0.85", "createdDateTime": "T", "severity": "high"}
    assert event_line("EndDeviceEvent", event) == "electric meter, power: failed at T  high"
