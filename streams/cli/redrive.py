"""`cimstream dlq redrive`: rejected messages enter again, once the cause is mended.

Lives here: the options, the refusal of what cannot be meant, the question, progress and sum.
Must not live here: what is redrivable and how it is sent (`streams.runtime`), how the plan is
shown (`preview`).

Invariant: nothing is changed, not even another redrive's right to go on, before a person or
--yes has confirmed what was shown.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.cli import preview
from streams.cli.errors import EXIT_INTERRUPTED, EXIT_PENDING
from streams.cli.filters import Code, Interface, Since, Source, Until, make_filter
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.records import parse_place, record_missing, to_json
from streams.engine.errors import EngineError, FencedError
from streams.engine.record import Record
from streams.runtime import redrive as runtime
from streams.runtime.process import EXIT_FENCED
from streams.runtime.reading import TopicReader
from streams.runtime.redrivable import LeftOut, Plan, make_plan
from streams.runtime.redrive import Outcome, Sent, redriven
from streams.runtime.rejections import Filter, Place, at_places, matching, rejected_topics
from streams.runtime.stopping import Stopping
from topics import naming
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

Places = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TOPIC/PARTITION@OFFSET]...",
        help="Single messages, as `dlq list` writes them; without a filter.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="At most so many, the oldest first.", show_default=False),
]
Rate = Annotated[
    float, typer.Option("--rate", min=0.01, metavar="N", help="At most so many messages a second.")
]
Again = Annotated[bool, typer.Option("--again", help="Those that were redriven before, too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be redriven.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def redrive(
    places: Places = None,
    *,
    interface: Interface = "",
    code: Code = "",
    source: Source = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    rate: Rate = 100.0,
    again: Again = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Let rejected messages enter again, each exactly once, after the cause is mended.

    Shows first what would be redriven and what not and why, and then asks; where nobody can be
    asked, --yes is needed. A message goes to its inbound topic as if its sender had sent it
    again, and is judged there like any other. What was done is in cim.audit, a record per message
    in the same transaction, so a redrive that was killed is simply started again. Two cannot run at
    once: the later one ends the earlier one.

    Controls, messages of which only the head was kept, and those whose identity another message
    has are never redriven.

    Exit status: 0 done, or all of it was redriven before; 1 nothing can be redriven, or the
    broker refused some; 2 wrong usage; 3 not confirmed; 69 no broker; 75 another redrive took
    over; 130 interrupted.

    Example: cimstream dlq redrive --interface I7 --code noun_planned --since 7d --dry-run
    """
    aim = target(bootstrap, config)
    wanted = make_filter(aim.catalogue, interface, code, source, since, until)
    _check_usage(places or (), wanted)
    plan = _plan(aim, places or (), wanted, limit=limit, again=again)
    if output is Form.JSON:
        _write(preview.document(plan))
    else:
        horizon_ms = aim.catalogue.dedup_horizon_ms
        preview.show(wide_console(), plan, rate=rate, horizon_ms=horizon_ms)
    _check_plan(plan, named=bool(places))
    if dry_run or not plan.candidates:
        return
    if not (yes or _confirmed(plan)):
        raise typer.Exit(EXIT_PENDING)
    outcome = _run(aim, plan, rate=rate, again=again, as_json=output is Form.JSON)
    if outcome.left:
        raise typer.Exit(EXIT_INTERRUPTED)
    if outcome.refused or outcome.gone:
        raise typer.Exit(EXIT_FAILED)


# ------------------------------------------------------------------------------ what is meant


def _check_usage(places: Collection[str], wanted: Filter) -> None:
    if places and not wanted.empty:
        raise OperatorError(
            "usage",
            what="places and a filter exclude each other",
            fix="name places, or give a filter",
            exit_code=EXIT_CONFIG,
        )
    if not places and wanted.empty:
        raise OperatorError(
            "usage",
            what="there is neither a place nor a filter; all that was ever rejected is not meant",
            fix="name places, or give --interface, --code, --source, --since or --until",
            exit_code=EXIT_CONFIG,
        )


def _plan(
    aim: Target, places: Collection[str], wanted: Filter, *, limit: int | None, again: bool
) -> Plan:
    with TopicReader(aim.kafka) as reader:
        existing = reader.topics()
        if places:
            records = _named(reader, aim, [Place(*parse_place(p, existing)) for p in places])
        else:
            records = matching(reader, aim.catalogue, wanted)

        def done(asked: Collection[Place]) -> Collection[Place]:
            return () if again else redriven(reader, asked)

        now_ms = time.time_ns() // 1_000_000
        plan = make_plan(records, aim.catalogue, done, now_ms=now_ms, limit=limit)
    needed = {naming.inbound(about.interface) for about in plan.groups()} | {naming.AUDIT}
    if missing := needed - existing.keys():
        raise OperatorError(
            "topic_missing",
            what=f"the cluster has no topic {min(missing)}",
            where=aim.kafka.bootstrap_servers,
            fix="create the topics with `cimstream topics apply`",
            exit_code=EXIT_CONFIG,
        )
    return plan


