"""The key of an event: which object of the real world it is about.

Lives here: the order in which identities are tried and how a name becomes one text. Must
not live here: partitions, message identity.

Invariant: different identities give different keys. An mRID has no `|` left in it, a name
has exactly two: authority|type|name, with `%` and `|` inside the parts percent-escaped.
"""

from collections.abc import Mapping
from typing import Any, cast

Part = Mapping[str, Any]


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("|", "%7C")


def identity(part: Part | None) -> str | None:
    """The identity of a meter, usage point or asset; None where it has none.

    Its mRID, else its first name, else its serial number (as the name "|serialNumber|…").
    """
    if part is None:
        return None
    mrid = part.get("mRID")
    if mrid is not None:
        return _escaped(mrid)
    for name in part.get("names", ()):
        parts = (name["authority"] or "", name["type"] or "", name["name"])
        return "|".join(map(_escaped, parts))
    serial = part.get("serialNumber")
    return None if serial is None else f"|serialNumber|{_escaped(serial)}"


def part(record: Part, path: str) -> Part | None:
    """The record at a path of fields, "." being the record itself; of several the first."""
    found: Any = record
    for field in filter(None, path.split(".")):
        found = found[field] if found else None
        if isinstance(found, list):
            found = found[0] if found else None
    return cast("Part | None", found)


def first_key(*parts: Part | None) -> bytes | None:
    """The key of the first of `parts` that has an identity, in UTF-8; None where none has."""
    for part in parts:
        text = identity(part)
        if text is not None:
            return text.encode()
    return None
