"""What is decided of deliveries, and what has to be written because of it.

Lives here: what follows from a record, from the outcome of an attempt, from the time. Must not live
here: which delivery is next (`table`), Kafka, threads, protocols (`ledger`, `attempts`).

    outcome   done      -> delivered
              taken     -> its receipt is awaited, nothing is sent again
              again     -> later, unless it has had its attempts
              unknown   -> as again; a control that its destination would do twice: delivery_unknown
              refused   -> delivery_refused

Invariant: nothing that is decided here counts before `changes` are committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from connectors.destinations import Destination
from connectors.outbound import Outcome, Verdict, judged
from schemas.errors import CODES
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime.delivery.attempts import EXPIRED, Attempted
from streams.runtime.delivery.endings import DELIVERED
from streams.runtime.delivery.entry import Entry, is_addressed
from streams.runtime.delivery.events import DeliveryTelemetry, Ended, Restored, Tried
from streams.runtime.delivery.receipts import Told, about, said
from streams.runtime.delivery.table import Table
from streams.runtime.headers import headers
from streams.runtime.rejections import Place, parse_place
from topics import Catalogue, TopicSpec
from topics.addressing import DESTINATION
from topics.partitioning import murmur2_partition

_REFUSED: Final = "delivery_refused"
_UNKNOWN: Final = "delivery_unknown"
_FAILED: Final = "delivery_failed"
_FULL: Final = "destination_full"


@dataclass(slots=True)
class Changes:
    """What one transaction has to write. `pending` has None where an entry is over."""

    pending: dict[Place, bytes | None] = field(default_factory=dict)
    ends: list[tuple[Entry, Record | None]] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.pending or self.ends or self.outputs)


class Book:
    """One thread."""

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        catalogue: Catalogue,
        telemetry: DeliveryTelemetry,
    ) -> None:
        self._destinations = destinations
        self._catalogue = catalogue
        self._telemetry = telemetry
        self._outbound = outbound_topics(catalogue)
        self._reads: list[Entry] = []
        self.table = Table(destinations)
        self.changes = Changes()

    # ---------------------------------------------------------------- what comes in

    def restore(self, kept: Mapping[bytes, bytes], partitions: set[TopicPartition]) -> None:
        """Go on with what the changelog has of these partitions of outbound.

        A control whose attempt was begun and not noted as over may have arrived.
        """
        found = [Entry.from_record(key, value) for key, value in kept.items()]
        entries = [entry for entry in found if entry is not None and entry.place.at in partitions]
        for entry in sorted(entries, key=lambda one: one.place):
            self.table.add(entry)
            if entry.fate:
                self._decide(entry, entry.fate, entry.why)
            elif entry.begun and self.guarded(entry):
                self._decide(entry, _UNKNOWN, "the deliverer ended during an attempt")
        self._telemetry.emit(Restored(len(partitions), len(entries)))

    def hear(self, record: Record) -> None:
        """A record of outbound, or of receipts."""
        spec = self._outbound.get(record.topic)
        if spec is None:
            what = said(record)
            if isinstance(what, Told):
                self._told(what)
        elif is_addressed(record):
            self._addressed(record, spec)
        else:
            self._reply(record, spec)

    def settle(self, done: Attempted, now_ms: int) -> None:
        """What an attempt, or a reading, brought."""
        entry = self.table.get(done.place)
        if entry is None:  # its partition is no longer ours, or its end was written already
            return
        if done.outcome is None:
            entry.fate = entry.fate or done.code
            self._end(entry, done.record, now_ms)
        elif not entry.fate:  # else somebody has told its fate, and it is being read
            self._judge(entry, done.outcome, done, now_ms)

    def choose(self, now_ms: int) -> tuple[list[Entry], list[Entry]]:
        """Whose attempts are to be made, and which are only to be read, once this is committed."""
        for entry in list(self.table.expired(now_ms)):
            self._decide(entry, EXPIRED, entry.why)
        sends = list(self.table.take(now_ms))
        for entry in sends:
            if self.guarded(entry):
                entry.begun = True
                self._note(entry)
        reads, self._reads = self._reads, []
        return sends, reads

    def guarded(self, entry: Entry) -> bool:
        """Whether an attempt must not be repeated while nobody knows what became of it."""
        destination = self._destinations.get(entry.destination)
        idempotent = destination is not None and destination.idempotent
        return not idempotent and self._catalogue.commands(entry.noun, entry.verb)

    def release(self, partitions: set[TopicPartition]) -> None:
        """These are no longer ours."""
        self.table.release(partitions)
        self._reads = [entry for entry in self._reads if entry.place.at not in partitions]

    def committed(self) -> None:
        """What is in `changes` is permanent."""
        self.changes = Changes()

    # -------------------------------------------------------------------- decisions

    def _addressed(self, record: Record, spec: TopicSpec) -> None:
        name = headers(record)[DESTINATION]
        destination = self._destinations.get(name)
        if destination is None or spec.context not in destination.contexts:
            return
        entry = Entry.of(record, destination.expiry_ms)
        full = self.table.full(name)
        self.table.add(entry)
        if full:
            self._decide(entry, _FULL, f"{destination.pending_max} wait already")
        else:
            self._note(entry)

    def _reply(self, record: Record, spec: TopicSpec) -> None:
        """Of a destination whose receipts are replies: to whoever holds its deliveries."""
        told = headers(record)
        source, name = told.get("ce_source", ""), told.get("ce_correlationid", "")
        destination = self._destinations.get(source)
        if destination is None or destination.receipt != "reply" or not name:
            return
        outcome = judged(record.value or b"")
        if outcome.verdict is Verdict.UNKNOWN:
            return
        fate = DELIVERED if outcome.verdict is Verdict.DONE else _REFUSED
        partition = murmur2_partition(source.encode(), spec.partitions)
        told_by = Told(source, fate, outcome.why, name=name)
        self.changes.outputs.append(about(told_by, spec.interface, partition))

    def _told(self, told: Told) -> None:
        place = parse_place(told.place.encode())
        if place is not None:
            entry = self.table.get(place)
        else:
            entry = self.table.named(told.destination, told.name)
        if entry is None or entry.destination != told.destination or entry.fate:
            return
        known = told.fate == DELIVERED or told.fate in CODES
        self._decide(entry, told.fate if known else _REFUSED, told.why)

    def _judge(self, entry: Entry, outcome: Outcome, done: Attempted, now_ms: int) -> None:
        table, name = self.table, entry.destination
        entry.begun = False
        entry.attempts += 1
        entry.why = outcome.why
        failed = outcome.verdict in (Verdict.AGAIN, Verdict.UNKNOWN)
        if failed:
            table.failed(name, now_ms, outcome.after_s)
        else:
            table.answered(name)
        failures = table.failures(name)
        tried = Tried(name, outcome.verdict, outcome.why, done.seconds, failures)
        self._telemetry.emit(tried)
        entry.fate = self._fate(entry, outcome.verdict, now_ms)
        if entry.fate:
            self._end(entry, done.record, now_ms)
            return
        entry.taken = outcome.verdict is Verdict.TAKEN
        table.back(entry.place, now_ms if failed else None, outcome.after_s)
        self._note(entry)

    def _fate(self, entry: Entry, verdict: Verdict, now_ms: int) -> str:
        """How it ends behind this outcome; "" where it does not."""
        destination = self._destinations[entry.destination]
        match verdict:
            case Verdict.DONE:
                return DELIVERED
            case Verdict.REFUSED:
                return _REFUSED
            case Verdict.TAKEN:
                return ""
        if verdict is Verdict.UNKNOWN and self.guarded(entry):
            return _UNKNOWN
        if destination.attempts_max and entry.attempts >= destination.attempts_max:
            return _FAILED
        return EXPIRED if now_ms >= entry.expires_ms else ""

    def _decide(self, entry: Entry, fate: str, why: str) -> None:
        """Its end needs the message: that is read first. The decision is kept meanwhile."""
        entry.fate, entry.why = fate, why
        self.table.decide(entry.place)
        self._reads.append(entry)
        self._note(entry)

    def _end(self, entry: Entry, record: Record | None, now_ms: int) -> None:
        self.table.remove(entry.place)
        self.changes.pending[entry.place] = None
        self.changes.ends.append((entry, record))
        seconds = max(0, now_ms - entry.since_ms) / 1000
        ended = Ended(entry.destination, str(entry.place), entry.fate, entry.why, seconds)
        self._telemetry.emit(ended)

    def _note(self, entry: Entry) -> None:
        self.changes.pending[entry.place] = entry.to_bytes()


def outbound_topics(catalogue: Catalogue) -> dict[str, TopicSpec]:
    """Every topic of messages to systems, those of parallel contexts too, by name."""
    return {spec.name: spec for spec in catalogue.topics() if spec.purpose == "outbound"}
