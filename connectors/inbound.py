"""From the bytes a system sent to the record that enters Kafka: measure, peek, address.

Lives here: topic, key and headers of an inbound record, and the refusal of what is too large
to enter. Must not live here: validation (intake does it, so that the same rules hold for
every way in), I/O, clocks, randomness.

Invariant: the value on `inbound` is the bytes as received, and the key is a function of the
message's identity alone, so that repeats meet on one partition whatever way they came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from schemas.envelope import Header, peek_header
from schemas.errors import CODES, MessageError
from schemas.identity import Identity, identify, unreadable_key
from schemas.times import from_epoch_ms
from schemas.xml import XmlLimits
from topics import Catalogue, naming
from topics.errors import EXIT_CONFIG, OperatorError
from topics.rejection import UNKNOWN_SOURCE, rejection_headers

REFUSED_HEAD_BYTES: Final = 64 * 1024
"""How much of a refused message is kept: its header, and enough to recognise it."""

# A header field is repeated in key and headers; what is longer than this is no identifier
# but an attempt to make the record three times the size of its value.
_FIELD_CHARS_MAX: Final = 1024

Headers = tuple[tuple[str, bytes], ...]


class UnknownInterfaceError(OperatorError):
    """The interface named does not exist; whoever chose it erred, not the message."""

    def __init__(self, interface_id: str, known: Iterable[str]) -> None:
        super().__init__(
            "interface_unknown",
            what=f"there is no interface {interface_id!r}",
            fix=f"name one of {', '.join(known)}",
            exit_code=EXIT_CONFIG,
        )


@dataclass(frozen=True, slots=True)
class Admitted:
    """One record ready to be produced.

    `identity` is how people find the message again: the identity's key, or the digest of
    what could not be read. `code` is empty, or why the record is a refusal. `refusals` is
    the topic a refusal of this message goes to.
    """

    topic: str
    key: bytes
    headers: Headers
    value: bytes
    identity: str
    refusals: str
    code: str = ""


def admit(
    data: bytes,
    interface_id: str,
    catalogue: Catalogue,
    *,
    received_ms: int,
    origin: str = "",
    traceparent: str = "",
    header: Header | None = None,
) -> Admitted:
    """Address one message as it came in.

    Args:
        data: The message, uncompressed, unchanged.
        interface_id: The interface it came in on, "I1" to "I11".
        catalogue: Says what the interface carries and how large a message may be.
        received_ms: Epoch milliseconds UTC; stands in for a message that has no timestamp.
        origin: Where it came from, for people (a file, a peer); kept with a refusal only.
        traceparent: W3C trace context to pass on; made by the caller, empty for none.
        header: What `peek_header` found, where the caller has looked already.

    Returns:
        A record for `cim.iN.inbound`; one for `cim.iN.rejected` where the message is larger
        than the catalogue allows. Bytes that cannot be read enter as they are, keyed by
        their digest: intake rejects them with the reason.

    Raises:
        UnknownInterfaceError: the catalogue has no such interface.

    Pure: same arguments, same record.
    """
    if len(data) > catalogue.bytes_max(interface_id):
        return admit_oversize(
            data[:REFUSED_HEAD_BYTES],
            interface_id,
            catalogue,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            received_ms=received_ms,
            origin=origin,
            traceparent=traceparent,
        )
    _check_interface(interface_id, catalogue)
    header = _usable(header or peek_header(data))
    identity = _identity(header, data, catalogue)
    shown = identity.key if identity else unreadable_key(data)
    media = b"application/xml" if identity else b"application/octet-stream"
    return Admitted(
        topic=naming.inbound(interface_id),
        key=_key(header, shown, catalogue),
        headers=(
            ("content-type", media),
            *_cloud_event(header, identity, shown, interface_id, received_ms),
            *_trace(traceparent),
        ),
        value=data,
        identity=shown.decode(),
        refusals=_refusals(header, interface_id, catalogue),
    )


def admit_oversize(
    head: bytes,
    interface_id: str,
    catalogue: Catalogue,
    *,
    size: int,
    sha256: str,
    received_ms: int,
    origin: str = "",
    traceparent: str = "",
) -> Admitted:
    """Address what is too large to enter, without ever holding all of it.

    Args:
        head: Its first `REFUSED_HEAD_BYTES`; becomes the value.
        interface_id: As for `admit`.
        catalogue: As for `admit`.
        size: Its whole size in bytes.
        sha256: Hex digest of all of it.
        received_ms: As for `admit`.
        origin: As for `admit`.
        traceparent: As for `admit`.

    Returns:
        A record for `cim.iN.rejected` with code `message_too_large`. It is keyed like the
        message, if that names itself near its start; else by the digest.

    Raises:
        UnknownInterfaceError: the catalogue has no such interface.
    """
    _check_interface(interface_id, catalogue)
    header = _usable(peek_header(head))
    identity = _identity(header, None, catalogue)
    shown = identity.key if identity else b"sha256|" + sha256.encode()
    would_enter = Admitted(
        topic=naming.inbound(interface_id),
        key=shown,
        headers=(
            *_cloud_event(header, identity, shown, interface_id, received_ms),
            *_trace(traceparent),
        ),
        value=head,
        identity=shown.decode(),
        refusals=_refusals(header, interface_id, catalogue),
    )
    return refuse(
        would_enter,
        "message_too_large",
        f"it has {size} bytes, the limit is {catalogue.bytes_max(interface_id)}",
        origin=origin,
        size=size,
        sha256=sha256,
    )


def refuse(
    admitted: Admitted,
    code: str,
    why: str,
    *,
    origin: str = "",
    size: int | None = None,
    sha256: str | None = None,
) -> Admitted:
    """Turn a record for `inbound` into the refusal of it, which surely fits.

    Args:
        admitted: The record as it would have entered.
        code: Of `schemas.errors.CODES`.
        why: What is wrong with this one; no payload values.
        origin: Where it came from, for people.
        size: Of the message, where `admitted.value` is only its start.
        sha256: Of the message, likewise.
    """
    told = rejection_headers(
        CODES[code],
        why=why,
        where=origin or f"before {admitted.topic}",
        topic=admitted.topic,
        stage="ADMISSION",
    )
    size = len(admitted.value) if size is None else size
    sha256 = hashlib.sha256(admitted.value).hexdigest() if sha256 is None else sha256
    kept = tuple(header for header in admitted.headers if header[0] != "content-type")
    return replace(
        admitted,
        topic=admitted.refusals,
        headers=(
            ("content-type", b"application/octet-stream"),
            *kept,
            *told,
            ("cimstream_size", str(size).encode()),
            ("cimstream_sha256", sha256.encode()),
        ),
        value=admitted.value[:REFUSED_HEAD_BYTES],
        code=code,
    )


def _check_interface(interface_id: str, catalogue: Catalogue) -> None:
    if interface_id not in catalogue.interfaces:
        raise UnknownInterfaceError(interface_id, catalogue.interfaces)


def _usable(header: Header | None) -> Header | None:
    """The header, None where there is none or its identifiers are none."""
    if header is None:
        return None
    fields = (
        header.source,
        header.noun,
        header.verb,
        header.message_id,
        header.context,
        header.correlation_id,
        header.destination,
    )
    return None if max(map(len, fields)) > _FIELD_CHARS_MAX else header


def _identity(header: Header | None, data: bytes | None, catalogue: Catalogue) -> Identity | None:
    """Who the message is; None where that cannot be read. Without data, by its ID alone."""
    if header is None:
        return None
    if header.message_id:
        return Identity(header.context, header.source, header.noun, header.message_id)
    if data is None:
        return None
    try:
        return identify(header, data, XmlLimits(bytes_max=catalogue.message_bytes_max))
    except MessageError:
        return None


def _key(header: Header | None, shown: bytes, catalogue: Catalogue) -> bytes:
    """The noun for what changes a register, so that one task sees it all; else the identity."""
    if header is not None and header.verb != "get":
        noun = catalogue.noun(header.noun)
        if noun is not None and noun.kind == "register":
            return noun.name.encode()
    return shown


def _refusals(header: Header | None, interface_id: str, catalogue: Catalogue) -> str:
    """The `rejected` topic of the message's context."""
    context = naming.PRODUCTION if header is None else header.context
    return naming.rejected(interface_id, catalogue.context_of(interface_id, context))


