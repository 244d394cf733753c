"""Lets rejected messages enter again, each exactly once, whatever dies.

Lives here: the life of a redrive: settle, look at the audit, send batch by batch at a rate.
Must not live here: which messages (`redrivable`), questions to a person (`streams.cli`), what
an inbound record is (`connectors.inbound`).

Invariant: a message is on inbound for read_committed readers if and only if `cim.audit` says
that its place was redriven. It follows from two things. Both records are one transaction. And the
audit is read after the predecessor was fenced and its open transaction ended, up to the high
watermark, so nothing that was decided is missing and nothing undecided can still appear.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event
from typing import Final

from connectors.inbound import Admitted, admit
from connectors.trace import new_traceparent
from streams.engine.errors import (
    EngineError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.ports import Transactions
from streams.engine.record import Output, Record
from streams.runtime.audit import actor, audit_record
from streams.runtime.headers import header
from streams.runtime.reading import TopicReader
from streams.runtime.redrivable import Candidate, Redriven
from streams.runtime.rejections import (
    Place,
    at_places,
    parse_place,
    rejected_topics,
    undelivered_from,
)
from topics import Catalogue, naming
from topics.addressing import EXPIRES
from topics.errors import OperatorError
from topics.rejection import REDRIVEN_FROM

TRANSACTIONAL_ID: Final = "redrive"
"""Fixed, so that of two redrives the later one ends the earlier one."""
ACTION: Final = "redrive"

# A transaction appears as one, so it holds no more than a part of a second's messages.
_BATCHES_PER_SECOND: Final = 5
_BATCH_MAX: Final = 500
_BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_ADDRESS: Final = frozenset({"content-type", "traceparent", EXPIRES})


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message: where it went, or why it went nowhere (`failure`)."""

    place: Place
    topic: str
    identity: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a redrive came to, in messages.

    `meanwhile` were redriven by another process after the plan was made, `gone` are no longer in
    the log, `left` were not reached because it was stopped.
    """

    redriven: int
    refused: int
    meanwhile: int
    gone: int
    left: int


OnSent = Callable[[Sent], None]
OnTrouble = Callable[[str, float], None]
"""Told of a reason and after how many seconds it is tried again."""
ReadBack = Callable[[Collection[Place]], Iterator[Record]]


class Redriver:
    """One redrive. One thread; `stop` ends it behind the batch under way."""

    def __init__(
        self,
        catalogue: Catalogue,
        transactions: Transactions,
        redriven: Redriven,
        *,
        run: str,
        on_sent: OnSent,
        on_trouble: OnTrouble,
        stop: Event,
    ) -> None:
        self._catalogue = catalogue
        self._interfaces = {n: spec.interface for n, spec in rejected_topics(catalogue).items()}
        self._transactions = transactions
        self._redriven = redriven
        self._run = run
        self._by = actor()
        self._on_sent = on_sent
        self._on_trouble = on_trouble
        self._stop = stop
        self._sent = 0
        self._refused = 0

    def run(self, candidates: Iterable[Candidate], read_back: ReadBack, rate: float) -> Outcome:
        """Redrive the candidates, at most `rate` a second.

        Raises:
            FencedError: another redrive has begun.
            EngineError: this one cannot go on; what is committed stays.
            OperatorError: `broker_unreachable`.
        """
        places = [candidate.place for candidate in candidates]
        try:
            done = self._settled(set(places))
            wanted = [place for place in places if place not in done]
            tried = 0
            pace = _Pace(rate, self._stop)
            for batch in _batches(read_back(wanted), rate):
                if not pace.wait_for(len(batch)):
                    break
                self._send(batch)
                tried += len(batch)
        finally:
            self._transactions.close()
        missing = len(wanted) - tried
        stopped = self._stop.is_set()
        return Outcome(
            self._sent,
            self._refused,
            meanwhile=len(places) - len(wanted),
            gone=0 if stopped else missing,
            left=missing if stopped else 0,
        )

    def _settled(self, places: Collection[Place]) -> Collection[Place]:
        """Fence the predecessor, or our own doubtful past; then those that are done."""
        failures = 0
        while True:
            try:
                self._transactions.reset()
                return self._redriven(places)
            except TransientError as error:
                self._back_off(failures, error)
                failures += 1

    def _send(self, batch: list[Record]) -> None:
        """Make the batch permanent; what the broker refuses is reported and left where it is."""
        messages = [(record, self._admitted(record)) for record in batch]
        failures = 0
        while messages:
            try:
                self._write(messages)
            except RefusedError as error:
                self._undo()
                self._one_by_one([record for record, _ in messages], error)
                return
            except (TransientError, UnknownOutcomeError) as error:
                # Best effort: readers need not wait for the time-out, and a fence shows here.
                with suppress(TransientError, UnknownOutcomeError):
                    self._transactions.abort()
                self._back_off(failures, error)
                failures += 1
                done = self._settled({_place(record) for record, _ in messages})
                self._report(one for one in messages if _place(one[0]) in done)
                messages = [one for one in messages if _place(one[0]) not in done]
            else:
                self._report(messages)
                return

    def _write(self, messages: Collection[tuple[Record, Admitted]]) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._transactions.begin()
        for record, message in messages:
            origin = (record.source, record.offset)
            self._transactions.produce(_again(record, message), origin)
            self._transactions.produce(self._audit(record, message, now_ms), origin)
        self._transactions.commit()

    def _undo(self) -> None:
        try:
            self._transactions.abort()
        except UnknownOutcomeError:
            self._settled(())

    def _one_by_one(self, batch: list[Record], error: RefusedError) -> None:
        """The broker refuses produce batches, not records: find the guilty one."""
        if len(batch) > 1:
            for record in batch:
                self._send([record])
            return
        (record,) = batch
        self._refused += 1
        message = self._admitted(record)
        self._on_sent(Sent(_place(record), message.topic, message.identity, error.reason))

    def _report(self, messages: Iterable[tuple[Record, Admitted]]) -> None:
        for record, message in messages:
            self._sent += 1
            self._on_sent(Sent(_place(record), message.topic, message.identity))

    def _back_off(self, failures: int, error: EngineError) -> None:
        """Wait before the next try; give up where there were too many, or where it is asked."""
        if failures >= len(_BACKOFF_S) or self._stop.is_set():
            raise error
        self._on_trouble(str(error), _BACKOFF_S[failures])
        self._stop.wait(_BACKOFF_S[failures])

    def _admitted(self, record: Record) -> Admitted:
        """As its sender's connector would admit it now; it goes on in the trace it had.

        What had entered and did not reach its destination goes onto outbound.
        """
        admitted = admit(
            record.value or b"",
            self._interfaces[record.topic],
            self._catalogue,
            received_ms=record.timestamp_ms,
            traceparent=header(record, "traceparent") or new_traceparent(),
        )
        return replace(admitted, topic=undelivered_from(record) or admitted.topic)

    def _audit(self, record: Record, message: Admitted, now_ms: int) -> Output:
        return audit_record(
            ACTION,
            str(_place(record)),
            by=self._by,
            time_ms=now_ms,
            details={
                "run": self._run,
                "code": header(record, "cimstream_code"),
                "topic": message.topic,
                "identity_sha256": hashlib.sha256(message.identity.encode()).hexdigest(),
            },
        )


class _Pace:
    """So many messages a second; time that was lost is not made up for."""

    def __init__(self, rate: float, stop: Event) -> None:
        self._rate = rate
        self._stop = stop
        self._due_s = time.monotonic()

    def wait_for(self, count: int) -> bool:
        """Wait until so many more may go; False where it was stopped."""
        self._stop.wait(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s, time.monotonic()) + count / self._rate
        return not self._stop.is_set()


def redrive(
    candidates: Collection[Candidate],
    catalogue: Catalogue,
    kafka: KafkaSettings,
    *,
    rate: float,
    again: bool,
    on_sent: OnSent,
    on_trouble: OnTrouble,
    stop: Event,
) -> Outcome:
    """Redrive the candidates against the cluster. `again`: those redriven before, too.

    Raises as `Redriver.run`.
    """
    run = str(uuid.uuid4())
    producer = TransactionalProducer(kafka, TRANSACTIONAL_ID)
    with TopicReader(kafka, TRANSACTIONAL_ID) as reader:

        def done(places: Collection[Place]) -> Collection[Place]:
            # What was redriven in this run is not done again, whatever was asked.
            try:
                return redriven(reader, places, run=run if again else "", settled=True)
            except OperatorError as error:
                raise TransientError(f"{naming.AUDIT}: {error}") from error

        def read_back(places: Collection[Place]) -> Iterator[Record]:
            return at_places(reader, places)

        redriver = Redriver(
            catalogue,
            producer,
            done,
            run=run,
            on_sent=on_sent,
            on_trouble=on_trouble,
            stop=stop,
        )
        return redriver.run(candidates, read_back, rate)


def redriven(
    reader: TopicReader, places: Collection[Place], *, run: str = "", settled: bool = False
) -> set[Place]:
    """Which of the places were redriven, by `cim.audit`.

    Args:
        reader: Of the cluster.
        places: Those asked for.
        run: Only by the redrive of this ID.
        settled: Wait for what other processes have open in the log; otherwise what is behind
            the last stable offset is not seen.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    if not places:
        return set()
    partitions = reader.topics().get(naming.AUDIT, ())
    kind = ("ce_type", f"cim.audit.{ACTION}".encode())
    found: set[Place] = set()
    for record in reader.records(reader.bounds(partitions, committed=not settled)):
        place = parse_place(record.key) if kind in record.headers else None
        if place is not None and place in places and run in ("", _run_of(record)):
            found.add(place)
    return found


def _run_of(record: Record) -> str:
    try:
        return str(json.loads(record.value or b"{}").get("run"))
    except (ValueError, AttributeError):  # not written by us
        return ""


def _batches(records: Iterable[Record], rate: float) -> Iterator[list[Record]]:
    count_max = max(1, min(_BATCH_MAX, int(rate / _BATCHES_PER_SECOND)))
    batch: list[Record] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if batch and (len(batch) >= count_max or size + length > _BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch


def _again(record: Record, message: Admitted) -> Output:
    came_from = (REDRIVEN_FROM, str(_place(record)).encode())
    if not undelivered_from(record):
        return Output(message.topic, message.key, message.value, (*message.headers, came_from))
    kept = (one for one in record.headers if one[0].startswith("ce_") or one[0] in _ADDRESS)
    return Output(message.topic, record.key, record.value, (*kept, came_from))


def _place(record: Record) -> Place:
    return Place(record.source, record.offset)
