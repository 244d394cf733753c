"""Values of readings: text -> double, and whether the double says all of it.

Lives here: the lexical rule and the rule of exactness. Must not live here: units,
multipliers, columns of values. Invariant: a value is never rounded without its text being
kept beside it.
"""

import re
from typing import Final

# xs:double without its words: NaN and INF are no measurements.
_NUMBER: Final = re.compile(r"[+-]?(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE][+-]?[0-9]+)?")
# A double holds every decimal of 15 significant digits so that it can be written back.
DIGITS_MAX: Final = 15
# Below it doubles lose digits.
_NORMAL_MIN: Final = 2.2250738585072014e-308
_INFINITY: Final = float("inf")


class NotANumberError(ValueError):
    """The text is no decimal number. Raised by `number` only; the reader notes it."""


def number(text: str) -> tuple[float, bool]:
    """The value, and whether it is exact: within 15 significant digits and a double's range.

    Leading and trailing zeros are no significant digits. A number too large for a double
    comes back as NaN, not exact: its text is all that can be kept.

    Raises:
        NotANumberError: the text is no decimal number (also for INF and NaN).
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise NotANumberError
    value = float(text)
    if len(text) <= DIGITS_MAX and "e" not in text and "E" not in text:
        return value, True
    digits = ((match[1] or "") + (match[2] or match[3] or "")).strip("0")
    if abs(value) == _INFINITY:
        return float("nan"), False
    return value, len(digits) <= DIGITS_MAX and (not digits or abs(value) >= _NORMAL_MIN)
