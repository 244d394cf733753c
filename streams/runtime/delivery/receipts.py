"""What is said of deliveries on `cim.iN.receipts`: the way from gateways and replies to the ledger.

Lives here: the records of that log. Must not live here: who may say it (the door), what follows
(`ledger`, `streams.runtime.gateway.outbox`).

A record lies on the partition of the delivery that it speaks of, so that whoever holds the delivery
reads it, and so that claims of several gateways have one order: the first one counts.

    claim   a gateway hands these to a destination that pulls; until `until_ms` nobody else does
    told    the destination has it, or refuses it for good; by its place, or by the name that the
            destination's reply calls it by
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from streams.engine.record import Output, Record
from topics import naming

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """`token` is the gateway's, new each time. `places` are those it wants, as text."""

    destination: str
    token: str
    until_ms: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """`fate` is `delivered` or a stable code.

    Either `place` says what is meant, or `name`: a message ID or a correlation ID.
    """

    destination: str
    fate: str
    why: str = ""
    place: str = ""
    name: str = ""


def said(record: Record) -> Claim | Told | None:
    """What a record says; None for what is none of ours."""
    try:
        document = json.loads(record.value or b"")
        if document.pop("v") != _VERSION:
            return None
        kind = document.pop("is")
        if kind == "claim":
            return Claim(**{**document, "places": tuple(document["places"])})
        return Told(**document) if kind == "told" else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def about(what: Claim | Told, interface: str, partition: int) -> Output:
    """The record that says it."""
    document = {"v": _VERSION, "is": "claim" if isinstance(what, Claim) else "told", **asdict(what)}
    value = json.dumps(document, separators=(",", ":")).encode()
    headers = (("content-type", b"application/json"),)
    key = what.destination.encode()
    return Output(naming.receipts(interface), key, value, headers, partition)
