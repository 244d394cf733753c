"""W3C trace context for messages that bring none."""

from __future__ import annotations

import secrets


def new_traceparent() -> str:
    """A fresh, sampled trace: random, so it belongs at the edge and nowhere behind it."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
