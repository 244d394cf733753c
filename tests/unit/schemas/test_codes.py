"""Field codes to names and back: the tables of schemas/codes, and whole codes in words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codes import (
    Code,
    EventTypeCode,
    QualityCode,
    ReadingTypeCode,
    ReplyCode,
    describe,
    fields,
    from_fields,
    parse,
    tables,
)
from schemas.codes.names import KINDS, Entry, entries, named
from schemas.codes.tables import Table, TableError, load
from schemas.errors import CODES

HOURLY_KWH = "0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
ENTRIES = list(entries())


def code_of(entry: Entry) -> Code:
    """The code that has this row's number and zeros, and what the number depends on."""
    own = {tables.camel(name): name for name in entry.code._fields}[entry.field]
    numbers = dict.fromkeys(entry.code._fields, 0) | {own: entry.row.number}
    if entry.basis is not None:
        before = entry.code._fields[entry.code._fields.index(own) - 1]
        numbers[before] = entry.basis
    return entry.code._make(numbers.values())


DAILY_DEMAND = (
    "daily maximum indicating value of total demand in kW, electricity, phases ABC,"
    " time of use C, block tier 2"
)


def there_and_back(code: Code) -> Code:
    return from_fields(type(code), fields(code))


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_row_goes_to_its_name_and_back_to_its_number(kind: type[Code]) -> None:
    rows = [entry for entry in ENTRIES if entry.code is kind]
    assert len(rows) > 40
    for entry in rows:
        code = code_of(entry)
        (told,) = [field for field in named(code) if field.key == entry.field]
        assert told.row == entry.row
        assert told.name.startswith(entry.row.name)
        assert there_and_back(code) == code


def test_every_field_of_every_code_has_a_table_but_the_four_of_fractions() -> None:
    found = {(entry.code, entry.field) for entry in ENTRIES}
    wanted = {(kind, tables.camel(field)) for kind in KINDS for field in kind._fields}
    fractions = {
        (ReadingTypeCode, f"{what}{part}")
        for what in ("interharmonic", "argument")
        for part in ("Numerator", "Denominator")
    }
    assert found == wanted - fractions


def test_a_row_is_marked_as_read_in_a_schema_only_with_the_schema_among_its_sources() -> None:
    for entry in ENTRIES:
        assert (entry.row.confidence == "X") == ("espi" in entry.row.sources), entry
        assert (entry.row.confidence == "K") == (entry.row.sources == ("none",)), entry


def test_every_source_is_used_and_says_what_it_is() -> None:
    used = {source for entry in ENTRIES for source in entry.row.sources}
    assert used == tables.sources().keys()
    assert all(tables.sources().values())


