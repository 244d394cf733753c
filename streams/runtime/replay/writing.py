"""Writing what a replay leads to, exactly once, also through kills.

Lives here: the transactions of a replay and their order. Must not live here: what is written
(the outlets of `streams.processors.replay`), client calls.

    fence the predecessor -> read the run's record -> (log) read what the logs hold by now
    -> per portion: events, rejections and the run's record, one transaction
    -> the run's record, finished, and the audit record, one transaction

Invariant: what decides about an event (the run's positions, the contents of the log) is read
behind a fence and written in the transaction of the event. Replays into one log share one
transactional id, so whoever was fenced in between cannot commit, whatever its id is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from streams.engine.errors import (
    EngineError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.ports import Origin, Transactions
from streams.engine.record import Output, Record
from streams.processors.replay import IntoLog, IntoSide, Outlet, Remaining
from streams.runtime.audit import audit_record
from streams.runtime.replay.job import Rehearsal
from streams.runtime.replay.passage import Passage, chunks
from streams.runtime.replay.runs import INTO_LOG, Run, RunMismatchError, read_run
from topics import TopicSpec, naming
from topics.catalogue import side_spec

# About a minute of trying in vain; whoever waits at a terminal then starts it again himself.
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 10.0, 10.0, 10.0, 10.0)


def transactional_id(run: Run) -> str:
    """What fences: per log for those that mend it, per replay for side logs.

    A replay's id has no dots, so that the two never meet.
    """
    if run.into == INTO_LOG:
        return f"replay.log.{run.interface.lower()}"
    return f"replay-{run.id}"


def write(rehearsal: Rehearsal, run: Run, transactions: Transactions) -> Run:
    """Write everything that `run` still has to; give the run as it is then, finished.

    A run of this id that began before goes on where its last transaction ended.

    Raises:
        RunMismatchError: the id belongs to another replay; nothing was written.
        OperatorError: `broker_unreachable`.
        FencedError: a later replay took over.
        TransientError, UnknownOutcomeError: tried in vain for a minute.
        FatalError: as named.
    """
    failures = 0
    writing = _Writing(rehearsal, run, transactions)
    try:
        while True:
            positions = writing.run.positions
            try:
                return writing.attempt()
            except (TransientError, UnknownOutcomeError):
                # Best effort: a fence shows here, which `reset` would answer with another one.
                with suppress(TransientError, UnknownOutcomeError):
                    transactions.abort()
                failures = 0 if writing.run.positions != positions else failures
                if failures >= len(_BACKOFF_S):
                    raise
            time.sleep(_BACKOFF_S[failures])
            failures += 1
    finally:
        # Best effort: readers of the logs need not wait for the broker's time-out.
        with suppress(EngineError, RuntimeError):
            transactions.abort()
        transactions.close()


class _Writing:
    """The attempts at one run. `run` is what was committed last."""

    def __init__(self, rehearsal: Rehearsal, run: Run, transactions: Transactions) -> None:
        self.run = run
        self._rehearsal = rehearsal
        self._transactions = transactions
        self._opening = _Opening(transactions)
        self._refused = 0  # of this attempt, as far as it was committed

    def attempt(self) -> Run:
        """From the fence to the end."""
        self._transactions.reset()
        self._opening.begin_anew()
        self._refused = 0
        self._register()
        if self.run.finished_ms:
            return self.run
        if self.run.into == INTO_LOG:
            self._rehearsal.scan()
        outlet = Remaining(self._outlet(), dict(self.run.positions))
        passage = self._rehearsal.passage(outlet, self._opening)
        for chunk in chunks(self._rehearsal.records()):
            self._write(chunk, passage)
        return self._finish(passage)

    def _register(self) -> None:
        """Take up the run of this id, or make this one known."""
        known = read_run(self._rehearsal.reader, self.run.id)
        if known is not None:
            known.require_same(self.run)
            if known.ranges != self.run.ranges:  # begun by another process meanwhile
                raise RunMismatchError(known, "range")
            self.run = known
            return
        self._transactions.begin()
        self._transactions.produce(self.run.output(), None)
        self._transactions.commit()

    def _outlet(self) -> Outlet:
        if self.run.into == INTO_LOG:
            return IntoLog(self.run.id, self._rehearsal.differences)
        return IntoSide(self.run.id)

    def _write(self, records: Sequence[Record], passage: Passage) -> None:
        pending = list(records)
        while pending:
            part = pending[:1] if passage.one_by_one else pending
            try:
                self._commit(part, passage)
            except RefusedError as error:
                self._transactions.abort()
                self._opening.begin_anew()
                passage.drop(error, len(part))
            else:
                pending = pending[len(part) :]

    def _commit(self, records: Sequence[Record], passage: Passage) -> None:
        opening = self._opening
        passage.run(records)
        if opening.open:
            positions = {record.partition: record.offset + 1 for record in records}
            refused, self._refused = passage.refused - self._refused, passage.refused
            moved = self.run.moved(positions, opening.events, opening.rejections, refused)
            self._transactions.produce(moved.output(), None)
            self._transactions.commit()
            self.run = moved
            opening.begin_anew()
        passage.settle()

    def _finish(self, passage: Passage) -> Run:
        now_ms = time.time_ns() // 1_000_000
        finished = replace(
            self.run,
            positions={p: end for p, (_, end) in self.run.ranges.items()},
            refused=self.run.refused + passage.refused - self._refused,
            finished_ms=now_ms,
        )
        self._transactions.begin()
        self._transactions.produce(finished.output(), None)
        self._transactions.produce(_audit(finished), None)
        self._transactions.commit()
        self.run = finished
        return finished


class _Opening:
    """Opens a transaction when the first output comes, and counts what goes into it."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.begin_anew()

    def begin_anew(self) -> None:
        """No transaction is open."""
        self.open = False
        self.events = 0
        self.rejections = 0

    def produce(self, output: Output, origin: Origin | None, /) -> None:
        """Into the open transaction."""
        if not self.open:
            self._transactions.begin()
            self.open = True
        self._transactions.produce(output, origin)
        if any(name == "cimstream_code" for name, _ in output.headers):
            self.rejections += 1
        else:
            self.events += 1


def side_specs(rehearsal: Rehearsal, replay_id: str) -> list[TopicSpec]:
    """The side logs that a replay of this id needs; that of rejections always."""
    interface = rehearsal.plan.interface
    needed = rehearsal.differences.topics() | {naming.rejected(interface)}
    return [side_spec(s, replay_id) for s in rehearsal.catalogue.topics() if s.name in needed]


def _audit(run: Run) -> Output:
    return audit_record(
        "replay",
        run.id,
        by=run.by,
        time_ms=run.finished_ms,
        details={
            "interface": run.interface,
            "into": run.into,
            "range": {
                f"{naming.inbound(run.interface)}/{partition}": f"{start}..{end}"
                for partition, (start, end) in run.ranges.items()
            },
            "started": run.started_ms,
            "events": run.events,
            "rejections": run.rejections,
            "refused": run.refused,
        },
    )