def _named(reader: TopicReader, aim: Target, places: list[Place]) -> Iterator[Record]:
    """The records at the places.

    Raises:
        OperatorError: `topic_not_rejected`, or `record_missing` for the first without a record.
    """
    for place in places:
        if place.at.topic not in rejected_topics(aim.catalogue):
            raise OperatorError(
                "topic_not_rejected",
                what=f"{place.at.topic} is not a topic of rejected messages",
                fix="take a place from `cimstream dlq list`",
                exit_code=EXIT_CONFIG,
            )
    missing = dict.fromkeys(places)
    for record in at_places(reader, places):
        del missing[Place(record.source, record.offset)]
        yield record
    for place in missing:
        raise record_missing(str(place))


def _check_plan(plan: Plan, *, named: bool) -> None:
    """Refuse what matches nothing, and places that can never be redriven.

    Where all was redriven before there is nothing to do and nothing wrong: so ends a redrive
    that is started again because nobody knew whether it came to its end.
    """
    if not plan.matched:
        raise OperatorError(
            "nothing_matches",
            what="nothing was rejected that this filter lets through",
            fix="see with `cimstream dlq list` what there is, and widen the filter",
            exit_code=EXIT_FAILED,
        )
    never = {reason: t for reason, t in plan.left_out.items() if reason is not LeftOut.REDRIVEN}
    nothing = not plan.candidates and LeftOut.REDRIVEN not in plan.left_out
    for reason, tally in never.items():
        if named or nothing:
            raise OperatorError(
                "not_redrivable",
                what="it cannot be redriven; nothing was changed",
                where=tally.first[0],
                why=reason.why,
                fix=reason.fix,
                exit_code=EXIT_FAILED,
            )


def _confirmed(plan: Plan) -> bool:
    if sys.stdin.isatty():
        if typer.confirm(f"Redrive {preview.messages(len(plan.candidates))}?", err=True):
            return True
        why = ""
    else:
        why = ": nobody can be asked here, and --yes was not given"
    Console(stderr=True).print(f"Nothing was changed{why}.", highlight=False, soft_wrap=True)
    return False


# ------------------------------------------------------------------------------ what is done


def _run(aim: Target, plan: Plan, *, rate: float, again: bool, as_json: bool) -> Outcome:
    console = Console(stderr=True)
    columns = TextColumn("redriving"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = console.is_terminal
    count = 0
    with (
        Progress(*columns, console=console, transient=True, disable=not shown) as bar,
        _stopping() as stop,
    ):
        task = bar.add_task("redriving", total=len(plan.candidates))

        def on_sent(sent: Sent) -> None:
            nonlocal count
            count += not sent.failure
            if as_json:
                _write(_receipt(sent))
            elif sent.failure:
                text = f"{sent.place}: the broker refuses it: {sent.failure}"
                bar.console.print(text, style="red", highlight=False, markup=False)
            bar.advance(task)

        def on_trouble(reason: str, retry_s: float) -> None:
            text = f"{reason}; again in {retry_s} s"
            bar.console.print(text, style="yellow", highlight=False, markup=False)

        try:
            outcome = runtime.redrive(
                plan.candidates,
                aim.catalogue,
                aim.kafka,
                rate=rate,
                again=again,
                on_sent=on_sent,
                on_trouble=on_trouble,
                stop=stop,
            )
        except EngineError as error:
            raise _failed(error, count) from error
    if as_json:
        _write({"event": "summary", **_counts(outcome)})
    console.print(_sum(outcome), highlight=False, soft_wrap=True)
    return outcome


def _failed(error: EngineError, count: int) -> OperatorError:
    after = f"after {preview.messages(count)}"
    if isinstance(error, FencedError):
        return OperatorError(
            "redrive_taken_over",
            what="another redrive began, which ends this one",
            where=after,
            why=str(error),
            fix="see what that one does; then start this one again: nothing is redriven twice",
            exit_code=EXIT_FENCED,
        )
    return OperatorError(
        f"redrive_{error.code}",
        what="the redrive cannot go on",
        where=after,
        why=str(error),
        fix="start it again with the same filter: nothing is redriven twice",
    )


def _receipt(sent: Sent) -> dict[str, object]:
    told: dict[str, object] = {"event": "refused" if sent.failure else "redriven"}
    told |= {"place": str(sent.place), "topic": sent.topic, "identity": sent.identity}
    return told | ({"failure": sent.failure} if sent.failure else {})


def _counts(outcome: Outcome) -> dict[str, int]:
    return {
        "redriven": outcome.redriven,
        "refused": outcome.refused,
        "meanwhile": outcome.meanwhile,
        "gone": outcome.gone,
        "left": outcome.left,
    }


def _sum(outcome: Outcome) -> str:
    parts = [f"{outcome.redriven:,} redriven"]
    for count, what in (
        (outcome.refused, "refused by the broker"),
        (outcome.meanwhile, "redriven by another meanwhile"),
        (outcome.gone, "no longer in the log"),
        (outcome.left, "left because it was interrupted"),
    ):
        parts += [f"{count:,} {what}"] if count else []
    return ", ".join(parts)


def _write(document: dict[str, object]) -> None:
    """A line on standard output; who reads it may have seen enough."""
    with pipe_may_close():
        sys.stdout.write(to_json(document) + "\n")


@contextmanager
def _stopping() -> Iterator[Stopping]:
    """SIGINT and SIGTERM end the redrive behind the batch under way."""
    stop = Stopping()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
