"""What the payload of a noun means: one folder per noun, found by name.

Lives here: the registry. Must not live here: which interface carries which noun (see
`topics`). Invariant: a profile is pure; the same payload gives the same items, byte for
byte.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from schemas.profiles.end_device_events import EndDeviceEventsProfile
from schemas.profiles.meter_readings import MeterReadingsProfile
from schemas.profiles.meter_readings.columns import BulkMessage, BulkReader
from schemas.profiles.model import Item, Outcome, Profile, RejectedObject

__all__ = [
    "BULK",
    "PROFILES",
    "BulkMessage",
    "Item",
    "Outcome",
    "Profile",
    "RejectedObject",
    "profile",
    "read_bulk",
]

PROFILES: Final[Mapping[str, Callable[[], Profile]]] = {
    "end_device_events": EndDeviceEventsProfile,
    "meter_readings": MeterReadingsProfile,
}


@cache
def profile(name: str) -> Profile:
    """The profile of this name, made once.

    Raises:
        KeyError: there is no such profile (a mistake in the catalogue).
    """
    return PROFILES[name]()


BULK: Final[Mapping[str, BulkReader]] = {"meter_readings": BulkReader()}


def read_bulk(name: str, data: bytes) -> BulkMessage | None:
    """A whole message of a bulk noun, read by columns.

    None where the profile `name` has no bulk reader, or the message is not plain enough: then
    `schemas.envelope.read` and the profile say what it means.
    """
    reader = BULK.get(name)
    return None if reader is None else reader.read(data)
