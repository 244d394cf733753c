"""How a record says which rules led to it.

Lives here: the name of the header. Must not live here: what is in it (`streams.processors.rules`).
"""

from __future__ import annotations

from typing import Final

CHAIN: Final = "cimstream_chain"
"""On inbound and on everything that follows from it: events and rules, the oldest first."""
