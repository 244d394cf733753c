"""One message that is not yet with its destination, as the changelog has it.

Lives here: what is known of a pending delivery, and its form on `cim.delivery.pending-*`. Must not
live here: which of them is next (`table`), Kafka.

The message itself stays on outbound, where its place is. So an entry is small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Self

from streams.engine.record import Record
from streams.runtime.headers import headers
from streams.runtime.rejections import Place, parse_place
from topics.addressing import DESTINATION, EXPIRES, FATE, SUBJECT

_VERSION: Final = 1


@dataclass(slots=True, eq=False)
class Entry:
    """A pending delivery. Times are epoch milliseconds UTC.

    `since_ms` is when it came onto outbound, `size` the bytes of the message. `attempts` counts
    those whose outcome is known; `due_ms` is when the next one may be made. `begun` is set before
    an attempt that must not be repeated blindly, and stays until its outcome is known. `taken`: it
    has arrived, its receipt is awaited. `fate`: how it ends is decided, and only has to be written.
    `why` is what the last attempt, or whoever decided, said.
    """

    place: Place
    destination: str
    interface: str
    noun: str
    verb: str
    subject: str
    message_id: str
    correlation_id: str
    since_ms: int
    expires_ms: int
    size: int = 0
    attempts: int = 0
    due_ms: int = 0
    begun: bool = False
    taken: bool = False
    fate: str = ""
    why: str = ""

    @classmethod
    def of(cls, record: Record, expiry_ms: int) -> Self:
        """A new one. `expiry_ms` is how long it lives where nothing says when it expires."""
        told = headers(record)
        own = told.get(EXPIRES, "")
        default_ms = record.timestamp_ms + expiry_ms
        return cls(
            Place(record.source, record.offset),
            told.get(DESTINATION, ""),
            told.get("ce_interface", ""),
            told.get("ce_noun", ""),
            told.get("ce_verb", ""),
            told.get(SUBJECT, ""),
            told.get("ce_id", ""),
            told.get("ce_correlationid", ""),
            record.timestamp_ms,
            min(int(own), default_ms) if own.isdecimal() else default_ms,
            len(record.value or b""),
        )

    @property
    def key(self) -> bytes:
        """Of its record in the changelog."""
        return str(self.place).encode()

    def to_bytes(self) -> bytes:
        """The record's value."""
        told = {name: getattr(self, name) for name in self.__slots__ if name != "place"}
        return json.dumps({"v": _VERSION, **told}, separators=(",", ":")).encode()

    @classmethod
    def from_record(cls, key: bytes, value: bytes) -> Self | None:
        """What `key` and `to_bytes` wrote; None for what is none of ours."""
        place = parse_place(key)
        try:
            told = json.loads(value)
            if place is None or told.pop("v") != _VERSION:
                return None
            return cls(place, **told)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def is_addressed(record: Record) -> bool:
    """Whether a record of outbound is delivered: a message, or the fate of one; not a reply."""
    told = headers(record)
    return bool(told.get(DESTINATION)) and (told.get("ce_verb") != "reply" or FATE in told)
