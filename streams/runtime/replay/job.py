"""The rehearsal of a replay: everything but writing.

Lives here: which records are read in which order, and the local store. Must not live here:
transactions (see `writing`), what is the same event (`streams.processors.replay`).

    the range        -> its identities
    what lies before -> the marks of those identities, nothing else
    the range        -> what the present processors lead to
    the logs         -> what of it is there

Invariant: nothing here writes to Kafka. The local store is a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from streams.engine.kafka import KafkaSettings, RecordReader
from streams.engine.ports import Produce, Reader, State
from streams.engine.record import Record, TopicPartition
from streams.engine.rocks import RocksState
from streams.processors.intake import Intake
from streams.processors.replay import (
    Differences,
    Identities,
    Nowhere,
    Outlet,
    Rehearsed,
    Replay,
)
from streams.runtime.reading import Range, TopicReader
from streams.runtime.replay.passage import Layers, NoOutputs, Passage, chunks
from streams.runtime.replay.plan import Plan
from topics import Catalogue, TopicSpec


class Progress(Protocol):
    """Told how far a stage is: `done` of about `total` offsets."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note."""


class Rehearsal:
    """One plan, gone through once by `run`; then `differences` says what came of it."""

    def __init__(
        self,
        plan: Plan,
        catalogue: Catalogue,
        reader: TopicReader,
        single: Reader,
        state: State,
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.reader = reader
        spans = {at: (span.start, span.end) for at, span in plan.ranges.items()}
        self.differences = Differences(state, plan.topic, spans)
        self._single = single
        self._progress = progress
        self._intake = Intake(catalogue, [plan.interface])
        self._identities = Identities(self._intake, state)
        self._marks = Layers(state)
        self._scanned: dict[TopicPartition, int] = {}

    def run(self) -> None:
        """Go through all of it.

        Raises:
            OperatorError: `broker_unreachable`.
            TransientError: the broker did not answer.
            FatalError: the local store cannot be written.
        """
        for record in self._read("looking", self.plan.ranges):
            self._identities.add(record)
        before = self._read("looking back", self.plan.before)
        self._pass(Nowhere(), (record for record in before if record in self._identities))
        self._marks.clear()
        self._pass(Rehearsed(self.differences), self._read("replaying", self.plan.ranges))
        self.scan()

    def scan(self) -> None:
        """Read what the logs hold, or what has come since they were read last.

        To the high watermark: an event behind a transaction that is still open is there, too.

        Raises:
            OperatorError: `broker_unreachable`.
        """
        existing = self.reader.topics()
        partitions = [at for spec in self.logs() for at in existing.get(spec.name, ())]
        if not self._scanned:
            since_ms = self.plan.first_ms - self.catalogue.dedup_horizon_ms
            starts = self.reader.starts_at(self.reader.bounds(partitions), since_ms)
            self._scanned = {at: span.start for at, span in starts.items()}
        ends = self.reader.bounds(partitions, committed=False)
        spans = {at: Range(self._scanned[at], ends[at].end) for at in partitions}
        for record in self._read("comparing", spans):
            self.differences.found(record)
        self._scanned = {at: span.end for at, span in spans.items()}

    def passage(self, outlet: Outlet, produce: Produce) -> Passage:
        """A fresh pass over the range, from the marks at its beginning."""
        self._marks.clear()
        return self._passage(outlet, produce)

    def records(self) -> Iterator[Record]:
        """The records of the range, for a pass that writes."""
        return self._read("writing", self.plan.ranges)

    def logs(self) -> list[TopicSpec]:
        """The event logs that this interface's intake writes, of all contexts."""
        accepts = self.catalogue.interfaces[self.plan.interface].accepts
        nouns = {
            name
            for name in accepts
            if (noun := self.catalogue.nouns[name]).profile is not None and noun.kind == "history"
        }
        return [s for s in self.catalogue.topics() if s.purpose == "log" and s.noun in nouns]

    def _pass(self, outlet: Outlet, records: Iterable[Record]) -> None:
        passage = self._passage(outlet, NoOutputs())
        for chunk in chunks(records):
            passage.run(chunk)
            passage.settle()

    def _passage(self, outlet: Outlet, produce: Produce) -> Passage:
        processor = Replay(self._intake, self.catalogue, outlet)
        return Passage(processor, self._marks, self._single, produce)

    def _read(self, stage: str, spans: Mapping[TopicPartition, Range]) -> Iterator[Record]:
        total = sum(span.end - span.start for span in spans.values())
        for count, record in enumerate(self.reader.records(spans)):
            self._progress(stage, count, total)
            yield record


@contextmanager
def rehearsal(
    plan: Plan,
    catalogue: Catalogue,
    kafka: KafkaSettings,
    reader: TopicReader,
    progress: Progress,
) -> Iterator[Rehearsal]:
    """A rehearsal with a local store in a temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="cimstream-replay-") as folder:
        state = RocksState(Path(folder) / "state")
        single = RecordReader(kafka, "cimstream-replay")
        try:
            yield Rehearsal(plan, catalogue, reader, single, state, progress)
        finally:
            single.close()
            state.close()
