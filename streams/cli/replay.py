"""`cimstream replay`: a range of inbound through the present processors once more.

Lives here: the options, what they mean, and the order of showing, asking and writing. Must not
live here: the replay (`streams.runtime.replay`), how differences look (`comparison`).
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer

from connectors.inbound import UnknownInterfaceError
from streams.cli.bar import Bar
from streams.cli.comparison import document, run_document, show, show_run
from streams.cli.errors import EXIT_PENDING
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.records import parse_place, parse_since, to_json
from streams.engine.errors import EngineError, FatalError, FencedError
from streams.engine.kafka import TransactionalProducer
from streams.engine.record import TopicPartition
from streams.runtime.audit import actor
from streams.runtime.process import EXIT_FENCED
from streams.runtime.reading import TopicReader
from streams.runtime.replay import (
    INTO_LOG,
    INTO_SIDE,
    Plan,
    Rehearsal,
    Run,
    Wanted,
    again,
    read_run,
    rehearsal,
    require_logs_kept,
    require_topics,
    resolve,
    side_specs,
    transactional_id,
    write,
)
from topics import naming, provision
from topics.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_UNAVAILABLE, OperatorError

_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)


class Into(StrEnum):
    """Where a replay writes."""

    SIDE = INTO_SIDE
    LOG = INTO_LOG


def replay(
    *,
    interface: Annotated[
        str,
        typer.Option("--interface", "-i", metavar="I1..I11", help="Whose inbound topic."),
    ],
    since: Annotated[
        str,
        typer.Option(
            metavar="SPAN|TIME",
            help="From then on: 90s, 15m, 2h, 7d ago, or 2026-01-31T12:00:00Z, by the log's time.",
            show_default=False,
        ),
    ] = "",
    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TOPIC/PARTITION@OFFSET",
            help="From this record on, and only the partitions named. Repeatable.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            metavar="SPAN|TIME",
            help="Up to then; at most as far as intake has got, which is the default.",
            show_default=False,
        ),
    ] = "",
    into: Annotated[
        Into | None,
        typer.Option(
            help="side: everything into logs of its own; log: what the log lacks into the log. "
            "Without it nothing is written.",
            show_default=False,
        ),
    ] = None,
    replay_id: Annotated[
        str,
        typer.Option(
            "--id",
            metavar="ID",
            help="Name of this replay; the same again goes on. Default: made of the time.",
            show_default=False,
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before writing.")] = False,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Take a range of an inbound topic through the present processors, and compare or write.

    Without --into this is a dry run: it shows per event log what is the same, missing in the
    log, different from it, and in the log only, and what would be rejected. With --into it
    shows that first, asks, and writes. Replies, commands and notifications are never sent
    again. Needs room for a temporary folder (TMPDIR), about 200 bytes per event.

    Exit status: 0 done, or a dry run without differences; 1 nothing to replay, declined or
    failed; 2 wrong usage; 3 a dry run with differences; 69 no broker; 75 a later replay took
    over.

    Example: cimstream replay --interface I7 --since 24h
    """
    aim = target(bootstrap, config)
    interface = interface.upper()
    if interface not in aim.catalogue.interfaces:
        raise UnknownInterfaceError(interface, aim.catalogue.interfaces)
    _check(into, replay_id, yes=yes)
    asked = _asked(since, from_ or [], until)
    with TopicReader(aim.kafka) as reader:
        require_topics(reader, interface)
        # Not waiting for what a killed one left open: behind the fence it is read again.
        known = read_run(reader, replay_id, settled=False) if replay_id else None
        if known is not None:
            _require_same(known, interface, into, asked)
            if known.finished_ms:
                _say("It was finished before: nothing is left to do.", output)
                _tell(known, output)
                return
            plan = again(reader, aim.catalogue, interface, known.spans())
        else:
            plan = resolve(
                reader, aim.catalogue, _wanted(reader, interface, since, from_ or [], until)
            )
        run = None if into is None else known or _new(plan, into, replay_id, asked)
        with _mishaps_told(run.id if run else ""):
            order = _Order(plan, run, output, begun=known is not None, yes=yes)
            raise typer.Exit(_perform(aim, reader, order))


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be done. No run: a dry run. `begun`: it was interrupted and goes on."""

    plan: Plan
    run: Run | None
    output: Form
    begun: bool
    yes: bool


def _perform(aim: Target, reader: TopicReader, order: _Order) -> int:
    """Rehearse, show, ask, write; give the exit status."""
    plan, run, output = order.plan, order.run, order.output
    bar = Bar()
    with rehearsal(plan, aim.catalogue, aim.kafka, reader, bar) as job:
        if run is not None and run.into == INTO_LOG:
            require_logs_kept(plan, job.logs(), _now_ms())
        if run is not None and order.begun:
            _settle(aim, run)
        with bar.shown():
            job.run()
        rows, rejections = job.differences.rows(), job.differences.rejections()
        if output is Form.JSON:
            with pipe_may_close():
                sys.stdout.write(to_json(document(plan, run, rows, rejections)) + "\n")
        else:
            show(wide_console(), plan, rows, rejections)
        if run is None:
            _say("Dry run: nothing was written.", output)
            return 0 if all(row.equal for row in rows) else EXIT_PENDING
        lacking = sum(row.count("missing") + row.count("different") for row in rows)
        if run.into == INTO_LOG and not lacking and not order.begun:
            _say("The log lacks nothing of this range: nothing was written.", output)
            return 0
        if not order.yes and not typer.confirm(_question(run, lacking), err=True):
            _say("Nothing was written.", output)
            return EXIT_FAILED
        _say(f"Writing as replay {run.id}; if it is interrupted, that id goes on.", output)
        with bar.shown():
            written = _write(aim, job, run)
        _tell(written, output)
    return 0


def _settle(aim: Target, run: Run) -> None:
    """End the transaction that the interrupted run left open: reading would wait for it."""
    transactions = TransactionalProducer(aim.kafka, transactional_id(run))
    try:
        transactions.reset()
    finally:
        transactions.close()


def _write(aim: Target, job: Rehearsal, run: Run) -> Run:
    if run.into == INTO_SIDE:
        admin = provision.connect(aim.kafka.bootstrap_servers, aim.kafka.extra)
        provision.ensure(admin, side_specs(job, run.id))
    return write(job, run, TransactionalProducer(aim.kafka, transactional_id(run)))


def _check(into: Into | None, replay_id: str, *, yes: bool) -> None:
    """Refuse what no cluster need be asked about."""
    if replay_id and into is None:
        raise OperatorError(
            "into_missing",
            what="--id names a replay that writes, but --into is not given",
            fix="add --into side or --into log, or leave --id out for a dry run",
            exit_code=EXIT_CONFIG,
        )
    if replay_id and not _ID.fullmatch(replay_id):
        raise OperatorError(
            "replay_id_invalid",
            what=f"{replay_id!r} cannot be the id of a replay",
            why="it becomes part of topic names",
            fix="take up to 40 small letters, digits and hyphens, e.g. mapping-2026-11",
            exit_code=EXIT_CONFIG,
        )
    if into is not None and not yes and not sys.stdin.isatty():
        raise OperatorError(
            "confirmation_missing",
            what="nobody is there to be asked whether to write",
            fix="look at the dry run first (without --into), then add --yes",
            exit_code=EXIT_CONFIG,
        )


def _asked(since: str, places: list[str], until: str) -> str:
    """The range as it was typed; the same text is the same range for a replay that goes on.

    Raises:
        OperatorError: `range_twice`.
    """
    if since and places:
        raise OperatorError(
            "range_twice",
            what="--since and --from both say where to begin",
            fix="give one of them",
            exit_code=EXIT_CONFIG,
        )
    parts = [f"--since {since}"] if since else [f"--from {place}" for place in sorted(places)]
    return " ".join([*parts, f"--until {until}"] if until else parts)


def _wanted(
    reader: TopicReader, interface: str, since: str, places: list[str], until: str
) -> Wanted:
    """What the options mean now.

    Raises:
        OperatorError: `range_missing`, `place_twice`, `place_foreign`, or as `parse_place` and
            `parse_since`.
    """
    if not since and not places:
        raise OperatorError(
            "range_missing",
            what="nothing says where to begin",
            fix="give --since, e.g. --since 24h, or --from TOPIC/PARTITION@OFFSET; a replay that "
            "was interrupted goes on with its --id",
            exit_code=EXIT_CONFIG,
        )
    now_ms = _now_ms()
    topic, existing = naming.inbound(interface), reader.topics()
    begun: dict[TopicPartition, int] = {}
    for place in places:
        at, offset = parse_place(place, existing)
        if at.topic != topic:
            raise OperatorError(
                "place_foreign",
                what=f"{place} is no place of {topic}",
                fix="name places of the inbound topic of --interface",
                exit_code=EXIT_CONFIG,
            )
        if at in begun:
            raise OperatorError(
                "place_twice",
                what=f"--from names two places of {at}",
                fix="give each partition once",
                exit_code=EXIT_CONFIG,
            )
        begun[at] = offset
    return Wanted(
        interface,
        parse_since(since, now_ms) if since else None,
        begun,
        parse_since(until, now_ms) if until else None,
    )


def _new(plan: Plan, into: Into, replay_id: str, asked: str) -> Run:
    now_ms = _now_ms()
    made = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("r%Y%m%d-%H%M%S")
    return Run(
        replay_id or made,
        plan.interface,
        into.value,
        asked,
        {at.partition: (span.start, span.end) for at, span in plan.ranges.items()},
        actor(),
        now_ms,
        {at.partition: span.start for at, span in plan.ranges.items()},
    )


def _require_same(known: Run, interface: str, into: Into | None, asked: str) -> None:
    """Raises `RunMismatchError` where the id is that of another replay."""
    meant = Run(
        known.id, interface, into or "", asked or known.asked, {}, known.by, known.started_ms, {}
    )
    known.require_same(meant)


def _question(run: Run, lacking: int) -> str:
    if run.into == INTO_LOG:
        return f"Append {lacking} events to the log, as replay {run.id}?"
    return f"Write the range into side logs {naming.replayed(run.id, 'cim.…')}?"


def _tell(run: Run, output: Form) -> None:
    """What a replay wrote."""
    if output is Form.JSON:
        sys.stdout.write(to_json(run_document(run)) + "\n")
    else:
        show_run(wide_console(), run)


def _say(text: str, output: Form) -> None:
    if output is Form.TABLE:
        wide_console().print(text)


@contextmanager
def _mishaps_told(replay_id: str) -> Iterator[None]:
    """Errors of the engine, for a person."""
    go_on = f"repeat the command with --id {replay_id}: it goes on" if replay_id else "repeat it"
    try:
        yield
    except FencedError as error:
        raise OperatorError(
            "replay_taken_over",
            what="a later replay took over",
            why=str(error),
            fix=f"wait until it is done; then {go_on}",
            exit_code=EXIT_FENCED,
        ) from error
    except FatalError as error:
        raise OperatorError(
            "replay_failed", what="the replay cannot go on", why=str(error), fix=go_on
        ) from error
    except EngineError as error:
        raise OperatorError(
            "replay_interrupted",
            what="the broker did not answer for too long",
            why=str(error),
            fix=f"look at the cluster; then {go_on}",
            exit_code=EXIT_UNAVAILABLE,
        ) from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
