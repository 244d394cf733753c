"""`cimstream view`: a database that follows the logs, and questions to it.

Lives here: the commands and their options. Must not live here: how a view is followed or asked
(`streams.views`), what is hidden of a row (`masking`).
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from schemas.avro import decode
from schemas.times import from_epoch_ms
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.listening import check_probes
from streams.cli.masking import mask_event, mask_key
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.records import event_line, parse_since, size_text, to_json
from streams.cli.unmasking import record_unmasking
from streams.engine.errors import FencedError, StateLostError
from streams.runtime import views
from streams.runtime.logs import configure
from streams.runtime.process import EXIT_FENCED, EXIT_STATE_LOST
from streams.runtime.reading import TopicReader
from streams.runtime.settings import Settings, load_settings
from streams.runtime.stopping import Stopping
from streams.runtime.views import open_database, open_view
from streams.views.criteria import Criteria, CriteriaError
from streams.views.model import logs
from streams.views.query import Page, Row
from streams.views.reading import SqlReader
from streams.views.store import Status
from topics import load_catalogue, naming
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

# A follower that has said this lately that it is there is there.
_ALIVE_MS = 10_000

app = typer.Typer(
    name="view",
    help="A database of registers and recent histories, fed from the logs, and questions to it.",
    no_args_is_help=True,
)

DatabaseName = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="FILE|URL",
        help="SQLite file or postgresql:// URL; default: views.database of the settings.",
        show_default=False,
    ),
]
Values = list[str] | None


@app.command()
def follow(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End when the logs were read to their ends.")
    ] = False,
    http_port: Annotated[
        int | None,
        typer.Option(help="/metrics and /health; 0 takes a free one.  [default: 9540]"),
    ] = None,
    database: DatabaseName = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Keep the view up with the logs, each record exactly once, until stopped.

    Builds the view if there is none. Rows and the offsets behind them are one transaction of
    the database, so a follower that was killed goes on where it was. **A view has one
    follower:** a second one takes over, and the first ends (exit code 75). `cimstream run` does
    the same beside its workers where the setting views.follow is true.

    Exit status: 0, 2 settings, 69 no broker or database, 75 another follower took the view,
    78 a log was deleted, made anew or cut.

    Example: cimstream view follow --once
    """
    settings = load_settings(config, views={"database": database, "http_port": http_port})
    _follow(settings, target(bootstrap, config), once=once)


