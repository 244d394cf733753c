"""EndDeviceEvents: what the reader makes of each thing an event can say."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import avro, xml
from schemas.errors import MessageError
from schemas.profiles import Outcome, profile

NAMESPACE = "http://iec.ch/TC57/2011/EndDeviceEvents#"
TYPE = '<EndDeviceEventType ref="3.26.0.85"/>'
WHEN = "<createdDateTime>2026-01-01T01:00:00+01:00</createdDateTime>"
ASSET = "<Assets><mRID>a-1</mRID></Assets>"


def read(objects: str, namespace: str = NAMESPACE) -> Outcome:
    text = f'<EndDeviceEvents xmlns="{namespace}">{objects}</EndDeviceEvents>'
    return profile("end_device_events").read(xml.parse(text.encode()))


def event(before: str = "", asset: str = ASSET, kind: str = TYPE, after: str = "") -> str:
    return f"<EndDeviceEvent>{before}{WHEN}{asset}{kind}{after}</EndDeviceEvent>"


def the_record(outcome: Outcome) -> dict[str, Any]:
    assert not outcome.rejected, outcome.rejected[0].problems
    [item] = outcome.items
    assert item.noun == "EndDeviceEvents"
    provenance = avro.encode_provenance("t", 0, 0, "m", "s", 0)
    return avro.decode(avro.frame("EndDeviceEvent") + provenance + item.body)[1]


def test_everything_an_event_says_is_kept() -> None:
    text = (
        f"<EndDeviceEvent><mRID>e-1</mRID>{WHEN}<issuerID>i</issuerID>"
        "<issuerTrackingID>t</issuerTrackingID><reason>r</reason><severity>high</severity>"
        "<userID>u</userID><Assets><mRID>a-1</mRID><Names><name>n</name></Names></Assets>"
        "<EndDeviceEventDetails><name>phase</name><value>A</value></EndDeviceEventDetails>"
        f"<EndDeviceEventDetails><name>alone</name></EndDeviceEventDetails>{TYPE}"
        "<Names><name>own</name></Names><status><value>open</value></status>"
        "<UsagePoint><mRID>up</mRID></UsagePoint></EndDeviceEvent>"
    )
    types = (
        "<EndDeviceEventType><mRID>3.26.0.85</mRID><domain>26</domain><eventOrAction>85"
        "</eventOrAction><subDomain>0</subDomain><type>3</type><Names><name>power failed</name>"
        "</Names></EndDeviceEventType>"
    )
    record = the_record(read(text + types))

    def name(text: str) -> dict[str, str | None]:
        rest = dict.fromkeys(("type", "typeDescription", "authority", "authorityDescription"))
        return {"name": text, **rest}

    del record["provenance"]
    assert record == {
        "mRID": "e-1",
        "createdDateTime": datetime(2026, 1, 1, tzinfo=UTC),
        "issuerID": "i",
        "issuerTrackingID": "t",
        "reason": "r",
        "severity": "high",
        "userID": "u",
        "assets": {"mRID": "a-1", "names": [name("n")]},
        "endDeviceEventDetails": [
            {"name": "phase", "value": "A"},
            {"name": "alone", "value": None},
        ],
        "endDeviceEventType": "3.26.0.85",
        "endDeviceEventTypeFields": [3, 26, 0, 85],
        "endDeviceEventTypeDefinition": {
            "mRID": "3.26.0.85",
            "domain": "26",
            "eventOrAction": "85",
            "subDomain": "0",
            "type": "3",
            "names": [name("power failed")],
        },
        "names": [name("own")],
        "status": {"dateTime": None, "reason": None, "remark": None, "value": "open"},
        "usagePoint": {"mRID": "up", "names": []},
        "meter": None,
    }


def test_an_event_type_of_another_form_is_kept_as_text() -> None:
    record = the_record(read(event(kind='<EndDeviceEventType ref="E-17"/>')))
    assert record["endDeviceEventType"] == "E-17"
    assert record["endDeviceEventTypeFields"] == []
    assert record["endDeviceEventTypeDefinition"] is None


@pytest.mark.parametrize(
    ("before", "asset", "after", "key"),
    [
        ("", ASSET, "<UsagePoint><mRID>u</mRID></UsagePoint>", b"a-1"),
        ("", "<Assets><Names><name>n</name></Names></Assets>", "", b"||n"),
        ("", "<Assets/>", "<UsagePoint><mRID>u</mRID></UsagePoint>", b"u"),
        ("<mRID>e</mRID>", "", "", b"e"),
    ],
)
def test_the_key_is_the_asset_or_the_usage_point_or_the_event(
    before: str, asset: str, after: str, key: bytes
) -> None:
    assert [item.key for item in read(event(before, asset, TYPE, after)).items] == [key]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (event(asset=""), "meter_missing"),
        (event(kind=""), "event_type_missing"),
        (event(kind="<EndDeviceEventType/>"), "event_type_missing"),
        (event(kind='<EndDeviceEventType ref=""/>'), "event_type_missing"),
        (event().replace(WHEN, ""), "profile_violation"),
        (event().replace("+01:00", ""), "timestamp_without_zone"),
        (event().replace("2026-01", "2026-13"), "timestamp_invalid"),
        (event(after="<extra/>"), "profile_violation"),
        ("<Other/>", "profile_violation"),
    ],
)
def test_what_is_wrong_has_its_own_code_and_takes_no_neighbour_down(text: str, code: str) -> None:
    outcome = read(event() + text + event())
    assert [item.index for item in outcome.items] == [0, 1]
    assert outcome.objects == 3
    [rejected] = outcome.rejected
    assert rejected.index == 1
    assert rejected.problems[0].code == code


def test_the_namespaces_of_other_years_are_read_alike() -> None:
    other = read(event(), NAMESPACE.replace("2011", "2016"))
    assert other.items == read(event()).items


def test_another_payload_is_refused_as_a_whole() -> None:
    with pytest.raises(MessageError) as caught:
        read(event(), "http://www.example.com/EndDeviceEvents#")
    assert caught.value.code == "payload_namespace_unknown"


def test_there_is_one_profile_per_name_and_none_for_an_unknown_name() -> None:
    assert profile("end_device_events") is profile("end_device_events")
    assert profile("meter_readings").noun == "MeterReadings"
    with pytest.raises(KeyError):
        profile("nothing")
