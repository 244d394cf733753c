"""The dotted number codes of IEC 61968-9 and -100, taken apart and made readable.

Lives here: reading types, event types, reading qualities and reply codes as their named fields
(`dotted`), the names of their numbers (`tables`), whole codes to names, back, and in words
(`names`). Must not live here: any judgement whether a combination makes sense.

Invariant: parsing is lenient and never raises. A text that does not have the shape of
the code gives None, and the caller keeps the raw text; real systems put OBIS codes and
short device codes in the same places. A number without a name keeps its number.
"""

from schemas.codes.dotted import EventTypeCode, QualityCode, ReadingTypeCode, ReplyCode
from schemas.codes.names import Code, describe, fields, from_fields, parse

__all__ = [
    "Code",
    "EventTypeCode",
    "QualityCode",
    "ReadingTypeCode",
    "ReplyCode",
    "describe",
    "fields",
    "from_fields",
    "parse",
]
