"""xs:dateTime with zone <-> epoch milliseconds."""

from datetime import UTC, datetime

import pytest

from schemas.times import (
    EPOCH_MS_MAX,
    EPOCH_MS_MIN,
    TimestampError,
    from_epoch_ms,
    minute_from_epoch_ms,
    minute_to_epoch_ms,
    to_epoch_ms,
)


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-01-01T00:00:00+00:00", ms(2026, 1, 1)),
        ("2026-01-01T00:00:00-00:00", ms(2026, 1, 1)),
        ("2026-01-01T01:00:00+01:00", ms(2026, 1, 1)),
        ("2025-12-31T18:30:00.5-05:30", ms(2026, 1, 1) + 500),
        ("2026-01-01T00:00:00.12Z", ms(2026, 1, 1) + 120),
        ("2026-01-01T04:30:00.123+04:30", ms(2026, 1, 1) + 123),
        ("2024-02-29T12:00:00Z", ms(2024, 2, 29, 12)),
        ("2026-01-01T14:00:00+14:00", ms(2026, 1, 1)),
    ],
)
def test_zones_and_fractions_give_the_instant(text: str, instant_ms: int) -> None:
    assert to_epoch_ms(text) == instant_ms


@pytest.mark.parametrize(
    ("summer", "winter"),
    [("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")],
)
def test_the_hour_that_comes_twice_in_autumn_is_two_hours(summer: str, winter: str) -> None:
    assert to_epoch_ms(winter) - to_epoch_ms(summer) == 3_600_000


@pytest.mark.parametrize("text", ["2025-12-31T24:00:00Z", "2025-12-31T24:00:00.000Z"])
def test_midnight_at_the_end_of_a_day_is_the_next_day(text: str) -> None:
    assert to_epoch_ms(text) == ms(2026, 1, 1)


def test_digits_beyond_milliseconds_are_cut_off_not_rounded() -> None:
    assert to_epoch_ms("2026-01-01T00:00:00.9999999Z") == ms(2026, 1, 1) + 999


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-01-01T00:00:00.25"])
def test_a_missing_zone_has_its_own_code(text: str) -> None:
    with pytest.raises(TimestampError) as caught:
        to_epoch_ms(text)
    assert caught.value.code == "timestamp_without_zone"
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-01",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00Z",
        "2026-01-01T00:00:00z",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+01",
        "2026-01-01T00:00:00+14:01",
        "2026-01-01T00:00:00+01:60",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T24:00:00.001Z",
        "2026-01-01T24:00:00.0001Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "-2026-01-01T00:00:00Z",
        "12026-01-01T00:00:00Z",
        "2026-W01-1T00:00:00Z",
        "٢٠٢٦-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T24:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimestampError) as caught:
        to_epoch_ms(text)
    assert caught.value.code == "timestamp_invalid"


@pytest.mark.parametrize(
    ("instant_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (ms(2026, 1, 1) + 50, "2026-01-01T00:00:00.050Z"),
        (EPOCH_MS_MIN, "0001-01-01T00:00:00Z"),
        (EPOCH_MS_MAX, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_instants_are_written_in_utc(instant_ms: int, text: str) -> None:
    assert from_epoch_ms(instant_ms) == text
    assert to_epoch_ms(text) == instant_ms


@pytest.mark.parametrize("instant_ms", [EPOCH_MS_MIN - 1, EPOCH_MS_MAX + 1])
def test_an_instant_that_four_digits_cannot_say_is_refused(instant_ms: int) -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        from_epoch_ms(instant_ms)


@pytest.mark.parametrize(
    ("instant_ms", "text"),
    [
        (ms(2026, 1, 1), "2026-01-01T00:00Z"),
        (ms(2026, 1, 1, 0, 0, 7), "2026-01-01T00:00:07Z"),
        (ms(2026, 1, 1) + 1, "2026-01-01T00:00:00.001Z"),
        (EPOCH_MS_MIN, "0001-01-01T00:00Z"),
    ],
)
def test_a_time_to_the_minute_has_seconds_only_where_it_must(instant_ms: int, text: str) -> None:
    assert minute_from_epoch_ms(instant_ms) == text
    assert minute_to_epoch_ms(text) == instant_ms


@pytest.mark.parametrize(
    ("text", "code"),
    [("2026-01-01T00:00", "timestamp_without_zone"), ("2026-01-01T00Z", "timestamp_invalid")],
)
def test_a_time_to_the_minute_that_is_none_is_told_apart(text: str, code: str) -> None:
    with pytest.raises(TimestampError) as error:
        minute_to_epoch_ms(text)
    assert error.value.code == code
