"""The UUID of a CIM object, however it is written.

Lives here: which texts mean the same UUID. Must not live here: keys of events (see
`schemas.profiles.keys`) and of models (see `schemas.rdf.names`), which both keep to it.

In the field a UUID is written in capitals or not, as URN ("urn:uuid:…"), with the underscore that
an rdf:ID needs ("_…", IEC 61970-552), or as a reference ("#_…", with or without a base).

Invariant: texts of one UUID have one normal form; a text that is no UUID has none.
"""

from __future__ import annotations

import re
from typing import Final

_HEX: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID: Final = re.compile(rf"(?:(?i:urn:uuid:)|[^#]*#)?_?({_HEX})")
_NORMAL: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuid_of(text: str) -> str | None:
    """The UUID that a text is, in small letters; None where it is none."""
    found = _UUID.fullmatch(text)
    return None if found is None else found[1].lower()


def normal(mrid: str) -> str:
    """The mRID by which an object is found: its UUID, or where it is none the text as it is."""
    return uuid_of(mrid) or mrid


def is_normal_uuid(text: str) -> bool:
    """Whether a text is a UUID in its normal form."""
    return _NORMAL.fullmatch(text) is not None
