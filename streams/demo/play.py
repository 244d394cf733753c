"""The demonstration from start to end: as a user would, command by command.

Every command runs as a process of its own, the workers are killed from outside, and the
counts come from Kafka.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Final, Protocol

from streams.demo.reconcile import Row, attribute, compare
from streams.demo.scenario import Sent, scenario
from streams.engine.kafka import KafkaSettings
from streams.engine.record import TopicPartition
from streams.runtime.reading import Range, TopicReader
from topics import Catalogue, load_catalogue
from topics.errors import OperatorError

# Everything takes seconds; what takes longer than this has failed.
_PATIENCE_S: Final = 90.0
_CHECK_S: Final = 0.2
_COMPARED: Final = frozenset({"log", "rejected", "outbound"})


class Steps(Protocol):
    """Who is told how far it is."""

    def doing(self, text: str) -> None:
        """Something begins."""

    def done(self, text: str) -> None:
        """It is done; one sentence about it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One number that must be right."""

    what: str
    expected: int | Decimal
    found: int | Decimal

    @property
    def right(self) -> bool:
        """Whether it is."""
        return self.expected == self.found


@dataclass(slots=True)
class Outcome:
    """The reconciliation: rows by kind, totals, and sentences about what is wrong."""

    rows: list[Row]
    totals: list[Check]
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether everything is."""
        return (
            not self.wrong
            and all(row.right for row in self.rows)
            and all(check.right for check in self.totals)
        )


def play(bootstrap: str, folder: Path, source: str, steps: Steps) -> Outcome:
    """Run it all on the cluster at `bootstrap`, with temporary files in `folder`."""
    command = _Commands(bootstrap)
    catalogue = load_catalogue()
    steps.doing("topics of the eleven interfaces")
    command.run("topics", "apply")
    steps.done(f"{len(catalogue.topics())} topics of {len(catalogue.interfaces)} interfaces")
    sent = list(scenario(source))
    outbox = folder / "outbox"
    outbox.mkdir()
    for message in sent:
        (outbox / f"{message.name}.xml").write_bytes(message.data)
    reader = TopicReader(KafkaSettings(bootstrap, extra={"log_level": 0}))
    with _workers(bootstrap, folder) as workers:
        _await_processed(command)  # what others left on a cluster that is not ours alone
        before = _Snapshot(reader, catalogue, command)
        steps.doing(f"sending {len(sent)} messages")
        started = time.monotonic()
        receipts = _send(command, outbox)
        size = sum(len(message.data) for message in sent) / 1e6
        seconds = time.monotonic() - started
        steps.done(f"{len(sent)} messages sent, {size:.0f} MB in {seconds:.1f} s")
        steps.doing("processing, with a kill -9 of the worker in the middle")
        workers.kill_one()
        _await_processed(command)
        steps.done("processed; the worker was killed in the middle and another went on")
    with reader:
        after = _Snapshot(reader, catalogue, command)
        return _reconcile(sent, source, receipts, before, after)


class _Commands:
    """Runs `cimstream` commands against the cluster."""

    def __init__(self, bootstrap: str) -> None:
        self._environment = {**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap}

    def run(self, *arguments: str) -> str:
        """What the command wrote; a failure of it ends the demonstration."""
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            command = " ".join(("cimstream", *arguments))
            raise _failed(f"{command} ended with {done.returncode}", done.stderr.strip())
        return done.stdout

    def documents(self, *arguments: str) -> list[dict[str, object]]:
        """The JSON lines the command wrote."""
        return [json.loads(line) for line in self.run(*arguments).splitlines()]


class _Snapshot:
    """Ends of the logs and exact counters at one moment."""

    def __init__(self, reader: TopicReader, catalogue: Catalogue, command: _Commands) -> None:
        self.reader = reader
        existing = reader.topics()
        self._purposes = {
            spec.name: spec.purpose for spec in catalogue.topics() if spec.purpose in _COMPARED
        }
        self.bounds = reader.bounds(at for name in self._purposes for at in existing[name])
        self.counts = _counts(command)

    def since(self, before: _Snapshot, purpose: str) -> dict[TopicPartition, Range]:
        """Ranges of all that was added to the topics of this purpose."""
        return {
            at: Range(before.bounds[at].end, span.end)
            for at, span in self.bounds.items()
            if self._purposes[at.topic] == purpose
        }


