"""The dotted number codes of IEC 61968-9: reading types, event types, reading qualities.

Lives here: taking a code apart into its named fields. Must not live here: what the
numbers mean (name tables), and any judgement whether a combination makes sense.

Invariant: parsing is lenient and never raises. A text that does not have the shape of
the code gives None, and the caller keeps the raw text; real systems put OBIS codes and
short device codes in the same places.
"""

from schemas.codes.dotted import EventTypeCode, QualityCode, ReadingTypeCode

__all__ = ["EventTypeCode", "QualityCode", "ReadingTypeCode"]
