"""Records in the Confluent wire format."""

from typing import Any

import pytest
from fastavro import schemaless_writer

from schemas.avro import (
    WireFormatError,
    decode,
    encode_body,
    encode_fields,
    encode_provenance,
    frame,
    split,
)
from schemas.avro.codec import Provenance
from schemas.avro.registry import newest, registered

PROVENANCE: dict[str, Any] = {
    "topic": "cim.i7.inbound",
    "partition": 3,
    "offset": 1 << 40,
    "messageID": "m-1",
    "source": "HES-1",
    "index": 2,
}
EVENT: dict[str, Any] = {
    "createdDateTime": 1_767_225_600_000,
    "endDeviceEventType": "3.26.0.85",
    "endDeviceEventTypeFields": [3, 26, 0, 85],
}


def provenance() -> bytes:
    return encode_provenance("cim.i7.inbound", 3, 1 << 40, "m-1", "HES-1", 2)


def test_a_value_is_frame_provenance_and_body_and_decodes_to_the_record() -> None:
    value = frame("EndDeviceEvent") + provenance() + encode_body("EndDeviceEvent", EVENT)
    name, record = decode(value)
    assert name == "EndDeviceEvent"
    assert record["provenance"] == PROVENANCE
    assert record["createdDateTime"].isoformat() == "2026-01-01T00:00:00+00:00"
    assert record["endDeviceEventTypeFields"] == [3, 26, 0, 85]
    assert record["assets"] is None


def test_the_frame_is_zero_and_the_stable_id() -> None:
    assert frame("MeterReadingSeries") == b"\x00\x00\x00\x03\xe9"
    assert frame("EndDeviceEvent") == b"\x00\x00\x00\x03\xea"


def test_provenance_is_the_first_field_of_every_schema_and_the_same_in_all() -> None:
    first = [schema.raw["fields"][0] for schema in registered()]
    assert {field["name"] for field in first} == {"provenance"}
    assert all(field["type"] == first[0]["type"] for field in first)


def test_slices_of_a_record_joined_are_the_record(tmp_path: object) -> None:
    fields = [field["name"] for field in newest("EndDeviceEvent").raw["fields"]]
    for cut in range(1, len(fields) - 1):
        joined = encode_fields("EndDeviceEvent", fields[1], fields[cut], EVENT) + encode_fields(
            "EndDeviceEvent", fields[cut + 1], fields[-1], EVENT
        )
        assert joined == encode_body("EndDeviceEvent", EVENT)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00\x00\x00",
        b"\x01\x00\x00\x03\xea",
        b"\x00\x00\x00\x00\x01rest",
        b"\x00\x00\x00\x03\xea",
        b'{"json": true}',
    ],
)
def test_bytes_that_are_no_value_are_refused(value: bytes) -> None:
    with pytest.raises(WireFormatError):
        decode(value)


def test_a_cut_off_value_and_one_with_more_behind_it_are_refused() -> None:
    value = frame("EndDeviceEvent") + provenance() + encode_body("EndDeviceEvent", EVENT)
    for damaged in (value[:-1], value + b"\x00", value[: len(value) // 2]):
        with pytest.raises(WireFormatError):
            decode(damaged)


def is_time(node: object) -> bool:
    """Whether a type is a time, a time that may be null, or an array of times."""
    if isinstance(node, list):
        return any(map(is_time, node))
    if isinstance(node, dict):
        return node.get("logicalType") == "timestamp-millis" or is_time(node.get("items"))
    return False


def test_every_field_says_what_it_means_and_times_say_their_base() -> None:
    missing: list[str] = []

    def look(node: object, path: str) -> None:
        if isinstance(node, list):
            for item in node:
                look(item, path)
        elif isinstance(node, dict):
            for field in node.get("fields", ()):
                place = f"{path}.{field['name']}"
                if len(field.get("doc", "")) < 3:
                    missing.append(place)
                if is_time(field["type"]) and "UTC" not in field["doc"]:
                    missing.append(place)
                look(field["type"], place)
            look(node.get("items"), path)
            if node.get("type") == "enum":
                assert node["default"] in node["symbols"]

    for schema in registered():
        look(schema.raw, schema.name)
    assert missing == []


def test_the_codec_writes_what_fastavro_writes() -> None:
    import io

    whole = io.BytesIO()
    schemaless_writer(whole, newest("EndDeviceEvent").parsed, {"provenance": PROVENANCE, **EVENT})
    assert whole.getvalue() == provenance() + encode_body("EndDeviceEvent", EVENT)


def test_split_gives_the_provenance_and_all_that_does_not_depend_on_it() -> None:
    head, body = frame("EndDeviceEvent"), encode_body("EndDeviceEvent", EVENT)
    found, rest = split(head + provenance() + body)
    assert found == Provenance("cim.i7.inbound", 3, 1 << 40, "m-1", "HES-1", 2)
    assert rest == head + body
    elsewhere = encode_provenance("cim.i7.inbound", 0, -1, "m-1 \u00e9", "", 0)
    assert split(head + elsewhere + body)[1] == rest


@pytest.mark.parametrize("end", range(5 + len(provenance())))
def test_bytes_that_end_before_the_provenance_does_are_no_event(end: int) -> None:
    with pytest.raises(WireFormatError):
        split((frame("EndDeviceEvent") + provenance())[:end])


@pytest.mark.parametrize("tail", [b"\xff" * 20, b"\x01", b"\x02\xff", b"\x7f\x00"])
def test_a_provenance_of_other_bytes_is_no_event(tail: bytes) -> None:
    with pytest.raises(WireFormatError):
        split(frame("EndDeviceEvent") + tail)
