"""The memory of one message: what the dedup store keeps under its identity.

Lives here: the bytes of a mark. Must not live here: when a mark is written or believed
(see `intake`).

Layout, big-endian: version (1 byte), append time of the first message (8, epoch ms), its
inbound offset (8), digest of its raw bytes (16), then the reply that was given, if any.
The inbound partition needs no place: repeats meet on the partition of the mark.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_LAYOUT: Final = struct.Struct(">Bqq16s")
_VERSION: Final = 1
_TIME: Final = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a message that took effect."""

    time_ms: int
    offset: int
    digest: bytes
    reply: bytes = b""

    def pack(self) -> bytes:
        """The bytes of the mark."""
        return _LAYOUT.pack(_VERSION, self.time_ms, self.offset, self.digest) + self.reply

    @classmethod
    def unpack(cls, data: bytes) -> Mark:
        """A mark from its bytes.

        Raises:
            ValueError: written by a version that this one does not know.
        """
        version, time_ms, offset, digest = _LAYOUT.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"dedup mark of version {version}, this release reads {_VERSION}")
        return cls(time_ms, offset, digest, data[_LAYOUT.size :])


def time_of(data: bytes) -> int:
    """Append time of a packed mark (epoch ms UTC); it stands at one place in every version."""
    return int(_TIME.unpack_from(data, 1)[0])
