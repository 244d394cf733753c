"""The message that a rule sends, as a record for inbound.

Lives here: its header, its ID, its bytes. Must not live here: whether it is sent (see `rules`).

Invariant: ID and bytes are a function of rule, version and event alone, so that the same event
evaluated again makes the same message, and intake knows it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from connectors.inbound import admit
from schemas.envelope import Header, Message, write
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.identity import escaped
from streams.engine.record import Output, Record
from streams.processors.rules.chain import Chain
from streams.processors.rules.rule import Rule
from topics import Catalogue
from topics.chains import CHAIN

SENDER: Final = "cimstream"
_IDS: Final = uuid.UUID("0b8f8f0e-5d0f-5f52-8f4c-2b1f5f8f6a61")


def action_id(rule: Rule, event_id: str) -> str:
    """The message ID of what `rule` makes of the event with this ID."""
    return str(uuid.uuid5(_IDS, f"{rule.name}|{rule.version}|{event_id}"))


def event_id(headers: Mapping[str, bytes]) -> str:
    """What no other event of a noun has: source and noun of its message, its ID and index."""
    parts = (headers.get(name, b"").decode(errors="replace") for name in _IDENTITY)
    return "|".join(map(escaped, parts))


_IDENTITY: Final = ("ce_source", "ce_noun", "ce_id")


def make(
    rule: Rule, values: Mapping[str, object], event: Record, chain: Chain, catalogue: Catalogue
) -> Output:
    """The record that the rule's message enters with.

    `event` is the event's record, whose time by the log is the message's; `chain` is that to the
    message, with the rule in it.

    Raises:
        ExpressionError: the payload has no value for one of its expressions.
    """
    action = rule.action
    header = Header(
        verb=action.verb,
        noun=action.noun,
        timestamp_ms=event.timestamp_ms,
        source=SENDER,
        destination=action.destination,
        message_id=str(values["action.id"]),
        correlation_id=str(values["message.id"]),
        comment=f"rule {rule.name}, version {rule.version}",
        properties=(("Chain", str(chain)),),
    )
    payload = action.payload.render(values)
    admitted = admit(
        write(Message(KIND_OF_VERB[action.verb], header, payload=payload)),
        action.interface,
        catalogue,
        received_ms=event.timestamp_ms,
        traceparent=dict(event.headers).get("traceparent", b"").decode(errors="replace"),
        header=header,
    )
    headers = (*admitted.headers, (CHAIN, str(chain).encode()))
    return Output(admitted.topic, admitted.key, admitted.value, headers)
