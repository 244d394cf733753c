"""`cimstream rules`: the rules in a folder, and what they would do.

Lives here: the commands and their options. Must not live here: what a rule is and does
(`streams.processors.rules`).
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from schemas.errors import MessageError
from schemas.times import from_epoch_ms
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.masking import mask_xml
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.records import parse_since, to_json
from streams.engine.record import Record
from streams.processors.rules import SHIPPED, Rules, read_folder
from streams.processors.rules.files import files_of, mistakes
from streams.processors.rules.rehearsal import Found, Rehearsal
from streams.processors.rules.rule import Rule
from streams.runtime.reading import TopicReader
from streams.runtime.settings import load_settings
from topics import load_catalogue
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

app = typer.Typer(
    name="rules",
    help="Rules: events that make messages. Those in force are in the folder rules.folder.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Another folder than rules.folder of the settings.",
        show_default=False,
    ),
]


@app.command("list")
def list_rules(
    *,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Those that come with cimstream instead.")
    ] = False,
    folder: Folder = None,
    output: OutputForm = Form.TABLE,
    config: ConfigFile = None,
) -> None:
    """List the rules of the folder, or those that are shipped to be copied into it.

    Exit status: 0, 2 a rule or the settings have a mistake.

    Example: cimstream rules list --shipped
    """
    catalogue = load_catalogue(load_settings(config).catalogue)
    rules = read_folder(SHIPPED if shipped else _folder(folder, config), catalogue)
    with pipe_may_close():
        if output is Form.JSON:
            for rule in rules.values():
                sys.stdout.write(to_json(_document(rule)) + "\n")
            return
        table = Table("rule", "version", "since", "what it does", box=box.SIMPLE_HEAD)
        for rule in rules.values():
            since = "" if shipped else from_epoch_ms(rule.since_ms)
            table.add_row(rule.name, str(rule.version), since, rule.description)
        wide_console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RULE", help="A shipped rule.")],
) -> None:
    """Print a shipped rule, in force from now on, to be kept in the folder of rules.

    Exit status: 0, 2 no such rule.

    Example: cimstream rules show outage-work-order
    """
    names = [file.stem for file in files_of(SHIPPED)]
    if name not in names:
        raise OperatorError(
            "rule_unknown",
            what=f"no rule {name!r} is shipped",
            fix=f"name one of {', '.join(names)}",
            exit_code=EXIT_CONFIG,
        )
    since = f'since = "{from_epoch_ms(_now_ms())}"'
    text = (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
    lines = [since if line.startswith("since =") else line for line in text.splitlines()]
    sys.stdout.write("\n".join(lines) + "\n")


@app.command()
def check(*, folder: Folder = None, config: ConfigFile = None) -> None:
    """Say what is wrong with the rules of the folder, one line for each file that is.

    Checks keys, verbs, interfaces, and each expression against the fields of its noun. Whether
    the message that is made is valid, `cimstream rules test` tells.

    Exit status: 0, 2 a rule or the settings have a mistake.

    Example: cimstream rules check --folder rules
    """
    catalogue = load_catalogue(load_settings(config).catalogue)
    chosen = _folder(folder, config)
    wrong = list(mistakes(chosen, catalogue))
    for mistake in wrong:
        where = f"{mistake.file}, {mistake.key}" if mistake.key else mistake.file
        sys.stdout.write(f"{where}: {mistake.reason}\n")
    if wrong:
        raise typer.Exit(EXIT_CONFIG)
    count = len(files_of(chosen))
    sys.stdout.write(f"{count} rule{'' if count == 1 else 's'}, nothing wrong\n")


@app.command("test")
def try_out(
    *,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="RULE", help="Only these rules. Repeatable."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(metavar="SPAN|TIME", help="From then on: 90s, 15m, 2h, 7d, or a time."),
    ] = "1d",
    message: Annotated[
        Path | None,
        typer.Option(
            "--message",
            metavar="FILE",
            help="A message instead of the logs, as it would be sent; with --interface.",
            show_default=False,
        ),
    ] = None,
    interface: Annotated[
        str | None,
        typer.Option("--interface", "-i", metavar="I1…I11", help="Where the message comes in."),
    ] = None,
    payload: Annotated[
        bool, typer.Option("--payload", help="Show the messages that would be made, masked.")
    ] = False,
    unmask: Annotated[
        bool, typer.Option("--unmask", help="Show them as they are, persons too.")
    ] = False,
    folder: Folder = None,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Try rules on the events in the logs, or on a message; nothing is written.

    Tells of each event that a rule is about what it would come to, and of each message that
    would be made whether intake would refuse it. Rules are tried as if in force from the
    beginning; groups are counted from the first event that is read.

    Exit status: 0, 1 a message would be refused or an expression fails, 2 rules, settings or
    options, 69 no broker.

    Example: cimstream rules test --rule outage-work-order --since 7d
    """
    aim = target(bootstrap, config)
    rules = _chosen(read_folder(_folder(folder, config), aim.catalogue), rule)
    rehearsal = Rehearsal(aim.catalogue, rules)
    tally: Counter[str] = Counter()
    with pipe_may_close():
        for found in _found(rehearsal, aim, parse_since(since, _now_ms()), message, interface):
            tally["refused" if found.problems else found.outcome] += 1
            sys.stdout.write(_line(found, output, payload=payload, unmask=unmask) + "\n")
        if output is Form.TABLE:
            sys.stdout.write(_summary(tally) + "\n")
    if tally["refused"] or tally["failed"]:
        raise typer.Exit(EXIT_FAILED)