class _Workers:
    """The processes of `cimstream run`, as far as their log tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pids: list[int] = []
        Thread(target=self._read, daemon=True).start()

    def kill_one(self) -> None:
        """Kill the newest worker hard."""
        _until(lambda: bool(self.pids), "no worker started")
        os.kill(self.pids[-1], signal.SIGKILL)
        count = len(self.pids)
        _until(lambda: len(self.pids) > count, "no worker was started again")

    def _read(self) -> None:
        for line in self.process.stderr or ():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("event") == "worker started":
                self.pids.append(entry["pid"])


@contextmanager
def _workers(bootstrap: str, folder: Path) -> Iterator[_Workers]:
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "run", "--state-folder", str(folder / "state")],
        env={
            **os.environ,
            "CIMSTREAM_BOOTSTRAP": bootstrap,
            "CIMSTREAM__HTTP__PORT": "0",
            "CIMSTREAM__LOGGING__FORMAT": "json",
        },
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _Workers(process)
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


def _send(command: _Commands, outbox: Path) -> dict[str, str]:
    """Send the folder; give "topic/partition@offset" of each message, to its name."""
    positions = {}
    for receipt in command.documents("send", str(outbox), "--interface", "I7", "-o", "json"):
        at = f"{receipt['topic']}/{receipt['partition']}@{receipt['offset']}"
        positions[at] = Path(str(receipt["path"])).name.removesuffix(".xml")
    return positions


def _await_processed(command: _Commands) -> None:
    def idle() -> bool:
        figures = command.documents("stats", "--interface", "I7", "-o", "json")
        return all(figure["lag"] == 0 for figure in figures)

    _until(idle, "the worker does not catch up")


def _counts(command: _Commands) -> dict[str, int]:
    (figures,) = command.documents("stats", "--interface", "I7", "-o", "json")
    return {
        name: int(str(figures.get(name, 0)))
        for name in ("received", "produced", "duplicates", "rejected", "replied")
    }


def _reconcile(
    sent: Sequence[Sent],
    source: str,
    positions: Mapping[str, str],
    before: _Snapshot,
    after: _Snapshot,
) -> Outcome:
    reader = after.reader
    logs = reader.records(after.since(before, "log"))
    rejected = reader.records(after.since(before, "rejected"))
    replies = len(list(reader.records(after.since(before, "outbound"))))
    found, wrong = attribute(logs, rejected, positions, source)
    rows = compare(sent, found)
    expected = [message.expected for message in sent]
    oversize = sum(1 for e in expected if "message_too_large" in e.rejected)
    counted = {name: after.counts[name] - before.counts[name] for name in after.counts}
    totals = [
        Check("messages sent", len(sent), len(positions)),
        Check("received by intake", len(sent) - oversize, counted["received"]),
        Check("canonical events", sum(sum(e.events.values()) for e in expected),
              counted["produced"]),
        Check("recognised as repeats", sum(e.repeats for e in expected), counted["duplicates"]),
        Check("rejected", sum(sum(e.rejected.values()) for e in expected),
              counted["rejected"] + oversize),
        Check("replies on outbound", sum(e.replies for e in expected), replies),
        Check("kWh in the log", sum((e.kwh for e in expected), Decimal(0)),
              sum((row.kwh[1] for row in rows), Decimal(0))),
    ]  # fmt: skip
    return Outcome(rows, totals, wrong)


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise _failed(otherwise, "")
        time.sleep(_CHECK_S)


def _failed(what: str, why: str) -> OperatorError:
    return OperatorError(
        "demo_failed",
        what=f"the demonstration stopped: {what}",
        why=why,
        fix="run `cimstream doctor`, then `cimstream demo` again",
    )
