"""From what is typed to what is meant, and from records to lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from streams.cli.records import (
    Describer,
    View,
    find_topic,
    parse_place,
    parse_since,
    size_text,
    to_json,
)
from streams.engine.record import Record
from topics import Catalogue, load_catalogue
from topics.errors import OperatorError

TOPICS = ("cim.i7.inbound", "cim.i7.meter-readings", "cim.i9.inbound", "__consumer_offsets")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.mark.parametrize("name", ["cim.i7.inbound", "i7.inbound"])
def test_a_topic_may_be_named_without_its_prefix(name: str) -> None:
    assert find_topic(name, TOPICS) == "cim.i7.inbound"


def test_a_topic_that_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(OperatorError) as error:
        find_topic("i7.meter-reading", TOPICS)
    assert "i7.meter-readings" in error.value.fix
    with pytest.raises(OperatorError) as error:
        find_topic("i7.inbound", ())
    assert "cimstream topics apply" in error.value.fix


def test_a_place_is_a_partition_and_an_offset() -> None:
    at, offset = parse_place("i7.inbound/3@42", TOPICS)
    assert (str(at), offset) == ("cim.i7.inbound/3", 42)


@pytest.mark.parametrize("text", ["", "cim.i7.inbound", "cim.i7.inbound/3", "a/b@c", "x/-1@2"])
def test_a_place_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="does not name a record"):
        parse_place(text, TOPICS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 1_000_000_000_000 - 90_000),
        ("15m", 1_000_000_000_000 - 900_000),
        ("2h", 1_000_000_000_000 - 7_200_000),
        ("7d", 1_000_000_000_000 - 604_800_000),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01+01:00", 1000),
    ],
)
def test_since_is_a_span_or_a_time_with_a_zone(text: str, expected: int) -> None:
    assert parse_since(text, 1_000_000_000_000) == expected


@pytest.mark.parametrize("text", ["", "2", "2w", "h", "-2h", "2026-01-01", "2026-01-01T00:00:00"])
def test_since_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="neither a span nor a time"):
        parse_since(text, 0)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (65_536, "65.5 kB"), (8_388_608, "8.4 MB")],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert size_text(size) == text


def test_json_has_no_nan_and_writes_times_and_decimals_as_text() -> None:
    document = {
        "values": [1.5, float("nan")], "at": datetime(2026, 1, 1, tzinfo=UTC), "b": b"\x01",
        "kW": Decimal("12.500000000000"),
    }  # fmt: skip
    assert json.loads(to_json(document)) == {
        "kW": "12.5",
        "values": [1.5, None],
        "at": "2026-01-01T00:00:00Z",
        "b": "01",
    }


def record(topic: str, key: bytes, value: bytes | None, **headers: str) -> Record:
    told = tuple((name, text.encode()) for name, text in headers.items())
    return Record(topic, 3, 42, 1_767_225_600_000, key, value, told)


def test_a_line_begins_with_time_and_place(catalogue: Catalogue) -> None:
    found = record("cim.i7.inbound", b"HES|MeterReadings|1", b"<x/>", ce_id="1", ce_verb="create")
    line = Describer(catalogue, View()).table_line(found)
    assert line.split() == ["2026-01-01T00:00:00Z", "3@42", "create", "HES|MeterReadings|1",
                            "4", "B"]  # fmt: skip


def test_the_message_id_is_said_where_the_key_does_not(catalogue: Catalogue) -> None:
    found = record("cim.i7.outbound", b"HES-1", b"<x/>", ce_id="1#reply", ce_verb="reply")
    assert "id 1#reply" in Describer(catalogue, View()).line(found)


def test_keys_are_masked_on_logs_and_on_topics_nobody_knows(catalogue: Catalogue) -> None:
    key = b"0000aaaa-1111-4222-8333-44445555bbbb"
    shown = Describer(catalogue, View())
    assert shown.key(record("cim.i7.meter-readings", key, b"")) == "0000…bbbb"
    assert shown.key(record("somebody.elses", key, b"")) == "0000…bbbb"
    assert shown.key(record("cim.i7.inbound", b"HES|MeterReadings|1", b"")) == "HES|MeterReadings|1"
    unmasked = Describer(catalogue, View(unmask=True))
    assert unmasked.key(record("cim.i7.meter-readings", key, b"")) == key.decode()


def test_a_counter_is_shown_as_its_number_and_a_mark_by_its_key(catalogue: Catalogue) -> None:
    shown = Describer(catalogue, View())
    counter = record("cim.intake.counters-i7.changelog", b"received|I7", (7).to_bytes(8, "big"))
    assert shown.document(counter)["count"] == 7
    mark = record("cim.intake.dedup-i7.changelog", b"\x00\xff" * 8, b"mark")
    assert shown.key(mark) == "00ff" * 8


def test_a_deleted_key_is_said_to_be_deleted(catalogue: Catalogue) -> None:
    found = record("cim.files.positions", b"hes-1/a.xml", None)
    assert Describer(catalogue, View()).line(found) == "hes-1/a.xml  deleted"


def test_a_file_position_is_shown_as_it_is(catalogue: Catalogue) -> None:
    found = record("cim.files.positions", b"hes-1/a.xml", b'{"size":1}')
    assert '{"size":1}' in Describer(catalogue, View()).line(found)
