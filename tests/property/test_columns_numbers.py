"""Columns of texts are read to the same numbers as each text by itself."""

from datetime import UTC, date, datetime
from struct import pack

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.profiles.meter_readings import lexical, rows
from schemas.profiles.meter_readings.numbers import NotANumberError, number
from schemas.times import TimestampError, to_epoch_ms

decimals = st.builds(
    lambda sign, whole, places, fraction: (
        f"{sign}{whole}{'.' if places else ''}{fraction[:places]}"
    ),
    st.sampled_from(["", "-"]),
    st.integers(0, 10**9),
    st.integers(0, 6),
    st.text("0123456789", min_size=6, max_size=6),
)


def column(texts: list[str]) -> list[float] | None:
    """The texts as `rows` hands them to `fixed_point`."""
    encoded = [text.encode() for text in texts]
    joined = b"<" * lexical.WINDOW + b"<".join(encoded) + b"<"
    ends = np.cumsum([len(text) + 1 for text in encoded]) + lexical.WINDOW - 1
    starts = ends - np.array([len(text) for text in encoded])
    octets = np.frombuffer(joined, np.uint8)
    negative = octets[starts] == ord("-")
    windows = np.stack([octets[end - lexical.WINDOW : end] for end in ends])
    values = lexical.fixed_point(windows, ends - starts - negative, negative)
    return None if values is None else values.tolist()


@given(st.lists(decimals, min_size=1, max_size=20), st.integers(0, 6))
def test_decimals_with_the_same_places_are_the_doubles_that_float_gives(
    texts: list[str], places: int
) -> None:
    alike = [f"{float(text):.{places}f}" for text in texts]
    found = column(alike)
    if max(len(text.strip("-").replace(".", "")) for text in alike) > 15:
        assert found is None
        return
    assert found is not None
    assert pack(f"{len(found)}d", *found) == pack(f"{len(found)}d", *map(float, alike))


@given(st.lists(st.text("0123456789.-+eE ", max_size=18), min_size=1, max_size=4))
@example(["1.5", "15."])
@example(["-"])
@example(["--1"])
@example([".5"])
@example(["1.2.3", "1.234"])
@example(["1234567890123456"])
def test_what_the_columns_read_is_a_number_and_exact(texts: list[str]) -> None:
    for found in (column(texts), lexical.values([text.encode() for text in texts])):
        if found is None:
            continue
        for text, value in zip(texts, found, strict=True):
            assert number(text) == (value, True)


@given(st.lists(decimals, min_size=1, max_size=20))
def test_mixed_decimals_are_read_too(texts: list[str]) -> None:
    found = lexical.values([text.encode() for text in texts])
    if found is None:
        assert max(len(text.strip("-").replace(".", "")) for text in texts) > 15
    else:
        assert found == [float(text) for text in texts]


@st.composite
def time_columns(draw: st.DrawFn) -> list[str]:
    days = st.dates(date(1900, 1, 2), date(2199, 12, 30))
    moments = draw(st.lists(st.tuples(days, st.times()), min_size=1, max_size=10))
    places = draw(st.integers(0, 7))
    if draw(st.booleans()):
        zones = ["Z"] * len(moments)
    else:
        zones = [
            f"{draw(st.sampled_from('+-'))}{hours:02d}:{minutes:02d}"
            for hours, minutes in (
                draw(st.tuples(st.integers(0, 13), st.integers(0, 59))) for _ in moments
            )
        ]
    fractions = [draw(st.text("0123456789", min_size=places, max_size=places)) for _ in moments]
    return [
        f"{day.isoformat()}T{time:%H:%M:%S}{'.' * bool(places)}{fraction}{zone}"
        for (day, time), fraction, zone in zip(moments, fractions, zones, strict=True)
    ]


@given(time_columns())
def test_times_of_one_form_are_the_instants_that_single_times_are(texts: list[str]) -> None:
    found = lexical.times("".join(texts).encode(), len(texts[0]))
    assert found is not None
    assert found.tolist() == [to_epoch_ms(text) for text in texts]


@given(time_columns(), st.data())
def test_a_changed_character_is_never_read_as_another_time(
    texts: list[str], data: st.DataObject
) -> None:
    size = len(texts[0])
    octets = bytearray("".join(texts).encode())
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(
        st.sampled_from(b"0123456789TZ:.+-9")
    )
    found = lexical.times(bytes(octets), size)
    if found is not None:
        changed = [octets[at : at + size].decode() for at in range(0, len(octets), size)]
        assert found.tolist() == [to_epoch_ms(text) for text in changed]


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00+14:01",
        "2026-01-01T00:00:00+13:60",
        "2200-01-01T00:00:00Z",
        "1899-12-31T23:59:59Z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
    ],
)
def test_times_that_do_not_exist_or_are_rare_are_left_to_the_reference(text: str) -> None:
    good = "2026-01-01T00:00:00Z" if text.endswith("Z") else "2026-01-01T00:00:00+01:00"
    column = (good * 3 + text).encode() if len(text) == len(good) else text.encode() * 2
    assert lexical.times(column, len(text)) is None


def test_a_leap_day_is_read() -> None:
    text = "2028-02-29T23:59:59.5+00:30"
    moment = datetime(2028, 2, 29, 23, 29, 59, 500_000, tzinfo=UTC)
    found = lexical.times(text.encode() * 2, len(text))
    assert found is not None
    assert found.tolist() == [int(moment.timestamp() * 1000)] * 2


@given(st.text(max_size=30))
@example("1e400")
@example("1e-320")
@example("0e-400")
@example("0.1234567890123456")
@example("100000000000000000000")
@example("NaN")
@example("INF")
@example("1_000")
@example("٣")
def test_a_number_is_exact_or_says_that_it_is_not(text: str) -> None:
    try:
        value, exact = number(text)
    except NotANumberError:
        return
    if exact:
        assert f"{value:.15g}" == f"{float(text):.15g}"
        digits = text.lower().partition("e")[0].strip("+-").replace(".", "").strip("0")
        assert len(digits) <= 15


def test_the_reference_reads_times_that_the_bulk_path_leaves_to_it() -> None:
    assert to_epoch_ms("2026-01-01T24:00:00Z") == to_epoch_ms("2026-01-02T00:00:00Z")
    with pytest.raises(TimestampError):
        to_epoch_ms("2026-02-29T00:00:00Z")
    with pytest.raises(rows.NotPlainError):
        rows.find(b"<MeterReading/>")
