"""Whether a message was here before: its mark, and what tells a repeat from a conflict.

Lives here: what intake and registers do alike with the marks of their stores. Must not live here:
what follows for the message.

Invariant: the first message of an identity stands; its mark is the only witness.
"""

from __future__ import annotations

from schemas.envelope import read
from schemas.errors import MessageError, Problem
from schemas.identity import content_digest, raw_digest
from schemas.xml import XmlLimits
from streams.engine.processor import Context
from streams.engine.record import Record
from streams.processors.marks import Mark
from streams.processors.provenance import place_of


class Deduplication:
    """The marks in one store of a processor, each believed for the horizon."""

    def __init__(self, store: str, horizon_ms: int, limits: XmlLimits) -> None:
        self._store = store
        self._horizon_ms = horizon_ms
        self._limits = limits

    def recall(self, record: Record, key: bytes, context: Context) -> Mark | None:
        """The mark of this identity, unless the horizon has passed by the log's own time."""
        packed = context.get(self._store, key)
        if packed is None:
            return None
        mark = Mark.unpack(packed)
        return None if record.timestamp_ms - mark.time_ms > self._horizon_ms else mark

    def remember(self, record: Record, key: bytes, reply: bytes, context: Context) -> None:
        """Write the mark of a message that takes effect."""
        digest = raw_digest(record.value or b"")
        mark = Mark(record.timestamp_ms, record.offset, digest, reply)
        context.put(self._store, key, mark.pack())

    def conflict(self, record: Record, mark: Mark, context: Context) -> Problem | None:
        """None for a repeat; otherwise what is wrong with the same identity coming again."""
        value = record.value or b""
        if raw_digest(value) == mark.digest:
            return None
        first = context.read_back(record.topic, record.partition, mark.offset)
        if first is None or first.value is None:
            where = f"{record.topic}/{record.partition}@{mark.offset}"
            return Problem("identity_uncomparable", f"the first one, {where}, is no longer kept")
        where = place_of(first)
        try:
            same = self._content(first.value) == self._content(value)
        except MessageError:
            return Problem("identity_uncomparable", f"the first one is {where}")
        return None if same else Problem("identity_conflict", f"the first one is {where}")

    def _content(self, data: bytes) -> bytes:
        return content_digest(read(data, self._limits), self._limits)