@app.command()
def rebuild(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database: DatabaseName = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Throw the view away and build it again from the logs, to their ends.

    For a view of another version, or after a log was deleted, made anew or cut. What the logs
    hold is in the new view: registers whole, histories of the window. Meanwhile answers say
    that the view is behind (code 0.2). Stop its follower first.

    Exit status: 0, 1 it is followed just now or nobody confirmed, 2 settings, 69 no broker or
    database.

    Example: cimstream view rebuild --yes
    """
    settings, aim = _settings(database, config), target(bootstrap, config)
    _refuse_if_followed(settings)
    if not yes:
        _confirm()
    _follow(settings, aim, once=True, anew=True)


@app.command()
def status(
    *,
    output: OutputForm = Form.TABLE,
    database: DatabaseName = None,
    config: ConfigFile = None,
) -> None:
    """Show what the view holds, from when on, and how far it is behind each log.

    Counts the rows, which takes a while in a large view. Asks no broker: ends of logs are as
    the follower last saw them.

    Exit status: 0, 2 there is no view, 69 no database.

    Example: cimstream view status -o json
    """
    opened = open_database(_settings(database, config).views, write=False)
    with closing(SqlReader(opened)) as reader, reader.snapshot():
        found, positions = reader.status(), reader.positions()
    lag: dict[str, int] = {}
    for at, position in sorted(positions.items()):
        lag[at.topic] = lag.get(at.topic, 0) + position.lag
    caught_up_ms = min((position.caught_up_ms for position in positions.values()), default=0)
    if output is Form.JSON:
        sys.stdout.write(to_json(_status_document(found, lag, caught_up_ms)) + "\n")
    else:
        _print_status(found, lag, caught_up_ms)


@app.command()
def query(
    noun: Annotated[str, typer.Argument(metavar="NOUN", help="E.g. MeterReadings or Outages.")],
    *,
    mrid: Annotated[
        Values, typer.Option(help="mRID of the object, or of whom the data are about.")
    ] = None,
    name: Annotated[Values, typer.Option(help="Name of the same.")] = None,
    feeder: Annotated[Values, typer.Option(help="mRID or name of the feeder it is on.")] = None,
    status: Annotated[Values, typer.Option(help="Its status, e.g. confirmed.")] = None,
    life: Annotated[Values, typer.Option(help="Of a register: open, closed or canceled.")] = None,
    reading_type: Annotated[Values, typer.Option(help="Of readings: the reading type.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="SPAN|TIME", help="After then: 2h, 7d, or a time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="SPAN|TIME", help="Up to then, itself included.")
    ] = None,
    context: Annotated[str, typer.Option(help="E.g. TESTING.")] = naming.PRODUCTION,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Rows of a page, 1 to 1000.")] = 100,
    cursor: Annotated[
        str | None, typer.Option(help="Where the page before ended.", show_default=False)
    ] = None,
    unmask: Annotated[
        bool, typer.Option("--unmask", help="Show mRIDs, names and serial numbers as they are.")
    ] = False,
    output: OutputForm = Form.TABLE,
    database: DatabaseName = None,
    config: ConfigFile = None,
) -> None:
    """Ask the view: objects of a register, events, or readings with their newest values.

    All criteria must hold; one that is given several times, in one of its values. Readings are
    asked for by --mrid, --name or --feeder. The last line says whether the answer is whole:
    code 0.0; 0.1 more follows (it has the cursor); 0.2 something may be missing, and why.
    Whom data are about is masked (0000…aaaa) unless --unmask, which leaves a record in cim.audit.

    Exit status: 0, 1 --unmask is not for this principal, 2 such a question cannot be answered
    or there is no view, 69 no database.

    Example: cimstream view query Outages --life open -o json
    """
    settings = _settings(database, config)
    now_ms = time.time_ns() // 1_000_000
    criteria = Criteria(
        noun,
        context.upper(),
        tuple(mrid or ()),
        tuple(name or ()),
        tuple(feeder or ()),
        tuple(status or ()),
        tuple(life or ()),
        tuple(reading_type or ()),
        None if since is None else parse_since(since, now_ms),
        None if until is None else parse_since(until, now_ms),
    )
    try:
        with closing(open_view(settings.views, load_catalogue(settings.catalogue))) as view:
            page = view.page(criteria, limit=limit, cursor=cursor)
    except CriteriaError as error:
        raise OperatorError(
            error.code,
            what="this cannot be asked of the view",
            why=error.why,
            fix="see `cimstream view query --help`",
            exit_code=EXIT_CONFIG,
        ) from error
    if unmask:
        record_unmasking(target(None, config), "view query", noun)
    with pipe_may_close():
        _write(page, output, unmask=unmask)


def _settings(database: str | None, config: Path | None) -> Settings:
    return load_settings(config, views={"database": database})


def _follow(settings: Settings, aim: Target, *, once: bool, anew: bool = False) -> None:
    configure(settings.logging.level, settings.logging.format)
    _check_topics(settings, aim)
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())

    try:
        if once:
            how = aim.kafka, settings.views, aim.catalogue, stopping
            views.follow(*how, once=True, anew=anew)
        else:
            check_probes(settings.http)
            views.serve(aim.kafka, settings, aim.catalogue, stopping)
    except FencedError as error:
        raise OperatorError(
            "view_taken",
            what="another follower took this view over",
            where=settings.views.database,
            why="two of them would do the same work twice",
            fix="let one process follow a view, or give the other a database of its own",
            exit_code=EXIT_FENCED,
        ) from error
    except StateLostError as error:
        raise OperatorError(
            "view_log_lost",
            what="a log is not the one that the view was fed from",
            where=settings.views.database,
            why=str(error),
            fix="see docs/operating.md, The view",
            exit_code=EXIT_STATE_LOST,
        ) from error


def _check_topics(settings: Settings, aim: Target) -> None:
    wanted = logs(aim.catalogue, settings.views.nouns)
    with TopicReader(aim.kafka) as reader:
        missing = sorted(wanted.keys() - reader.topics().keys())
    if missing:
        raise OperatorError(
            "topics_missing",
            what=f"{len(missing)} topics of the catalogue do not exist",
            where=", ".join(missing[:5]),
            fix="run `cimstream topics apply`",
            exit_code=EXIT_CONFIG,
        )


def _refuse_if_followed(settings: Settings) -> None:
    try:
        reader = SqlReader(open_database(settings.views, write=False))
    except OperatorError as error:
        if error.code in ("view_missing", "view_version"):
            return
        raise
    heartbeat_ms = reader.heartbeat_ms()
    reader.close()
    if time.time_ns() // 1_000_000 - heartbeat_ms < _ALIVE_MS:
        raise OperatorError(
            "view_followed",
            what="the view is being followed",
            where=settings.views.database,
            why="its follower would be fenced and end",
            fix=f"stop it, wait {_ALIVE_MS // 1000} s, and repeat",
            exit_code=EXIT_FAILED,
        )


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise OperatorError(
            "not_confirmed",
            what="nobody confirmed",
            why="answers lack what is not built yet",
            fix="say --yes",
            exit_code=EXIT_FAILED,
        )
    typer.confirm("Answers will lack what is not built yet. Go on?", abort=True)


def _status_document(found: Status, lag: Mapping[str, int], caught_up_ms: int) -> dict[str, object]:
    return {
        "size": found.size_bytes,
        "histories_from": from_epoch_ms(found.floor_ms),
        "followed": from_epoch_ms(found.heartbeat_ms) if found.heartbeat_ms else None,
        "caught_up": from_epoch_ms(caught_up_ms) if caught_up_ms else None,
        "rows": [
            {"context": context, "noun": noun, "rows": count}
            for (context, noun), count in sorted(found.rows.items())
        ],
        "lag": {topic: offsets for topic, offsets in lag.items() if offsets},
    }


def _print_status(found: Status, lag: Mapping[str, int], caught_up_ms: int) -> None:
    console = wide_console()
    table = Table(title="Rows", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("context")
    table.add_column("noun")
    table.add_column("rows", justify="right")
    for (context, noun), count in sorted(found.rows.items()):
        table.add_row(context, noun, f"{count:,}")
    if table.row_count:
        console.print(table)
    console.print(
        f"{size_text(found.size_bytes)}; histories from {from_epoch_ms(found.floor_ms)} on"
    )
    when = f"at {from_epoch_ms(caught_up_ms)}" if caught_up_ms else "never yet"
    console.print(f"all logs read to their ends {when}; {sum(lag.values()):,} offsets behind then")


def _row_document(row: Row, *, unmask: bool) -> dict[str, object]:
    """A row as JSON; `chosen` are the positions in `values` that answer."""
    _, event = decode(row.body)
    document: dict[str, object] = {"key": row.key if unmask else mask_key(row.key)}
    if row.revision:
        document["revision"] = row.revision
    if row.chosen is not None:
        document["chosen"] = list(row.chosen)
    document["event"] = event if unmask else mask_event(event)
    return document


def _row_line(row: Row, *, unmask: bool) -> str:
    """A row in a few words."""
    schema, event = decode(row.body)
    key = row.key if unmask else mask_key(row.key)
    told = "" if row.chosen is None else f"  {len(row.chosen)} asked for"
    return f"{key:<24}  {event_line(schema, event)}{told}"


def _write(page: Page, output: Form, *, unmask: bool) -> None:
    if output is Form.JSON:
        lines = [to_json(_row_document(row, unmask=unmask)) for row in page.rows]
        lines.append(to_json(_page_document(page)))
    else:
        lines = [_row_line(row, unmask=unmask) for row in page.rows]
        lines.append(_page_line(page))
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _page_document(page: Page) -> dict[str, object]:
    return {
        "code": page.code,
        "rows": len(page.rows),
        "cursor": page.cursor,
        "gaps": [{"gap": gap.name.lower(), "why": gap.value} for gap in page.gaps],
        "lag": {
            topic: {"offsets": lag.offsets, "caught_up": from_epoch_ms(lag.caught_up_ms)}
            for topic, lag in page.lag.items()
        },
    }


def _page_line(page: Page) -> str:
    parts = [f"{len(page.rows)} row(s), code {page.code}", *(gap.value for gap in page.gaps)]
    if page.cursor:
        parts.append(f"more: --cursor {page.cursor}")
    return "; ".join(parts)
