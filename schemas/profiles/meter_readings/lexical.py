"""Columns of plain texts -> columns of numbers, a whole message at once.

Lives here: vectorised reading of times and values in the forms that meters really send.
Must not live here: any tolerance; what has another form is left to the reference reader.

Invariant: a column that is read here has the numbers that `schemas.times.to_epoch_ms` and
`float` give for each of its texts; None says only that somebody else must look.
"""

import re
from datetime import date
from functools import lru_cache
from struct import pack
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.avro.wire import Float64Array, Int64Array
from schemas.profiles.meter_readings.numbers import DIGITS_MAX

ByteArray = npt.NDArray[np.uint8]

_ZERO: Final = ord("0")
_MINUS: Final = ord("-")
_POINT: Final = ord(".")

# --- times -----------------------------------------------------------------------------------

_TIME: Final = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(?:Z|([+-])[0-9]{2}:[0-9]{2})"
)
_YEAR_MIN: Final = 1900
_YEAR_MAX: Final = 2199
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
# The day, counted from the epoch, on which each month of these years begins, and one more.
_MONTH_DAYS: Final = np.array(
    [
        date(month // 12, month % 12 + 1, 1).toordinal() - _EPOCH_DAY
        for month in range(_YEAR_MIN * 12, (_YEAR_MAX + 1) * 12 + 1)
    ],
    np.int64,
)
_MONTH_LENGTHS: Final = np.diff(_MONTH_DAYS)
_SEPARATORS: Final = ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"))
# First digit and number of digits of year, month, day, hour, minute, second.
_FIELDS: Final = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2))
_SECONDS_END: Final = 19
_DAY_MS: Final = 86_400_000
_OFFSET_MINUTES_MAX: Final = 14 * 60


def times(texts: bytes, size: int) -> Int64Array | None:
    """The instants of texts of `size` bytes each, one after the other, in epoch milliseconds.

    None where one of them is no time, lies outside the years 1900 to 2199, is 24:00:00, or
    is written in another form than the first.
    """
    form = _TIME.fullmatch(texts[:size])
    if form is None:
        return None
    table = np.frombuffer(texts, np.uint8).reshape(-1, size)
    fields = list(_FIELDS)
    fixed = list(_SEPARATORS)
    if form[1]:
        fixed.append((_SECONDS_END, "."))
        fields.append((_SECONDS_END + 1, len(form[1]) - 1))
    if form[2]:
        fixed.append((size - 3, ":"))
        fields += [(size - 5, 2), (size - 2, 2)]
    else:
        fixed.append((size - 1, "Z"))
    places = [place for place, _ in fixed]
    marks = np.frombuffer("".join(mark for _, mark in fixed).encode(), np.uint8)
    if not bool((table[:, places] == marks).all()):
        return None
    numbers = _fields(table, fields)
    if numbers is None:
        return None
    instants_ms = _instants(numbers)
    if instants_ms is None or (form[1] is None and form[2] is None):
        return instants_ms
    if form[1]:
        digits = len(form[1]) - 1
        fraction = numbers[len(_FIELDS)]
        instants_ms += (
            fraction * 10 ** (3 - digits) if digits < 3 else fraction // 10 ** (digits - 3)
        )
    return _without_offset(instants_ms, table[:, size - 6], numbers) if form[2] else instants_ms


def _fields(table: ByteArray, fields: list[tuple[int, int]]) -> list[Int64Array] | None:
    """The numbers in the columns `fields` (first column, digits); None where one is no digit."""
    columns = [first + digit for first, count in fields for digit in range(count)]
    digits = table[:, columns] - _ZERO
    if bool((digits > 9).any()):
        return None
    weights = np.zeros((len(columns), len(fields)))
    row = 0
    for field, (_, count) in enumerate(fields):
        for digit in range(count):
            weights[row, field] = 10 ** (count - 1 - digit)
            row += 1
    # Sums of at most nine digits: exact in doubles, and one call into the linear algebra.
    numbers = (digits.astype(np.float64) @ weights).astype(np.int64)
    return list(numbers.T)


