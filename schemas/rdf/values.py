"""Whether a literal is one of its type, as XML Schema writes it.

Lives here: one pattern per primitive type of the CIM. Must not live here: what the value means.
"""

import re
from collections.abc import Mapping
from typing import Final

_ZONE = r"(?:Z|[+-]\d{2}:\d{2})?"
_DATE = r"-?\d{4,}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"T(?:[01]\d|2[0-4]):[0-5]\d:[0-5]\d(?:\.\d+)?"

# Versions of the CIM disagree about the type of a few dates: a whole time is a date too, and a
# date a day of a year.
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "Boolean": re.compile(r"true|false|0|1"),
    "Date": re.compile(f"{_DATE}(?:{_TIME})?{_ZONE}"),
    "DateTime": re.compile(f"{_DATE}{_TIME}{_ZONE}"),
    "Decimal": re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"),
    "Float": re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|-?INF|NaN"),
    "Integer": re.compile(r"[+-]?\d+"),
    "MonthDay": re.compile(rf"--\d{{2}}-\d{{2}}{_ZONE}|{_DATE}(?:{_TIME})?{_ZONE}"),
}


def is_valid(primitive: str, text: str) -> bool:
    """Whether the text, without white space around it, is a literal of the primitive type."""
    pattern = _PATTERNS.get(primitive)
    return (
        pattern is None
        or pattern.fullmatch(text) is not None
        or pattern.fullmatch(text.strip()) is not None
    )
