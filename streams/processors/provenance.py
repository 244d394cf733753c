"""Where a message came in, when its record is no longer the one on inbound.

Lives here: the headers that an accepted message carries from inbound, and reading them. Must not
live here: what else is in a record (see `outputs`).

Invariant: `inbound_of(accepted(r))` has the topic, partition, offset and time of r, so that what
registers write says the same of a message as what intake writes.
"""

from __future__ import annotations

import re
from typing import Final

from streams.engine.record import Headers, Record

_PLACE: Final = "cimstream_inbound"
_TIME: Final = "cimstream_inboundtime"
_SAID: Final = re.compile(rb"(.+)/(\d+)@(\d+)")


def inbound_headers(record: Record) -> Headers:
    """What is written of an inbound record beside its message."""
    return ((_PLACE, str(record).encode()), (_TIME, str(record.timestamp_ms).encode()))


def says_inbound(record: Record) -> bool:
    """Whether the record was written by intake, and so says where it came in."""
    headers = dict(record.headers)
    place, time = headers.get(_PLACE, b""), headers.get(_TIME, b"")
    return bool(_SAID.fullmatch(place) and time.isdigit())


def inbound_of(record: Record) -> Record:
    """The record as it was on inbound.

    Raises:
        ValueError: it does not say; it was written by something else than intake.
    """
    if not says_inbound(record):
        raise ValueError(f"{record} does not say where it came in")
    headers = dict(record.headers)
    topic, place = headers[_PLACE].decode().rsplit("/", 1)
    partition, offset = place.split("@")
    return record._replace(
        topic=topic,
        partition=int(partition),
        offset=int(offset),
        timestamp_ms=int(headers[_TIME]),
        headers=tuple(h for h in record.headers if h[0] not in (_PLACE, _TIME)),
    )


def place_of(record: Record) -> str:
    """Where the message came in: the record itself, or the inbound record it says."""
    place = dict(record.headers).get(_PLACE)
    return str(record) if place is None else place.decode()
