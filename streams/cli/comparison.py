"""How a replay and its differences look, to people and to machines.

Must not live here: what a difference is (`streams.processors.replay`), options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.errors import CODES
from schemas.times import from_epoch_ms
from streams.processors.replay.differences import KINDS, Rejections, Row
from streams.runtime.replay import INTO_LOG, INTO_SIDE, Plan, Run

_HEADINGS: Final = {
    "same": "same",
    "missing": "missing",
    "different": "different",
    "log_only": "log only",
}
DESTINATIONS: Final = {INTO_SIDE: "its side logs", INTO_LOG: "the log"}
_NONE: Final = "·"


def show(
    console: Console, plan: Plan, rows: Sequence[Row], rejections: Sequence[Rejections]
) -> None:
    """The range, the differences by log, and the rejections by code."""
    for at, span in sorted(plan.ranges.items()):
        console.print(f"{at}  offsets {span.start} to {span.end - 1}", highlight=False)
    for note in plan.notes:
        console.print(Text(f"note: {note}", "yellow"), soft_wrap=True)
    console.print(_differences(rows))
    if rejections:
        console.print(_rejections(rejections))


def _differences(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("log", no_wrap=True)
    for kind in KINDS:
        table.add_column(_HEADINGS[kind], justify="right")
    table.add_column("first places", overflow="fold")
    for row in rows:
        counts = [f"{row.count(kind):,}" if row.count(kind) else _NONE for kind in KINDS]
        table.add_row(row.log, *counts, _places(row))
    return table


def _places(row: Row) -> str:
    return "\n".join(
        f"{_HEADINGS[kind]}: {', '.join(row.places[kind])}" for kind in KINDS if kind in row.places
    )


def _rejections(rejections: Sequence[Rejections]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("would be rejected")
    table.add_column("count", justify="right")
    table.add_column("first")
    table.add_column("what")
    for one in rejections:
        table.add_row(one.code, f"{one.count:,}", one.first, CODES[one.code].what)
    return table


def document(
    plan: Plan, run: Run | None, rows: Sequence[Row], rejections: Sequence[Rejections]
) -> dict[str, object]:
    """The same as JSON, with the id of the replay that is to write. Ranges exclude their end."""
    return {
        "replay": run.id if run else None,
        "interface": plan.interface,
        "ranges": {str(at): list(span) for at, span in sorted(plan.ranges.items())},
        "notes": list(plan.notes),
        "differences": [
            {
                "log": row.log,
                **{kind: row.count(kind) for kind in KINDS},
                "places": dict(row.places),
            }
            for row in rows
        ],
        "rejected": {one.code: {"count": one.count, "first": one.first} for one in rejections},
    }


def show_run(console: Console, run: Run) -> None:
    """What a finished replay wrote."""
    text = f"replay {run.id}: {run.events:,} events into {DESTINATIONS[run.into]}"
    if run.rejections:
        text += f", {run.rejections:,} rejections"
    if run.refused:
        text += f"; {run.refused:,} records led to what the broker refuses"
    console.print(f"{text}; finished {from_epoch_ms(run.finished_ms)}", highlight=False)


def run_document(run: Run) -> dict[str, object]:
    """The same as JSON."""
    return {
        "replay": run.id,
        "interface": run.interface,
        "into": run.into,
        "events": run.events,
        "rejections": run.rejections,
        "refused": run.refused,
        "started": from_epoch_ms(run.started_ms),
        "finished": from_epoch_ms(run.finished_ms),
    }
