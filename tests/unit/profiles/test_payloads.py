"""Many records as one payload, and some readings of a series as a series."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.avro import decode
from schemas.avro.documents import document_of, record_of
from schemas.profiles import profile
from schemas.profiles.meter_readings.selection import chosen, times_of
from schemas.profiles.parts import epoch_ms
from schemas.profiles.payloads import UnwritableError, payload_of, records_of
from tests.views.rig import MIDNIGHT, QUARTER, series
from topics import load_catalogue

SCHEMAS = {noun.name: noun.schema for noun in load_catalogue().nouns.values() if noun.schema}
METER: dict[str, Any] = {"mRID": "m-1", "serialNumber": "4711", "names": []}


def decoded(*values: float, **said: Any) -> dict[str, Any]:
    return decode(series(values, meter=METER, **said))[1]


def read_back(*records: dict[str, Any]) -> list[dict[str, Any]]:
    payload = payload_of("meter_readings", records)
    return records_of(SCHEMAS, profile("meter_readings").read(payload).items)


def plain(record: dict[str, Any]) -> Any:
    return {key: value for key, value in document_of(record).items() if key != "provenance"}


def test_series_go_through_json_and_one_payload_and_are_the_same() -> None:
    records = [decoded(1.5, math.nan, 2.0), decoded(7.0, 8.0, first=MIDNIGHT + QUARTER)]
    documents = [document_of(one) for one in records]
    again = read_back(*(record_of("MeterReadingSeries", one) for one in documents))
    expected = [plain(one) for one in records]
    for one in expected:
        one["readingTypeFields"] = [int(n) for n in one["readingType"].split(".")]
    assert [plain(one) for one in again] == expected


def test_what_people_write_of_a_reading_is_kept_whatever_signs_it_has() -> None:
    said = "a <Readings/> & \"b\" 'c' ]]> \r\n\t\r d"
    run = {"from": 0, "count": 1, "ref": 'x"<&>', "comment": said, "source": said}
    document = {**document_of(decoded(1.0, 2.0)), "qualities": [run]}
    (again,) = read_back(record_of("MeterReadingSeries", document))
    (kept,) = again["qualities"]
    assert {name: kept[name] for name in run} == run


def test_what_xml_cannot_say_is_refused() -> None:
    run = {"from": 0, "count": 1, "ref": "x", "comment": "\x01", "source": None, "timeStamp": None}
    with pytest.raises(UnwritableError):
        payload_of("meter_readings", [{**decoded(1.0, 2.0), "qualities": [run]}])


def test_an_event_goes_through_json_and_a_payload() -> None:
    document = {
        "mRID": "e-1", "createdDateTime": "2026-01-01T00:00:00Z",
        "endDeviceEventType": "3.26.0.185", "assets": {"mRID": "m-1", "names": []},
    }  # fmt: skip
    record = record_of("EndDeviceEvent", document)
    payload = payload_of("end_device_events", [record, record])
    assert [etree.QName(one).localname for one in payload] == ["EndDeviceEvent"] * 2
    items = profile("end_device_events").read(payload).items
    assert {one["mRID"] for one in records_of(SCHEMAS, items)} == {"e-1"}
    with_meter = record_of("EndDeviceEvent", {**document, "meter": METER | {"status": None}})
    with pytest.raises(UnwritableError):
        payload_of("end_device_events", [with_meter])


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeStamps": ["2026-01-01T00:00:00Z"]},
        {"valueTexts": ["1"]},
        {"qualities": [{"from": 7, "count": 1, "ref": "x"}]},
        {"qualities": [{"from": 0, "count": 2_000_000_000, "ref": "x"}]},
        {"intervalMs": 1 << 62},
    ],
)
def test_a_series_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    document = {**document_of(decoded(1.0, 2.0)), **wrong}
    with pytest.raises(UnwritableError, match="contradict"):
        payload_of("meter_readings", [record_of("MeterReadingSeries", document)])


def test_a_market_document_is_one_and_a_network_model_is_no_record() -> None:
    with pytest.raises(UnwritableError, match="one document"):
        payload_of("publication_market_document", [])
    with pytest.raises(UnwritableError, match="not written from records"):
        payload_of("network_data_set", [])


RUNS = [
    {"from": 0, "count": 3, "ref": "a", "comment": None, "source": None, "timeStamp": None},
    {"from": 2, "count": 3, "ref": "b", "comment": None, "source": None, "timeStamp": None},
]
NOTES = [
    {"index": n, "reportedDateTime": None, "source": f"s{n}", "reason": None, "periodStart": None,
     "periodEnd": None}
    for n in (1, 4)
]  # fmt: skip


def readings(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Each reading with all that is said of it."""
    notes = {note["index"]: note["source"] for note in record["annotations"]}
    return [
        (
            epoch_ms(time), value, record["valueTexts"][n] if record["valueTexts"] else None,
            [run["ref"] for run in record["qualities"] if 0 <= n - run["from"] < run["count"]],
            notes.get(n),
        )
        for n, (time, value) in enumerate(zip(times_of(record), record["values"], strict=True))
    ]  # fmt: skip


@given(st.sets(st.integers(0, 4)), st.booleans(), st.booleans())
def test_chosen_readings_keep_all_that_is_said_of_them(
    positions: set[int], stamped: bool, texts: bool
) -> None:
    stamps = [MIDNIGHT + n * n for n in range(5)] if stamped else []
    record = decoded(1.0, 2.0, 3.0, 4.0, 5.0, stamps=stamps)
    record |= {"qualities": RUNS, "annotations": NOTES}
    record["valueTexts"] = ["1", "2", "3", "4", "5"] if texts else []
    whole = readings(record)
    assert readings(chosen(record, positions)) == [whole[n] for n in sorted(positions)]
