"""Where a message came in, when its record is no longer the one on inbound.

Lives here: the headers that an accepted message carries from inbound, and reading them. Must not
live here: what else is in a record (see `outputs`).

Invariant: `inbound_of(accepted(r))` has the topic, partition, offset and time of r, so that what
registers write says the same of a message as what intake writes.
"""

from __future__ import annotations

from typing import Final

from streams.engine.record import Headers, Record

_PLACE: Final = "cimstream_inbound"
_TIME: Final = "cimstream_inboundtime"


def inbound_headers(record: Record) -> Headers:
    """What is written of an inbound record beside its message."""
    return ((_PLACE, str(record).encode()), (_TIME, str(record.timestamp_ms).encode()))


def inbound_of(record: Record) -> Record:
    """The record as it was on inbound.

    Raises:
        ValueError: it does not say; it was written by something else than intake.
    """
    headers = dict(record.headers)
    topic, slash, rest = headers.get(_PLACE, b"").decode().rpartition("/")
    partition, at, offset = rest.partition("@")
    if not (slash and at):
        raise ValueError(f"{record} does not say where it came in")
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
