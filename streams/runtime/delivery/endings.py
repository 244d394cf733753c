"""How a delivery ends: what is written of it, in one transaction with its end.

Lives here: the dead letter, the audit record, and the reply to who asked what becomes of its
message. Must not live here: when a delivery ends (`ledger`).

    delivered   audit; a receipt for the sender, where it asked for one
    else        audit; a dead letter in `rejected`; a FAILED reply, where one was asked for

A dead letter is the message as it lay on outbound, with its address: redriven, it goes there again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Final

from schemas.envelope import (
    Header,
    Kind,
    Reply,
    ReplyError,
    peek_header,
    reply_error,
    reply_to,
    write,
)
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.errors import Problem
from schemas.times import from_epoch_ms
from streams.engine.record import Output, Record
from streams.processors.outputs import SENDER, rejection
from streams.runtime.audit import audit_record
from streams.runtime.delivery.entry import Entry
from topics import TopicSpec, naming
from topics.addressing import DESTINATION, EXPIRES, FATE

DELIVERED: Final = "delivered"
_ACTOR: Final = "cimstream deliver"
# Name space of the message IDs of these replies: uuid5 of it and the place of the delivery.
_REPLY_IDS: Final = uuid.UUID("0a6cf0b3-7c0e-5d6f-8a53-0d9a6f3f8b21")


class Endings:
    """Pure: same arguments, same records."""

    def __init__(self, outbound: Mapping[str, TopicSpec]) -> None:
        """`outbound` has the topics that are delivered from, by name."""
        self._outbound = outbound

    def outputs(
        self, entry: Entry, record: Record | None, now_ms: int, *, with_value: bool = True
    ) -> Iterator[Output]:
        """What is written of an entry whose fate is decided.

        `record` is None where the log no longer has the message: then there is nothing to keep.
        `with_value` False asks for a dead letter that surely fits.
        """
        yield self._audit(entry, now_ms)
        if record is None:
            return
        if entry.fate != DELIVERED:
            yield self._dead_letter(entry, record, with_value=with_value)
        header = peek_header(record.value or b"")
        if header is not None and _asks(header):
            yield self._told(entry, record, header, now_ms)

    def _audit(self, entry: Entry, now_ms: int) -> Output:
        delivered = entry.fate == DELIVERED
        details: dict[str, object] = {
            "destination": entry.destination,
            "interface": entry.interface,
            "noun": entry.noun,
            "verb": entry.verb,
            "message": entry.message_id,
            "attempts": entry.attempts,
        }
        if not delivered:
            details["code"] = entry.fate
        action = DELIVERED if delivered else "undelivered"
        return audit_record(action, str(entry.place), by=_ACTOR, time_ms=now_ms, details=details)

    def _dead_letter(self, entry: Entry, record: Record, *, with_value: bool) -> Output:
        spec = self._outbound[record.topic]
        topic = naming.rejected(spec.interface, spec.context)
        problem = Problem(entry.fate, entry.why)
        output = rejection(record, topic, None, problem, with_value=with_value)
        kept = tuple(one for one in record.headers if one[0] == EXPIRES)
        return output._replace(headers=(*output.headers, *kept))

    def _told(self, entry: Entry, record: Record, header: Header, now_ms: int) -> Output:
        if entry.fate == DELIVERED:
            reply = Reply("OK", (ReplyError("0.3", "INFORM", f"{entry.destination} has it"),))
        else:
            reply = Reply("FAILED", (reply_error(Problem(entry.fate, entry.why)),))
        place = str(entry.place)
        reply_id = str(uuid.uuid5(_REPLY_IDS, place))
        answer = reply_to(header, reply, message_id=reply_id, timestamp_ms=now_ms, source=SENDER)
        said = {
            "content-type": "application/xml",
            "ce_specversion": "1.0",
            "ce_id": reply_id,
            "ce_source": "urn:cimstream:delivery",
            "ce_type": f"cim.{header.noun}.reply",
            "ce_time": from_epoch_ms(now_ms),
            "ce_interface": entry.interface,
            "ce_noun": header.noun,
            "ce_verb": "reply",
            DESTINATION: header.source,
            "ce_correlationid": header.correlation_id or header.message_id,
            FATE: entry.fate,
        }
        headers = tuple((name, text.encode()) for name, text in said.items() if text)
        trace = tuple(one for one in record.headers if one[0] == "traceparent")
        return Output(record.topic, header.source.encode(), write(answer), (*headers, *trace))


def _asks(header: Header) -> bool:
    """Whether its sender wants to hear what becomes of it; of an answer, nobody does."""
    if not header.source or KIND_OF_VERB.get(header.verb) is Kind.RESPONSE:
        return False
    return bool(header.ack_required or header.reply_address)
