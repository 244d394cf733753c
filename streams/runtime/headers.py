"""Headers of records as text.

Lives here: from the bytes of a header to what it says. Must not live here: which headers
there are and what they mean (`topics.rejection`, `connectors.inbound`, the processors).
"""

from __future__ import annotations

from streams.engine.record import Record


def header(record: Record, name: str) -> str:
    """The first header of that name as text, "" where there is none."""
    for key, value in record.headers:
        if key == name:
            return (value or b"").decode("utf-8", "replace")
    return ""


def headers(record: Record) -> dict[str, str]:
    """All headers as text, the first of each name."""
    found: dict[str, str] = {}
    for key, value in record.headers:
        found.setdefault(key, (value or b"").decode("utf-8", "replace"))
    return found
