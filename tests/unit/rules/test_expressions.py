"""What an expression may say, what is refused when it is read, and what it costs."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro.registry import newest
from streams.processors.rules.expressions import TEXT_CHARS_MAX, ExpressionError, Language
from streams.processors.rules.fields import Field, Part, Scalar, names_of, values
from tests.unit.rules.driver import CATALOGUE

NAME = Part("Named", {"name": Field(Scalar.TEXT), "kind": Field(Scalar.TEXT, optional=True)})
NAMES = {
    "event.kind": Field(Scalar.TEXT),
    "event.cause": Field(Scalar.TEXT, optional=True),
    "event.meters": Field(Scalar.WHOLE, optional=True),
    "event.volts": Field(Scalar.NUMBER, optional=True),
    "event.planned": Field(Scalar.FLAG, optional=True),
    "event.start": Field(Scalar.TIME, optional=True),
    "event.created": Field(Scalar.TIME),
    "event.names": Field(NAME, many=True),
    "event.codes": Field(Scalar.WHOLE, many=True),
}
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SILENT: dict[str, Any] = {
    "event.kind": "unplanned", "event.cause": None, "event.meters": None, "event.volts": None,
    "event.planned": None, "event.start": None, "event.created": NOW, "event.names": [],
    "event.codes": [],
}  # fmt: skip
TALKING = SILENT | {
    "event.cause": "tree", "event.meters": 37, "event.volts": 253.5, "event.planned": False,
    "event.start": NOW, "event.codes": [3, 26],
    "event.names": [{"name": "F1", "kind": "feeder"}, {"name": "x", "kind": None}],
}  # fmt: skip
LANGUAGE = Language(NAMES)


@pytest.mark.parametrize(
    ("text", "silent", "talking"),
    [
        ("event.kind == 'unplanned'", True, True),
        ("event.cause == 'tree'", False, True),
        ("event.cause != null && event.cause.startsWith('tr')", False, True),
        ("event.meters != null && event.meters > 36", False, True),
        ("event.volts != null && event.volts > 253.0", False, True),
        ("event.planned == false", False, True),
        ("event.start == null", True, False),
        ("event.start != null && event.start <= event.created", False, True),
        ("event.created - duration('1h') < timestamp('2026-01-31T12:00:00Z')", True, True),
        ("event.names.exists(n, n.kind == 'feeder' && n.name == 'F1')", False, True),
        ("event.names.size()", 0, 2),
        ("26 in event.codes", False, True),
        ("event.cause == null ? 'none' : event.cause", "none", "tree"),
    ],
)
def test_what_an_event_does_not_say_is_null(text: str, silent: object, talking: object) -> None:
    expression = LANGUAGE.compile(text)
    assert expression.evaluate(SILENT) == silent
    assert expression.evaluate(TALKING) == talking
    assert expression.evaluate(SILENT) == silent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event.kynd == 'x'", "1:6: undeclared reference to 'event.kynd'"),
        ("event == 1", "undeclared reference to 'event'"),
        ("event.names.exists(n, n.typo == 'x')", "undefined field 'typo'"),
        ("event.names.exists(n, n.name > 3)", "no matching overload"),
        ("event.meters > 'a'", "no matching overload"),
        ("event.volts > 3", "no matching overload"),
        ("event.kind ==", "Syntax error"),
        ("event.kind.matches('(a+)+')", "undeclared reference to 'matches'"),
        ("event.codes.map(c, c + c).size() > 1", "undeclared reference"),
        ("has(event.cause)", "undeclared reference to 'has'"),
        (" || ".join(["true"] * 200), f"the limit is {TEXT_CHARS_MAX}"),
        ("(" * 100 + "true" + ")" * 100, "recursion"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said.replace("(", r"\(")):
        LANGUAGE.compile(text)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("event.meters > 3", "UNKNOWN"),
        ("event.cause.startsWith('t')", "UNKNOWN"),
        ("event.codes[0] == 1", "UNKNOWN"),
        ("9223372036854775807 + event.codes.size() + 1 > 0", "OUT_OF_RANGE"),
        ("int(event.kind) > 1", "INVALID_ARGUMENT"),
    ],
)
def test_what_has_no_value_fails_and_tells_nothing_of_the_values(text: str, status: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        LANGUAGE.compile(text).evaluate(SILENT)
    assert str(caught.value) == status


def test_loops_within_loops_end() -> None:
    text = "true"
    for name in "abcdef":
        text = f"event.codes.all({name}, {text})"
    with pytest.raises(ExpressionError, match="10,000 steps"):
        LANGUAGE.compile(text).evaluate(SILENT | {"event.codes": list(range(30))})


@given(st.text(max_size=40))
def test_whatever_is_written_either_compiles_or_is_refused(text: str) -> None:
    with suppress(ExpressionError):
        LANGUAGE.compile(text)


@pytest.mark.parametrize(
    "schema", sorted({noun.schema for noun in CATALOGUE.nouns.values() if noun.schema})
)
def test_every_noun_has_a_language(schema: str) -> None:
    """Each name of a schema can be said, and compared with null where it may be null."""
    names = names_of(schema)
    assert names
    language = Language(names)
    for name, field in names.items():
        language.compile(f"{name} == null" if field.optional and not field.many else name)


def test_the_values_of_a_record_are_those_of_its_names() -> None:
    record = {
        "mRID": "o1", "outageKind": "unplanned", "feeder": {"mRID": "f1", "names": []},
        "equipments": [{"mRID": None, "names": [{"name": "T7"}]}],
    }  # fmt: skip
    absent: dict[str, Any] = {
        field["name"]: [] if "array" in str(field["type"]) and "null" not in field["type"] else None
        for field in newest("Outage").raw["fields"]
    }
    found = values("Outage", absent | record)
    assert found.keys() == names_of("Outage").keys()
    assert found["event.feeder.mRID"] == "f1"
    assert found["event.incident.location.mRID"] is None
    assert found["event.equipments"] == [{"mRID": None, "names": [{"name": "T7"}]}]
    assert found["event.feeder.names"] == []
