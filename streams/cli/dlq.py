"""`cimstream dlq`: what could not be accepted, and why.

Lives here: the options, which rejected records, and how they are shown. Must not live here:
rejecting (intake, `connectors.inbound`), sending again.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.inbound import UnknownInterfaceError
from schemas.errors import CODES
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.records import (
    header,
    headers,
    parse_place,
    parse_since,
    size_text,
    time_text,
    to_json,
)
from streams.engine.record import Record, TopicPartition
from streams.runtime.reading import Range, TopicReader, in_time
from topics import Catalogue
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

app = typer.Typer(name="dlq", help="What could not be accepted, and why.", no_args_is_help=True)

Interface = Annotated[
    str,
    typer.Option("--interface", "-i", metavar="I1..I11", help="Only this one.", show_default=False),
]
Code = Annotated[
    str, typer.Option("--code", metavar="CODE", help="Only this error code.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="SPAN|TIME",
        help="Only since then: 90s, 15m, 2h, 7d, or 2026-01-31T12:00:00Z.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="So many of the newest.")]
Place = Annotated[
    str, typer.Argument(metavar="TOPIC/PARTITION@OFFSET", help="As `dlq list` writes it.")
]
Payload = Annotated[
    bool,
    typer.Option("--payload", help="Write the original bytes, unmasked, and nothing else."),
]

_CONNECT: Final = "__connect.errors."
_TOLD: Final = ("what", "where", "why", "fix", "iec_code", "object", "size", "sha256", "inbound")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rejections; an empty field does not filter. `since_ms` is epoch ms UTC."""

    interface: str = ""
    code: str = ""
    since_ms: int | None = None
    limit: int = 50


@app.command("list")
def list_(
    *,
    interface: Interface = "",
    code: Code = "",
    since: Since = None,
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
    interface = interface.upper()
    if interface and interface not in aim.catalogue.interfaces:
        raise UnknownInterfaceError(interface, aim.catalogue.interfaces)
    if code and code not in CODES:
        raise OperatorError(
            "code_unknown",
            what=f"there is no error code {code!r}",
            fix="take one from the table that `cimstream dlq list` shows",
            exit_code=EXIT_CONFIG,
        )
    since_ms = None if since is None else parse_since(since, time.time_ns() // 1_000_000)
    with TopicReader(aim.kafka) as reader:
        records = select(reader, aim.catalogue, Filter(interface, code, since_ms, limit))
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
    place: Place,
    *,
    payload: Payload = False,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show why one message was rejected, what to do, and its headers.

    The message itself is personal data and is only written with --payload.

    Exit status: 0, 1 the record is not there, 2 wrong usage, 69 no broker.

    Example: cimstream dlq show cim.i7.rejected/3@42
    """
    record = _record(target(bootstrap, config), place)
    if payload:
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
        at, offset = parse_place(place, reader.topics())
        ranges = reader.bounds([at]) if at in reader.topics()[at.topic] else {}
        for span in ranges.values():
            if span.start <= offset < span.end:
                for record in reader.records({at: Range(offset, offset + 1)}):
                    return record
    raise OperatorError(
        "record_missing",
        what="there is no committed record at this place",
        where=place,
        why="its time in the log is over, or the offset is a transaction's own record",
        fix="take a place from `cimstream dlq list`",
        exit_code=EXIT_FAILED,
    )


def select(reader: TopicReader, catalogue: Catalogue, wanted: Filter) -> list[Record]:
    """The newest rejections that `wanted` lets through, oldest first, at most `wanted.limit`.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    existing = reader.topics()
    topics = [
        spec.name
        for spec in catalogue.topics()
        if spec.purpose == "rejected"
        and spec.name in existing
        and wanted.interface in ("", spec.interface)
    ]
    ranges = reader.bounds(at for topic in topics for at in existing[topic])
    if wanted.since_ms is not None:
        ranges = reader.starts_at(ranges, wanted.since_ms)
    if not wanted.code:
        return reader.last(ranges, wanted.limit)
    return _with_code(reader, ranges, wanted)


def _with_code(
    reader: TopicReader, ranges: Mapping[TopicPartition, Range], wanted: Filter
) -> list[Record]:
    """Has to read all of them; keeps no more than the limit of each partition."""
    kept: dict[TopicPartition, deque[Record]] = {}
    for record in reader.records(ranges):
        if header(record, "cimstream_code") == wanted.code:
            kept.setdefault(record.source, deque(maxlen=wanted.limit)).append(record)
    found = sorted((record for records in kept.values() for record in records), key=in_time)
    return found[-wanted.limit :]


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