def _cloud_event(
    header: Header | None,
    identity: Identity | None,
    shown: bytes,
    interface_id: str,
    received_ms: int,
) -> Headers:
    """CloudEvents attributes of the record; those that every event needs are always there."""
    if header is None:
        known = {
            "ce_id": shown.decode(),
            "ce_source": UNKNOWN_SOURCE,
            "ce_type": "cim.unreadable",
            "ce_time": from_epoch_ms(received_ms),
        }
    else:
        sent_ms = received_ms if header.timestamp_ms is None else header.timestamp_ms
        known = {
            "ce_id": identity.message_id if identity else shown.decode(),
            "ce_source": header.source or UNKNOWN_SOURCE,
            "ce_type": f"cim.{header.noun or 'unknown'}.{header.verb or 'unknown'}",
            "ce_time": from_epoch_ms(sent_ms),
            "ce_noun": header.noun,
            "ce_verb": header.verb,
            "ce_correlationid": header.correlation_id,
            "ce_destination": header.destination,
        }
    attributes = {"ce_specversion": "1.0", **known, "ce_interface": interface_id}
    return tuple((name, text.encode()) for name, text in attributes.items() if text)


def _trace(traceparent: str) -> Headers:
    return (("traceparent", traceparent.encode()),) if traceparent else ()
