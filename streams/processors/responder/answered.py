"""The memory of one answered query: what the responder keeps under its identity.

Lives here: the bytes of an entry. Must not live here: when one is written or believed.

Layout, big-endian, as far as that of a mark (see `streams.processors.marks`): version (1 byte),
append time on inbound (8, epoch ms); then the place on inbound, which names the reply.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_LAYOUT: Final = struct.Struct(">Bq")
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """Which sending of a query was answered. The reply itself lies on outbound and nowhere else."""

    time_ms: int
    place: str

    def pack(self) -> bytes:
        """The bytes of the entry."""
        return _LAYOUT.pack(_VERSION, self.time_ms) + self.place.encode()

    @classmethod
    def unpack(cls, data: bytes) -> Answered:
        """An entry from its bytes.

        Raises:
            ValueError: written by a version that this one does not know.
        """
        version, time_ms = _LAYOUT.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"entry of version {version}, this release reads {_VERSION}")
        return cls(time_ms, data[_LAYOUT.size :].decode())
