"""`cimstream demo`: the whole pipeline on a real Kafka, and a table that reconciles it."""

from __future__ import annotations

import os
import signal
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from streams.demo.play import Outcome, play
from streams.demo.reconcile import Row
from streams.runtime import broker
from topics.errors import EXIT_FAILED

_WRONG_SHOWN: Final = 20


def demo() -> None:
    """Send a stream of messages through the pipeline and account for every one of them.

    Brings up a Kafka of its own (or uses CIMSTREAM_BOOTSTRAP), creates the topics of all
    interfaces, starts the processors, sends meter readings and events with repeats, conflicts
    and hostile input among them, kills a worker in the middle, and compares what was sent
    with what is in the event log, what was recognised as a repeat and what was rejected.
    Leaves nothing behind.

    Exit status: 0 only if every count is right.

    Example: cimstream demo
    """
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cimstream-demo-")))
        with console.status("Kafka: looking for a broker, or starting one …"):
            own = broker.BrokerSettings(data_folder=folder / "kafka", port=0)
            info = stack.enter_context(broker.broker_for(own, os.environ))
        console.print(f"[green]✓[/] Kafka at {info.bootstrap} ({info.origin})")
        outcome = play(info.bootstrap, folder, f"HES-{uuid.uuid4().hex[:8]}", _Steps(console))
    _show(console, outcome)
    raise typer.Exit(0 if outcome.right else EXIT_FAILED)


class _Steps:
    """Says what is going on, one line per step that is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")

    def doing(self, text: str) -> None:
        self._status.update(f"{text} …")
        self._status.start()

    def done(self, text: str) -> None:
        self._status.stop()
        self._console.print(f"[green]✓[/] {text}", highlight=False)


def _show(console: Console, outcome: Outcome) -> None:
    console.print()
    console.print(_effects([row for row in outcome.rows if not row.rejections_only]))
    console.print(_rejections([row for row in outcome.rows if row.rejected != (0, 0)]))
    console.print(_totals(outcome))
    for line in outcome.wrong[:_WRONG_SHOWN]:
        console.print(f"[red]✗[/] {line}", highlight=False)
    if outcome.right:
        console.print("[bold green]Every message is accounted for:[/] nothing lost, nothing twice.")
    else:
        console.print("[bold red]The counts do not agree.[/]")


def _effects(rows: list[Row]) -> Table:
    table = _table("Sent, and what is in the event log")
    table.add_column("kind of message")
    for name in ("sent", "events", "readings", "kWh"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        numbers = (_pair(*row.events), _pair(*row.readings), _pair(*row.kwh))
        table.add_row(row.kind, f"{row.messages:,}", *numbers, _mark(right=row.right))
    return table


def _rejections(rows: list[Row]) -> Table:
    table = _table("Rejected, and why")
    table.add_column("kind of message")
    table.add_column("rejected", justify="right")
    table.add_column("code")
    table.add_column("")
    for row in rows:
        codes = ", ".join(sorted(row.codes))
        table.add_row(row.kind, _pair(*row.rejected), codes, _mark(right=row.right))
    return table


def _totals(outcome: Outcome) -> Table:
    table = _table("Totals, by the counters that commit with the records")
    table.add_column("what")
    table.add_column("must be", justify="right")
    table.add_column("is", justify="right")
    table.add_column("")
    for check in outcome.totals:
        numbers = (f"{check.expected:,}", f"{check.found:,}")
        table.add_row(check.what, *numbers, _mark(right=check.right))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _mark(*, right: bool) -> str:
    return "[green]✓[/]" if right else "[bold red]✗[/]"


def _pair(expected: object, found: object) -> str:
    """One number where they agree, otherwise both."""
    if expected == found:
        return f"{found:,}" if found else "·"
    return f"[red]{found:,} ≠ {expected:,}[/]"
