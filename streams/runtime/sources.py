"""Drives a connector's source into Kafka, each message exactly once.

Lives here: the life of a source: settle, restore positions, poll, commit, confirm, again.
Must not live here: any one system (`connectors`), what a message means, how Kafka is called.

Invariant: a record exists for read_committed readers if and only if the position behind it
does. It follows from the order in `_settle_and_open`: the predecessor is fenced and its open
transaction ended BEFORE positions are read, and positions are read to the high watermark, so
nothing that was decided is missing and nothing undecided can still appear.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from connectors.api import Batch, PeerUnavailableError, Received, Source
from connectors.inbound import Admitted, refuse
from connectors.registry import make_source
from streams.engine.errors import (
    FatalError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.ports import Transactions
from streams.engine.record import Output, TopicPartition
from streams.runtime.logs import log
from streams.runtime.reading import TopicReader
from streams.runtime.settings import Settings
from streams.runtime.shifts import in_shifts
from streams.runtime.wiring import kafka_settings
from topics import Catalogue, load_catalogue, naming
from topics.errors import EXIT_CONFIG, OperatorError

RECORDS_MAX: Final = 500
_POLL_S: Final = 0.5
_IDLE_S: Final = 0.1
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class SourceOpened:
    """A source begins, or begins again, behind so many committed positions."""

    source: str
    positions: int


@dataclass(frozen=True, slots=True)
class SourceCommitted:
    """These messages are permanent, in this order; the last position moved with them."""

    source: str
    records: tuple[Received, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SourceSkipped:
    """The source went past something it could not take in."""

    source: str
    origin: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class SourceInterrupted:
    """The source will be opened again from the committed positions after `retry_s`."""

    source: str
    code: str
    reason: str
    retry_s: float


SourceEvent = SourceOpened | SourceCommitted | SourceSkipped | SourceInterrupted


class SourceTelemetry(Protocol):
    """Where the events of sources go."""

    def emit(self, event: SourceEvent) -> None:
        """Take note of `event`; must not raise and must not block."""


class SourceLog:
    """Events as log lines: a line where something changed or somebody must act."""

    def emit(self, event: SourceEvent) -> None:
        """Commits are silent, as normal operation is."""
        match event:
            case SourceOpened(source, positions):
                log("source", logging.INFO, "source opened", source=source, positions=positions)
            case SourceSkipped(source, origin, why, fix):
                fields = {"source": source, "origin": origin, "why": why, "fix": fix}
                log("source", logging.WARNING, "skipped", **fields)
            case SourceInterrupted(source, code, reason, retry_s):
                told = {"source": source, "code": code, "reason": reason, "retry_s": retry_s}
                log("source", logging.WARNING, "source interrupted", **told)
            case SourceCommitted():
                pass


ReadPositions = Callable[[], Mapping[bytes, bytes]]
"""Committed positions of all sources, read after the predecessor was fenced."""


class SourceRunner:
    """Runs one source until told to stop. One runner, one source, one thread at a time."""

    def __init__(
        self,
        source: Source,
        transactions: Transactions,
        read_positions: ReadPositions,
        telemetry: SourceTelemetry,
        stop: threading.Event,
    ) -> None:
        self._source = source
        self._transactions = transactions
        self._read_positions = read_positions
        self._telemetry = telemetry
        self._stop = stop
        self._prefix = position_prefix(source.name)
        self._failures = 0
        self._one_by_one = 0  # so many records to be taken singly, to find the one refused

    def run(self) -> None:
        """Until `stop` is set; a batch under way is committed first.

        Raises:
            FencedError: another process runs a source of this name now.
            FatalError: this process cannot go on.
            OperatorError: the source cannot work as configured.
        """
        try:
            while not self._stop.is_set():
                try:
                    self._settle_and_open()
                    in_shifts(self._turn, self._stop.is_set)
                except (TransientError, UnknownOutcomeError) as error:
                    self._back_off(error.code, str(error))
                except PeerUnavailableError as error:
                    self._back_off("peer_unavailable", str(error))
        finally:
            self._source.close()
            self._transactions.close()

    def _settle_and_open(self) -> None:
        self._transactions.reset()
        positions = self._read_positions()
        mine = {
            key.removeprefix(self._prefix): value
            for key, value in positions.items()
            if key.startswith(self._prefix)
        }
        self._source.open(mine)
        self._telemetry.emit(SourceOpened(self._source.name, len(mine)))

    def _turn(self) -> None:
        """One batch: poll, commit, confirm."""
        batch = self._source.poll(1 if self._one_by_one else RECORDS_MAX, _POLL_S)
        if batch is None:
            self._stop.wait(_IDLE_S)
            return
        self._report_skipped(batch)
        if not (batch.records or batch.positions):
            return
        started = time.monotonic()
        written = self._commit(batch)
        self._failures = 0
        self._one_by_one = max(0, self._one_by_one - len(written))
        skipped = self._source.committed(batch)
        seconds = time.monotonic() - started
        self._telemetry.emit(SourceCommitted(self._source.name, written, seconds))
        self._report_skipped(Batch(skipped=skipped))

    def _commit(self, batch: Batch) -> tuple[Received, ...]:
        """Make the batch permanent; what the broker refuses is written as a refusal instead.

        The broker refuses produce batches, not records. Where it names several, the source
        begins again and hands them out one by one, so that only the guilty one is refused.
        """
        records = list(batch.records)
        while True:
            try:
                self._write(records, batch.positions)
            except RefusedError as error:
                self._transactions.abort()
                if len(error.origins) > 1 and not self._one_by_one:
                    self._one_by_one = len(records)
                    raise TransientError(f"{error}; the batch is taken one by one") from error
                self._replace_refused(records, error)
            except (TransientError, UnknownOutcomeError):
                # Best effort: readers need not wait for the time-out, and a fence shows here.
                with suppress(TransientError, UnknownOutcomeError):
                    self._transactions.abort()
                raise
            else:
                return tuple(records)

    def _write(self, records: list[Received], positions: Mapping[bytes, bytes | None]) -> None:
        self._transactions.begin()
        origin = TopicPartition(self._source.name, 0)
        for index, received in enumerate(records):
            self._transactions.produce(_output(received.message), (origin, index))
        for key, value in positions.items():
            output = Output(naming.FILE_POSITIONS, self._prefix + key, value)
            self._transactions.produce(output, None)
        self._transactions.commit()

    def _replace_refused(self, records: list[Received], error: RefusedError) -> None:
        for _, index in error.origins:
            received = records[index]
            if received.message.code:
                raise FatalError(f"the broker refuses even a refusal: {error.reason}") from error
            refusal = refuse(
                received.message, "produce_refused", error.reason, origin=received.origin
            )
            records[index] = replace(received, message=refusal)

    def _report_skipped(self, batch: Batch) -> None:
        for item in batch.skipped:
            event = SourceSkipped(self._source.name, item.origin, item.why, item.fix)
            self._telemetry.emit(event)

    def _back_off(self, code: str, reason: str) -> None:
        retry_s = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
        self._failures += 1
        self._telemetry.emit(SourceInterrupted(self._source.name, code, reason, retry_s))
        self._stop.wait(retry_s)


def position_prefix(source_name: str) -> bytes:
    """What the keys of a source's positions begin with."""
    return source_name.encode() + b"/"


