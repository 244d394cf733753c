"""What lies ready for destinations that pull, as every gateway sees it in the same logs.

Lives here: which messages may be handed out, and whose claim to one counts. Must not live here:
Kafka, waiting (`streams.runtime.gateway.outbox`), what ends a delivery (`book`).

Invariant: claims are judged in the order of their log, so all gateways agree: a message is handed
to one at a time; and of two messages about one object, only the earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.runtime.delivery.entry import Entry
from streams.runtime.delivery.receipts import Claim, Told
from streams.runtime.rejections import Place, parse_place

# What is handed out at once, but for one message that is larger by itself.
BYTES_MAX: Final = 8 * 1024 * 1024


class Shelf:
    """One thread."""

    def __init__(self, destinations: Iterable[str]) -> None:
        self._pending: dict[str, dict[Place, Entry]] = {name: {} for name in destinations}
        self._claimed: dict[Place, int] = {}
        self._told: set[Place] = set()

    @property
    def destinations(self) -> frozenset[str]:
        """Those that pull."""
        return frozenset(self._pending)

    def put(self, key: bytes, value: bytes | None) -> None:
        """A record of the changelog of what is pending."""
        place = parse_place(key)
        if place is None:
            return
        entry = None if value is None else Entry.from_record(key, value)
        if entry is None or entry.fate:
            for pending in self._pending.values():
                pending.pop(place, None)
            self._claimed.pop(place, None)
            self._told.discard(place)
        elif entry.destination in self._pending:
            self._pending[entry.destination][place] = entry

    def settle(self) -> None:
        """What was there before is read: a compacted log has it in another order."""
        for name, pending in self._pending.items():
            self._pending[name] = dict(sorted(pending.items()))

    def hear(self, what: Claim | Told, time_ms: int) -> tuple[Place, ...]:
        """A record of receipts, appended at `time_ms`; give the places that a claim gets."""
        if isinstance(what, Told):
            place = parse_place(what.place.encode())
            if place is not None and self.find(what.destination, place) is not None:
                self._told.add(place)
            return ()
        got = []
        for text in what.places:
            place = parse_place(text.encode())
            if place is None or self.find(what.destination, place) is None:
                continue
            if self._claimed.get(place, 0) <= time_ms:
                self._claimed[place] = what.until_ms
                got.append(place)
        return tuple(got)

    def find(self, destination: str, place: Place) -> Entry | None:
        """The message at this place, if it is pending for this destination."""
        entry = self._pending.get(destination, {}).get(place)
        return None if place in self._told else entry

    def free(self, destination: str, count_max: int, now_ms: int) -> list[Entry]:
        """Up to so many that may be handed out, the oldest first."""
        found: list[Entry] = []
        size = 0
        ahead: dict[str, set[str]] = {}
        for place, entry in self._pending[destination].items():
            if place in self._told:
                continue
            before = ahead.setdefault(entry.noun, set())
            leads = not before & {"", entry.subject} if entry.subject else not before
            before.add(entry.subject)
            free = self._claimed.get(place, 0) <= now_ms < entry.expires_ms
            if not (leads and free):
                continue
            size += entry.size
            if found and size > BYTES_MAX:
                break
            found.append(entry)
            if len(found) == count_max:
                break
        return found
