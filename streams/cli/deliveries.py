"""`cimstream deliveries list|show`: what has not reached its destination yet.

Lives here: the options, and how pending deliveries are shown. Must not live here: delivering
(`streams.runtime.delivery`); what ended undelivered (`dlq`).
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from schemas.times import from_epoch_ms
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, target
from streams.cli.records import parse_place, record_missing, to_json
from streams.runtime.delivery.entry import Entry
from streams.runtime.delivery.pending import pending
from streams.runtime.reading import TopicReader
from streams.runtime.rejections import Place

app = typer.Typer(
    name="deliveries", help="What has not reached its destination yet.", no_args_is_help=True
)

Destination = Annotated[str, typer.Option("--destination", "-d", help="Only for this system.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="So many of the oldest.")]
PlaceArgument = Annotated[
    str, typer.Argument(metavar="TOPIC/PARTITION@OFFSET", help="As `deliveries list` writes it.")
]


@app.command("list")
def list_(
    *,
    destination: Destination = "",
    limit: Limit = 50,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """List messages that wait for their destination or its receipt, the oldest first.

    What ended undelivered is not here: `cimstream dlq list --code delivery_expired`, and the like.

    Exit status: 0, 2 wrong usage, 69 no broker.

    Example: cimstream deliveries list --destination CREW
    """
    aim = target(bootstrap, config)
    with TopicReader(aim.kafka) as reader:
        found = pending(reader, aim.catalogue)
    entries = [one for one in found if destination in ("", one.destination)][:limit]
    if output is Form.JSON:
        with pipe_may_close():
            for entry in entries:
                sys.stdout.write(to_json(document(entry)) + "\n")
    elif entries:
        wide_console().print(listing(entries, time.time_ns() // 1_000_000))
    else:
        wide_console().print("Nothing waits.")


@app.command("show")
def show(
    place: PlaceArgument,
    *,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show what is known of one pending delivery; the message itself is not.

    Exit status: 0, 1 nothing is pending there, 2 wrong usage, 69 no broker.

    Example: cimstream deliveries show cim.i4.outbound/0@42
    """
    aim = target(bootstrap, config)
    with TopicReader(aim.kafka) as reader:
        wanted = Place(*parse_place(place, reader.topics()))
        found = [one for one in pending(reader, aim.catalogue) if one.place == wanted]
    if not found:
        raise record_missing(place)
    told = document(found[0])
    if output is Form.JSON:
        sys.stdout.write(to_json(told) + "\n")
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, said in told.items():
        grid.add_row(name, Text(str(said), overflow="fold"))
    wide_console().print(grid)


def document(entry: Entry) -> dict[str, object]:
    """All that is known of one, as JSON."""
    return {
        "place": str(entry.place),
        "destination": entry.destination,
        "state": _state(entry),
        "noun": entry.noun,
        "verb": entry.verb,
        "object": entry.subject,
        "message": entry.message_id,
        "since": from_epoch_ms(entry.since_ms),
        "expires": from_epoch_ms(entry.expires_ms),
        "attempts": entry.attempts,
        "next": from_epoch_ms(entry.due_ms) if entry.due_ms else "",
        "why": entry.why,
    }


def listing(entries: list[Entry], now_ms: int) -> Table:
    """The table of `deliveries list`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("topic/partition@offset", "destination", "noun, verb", "age", "tries", "state"):
        table.add_column(title, no_wrap=title == "topic/partition@offset")
    for entry in entries:
        age_s = max(0, now_ms - entry.since_ms) // 1000
        table.add_row(
            str(entry.place),
            entry.destination,
            f"{entry.noun} {entry.verb}",
            f"{age_s // 3600}:{age_s // 60 % 60:02}:{age_s % 60:02}",
            str(entry.attempts),
            Text(_state(entry)).append(f"  {entry.why}" if entry.why else "", "dim"),
        )
    return table


def _state(entry: Entry) -> str:
    if entry.fate:
        return "ending"
    if entry.taken:
        return "receipt awaited"
    return "waiting"
