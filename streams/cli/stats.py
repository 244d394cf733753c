"""`cimstream stats`: what came in on each interface and what became of it.

Lives here: the options and the tables. Must not live here: the figures (`figures`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.inbound import UnknownInterfaceError
from schemas.errors import CODES
from streams.cli.figures import InterfaceFigures, measure
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, target
from streams.cli.records import to_json
from streams.runtime.reading import TopicReader

_COUNTED: Final = (
    "received", "produced", "duplicates", "misspelt", "rejected", "replied", "rerouted",
)  # fmt: skip

Interfaces = Annotated[
    list[str] | None,
    typer.Option(
        "--interface",
        "-i",
        metavar="I1..I11",
        help="Only this interface; repeatable. Default: those where something happened.",
        show_default=False,
    ),
]
Count = Annotated[
    bool,
    typer.Option("--count", help="Read every topic and count its records; takes a while."),
]


def stats(
    *,
    interface: Interfaces = None,
    count: Count = False,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show per interface what was received, what became of it, and how far intake lags.

    The counts of intake are exact as of its last commit: each is written in the transaction
    of the records it counts. Sizes of topics are offsets, which count control records too,
    unless --count reads them.

    Exit status: 0, 2 no such interface, 69 no broker.

    Example: cimstream stats --interface I7 -o json
    """
    aim = target(bootstrap, config)
    wanted = [name.upper() for name in interface or ()]
    for name in wanted:
        if name not in aim.catalogue.interfaces:
            raise UnknownInterfaceError(name, aim.catalogue.interfaces)
    with TopicReader(aim.kafka) as reader:
        measured = measure(
            reader, aim.catalogue, wanted or aim.catalogue.interfaces, count_records=count
        )
    if output is Form.JSON:
        with pipe_may_close():
            for one in measured:
                sys.stdout.write(to_json(document(one, counted=count)) + "\n")
        return
    shown = [one for one in measured if wanted or not one.idle]
    console = wide_console()
    if shown:
        show(console, shown, counted=count)
    else:
        console.print("Nothing was sent to any interface yet. Try: cimstream send PATH -i I7")


def document(figures: InterfaceFigures, *, counted: bool) -> dict[str, object]:
    """One interface as JSON: `records` of each log where they were counted, else `offsets`."""
    return {
        "interface": figures.interface,
        "title": figures.title,
        **{name: figures.count(name) for name in _COUNTED},
        "rejected_by_code": figures.by_code(),
        "lag": figures.lag,
        "records" if counted else "offsets": dict(figures.logs),
        "counters": [{**key._asdict(), "count": number} for key, number in figures.counts.items()],
    }


def show(console: Console, figures: Sequence[InterfaceFigures], *, counted: bool) -> None:
    """Tables for people; an empty one is left out."""
    console.print(_counts(figures))
    for table in (_codes(figures), _logs(figures, counted=counted)):
        if table.row_count:
            console.print()
            console.print(table)
    if not counted:
        console.print("Offsets count control records too; --count reads the records.", style="dim")


def _counts(figures: Sequence[InterfaceFigures]) -> Table:
    table = _table("Processed")
    table.add_column("interface")
    for name in (*_COUNTED, "lag"):
        table.add_column(name, justify="right")
    for one in figures:
        numbers = [_number(one.count(name)) for name in _COUNTED]
        table.add_row(one.interface, *numbers, _number(one.lag))
    return table


def _codes(figures: Sequence[InterfaceFigures]) -> Table:
    table = _table("Rejected")
    table.add_column("interface")
    table.add_column("code")
    table.add_column("count", justify="right")
    table.add_column("because")
    for one in figures:
        for code, number in one.by_code().items():
            what = CODES[code].what if code in CODES else ""
            table.add_row(one.interface, code, _number(number), what)
    return table


def _logs(figures: Sequence[InterfaceFigures], *, counted: bool) -> Table:
    table = _table("Topics")
    table.add_column("topic")
    table.add_column("records" if counted else "offsets", justify="right")
    for one in figures:
        for topic, size in one.logs.items():
            if size:
                table.add_row(topic, _number(size))
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )


def _number(number: int) -> str:
    return f"{number:,}" if number else "·"
