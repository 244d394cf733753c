"""The objects of a network model as the registers keep them: in chunks, packed.

Lives here: which chunk an object is in, the bytes of a chunk, and what differs between two. Must
not live here: what an object says (`schemas.rdf`), when a model may change (see `models`).

A model of 200,000 objects is a thousand records of some 15 KB, and not 200,000: where nothing
changed they are compared as a whole, and they fit in a transaction beside the events.

Invariant: the same objects are the same bytes, so chunks that differ hold a difference.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

CHUNKS: Final = 1024
"""Of one model. Changing it would lose what is kept."""
_LENGTHS: Final = Struct("<II")
# The level costs little; more of it gains little.
_LEVEL: Final = 1

Objects = Mapping[str, bytes]
"""mRID to all that the object says, as bytes."""


def chunk_of(mrid: str) -> int:
    """The chunk that the object is in."""
    return zlib.crc32(mrid.encode()) % CHUNKS


def pack(objects: Objects) -> bytes:
    """The objects as a chunk, in order of their mRIDs."""
    parts: list[bytes] = []
    for mrid in sorted(objects):
        name, body = mrid.encode(), objects[mrid]
        parts += (_LENGTHS.pack(len(name), len(body)), name, body)
    return zlib.compress(b"".join(parts), _LEVEL)


def unpack(chunk: bytes | None) -> dict[str, bytes]:
    """The objects of a chunk; none where there is no chunk."""
    if chunk is None:
        return {}
    data = zlib.decompress(chunk)
    objects: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        name, body = _LENGTHS.unpack_from(data, at)
        at += _LENGTHS.size
        objects[data[at : at + name].decode()] = data[at + name : at + name + body]
        at += name + body
    return objects


@dataclass(frozen=True, slots=True)
class Change:
    """A chunk before and after; None where it has no objects."""

    number: int
    before: bytes | None
    after: bytes | None

    def objects(self) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """Each object that is new, other or gone: mRID, before, after."""
        before, after = unpack(self.before), unpack(self.after)
        for mrid in sorted(before.keys() | after.keys()):
            was, now = before.get(mrid), after.get(mrid)
            if was != now:
                yield mrid, was, now


class Stock:
    """The objects of one model, looked up and changed one by one."""

    def __init__(self, find: Callable[[int], bytes | None]) -> None:
        self._find = find
        self._loaded: dict[int, dict[str, bytes]] = {}
        self._before: dict[int, bytes | None] = {}

    def get(self, mrid: str) -> bytes | None:
        """What the object says; None where there is none."""
        return self._chunk(chunk_of(mrid)).get(mrid)

    def put(self, mrid: str, body: bytes | None) -> None:
        """Set the object; None removes it."""
        chunk = self._chunk(chunk_of(mrid))
        if body is None:
            chunk.pop(mrid, None)
        else:
            chunk[mrid] = body

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """All objects as they are now."""
        for number in range(CHUNKS):
            loaded = self._loaded.get(number)
            yield from (unpack(self._find(number)) if loaded is None else loaded).items()

    def changes(self) -> list[Change]:
        """What has become of the chunks that differ."""
        made = (
            Change(number, self._before[number], pack(chunk) if chunk else None)
            for number, chunk in sorted(self._loaded.items())
        )
        return [change for change in made if change.before != change.after]

    def _chunk(self, number: int) -> dict[str, bytes]:
        chunk = self._loaded.get(number)
        if chunk is None:
            self._before[number] = self._find(number)
            chunk = self._loaded[number] = unpack(self._before[number])
        return chunk