def _instants(numbers: list[Int64Array]) -> Int64Array | None:
    """Epoch milliseconds as if in UTC and without fraction; None where there is no such time."""
    year, month, day, hour, minute, second = numbers[: len(_FIELDS)]
    if not (
        year.min() >= _YEAR_MIN
        and year.max() <= _YEAR_MAX
        and month.min() >= 1
        and month.max() <= 12
        and day.min() >= 1
        and hour.max() <= 23
        and minute.max() <= 59
        and second.max() <= 59
    ):
        return None
    of_month = (year - _YEAR_MIN) * 12 + month - 1
    if bool((day > _MONTH_LENGTHS[of_month]).any()):
        return None
    days = _MONTH_DAYS[of_month] + day - 1
    instants_ms: Int64Array = days * _DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000
    return instants_ms


def _without_offset(
    instants_ms: Int64Array, signs: ByteArray, numbers: list[Int64Array]
) -> Int64Array | None:
    hours, minutes = numbers[-2:]
    offset = hours * 60 + minutes
    west = signs == _MINUS
    if not bool((west | (signs == ord("+"))).all()):
        return None
    if minutes.max() > 59 or offset.max() > _OFFSET_MINUTES_MAX:
        return None
    instants_ms -= np.where(west, -offset, offset) * 60_000
    return instants_ms


# --- values ----------------------------------------------------------------------------------

# A sign, 15 digits and a point would be 17; one such value in a million is not worth a wider
# table, so 15 digits with a point are the most that is read here.
WINDOW: Final = 16
_PLAIN: Final = re.compile(rb"(?:-?[0-9]+(?:\.[0-9]+)?<)+")
# Row k: the last k of WINDOW columns are ones.
_LAST: Final = np.tri(WINDOW + 1, WINDOW, -1, dtype=np.uint8)[:, ::-1].copy()


def values(texts: list[bytes]) -> list[float] | None:
    """The values of plain decimals; None where one of them is none or has over 15 digits.

    The texts come from between tags, so none has a "<" in it.
    """
    if _PLAIN.fullmatch(b"<".join(texts) + b"<") is None:
        return None
    if max(map(len, texts)) > DIGITS_MAX and max(map(_digits, texts)) > DIGITS_MAX:
        return None
    return [float(text) for text in texts]


def _digits(text: bytes) -> int:
    return len(text) - text.count(b".") - text.count(b"-")


def little_endian(numbers: list[float]) -> bytes:
    """Doubles as the event log writes them."""
    return pack(f"<{len(numbers)}d", *numbers)


def fixed_point(
    windows: ByteArray, lengths: Int64Array, negative: npt.NDArray[np.bool_]
) -> Float64Array | None:
    """The values of decimals that all have the same number of digits behind the point.

    `windows` has one row per value: the `WINDOW` bytes before its end; `lengths` counts the
    bytes that belong to it, without the sign that `negative` tells of. None where one is no
    such decimal, or the decimals differ in form.
    """
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 1 or longest > WINDOW:
        return None
    windows = windows[:, WINDOW - longest :]
    point = _point_column(windows[0, longest - int(lengths[0]) :], longest)
    digits = windows - _ZERO
    decimals = 0
    if point is not None:
        decimals = longest - 1 - point
        # At least one digit before the point, and one behind it.
        if decimals == 0 or shortest < decimals + 2:
            return None
        if not bool((windows[:, point] == _POINT).all()):
            return None
        digits[:, point] = 0
    elif longest > DIGITS_MAX:
        return None
    if shortest < longest:
        digits *= _LAST[lengths, WINDOW - longest :]
    if bool((digits > 9).any()):
        return None
    # Whole numbers below 10**15 are exact in doubles, and so are powers of ten up to 10**22:
    # the quotient is the double nearest to the decimal, which is what float(text) gives.
    values = digits.astype(np.float64) @ _weights(longest, point)
    if decimals:
        values /= float(10**decimals)
    return np.negative(values, out=values, where=negative) if negative.any() else values


def _point_column(first: ByteArray, width: int) -> int | None:
    """The column of the first value's point, in a table of `width` columns."""
    points = np.flatnonzero(first == _POINT)
    return width - len(first) + int(points[0]) if len(points) else None


@lru_cache(maxsize=WINDOW * WINDOW)
def _weights(width: int, point: int | None) -> Float64Array:
    """What a digit in each column counts; nothing where the point is."""
    weights = np.zeros(width)
    power = 1.0
    for column in reversed(range(width)):
        if column != point:
            weights[column] = power
            power *= 10.0
    return weights
