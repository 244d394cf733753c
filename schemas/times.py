"""Times of messages: xs:dateTime with a zone, to and from Unix epoch milliseconds.

Lives here: the lexical form and the arithmetic. Must not live here: clocks, time zones
by name, and guesses about a missing zone. Invariant: what `to_epoch_ms` accepts,
`from_epoch_ms` can write, and it is the same instant to the millisecond.
"""

import re
from datetime import date
from functools import lru_cache
from typing import Final

_DATE_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d):(\d\d))?", re.ASCII
)
# What market documents write: to the minute, normally in UTC.
_MINUTE: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(Z|[+-]\d\d:\d\d)?", re.ASCII)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_MS: Final = 86_400_000
# 0001-01-01T00:00:00Z and the last millisecond of 9999: what a four-digit year can say.
EPOCH_MS_MIN: Final = (date.min.toordinal() - _EPOCH_DAY) * _DAY_MS
EPOCH_MS_MAX: Final = (date.max.toordinal() + 1 - _EPOCH_DAY) * _DAY_MS - 1
# XML Schema's limit for the offset.
_OFFSET_MINUTES_MAX: Final = 14 * 60


class TimestampError(ValueError):
    """A text that is no usable time; `code` is `timestamp_invalid` or `timestamp_without_zone`.

    Raised by `to_epoch_ms` only. Callers turn it into a `Problem` with the place. The
    text itself is not in the message.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def to_epoch_ms(text: str) -> int:
    """The instant of an xs:dateTime with a zone, in Unix epoch milliseconds.

    `24:00:00` is the first instant of the next day. Digits beyond milliseconds are cut
    off, not rounded. The text is taken as it is: white space around it is the caller's.

    Raises:
        TimestampError: `timestamp_without_zone` where only the zone is missing,
            `timestamp_invalid` otherwise, also for leap seconds (60) and for instants
            outside the years 1 to 9999 UTC.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise TimestampError("timestamp_invalid")
    year, month, day, hour, minute, second, fraction, utc, sign, *offset = match.groups()
    millis = int(fraction[:3].ljust(3, "0")) if fraction else 0
    of_day_ms = (int(hour) * 3600 + int(minute) * 60 + int(second)) * 1000 + millis
    if hour == "24":
        # 24:00:00 and nothing after it; a lost digit behind the milliseconds counts too.
        if of_day_ms != _DAY_MS or (fraction and fraction.strip("0")):
            raise TimestampError("timestamp_invalid")
    elif hour > "23" or minute > "59" or second > "59":
        raise TimestampError("timestamp_invalid")
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        raise TimestampError("timestamp_invalid") from None
    instant_ms = days * _DAY_MS + of_day_ms
    if sign:
        instant_ms -= _offset_ms(sign, *offset)
    elif not utc:
        raise TimestampError("timestamp_without_zone")
    if not EPOCH_MS_MIN <= instant_ms <= EPOCH_MS_MAX:
        raise TimestampError("timestamp_invalid")
    return instant_ms


def minute_to_epoch_ms(text: str) -> int:
    """The instant of a time that is said to the minute, `2026-01-01T00:00Z`.

    A time with seconds is understood, too: some systems write them here.

    Raises:
        TimestampError: as `to_epoch_ms`.
    """
    match = _MINUTE.fullmatch(text)
    return to_epoch_ms(text if match is None else f"{match[1]}:00{match[2] or ''}")


def _offset_ms(sign: str, hours: str, minutes: str) -> int:
    offset_minutes = int(hours) * 60 + int(minutes)
    if minutes > "59" or offset_minutes > _OFFSET_MINUTES_MAX:
        raise TimestampError("timestamp_invalid")
    return offset_minutes * (60_000 if sign == "+" else -60_000)


def from_epoch_ms(instant_ms: int) -> str:
    """The xs:dateTime of an instant, in UTC with `Z`; a fraction only where there is one.

    Raises:
        ValueError: outside the years 1 to 9999, which the form cannot say.
    """
    if not EPOCH_MS_MIN <= instant_ms <= EPOCH_MS_MAX:
        raise ValueError("an instant outside the years 1 to 9999 has no xs:dateTime")
    days, of_day_ms = divmod(instant_ms, _DAY_MS)
    seconds, millis = divmod(of_day_ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = f".{millis:03d}" if millis else ""
    return f"{_day(days)}T{hour:02d}:{minute:02d}:{second:02d}{fraction}Z"


@lru_cache(maxsize=64)
def _day(days: int) -> str:
    """The times of a message are mostly of a few days."""
    return date.fromordinal(days + _EPOCH_DAY).isoformat()


def minute_from_epoch_ms(instant_ms: int) -> str:
    """The time of an instant in UTC, to the minute; with seconds only where it has some.

    Raises:
        ValueError: as `from_epoch_ms`.
    """
    text = from_epoch_ms(instant_ms)
    return text if instant_ms % 60_000 else text.replace(":00Z", "Z")