@pytest.mark.parametrize(
    ("kind", "field", "numbers"),
    [
        (ReadingTypeCode, "macro_period", {8: "billingPeriod", 11: "daily", 13: "monthly"}),
        (ReadingTypeCode, "aggregate", {2: "average", 8: "maximum", 9: "minimum"}),
        (ReadingTypeCode, "measuring_period", {1: "tenMinute", 2: "fifteenMinute", 7: "sixtyMinute",
                                               4: "twentyFourHour", 31: "twentyMinute"}),
        (ReadingTypeCode, "accumulation", {1: "bulkQuantity", 3: "cumulative", 4: "deltaData",
                                           6: "indicating", 9: "summation", 12: "instantaneous"}),
        (ReadingTypeCode, "flow_direction", {1: "forward", 4: "net", 15: "quadrant1",
                                             19: "reverse", 20: "total"}),
        (ReadingTypeCode, "commodity", {1: "electricitySecondaryMetered", 7: "naturalGas",
                                        9: "potableWater"}),
        (ReadingTypeCode, "measurement_kind", {4: "current", 8: "demand", 12: "energy", 37: "power",
                                               54: "rmsVoltage", 58: "volume",
                                               128: "ieee1366SustainedInterruption"}),
        (ReadingTypeCode, "phases", {128: "A", 64: "B", 32: "C", 129: "AN", 224: "ABC"}),
        (ReadingTypeCode, "multiplier", {-3: "m", 0: "none", 3: "k", 6: "M"}),
        (ReadingTypeCode, "unit", {5: "A", 29: "V", 33: "Hz", 38: "W", 42: "m3", 61: "VA",
                                   63: "VAr", 71: "VAh", 72: "Wh", 73: "VArh"}),
        (ReadingTypeCode, "currency", {36: "AUD", 840: "USD", 978: "EUR"}),
        (EventTypeCode, "type", {2: "DERDevice", 3: "ElectricMeter", 26: "ComDevice"}),
        (EventTypeCode, "domain", {26: "Power", 31: "RCDSwitch"}),
        (EventTypeCode, "event_or_action", {18: "Connect", 23: "Disconnect", 85: "Failed",
                                            216: "Restored"}),
        (QualityCode, "system", {1: "endDevice", 2: "meteringSystem", 5: "externalSystem"}),
        (QualityCode, "category", {0: "valid", 5: "reasonability", 8: "estimated"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_numbers_that_real_messages_carry_have_the_names_of_the_fact_sheet(
    kind: type[Code], field: str, numbers: dict[int, str]
) -> None:
    table = load(KINDS[kind].folder, field)[None]
    assert {number: table.name(number) for number in numbers} == numbers


def test_every_code_of_our_own_replies_has_a_name() -> None:
    for entry in CODES.values():
        code = ReplyCode.parse(entry.iec_code)
        assert code is not None
        assert all(field.row for field in named(code)), entry.iec_code


# --- whole codes --------------------------------------------------------------------------------

NUMBERS = st.integers(0, 999_999_999) | st.integers(0, 300)


@st.composite
def codes(draw: st.DrawFn) -> Code:
    kind = draw(st.sampled_from(list(KINDS)))
    numbers = [draw(NUMBERS) for _ in kind._fields]
    code = kind._make(numbers)
    if isinstance(code, ReadingTypeCode) and draw(st.booleans()):
        return code._replace(multiplier=-code.multiplier)
    return code


@given(codes())
def test_names_lead_back_to_the_code_whatever_its_numbers_are(code: Code) -> None:
    assert there_and_back(code) == code
    assert describe(code)


def test_a_number_without_a_name_keeps_its_number() -> None:
    code = parse(HOURLY_KWH.replace(".12.", ".99999."))
    assert code is not None
    assert fields(code)["measurementKind"] == "measurementKind(99999)"
    assert "measurementKind(99999)" in describe(code)


def test_the_second_number_of_a_name_keeps_its_number() -> None:
    phases = load("reading_type", "phases")[None]
    assert (phases.name(257), phases.name(272)) == ("S2N", "S2N(272)")
    assert (phases.number("S2N"), phases.number("S2N(272)")) == (257, 272)


def test_the_index_of_a_quality_is_named_by_its_category() -> None:
    assert fields(QualityCode(1, 1, 1))["number"] == "batteryLow"
    assert fields(QualityCode(1, 3, 1))["number"] == "coverOpened"
    assert from_fields(QualityCode, {"category": "tamper", "number": "coverOpened"}) == (0, 3, 1)
    with pytest.raises(ValueError, match="batteryLow"):
        from_fields(QualityCode, {"category": "tamper", "number": "batteryLow"})


def test_a_field_that_is_not_named_is_zero() -> None:
    names = {
        "measuringPeriod": "sixtyMinute", "accumulation": "deltaData", "flowDirection": "forward",
        "commodity": "electricitySecondaryMetered", "measurementKind": "energy",
        "multiplier": "k", "unit": "Wh",
    }  # fmt: skip
    assert str(from_fields(ReadingTypeCode, names)) == HOURLY_KWH


@pytest.mark.parametrize(
    "names",
    [
        {"kind": "energy"},
        {"measurementKind": "Energy"},
        {"measurementKind": ""},
        {"measurementKind": "12"},
        {"measurementKind": "energy(12)"},
        {"measurementKind": "measurementKind(12)"},
        {"measurementKind": "unit(99999)"},
        {"measurementKind": "measurementKind(099)"},
        {"measurementKind": "measurementKind(-1)"},
        {"measurementKind": "measurementKind(9999999999)"},
        {"phases": "S2N(257)"},
        {"interharmonicNumerator": "-1"},
        {"interharmonicNumerator": "1_0"},
        {"interharmonicNumerator": ""},
    ],
    ids=str,
)
def test_what_is_no_name_of_a_field_is_refused(names: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_fields(ReadingTypeCode, names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HOURLY_KWH, "60-minute delta of forward energy in kWh, electricity"),
        ("11.8.0.6.20.1.8.0.0.0.0.3.0.2.224.3.38.0", DAILY_DEMAND),
        ("13.0.0.0.0.7.58.0.0.0.0.0.0.0.0.0.42.0", "monthly volume in m³, natural gas"),
        ("0.0.0.12.0.1.54.5.1.0.0.0.0.0.129.-3.29.0",
         "instantaneous value of RMS voltage in mV, electricity, phase A to neutral, harmonic 5"),
        ("0.0.0.0.0.0.0.1.2.2.3.0.7.0.0.0.0.978", "harmonic 1/2, argument 2/3, cpp(7), EUR"),
        ("0.0.0.0.0.0.12.0.0.0.0.0.0.0.0.5.72.0", "energy in 10^5 Wh"),
        ("0.0.0.0.0.0.3.0.0.0.0.0.0.0.0.-2.80.978", "currency in 10^-2 money, EUR"),
        (".".join("0" * 18), "not specified"),
        ("3.26.0.85", "electric meter, power: failed"),
        ("3.26.131.223", "electric meter, power, phase A voltage: sag started"),
        ("3.31.0.23", "electric meter, remote connect/disconnect switch: disconnect"),
        ("3.99.0.999", "electric meter, domain(99): eventOrAction(999)"),
        (".".join("0" * 4), "not specified"),
        ("1.0.0", "valid (end device)"),
        ("2.5.259", "reasonability, known missing read (metering system)"),
        ("2.8.0", "estimated (metering system)"),
        ("5.4.260", "data collection, number(260) (external system)"),
        ("0.0", "no error"),
        ("2.6", "a parameter is invalid: invalid ReadingType"),
        ("9.9", "group(9): number(9)"),
    ],
)  # fmt: skip
def test_a_code_is_told_in_words(text: str, words: str) -> None:
    code = parse(text)
    assert code is not None
    assert describe(code) == words


@pytest.mark.parametrize(
    "text", ["", "energy", "1-0:1.8.0*255", "1.2.3.4.5", HOURLY_KWH + ".0", "-1.2", "2.6 ", "٣.1"]
)
def test_a_text_of_another_shape_is_no_code(text: str) -> None:
    assert parse(text) is None


def test_no_table_is_read_before_a_name_is_asked_for() -> None:
    program = (
        "from schemas.codes import ReadingTypeCode, tables; "
        f"assert ReadingTypeCode.parse('{HOURLY_KWH}'); "
        "print(tables.load.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"0"]


# --- mistakes in a table ------------------------------------------------------------------------

SOURCE = 'sources = ["a"], confidence = "X"'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tables, "FOLDER", tmp_path)
    (tmp_path / "sources.toml").write_text('a = "the first"\n')
    (tmp_path / "code").mkdir()
    load.cache_clear()
    tables.sources.cache_clear()
    yield tmp_path
    load.cache_clear()
    tables.sources.cache_clear()


def loaded(folder: Path, *lines: str) -> Table:
    (folder / "code" / "some_field.toml").write_text("\n".join(lines))
    return load("code", "some_field")[None]


def test_a_table_without_mistakes_is_taken(folder: Path) -> None:
    table = loaded(
        folder,
        f'-1 = {{ name = "before", {SOURCE} }}',
        f'1 = {{ name = "PhaseAVoltage", {SOURCE} }}',
        f'2 = {{ name = "before", again = true, text = "as before", {SOURCE} }}',
    )
    assert [table.name(n) for n in (-1, 1, 2, 3)] == [
        "before", "PhaseAVoltage", "before(2)", "someField(3)",
    ]  # fmt: skip
    assert [table.text(n) for n in (-1, 1, 2, 3, 0)] == [
        "before", "phase A voltage", "as before", "someField(3)", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        (f'1 = {{ name = "one", {SOURCE} }}', f'2 = {{ name = "one", {SOURCE} }}'),
        (f'2 = {{ name = "two", {SOURCE} }}', f'1 = {{ name = "one", {SOURCE} }}'),
        (f'01 = {{ name = "one", {SOURCE} }}',),
        (f'x = {{ name = "one", {SOURCE} }}',),
        (f'1 = {{ name = "one(1)", {SOURCE} }}',),
        (f'1 = {{ name = "one", txt = "1", {SOURCE} }}',),
        (f'1 = {{ name = "one", again = true, {SOURCE} }}',),
        ('1 = { name = "one", sources = ["a"] }',),
        ('1 = { name = "one", sources = ["b"], confidence = "X" }',),
        ('1 = { name = "one", sources = [], confidence = "X" }',),
        ('1 = { name = "one", sources = ["a"], confidence = "Y" }',),
    ],
    ids=str,
)
def test_a_mistake_in_a_table_is_refused_when_it_is_read(
    folder: Path, lines: tuple[str, ...]
) -> None:
    with pytest.raises(TableError, match=r"some_field\.toml"):
        loaded(folder, *lines)