def run_source(
    source: Source, kafka: KafkaSettings, telemetry: SourceTelemetry, stop: threading.Event
) -> None:
    """Check the source, then run it against the cluster until `stop` is set.

    Raises as `SourceRunner.run`; also OperatorError if there is no topic for positions.
    """
    source.check()
    producer = TransactionalProducer(kafka, f"source-{source.name}")
    with TopicReader(kafka, f"source-{source.name}") as reader:
        if naming.FILE_POSITIONS not in reader.topics():
            raise OperatorError(
                "topic_missing",
                what="there is no topic for the positions of sources",
                where=naming.FILE_POSITIONS,
                fix="run `cimstream topics apply`",
                exit_code=EXIT_CONFIG,
            )

        def read_positions() -> Mapping[bytes, bytes]:
            return _fold(reader)

        SourceRunner(source, producer, read_positions, telemetry, stop).run()


def run_configured(bootstrap: str, settings: Settings, name: str, stop: threading.Event) -> None:
    """Run the source that the settings call `name`. Raises as `run_source`."""
    catalogue = load_catalogue(settings.catalogue)
    source = make_configured(settings, name, catalogue)
    run_source(source, kafka_settings(settings, bootstrap, catalogue), SourceLog(), stop)


def make_configured(settings: Settings, name: str, catalogue: Catalogue) -> Source:
    """The source that the settings call `name`.

    Raises:
        OperatorError: there is no such connector, or it does not take these settings.
    """
    entry = settings.sources[name]
    return make_source(entry.type, name, entry.model_extra or {}, catalogue)


def _fold(reader: TopicReader) -> dict[bytes, bytes]:
    """The newest position per key, up to the high watermark."""
    positions: dict[bytes, bytes] = {}
    try:
        partitions = reader.topics()[naming.FILE_POSITIONS]
        for record in reader.records(reader.bounds(partitions, committed=False)):
            if record.key is None:
                continue
            if record.value is None:
                positions.pop(record.key, None)
            else:
                positions[record.key] = record.value
    except OperatorError as error:
        raise TransientError(f"positions: {error}") from error
    return positions


def _output(message: Admitted) -> Output:
    return Output(message.topic, message.key, message.value, message.headers)
