"""The four codes as named tuples of integers.

Lives here: field names in their order, and the one lexical rule they share.
Must not live here: name tables for the numbers.

Invariant: `str(Code.parse(text)) == text` for every text in canonical spelling (no leading
zeros, no plus sign); other spellings of the same numbers give the same tuple.
"""

import re
from typing import NamedTuple, Self

# Nine digits always fit the 32-bit integers of the event log; no field of the standard
# has more than three.
_NUMBER = re.compile(r"-?[0-9]{1,9}")


def _numbers(text: str, count: int) -> list[int] | None:
    parts = text.split(".")
    if len(parts) != count or not all(map(_NUMBER.fullmatch, parts)):
        return None
    return [int(part) for part in parts]


class ReadingTypeCode(NamedTuple):
    """The 18 fields of a ReadingType mRID, e.g. 0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0.

    `multiplier` is a power of ten and may be negative; `currency` is the ISO 4217 number.
    """

    macro_period: int
    aggregate: int
    measuring_period: int
    accumulation: int
    flow_direction: int
    commodity: int
    measurement_kind: int
    interharmonic_numerator: int
    interharmonic_denominator: int
    argument_numerator: int
    argument_denominator: int
    tou: int
    cpp: int
    consumption_tier: int
    phases: int
    multiplier: int
    unit: int
    currency: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Take a code apart; None where the text is not 18 integers.

        Only the multiplier may be negative.
        """
        numbers = _numbers(text, len(cls._fields))
        if numbers is None:
            return None
        code = cls._make(numbers)
        if any(number < 0 for number in code._replace(multiplier=0)):
            return None
        return code

    def __str__(self) -> str:
        return ".".join(map(str, self))


class EventTypeCode(NamedTuple):
    """The four fields of an EndDeviceEventType or EndDeviceControlType, e.g. 3.26.0.85."""

    type: int
    domain: int
    sub_domain: int
    event_or_action: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Take a code apart; None where the text is not four integers from 0 up."""
        numbers = _numbers(text, len(cls._fields))
        if numbers is None or min(numbers) < 0:
            return None
        return cls._make(numbers)

    def __str__(self) -> str:
        return ".".join(map(str, self))


class QualityCode(NamedTuple):
    """The three fields of a ReadingQualityType, system.category.index, e.g. 5.4.260."""

    system: int
    category: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Take a code apart; None where the text is not three integers from 0 up."""
        numbers = _numbers(text, len(cls._fields))
        if numbers is None or min(numbers) < 0:
            return None
        return cls._make(numbers)

    def __str__(self) -> str:
        return ".".join(map(str, self))


class ReplyCode(NamedTuple):
    """The two fields of a Reply.Error.code of IEC 61968-100, e.g. 2.6."""

    group: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Take a code apart; None where the text is not two integers from 0 up."""
        numbers = _numbers(text, len(cls._fields))
        if numbers is None or min(numbers) < 0:
            return None
        return cls._make(numbers)

    def __str__(self) -> str:
        return ".".join(map(str, self))
