"""Canonical records as JSON: nothing is lost, and what is no record is refused with its place."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas import strict_json
from schemas.avro.documents import DocumentError, document_of, record_of, set_here
from schemas.avro.json_schema import json_schema
from schemas.avro.registry import registered
from schemas.profiles import profile
from schemas.profiles.payloads import payload_of, records_of
from tests.unit.profiles.test_nouns import NOUNS, examples
from tests.unit.registers.driver import CATALOGUE, House
from topics import Noun

by_noun = pytest.mark.parametrize("noun", NOUNS, ids=[noun.name for noun in NOUNS])
SCHEMAS = {noun.name: noun.schema for noun in CATALOGUE.nouns.values() if noun.schema}


def events(noun: Noun) -> list[dict[str, Any]]:
    """What the examples of a noun make."""
    house = House()
    there = examples(noun)
    for name in ("create", "created", "execute", "change"):
        if name in there:
            house.send(there[name], noun.home)
    return house.events(noun.name)


def through_json(schema: str, record: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(document_of(record), allow_nan=False).encode()
    return record_of(schema, strict_json.load(text))


@by_noun
def test_a_record_goes_through_json_and_xml_and_is_the_same(noun: Noun) -> None:
    schema, name = noun.schema or "", noun.profile or ""
    found = events(noun)
    assert found
    for event in found:
        record = through_json(schema, event)
        payload = payload_of(name, [record])
        (again,) = records_of(SCHEMAS, profile(name).read(payload, "create").items)
        expected = {key: value for key, value in event.items() if key not in set_here(schema)}
        assert again == expected


@by_noun
def test_what_is_written_is_valid_by_the_json_schema(noun: Noun) -> None:
    schema = json_schema(noun.schema or "")
    Draft202012Validator.check_schema(schema)
    for event in events(noun):
        Draft202012Validator(schema).validate(document_of(event))


@pytest.mark.parametrize("name", sorted({one.name for one in registered()}))
def test_every_schema_has_one_of_json(name: str) -> None:
    Draft202012Validator.check_schema(json_schema(name))


OUTAGE: dict[str, Any] = {"mRID": "o-1", "cause": "tree"}


@pytest.mark.parametrize(
    ("change", "pointer", "why"),
    [
        ({"caus": "x"}, "", "no field 'caus'"),
        ({"cause": 1}, "/cause", "no text"),
        ({"cause": "a\x01"}, "/cause", "XML does not allow"),
        ({"names": {}}, "/names", "no array"),
        ({"names": [{}]}, "/names/0", "'name' is missing"),
        ({"names": [{"name": None}]}, "/names/0/name", "no text"),
        ({"lastModifiedDateTime": "2026-01-01T00:00:00"}, "/lastModifiedDateTime", "a zone"),
        ({"lastModifiedDateTime": "soon"}, "/lastModifiedDateTime", "no time"),
        ({"actualPeriod": []}, "/actualPeriod", "no object"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(
    change: dict[str, Any], pointer: str, why: str
) -> None:
    assert record_of("Outage", OUTAGE)["cause"] == "tree"
    with pytest.raises(DocumentError, match=why) as caught:
        record_of("Outage", {**OUTAGE, **change})
    assert caught.value.pointer == pointer


SERIES: dict[str, Any] = {
    "readingType": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "firstTimeStamp": "2026-01-01T00:00:00Z",
    "values": [1, Decimal("1.5"), None],
}


def test_a_number_without_a_value_is_null() -> None:
    values = record_of("MeterReadingSeries", SERIES)["values"]
    assert values[:2] == [1.0, 1.5]
    assert values[2] != values[2]
    assert document_of(values) == [1.0, 1.5, None]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Decimal("0.12345678901234567890"), "more digits"),
        (10**400, "more digits"),
        (2**53 + 1, "more digits"),
        ("1", "no number"),
        (True, "no number"),
    ],
)
def test_a_number_that_cannot_be_kept_exactly_is_refused(value: object, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        record_of("MeterReadingSeries", {**SERIES, "values": [value]})


QUANTITY = "1234567890123456789012345.123456789012"


def test_a_decimal_is_a_text_and_exact_to_its_last_digit() -> None:
    for given in (QUANTITY, Decimal(QUANTITY)):
        weight = record_of("Asset", {"weight": given})["weight"]
        assert document_of(weight) == QUANTITY
    assert document_of(Decimal("12.500000000000")) == "12.5"


@pytest.mark.parametrize(
    "value", ["1" * 27, "0.1234567890123", "1e5", "", "1.2.3", Decimal("1e300"), Decimal("1e-300")]
)
def test_a_decimal_that_cannot_be_kept_is_refused(value: object) -> None:
    with pytest.raises(DocumentError):
        record_of("Asset", {"weight": value})


@pytest.mark.parametrize("value", [1.5, True, "1", 1 << 63, None])
def test_a_whole_number_is_one(value: object) -> None:
    given = Decimal(str(value)) if isinstance(value, float) else value
    with pytest.raises(DocumentError):
        record_of("MeterReadingSeries", {**SERIES, "intervalMs": given})
    assert record_of("MeterReadingSeries", {**SERIES, "intervalMs": Decimal("900.0")})
