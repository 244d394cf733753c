"""The key of an event: which object of the real world it is about.

Lives here: the order in which identities are tried and how a name becomes one text. Must
not live here: partitions, message identity, which object of a register has which names.

Invariant: different identities give different keys, and an mRID in all its spellings one. An
mRID has no `|` left in it, a name has exactly two: authority|type|name, with `%` and `|` inside
the parts percent-escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from schemas import mrids

Part = Mapping[str, Any]


class Identity(NamedTuple):
    """By what an object of a register is found: the keys of its mRID and of all its names."""

    mrid: bytes | None
    names: tuple[bytes, ...]

    @classmethod
    def of(cls, part: Part | None) -> Identity:
        """That of the part which identifies the object."""
        if part is None:
            return NOBODY
        mrid = part.get("mRID")
        key = None if mrid is None else of_mrid(mrid).encode()
        return cls(key, tuple(dict.fromkeys(name.encode() for name in names_of(part))))


NOBODY: Final = Identity(None, ())
"""The identity of what has none."""


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("|", "%7C")


def of_mrid(mrid: str) -> str:
    """The key of an mRID, the same for all texts of one UUID (see `schemas.mrids`)."""
    return _escaped(mrids.normal(mrid))


def is_of_mrid(key: bytes) -> bool:
    """Whether a key is that of an mRID, and not that of a name."""
    return b"|" not in key


def normal(key: bytes) -> bytes:
    """The key, of an mRID in its normal form: for a key whose mRID was put in as it came."""
    return mrids.normal(key.decode()).encode() if is_of_mrid(key) else key


def names_of(part: Part) -> Iterator[str]:
    """The keys of the names of a meter, usage point or asset, its serial number the last."""
    for name in part.get("names", ()):
        parts = (name["authority"] or "", name["type"] or "", name["name"])
        yield "|".join(map(_escaped, parts))
    serial = part.get("serialNumber")
    if serial is not None:
        yield f"|serialNumber|{_escaped(serial)}"


def identity(part: Part | None) -> str | None:
    """The identity of a meter, usage point or asset; None where it has none.

    Its mRID, else its first name, else its serial number (as the name "|serialNumber|…").
    """
    if part is None:
        return None
    mrid = part.get("mRID")
    return next(names_of(part), None) if mrid is None else of_mrid(mrid)


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
