"""How a query on requests says until when somebody waits for its answer.

Lives here: the name of the header. Must not live here: writing and reading queries (processors do).
"""

from __future__ import annotations

from typing import Final

EXPIRY: Final = "ce_expirytime"
"""An extension that CloudEvents documents; RFC 3339 as all times in headers."""
