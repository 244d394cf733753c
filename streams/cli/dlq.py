"""`cimstream dlq list|show`: what could not be accepted, and why.

Lives here: the options, and how rejected records are shown. Must not live here: rejecting
(intake, `connectors.inbound`), which records (`streams.runtime.rejections`), sending again
(`redrive`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.filters import Code, Interface, Since, Source, Until, make_filter
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.records import parse_place, record_missing, size_text, time_text, to_json
from streams.cli.redrive import redrive
from streams.cli.unmasking import record_unmasking
from streams.engine.record import Record
from streams.runtime.headers import header, headers
from streams.runtime.reading import TopicReader
from streams.runtime.rejections import Place, at_places, newest

app = typer.Typer(name="dlq", help="What could not be accepted, and why.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="So many of the newest.")]
PlaceArgument = Annotated[
    str, typer.Argument(metavar="TOPIC/PARTITION@OFFSET", help="As `dlq list` writes it.")
]
Payload = Annotated[
    bool,
    typer.Option("--payload", help="Write the original bytes, unmasked, and nothing else."),
]

_CONNECT: Final = "__connect.errors."
_TOLD: Final = ("what", "where", "why", "fix", "iec_code", "object", "size", "sha256", "inbound")


@app.command("list")
def list_(
    *,
    interface: Interface = "",
    code: Code = "",
    source: Source = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """List rejected messages and objects, the newest last.

    Exit status: 0, 2 wrong usage, 69 no broker.

    Example: cimstream dlq list --interface I7 --since 24h
    """
    aim = target(bootstrap, config)
    wanted = make_filter(aim.catalogue, interface, code, source, since, until)
    with TopicReader(aim.kafka) as reader:
        records = newest(reader, aim.catalogue, wanted, limit)
    if output is Form.JSON:
        with pipe_may_close():
            for record in records:
                sys.stdout.write(to_json(summary(record)) + "\n")
    elif records:
        wide_console().print(listing(records))
    else:
        wide_console().print("Nothing was rejected.")


@app.command("show")
def show_(
    place: PlaceArgument,
    *,
    payload: Payload = False,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show why one message was rejected, what to do, and its headers.

    The message itself is personal data: it is written with --payload only, which leaves a record
    in cim.audit.

    Exit status: 0, 1 the record is not there or --payload is not for this principal, 2 wrong
    usage, 69 no broker.

    Example: cimstream dlq show cim.i7.rejected/3@42
    """
    aim = target(bootstrap, config)
    record = _record(aim, place)
    if payload:
        record_unmasking(aim, "dlq show", str(record))
        with pipe_may_close():
            sys.stdout.buffer.write(record.value or b"")
    elif output is Form.JSON:
        sys.stdout.write(to_json(document(record)) + "\n")
    else:
        show(wide_console(), record)


def _record(aim: Target, place: str) -> Record:
    """The committed record at a place.

    Raises:
        OperatorError: `record_missing`, or as `parse_place`.
    """
    with TopicReader(aim.kafka) as reader:
        found = Place(*parse_place(place, reader.topics()))
        for record in at_places(reader, [found]):
            return record
    raise record_missing(place)


def summary(record: Record) -> dict[str, object]:
    """One rejection as JSON, without its bytes."""
    return {
        "place": str(record),
        "time": time_text(record),
        "code": header(record, "cimstream_code"),
        "what": header(record, "cimstream_what"),
        "where": header(record, "cimstream_where"),
        "why": header(record, "cimstream_why"),
        "source": header(record, "ce_source"),
        "noun": header(record, "ce_noun"),
        "size": int(header(record, "cimstream_size") or len(record.value or b"")),
    }


def listing(records: list[Record]) -> Table:
    """The table of `dlq list`: three columns of two lines, so that 80 characters are enough."""
    table = Table(box=box.SIMPLE_HEAD, show_lines=True, pad_edge=False)
    table.add_column("topic/partition@offset\ntime", no_wrap=True)
    table.add_column("code\nwhat")
    table.add_column("where\nsource, noun", overflow="fold")
    for record in records:
        one = summary(record)
        about = ", ".join(str(one[name]) for name in ("source", "noun") if one[name])
        table.add_row(
            Text(f"{one['place']}\n").append(str(one["time"]), "dim"),
            Text(str(one["code"]), "yellow").append(f"\n{one['what']}", "not bold default"),
            Text(f"{one['where']}\n").append(about, "dim"),
        )
    return table


def document(record: Record) -> dict[str, object]:
    """All that is known of one rejection, without its bytes."""
    return {**summary(record), "fix": header(record, "cimstream_fix"), "headers": headers(record)}


def show(console: Console, record: Record) -> None:
    """One rejection for people: why and what to do first, then what is known of the message."""
    console.print(Text(header(record, "cimstream_code"), "bold yellow").append(f"  {record}", ""))
    console.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in _lines(record):
        grid.add_row(name, Text(text, overflow="fold"))
    console.print(grid)


def _lines(record: Record) -> Iterator[tuple[str, str]]:
    yield "time", time_text(record)
    for name in _TOLD:
        if text := header(record, f"cimstream_{name}"):
            yield name, text
    for name, text in headers(record).items():
        if not name.startswith(("cimstream_", _CONNECT)):
            yield name, text
    yield "kept", size_text(len(record.value or b"")) + " of the original; --payload writes them"


app.command("redrive")(redrive)
