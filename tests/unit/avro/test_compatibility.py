"""Which changes of a schema a reader of old records survives."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from schemas.avro import registered
from schemas.avro.compatibility import refusals

ENUM = {"type": "enum", "name": "Kind", "symbols": ["a", "b"], "default": "a"}
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Thing",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "maybe", "type": ["null", "long"], "default": None},
        {"name": "kind", "type": ENUM},
        {"name": "inner", "type": {"type": "array", "items": INNER}},
        {"name": "power", "type": {"type": "double", "unit": "kW"}},
    ],
}


def changed(field: str, **entries: object) -> dict[str, Any]:
    made = copy.deepcopy(SCHEMA)
    next(f for f in made["fields"] if f["name"] == field).update(entries)
    return made


def with_field(**entries: object) -> dict[str, Any]:
    made = copy.deepcopy(SCHEMA)
    made["fields"].append(entries)
    return made


@pytest.mark.parametrize(
    "new",
    [
        SCHEMA,
        with_field(name="more", type="string", default=""),
        changed("text", type=["null", "string"], default=None),
        changed("kind", type={**ENUM, "symbols": ["a", "b", "c"]}),
        changed("kind", type={**ENUM, "symbols": ["a"]}),
        {**SCHEMA, "fields": SCHEMA["fields"][1:]},
    ],
    ids=["same", "new with default", "now optional", "more codes", "fewer codes", "one fewer"],
)
def test_old_records_can_be_read(new: dict[str, Any]) -> None:
    assert refusals(new, SCHEMA) == []


@pytest.mark.parametrize(
    ("new", "place"),
    [
        (with_field(name="more", type="string"), "Thing.more"),
        (changed("text", type="int"), "Thing.text"),
        (changed("maybe", type="long"), "Thing.maybe"),
        (changed("kind", type={**ENUM, "name": "Other"}), "Thing.kind"),
        (changed("power", type={"type": "double", "unit": "MW"}), "Thing.power"),
        (
            changed(
                "inner",
                type={
                    "type": "array",
                    "items": {**INNER, "fields": [{"name": "y", "type": "int"}]},
                },
            ),
            "Thing.inner[].y",
        ),
    ],
    ids=["new without default", "other type", "now required", "other name", "other unit", "deeper"],
)
def test_what_old_records_cannot_say_is_named_with_its_place(
    new: dict[str, Any], place: str
) -> None:
    found = refusals(new, SCHEMA)
    assert found
    assert found[0].startswith(place)


def test_every_schema_can_read_what_it_writes() -> None:
    for schema in registered():
        assert refusals(schema.raw, schema.raw) == []
