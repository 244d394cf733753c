"""Which messages of the past can matter to a range: those that its own are repeats of.

What lies before the range is read for its marks, a week of it for an hour's range. Judging all
of it would take as long as the week's work did; reading only headers does not.

Invariant: a message whose mark intake would ask for within the range is never left out.
"""

from __future__ import annotations

from schemas.envelope import peek_header
from schemas.identity import Identity
from streams.engine.ports import State
from streams.engine.record import Record
from streams.processors.intake import Intake
from streams.processors.replay.index import Index
from streams.processors.understand import Refused


class Identities:
    """The identities of a range's messages."""

    def __init__(self, intake: Intake, state: State) -> None:
        self._intake = intake
        self._known = Index(state, "replay-range")

    def add(self, record: Record) -> None:
        """A record of the range."""
        key = self._key(record)
        if key is not None:
            self._known.put(key, b"")

    def __contains__(self, record: Record) -> bool:
        """Whether a record before the range has the identity of one within it."""
        key = self._key(record)
        return key is not None and self._known.get(key) is not None

    def _key(self, record: Record) -> bytes | None:
        """The key of the record's mark; None where it can have none."""
        header = peek_header(record.value or b"")
        if header is not None and header.message_id:
            parts = (header.context, header.source, header.noun, header.message_id)
            return Identity(*parts).store_key
        try:
            (understood,) = self._intake.prepare([record])
        except Exception:  # noqa: BLE001 - it breaks intake, which then rejects it: no mark
            return None
        return None if isinstance(understood, Refused) else understood.identity.store_key
