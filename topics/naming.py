"""Names of topics, and nothing else.

Lives here: the one place where a topic's name is put together. Must not live here: which
topics exist (the catalogue's), how they are configured (`topics.catalogue.topics`).

Invariant: two different (purpose, interface, noun, context) never give the same name, and
production names carry no context.
"""

from __future__ import annotations

import re
from typing import Final

PRODUCTION: Final = "PRODUCTION"
AUDIT: Final = "cim.audit"
FILE_POSITIONS: Final = "cim.files.positions"
REPLAY_RUNS: Final = "cim.replay.runs.changelog"
RULES_GATHERED: Final = "cim.rules.gathered"
RULES_FAILED: Final = "cim.rules.failed"

# Before a capital that follows a small letter or digit (MeterReadings), and before the last capital
# of a run that a small letter follows (DERGroups): the places where a new word begins.
_WORD_STARTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def kebab(noun: str) -> str:
    """Give the noun in lower case with hyphens: `MeterReadings` becomes `meter-readings`.

    An underscore of a market document's name is a word boundary too:
    `ReserveBid_MarketDocument` becomes `reserve-bid-market-document`.
    """
    return "-".join(_WORD_STARTS.sub("-", part) for part in noun.split("_")).lower()


def inbound(interface: str) -> str:
    """Name the log of all that systems send on this interface, whatever the context."""
    return f"cim.{interface.lower()}.inbound"


def accepted(interface: str) -> str:
    """Name the log of register messages of this home interface that intake let through."""
    return f"cim.{interface.lower()}.accepted"


def requests(interface: str) -> str:
    """Name the log of queries about nouns of this home interface that intake let through."""
    return f"cim.{interface.lower()}.requests"


def outbound(interface: str, context: str = PRODUCTION) -> str:
    """Name the log of all that is addressed to a system on this interface."""
    return f"{_prefix(context)}.{interface.lower()}.outbound"


def rejected(interface: str, context: str = PRODUCTION) -> str:
    """Name the log of what this interface's intake could not accept."""
    return f"{_prefix(context)}.{interface.lower()}.rejected"


def noun_log(interface: str, noun: str, context: str = PRODUCTION) -> str:
    """Name the canonical event log of a noun; `interface` is the noun's home."""
    return f"{_prefix(context)}.{interface.lower()}.{kebab(noun)}"


def current_log(interface: str, noun: str, context: str = PRODUCTION) -> str:
    """Name the compacted present state of a register; `interface` is the noun's home."""
    return f"{noun_log(interface, noun, context)}.current"


def receipts(interface: str) -> str:
    """Name the log of what destinations say of messages on this interface's outbound topics."""
    return f"cim.{interface.lower()}.receipts"


def changelog(processor: str, store: str) -> str:
    """Name the changelog of one processor's store, e.g. `changelog("intake", "dedup-i7")`."""
    return f"cim.{processor}.{store}.changelog"


def replayed(replay_id: str, topic: str) -> str:
    """Name the side log that a replay writes instead of `topic`.

    `cim.i7.meter-readings` becomes `cim.replay-<id>.i7.meter-readings`. No context has a hyphen,
    so this is never a parallel topic.
    """
    return f"cim.replay-{replay_id}.{topic.removeprefix('cim.')}"


def _prefix(context: str) -> str:
    if context in ("", PRODUCTION):
        return "cim"
    return f"cim.{context.lower()}"
