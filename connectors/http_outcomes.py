"""What the status of an HTTP server says of a message that was sent to it.

Lives here: the one table for every protocol over HTTP. Must not live here: calls
(`connectors/<system>/client.py`).
"""

from __future__ import annotations

from typing import Final

from connectors.outbound import Outcome, Verdict

# What is not 2xx and may be asked again: the request was surely not worked on.
_NOT_NOW: Final = frozenset({408, 425, 429})
# A destination that asks for more is asked after so long all the same.
AFTER_S_MAX: Final = 3_600.0


def failure(status: int, after_s: float) -> Outcome:
    """What a status that is not 2xx means; `after_s` is what Retry-After says, 0 for nothing."""
    why, after_s = f"HTTP {status}", min(after_s, AFTER_S_MAX)
    # A server that says when to come back has not begun.
    if status in _NOT_NOW or (status == 503 and after_s):
        return Outcome(Verdict.AGAIN, why, after_s)
    return Outcome(Verdict.UNKNOWN if status >= 500 else Verdict.REFUSED, why, after_s)
