"""The dotted codes of IEC 61968-9."""

import pytest

from schemas.codes import EventTypeCode, QualityCode, ReadingTypeCode

HOURLY_KWH = "0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


def test_the_18_fields_of_a_reading_type_are_named_in_the_standards_order() -> None:
    code = ReadingTypeCode.parse("11.2.7.4.1.1.12.101.102.103.104.5.6.7.128.3.72.978")
    assert code is not None
    assert code._asdict() == {
        "macro_period": 11,
        "aggregate": 2,
        "measuring_period": 7,
        "accumulation": 4,
        "flow_direction": 1,
        "commodity": 1,
        "measurement_kind": 12,
        "interharmonic_numerator": 101,
        "interharmonic_denominator": 102,
        "argument_numerator": 103,
        "argument_denominator": 104,
        "tou": 5,
        "cpp": 6,
        "consumption_tier": 7,
        "phases": 128,
        "multiplier": 3,
        "unit": 72,
        "currency": 978,
    }


@pytest.mark.parametrize("code", [ReadingTypeCode.parse(HOURLY_KWH), EventTypeCode(3, 26, 0, 85)])
def test_a_code_is_written_as_it_was_read(code: ReadingTypeCode | EventTypeCode) -> None:
    assert type(code).parse(str(code)) == code


def test_a_multiplier_may_be_negative_and_no_other_field() -> None:
    milli = ReadingTypeCode.parse("0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.-3.72.0")
    assert milli is not None
    assert milli.multiplier == -3
    assert ReadingTypeCode.parse("0.0.-7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0") is None


@pytest.mark.parametrize(
    "text",
    ["", "3.0.129.160", "1-0:1.8.0*255", HOURLY_KWH + ".0", HOURLY_KWH[:-2], f" {HOURLY_KWH}",
     HOURLY_KWH.replace("1", "\uff11"), HOURLY_KWH.replace("12", "+12"), HOURLY_KWH + "9" * 9],
)  # fmt: skip
def test_a_text_of_another_shape_is_no_reading_type_code(text: str) -> None:
    assert ReadingTypeCode.parse(text) is None


def test_event_types_have_four_fields_and_qualities_three() -> None:
    assert EventTypeCode.parse("3.26.0.85") == EventTypeCode(3, 26, 0, 85)
    assert QualityCode.parse("5.4.260") == QualityCode(5, 4, 260)
    for text in ("", "3.26.0", "3.26.0.85.1", "3.26.0.-85", "a.b.c.d"):
        assert EventTypeCode.parse(text) is None
    for text in ("", "5.4", "5.4.260.1", "-5.4.260"):
        assert QualityCode.parse(text) is None
