"""What the payload of a noun means: one folder per noun, found by name.

Lives here: the registry. Must not live here: which interface carries which noun (see
`topics`). Invariant: a profile is pure; the same payload gives the same items, byte for
byte.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final

from schemas.parsers import apart
from schemas.profiles.declared import DeclaredProfile
from schemas.profiles.end_device_events import EndDeviceEventsProfile
from schemas.profiles.meter_readings import MeterReadingsProfile
from schemas.profiles.meter_readings.columns import BulkMessage, BulkReader
from schemas.profiles.model import Allowance, Item, Outcome, Profile, RejectedObject, Rest
from schemas.profiles.network_data_set import NetworkDataSetProfile

__all__ = [
    "BULK",
    "DOCUMENTS",
    "PROFILES",
    "Allowance",
    "BulkMessage",
    "DeclaredProfile",
    "Item",
    "Outcome",
    "Profile",
    "RejectedObject",
    "Rest",
    "declared",
    "declared_names",
    "profile",
    "read_bulk",
]

_FOLDER: Final = Path(__file__).parent
# Those whose events are not one object each; every other profile is declared by its folder.
_WRITTEN: Final[Mapping[str, Callable[[], Profile]]] = {
    "end_device_events": EndDeviceEventsProfile,
    "meter_readings": MeterReadingsProfile,
    "network_data_set": NetworkDataSetProfile,
}
DOCUMENTS: Final = frozenset({"network_data_set"})
"""Profiles whose payload is an RDF/XML document: it may come packed; `schemas.rdf` reads it."""

PROFILES: Final = frozenset(file.parent.name for file in _FOLDER.glob("*/profile.xsd"))


@cache
def profile(name: str) -> Profile:
    """The profile of this name, made once.

    Raises:
        KeyError: there is no such profile (a mistake in the catalogue).
        ProfileFileError: its files have a mistake.
    """
    written = _WRITTEN.get(name)
    return declared(name) if written is None else apart(written)


def declared_names() -> list[str]:
    """The profiles that their folder declares, in order of name."""
    return sorted(PROFILES - _WRITTEN.keys())


@cache
def declared(name: str) -> DeclaredProfile:
    """The profile that the folder of this name declares, made once. Raises as `profile`."""
    if name not in PROFILES or name in _WRITTEN:
        raise KeyError(name)
    return apart(partial(DeclaredProfile, _FOLDER / name))


BULK: Final[Mapping[str, BulkReader]] = {"meter_readings": BulkReader()}


def read_bulk(name: str, data: bytes) -> BulkMessage | None:
    """A whole message of a bulk noun, read by columns.

    None where the profile `name` has no bulk reader, or the message is not plain enough: then
    `schemas.envelope.read` and the profile say what it means.
    """
    reader = BULK.get(name)
    return None if reader is None else reader.read(data)