def _found(
    rehearsal: Rehearsal, aim: Target, since_ms: int, message: Path | None, interface: str | None
) -> Iterator[Found]:
    if message is None:
        with TopicReader(aim.kafka) as reader:
            for record in _events(reader, rehearsal.logs, since_ms):
                yield from rehearsal.event(record)
        return
    if interface not in aim.catalogue.interfaces:
        raise OperatorError(
            "interface_unknown",
            what="a message comes in on an interface",
            fix=f"say --interface with one of {', '.join(aim.catalogue.interfaces)}",
            exit_code=EXIT_CONFIG,
        )
    try:
        yield from rehearsal.message(_read(message), interface or "", _now_ms())
    except MessageError as error:
        problem = error.problems[0]
        raise OperatorError(
            "message_refused",
            what="the message would be refused, so nothing follows from it",
            where=str(message),
            why=str(problem),
            fix=problem.definition.fix,
            exit_code=EXIT_FAILED,
        ) from error


def _events(reader: TopicReader, logs: Iterable[str], since_ms: int) -> Iterator[Record]:
    """The committed events of the logs since then."""
    topics = reader.topics()
    bounds = reader.bounds(at for log in sorted(logs) for at in topics.get(log, ()))
    yield from reader.records(reader.starts_at(bounds, since_ms))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise OperatorError(
            "file_unreadable",
            what=f"the message cannot be read: {error.strerror}",
            where=str(file),
            fix="name a file that can be read",
            exit_code=EXIT_CONFIG,
        ) from error


def _chosen(rules: Rules, names: list[str] | None) -> Rules:
    unknown = [name for name in names or () if name not in rules]
    if unknown:
        raise OperatorError(
            "rule_unknown",
            what=f"there is no rule {', '.join(unknown)} in the folder",
            fix=f"name some of {', '.join(rules)}" if rules else "the folder has no rules",
            exit_code=EXIT_CONFIG,
        )
    return {name: rule for name, rule in rules.items() if not names or name in names}


def _folder(folder: Path | None, config: Path | None) -> Path:
    chosen = folder or load_settings(config).rules.folder
    if chosen is None:
        raise OperatorError(
            "rules_missing",
            what="no folder of rules is named",
            fix="name one with --folder, or set rules.folder",
            exit_code=EXIT_CONFIG,
        )
    return chosen


def _document(rule: Rule) -> Mapping[str, object]:
    return {
        "rule": rule.name,
        "version": rule.version,
        "since": from_epoch_ms(rule.since_ms),
        "description": rule.description,
        "noun": rule.match.noun,
        "verbs": sorted(rule.match.verbs),
        "interfaces": sorted(rule.match.interfaces),
        "action": f"{rule.action.verb} {rule.action.noun} on {rule.action.interface}",
    }


def _line(found: Found, form: Form, *, payload: bool, unmask: bool) -> str:
    headers = {} if found.output is None else dict(found.output.headers)
    why = headers.get("cimstream_why", b"").decode() or "; ".join(map(str, found.problems))
    shown = _payload(found, unmask=unmask) if payload else ""
    if form is Form.JSON:
        document = {"event": found.event, "rule": found.rule, "outcome": found.outcome}
        made = {"refused": bool(found.problems), "why": why, "message": shown}
        return to_json(document | {key: value for key, value in made.items() if value})
    told = "would be refused" if found.problems else found.outcome
    line = f"{found.event}  {found.rule}  {told}"
    return "\n".join(filter(None, (f"{line}: {why}" if why else line, shown)))


def _payload(found: Found, *, unmask: bool) -> str:
    """The message that would be sent; of a failure there is none."""
    if found.output is None or found.outcome != "fired":
        return ""
    value = found.output.value or b""
    return value.decode("utf-8", "replace") if unmask else mask_xml(value) or ""


def _summary(tally: Counter[str]) -> str:
    if not tally:
        return "no event that these rules are about"
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items()))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
