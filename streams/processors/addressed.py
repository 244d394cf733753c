"""A message that goes to one system, as it lies on outbound.

Lives here: topic, key and headers of the record of the pattern Send/Receive. Must not live here:
when it is written (`intake`, `registers`: in the transaction of the message's effect), what becomes
of it (`streams.runtime.delivery`).
"""

from __future__ import annotations

from typing import Final

from schemas.times import from_epoch_ms
from streams.engine.record import Headers, Output, Record
from streams.processors.provenance import inbound_headers
from streams.processors.understand import Understood
from topics import Catalogue, naming
from topics.addressing import DESTINATION, EXPIRES, SUBJECT
from topics.rejection import UNKNOWN_SOURCE

SEND_RECEIVE: Final = "send-receive"


def addressed(
    inbound: Record,
    message: Understood,
    catalogue: Catalogue,
    *,
    subject: bytes,
    expires_ms: int | None,
) -> Output:
    """The bytes as they came in, for the system that the header names as the destination.

    Args:
        inbound: The message as it was on inbound.
        message: What it says.
        catalogue: Has the noun's home.
        subject: Key of the object that it is about; empty where there are several.
        expires_ms: From when on it must not be delivered, epoch ms UTC; None: nothing says so.
    """
    header, home = message.header, message.noun.home
    sent_ms = inbound.timestamp_ms if header.timestamp_ms is None else header.timestamp_ms
    said = {
        "content-type": "application/xml",
        "ce_specversion": "1.0",
        "ce_id": message.identity.message_id,
        "ce_source": header.source or UNKNOWN_SOURCE,
        "ce_type": f"cim.{message.noun.name}.{header.verb}",
        "ce_time": from_epoch_ms(sent_ms),
        "ce_interface": home,
        "ce_noun": message.noun.name,
        "ce_verb": header.verb,
        "ce_correlationid": header.correlation_id,
        DESTINATION: header.destination,
        EXPIRES: "" if expires_ms is None else str(expires_ms),
    }
    headers: Headers = (
        *((name, text.encode()) for name, text in said.items() if text),
        *(((SUBJECT, subject),) if subject else ()),
        *(one for one in inbound.headers if one[0] == "traceparent"),
        *inbound_headers(inbound),
    )
    context = catalogue.context_of(home, header.context)
    return Output(
        naming.outbound(home, context), header.destination.encode(), inbound.value, headers
    )
