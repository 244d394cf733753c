"""A query on its way from intake to whoever answers it.

Lives here: the record on requests, written and read, and until when an answer is of use. Must not
live here: which queries may pass (see `intake`), answering them (see `responder`).

Invariant: the value is that of the record on inbound; the headers say all that routing, answering
and correlating need, so that a responder of any make can do without our code.
"""

from __future__ import annotations

from typing import Final

from schemas.envelope import Header
from schemas.errors import MessageError
from schemas.times import TimestampError, from_epoch_ms, to_epoch_ms
from streams.engine.record import Headers, Output, Record
from streams.processors.outputs import KEPT, traceparent
from streams.processors.provenance import inbound_headers
from streams.processors.understand import Understood
from topics import naming
from topics.queries import EXPIRY
from topics.rejection import UNKNOWN_SOURCE

_PROPERTY: Final = "Expiry"
_PLACE: Final = "/*/Header/Property"


def query(record: Record, message: Understood, interface: str, until_ms: int) -> Output:
    """The query that came in by `interface`, for the responders of its noun's home."""
    header, identity = message.header, message.identity
    said = {"ce_correlationid": header.correlation_id, "ce_destination": header.destination}
    given: Headers = tuple((name, text.encode()) for name, text in said.items() if text)
    time_ms = record.timestamp_ms if header.timestamp_ms is None else header.timestamp_ms
    return Output(
        naming.requests(message.noun.home),
        identity.key,
        record.value,
        (
            ("content-type", b"application/xml"),
            ("ce_specversion", b"1.0"),
            ("ce_id", identity.message_id.encode()),
            ("ce_source", (header.source or UNKNOWN_SOURCE).encode()),
            ("ce_type", f"cim.{message.noun.name}.{header.verb}".encode()),
            ("ce_time", from_epoch_ms(time_ms).encode()),
            ("ce_interface", interface.encode()),
            ("ce_noun", message.noun.name.encode()),
            ("ce_verb", header.verb.encode()),
            *given,
            (EXPIRY, from_epoch_ms(until_ms).encode()),
            *inbound_headers(record),
            ("traceparent", traceparent(record, identity.key)),
            *(kept for kept in record.headers if kept[0] in KEPT and kept[0] != "traceparent"),
        ),
    )


def expiry_ms(header: Header, record: Record, otherwise_ms: int) -> int:
    """From when on nobody waits for an answer: what the Property `Expiry` says.

    Without one, `otherwise_ms` after the query was appended to inbound. Epoch milliseconds.

    Raises:
        MessageError: `header_invalid`, `timestamp_invalid`, `timestamp_without_zone`.
    """
    said = [text for name, text in header.properties if name.lower() == _PROPERTY.lower()]
    if not said:
        return record.timestamp_ms + otherwise_ms
    if len(said) > 1:
        raise MessageError.of("header_invalid", f"{_PROPERTY} given twice", xpath=_PLACE)
    try:
        return to_epoch_ms(said[0])
    except TimestampError as error:
        raise MessageError.of(error.code, _PROPERTY, xpath=_PLACE) from error


def told_expiry_ms(record: Record) -> int | None:
    """What `query` wrote of it; None where the record says nothing that can be read."""
    said = dict(record.headers).get(EXPIRY, b"")
    try:
        return to_epoch_ms(said.decode("utf-8", "replace"))
    except TimestampError:
        return None
