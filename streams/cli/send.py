"""`cimstream send`: files, folders and standard input into an interface, each with a receipt.

Lives here: the options and what they lead to. Must not live here: the sending (`pump`,
`streams.runtime`), files (`connectors.files`), lines (`receipts`).
"""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connectors.files.config import After
from connectors.inbound import UnknownInterfaceError
from connectors.registry import make_source
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, Target, target
from streams.cli.pump import STDIN, count_pieces, send_paths
from streams.cli.receipts import Receipt, Receipts
from streams.engine.errors import EngineError, FencedError
from streams.runtime.reading import TopicReader
from streams.runtime.sources import (
    SourceCommitted,
    SourceEvent,
    SourceInterrupted,
    SourceSkipped,
    run_source,
)
from streams.runtime.stopping import Stopping
from topics import naming
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", help="Files, folders (all below them), - for stdin."),
]
Interface = Annotated[
    str, typer.Option("--interface", "-i", metavar="I1..I11", help="Interface to send to.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Go on: send what appears or changes in the folder PATH.")
]
Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --watch: what the source's positions are kept under."),
]
AfterCommit = Annotated[
    After, typer.Option("--after", help="With --watch: what becomes of a file that was sent.")
]
SettleSeconds = Annotated[
    float, typer.Option("--settle-s", min=0, help="With --watch: seconds a file must lie still.")
]
VerbOfBare = Annotated[
    Literal["create", "change", "delete", "created", "changed", "deleted"] | None,
    typer.Option(
        "--verb", help="Of files without an envelope; without, what follows from what they are."
    ),
]
TimeoutSeconds = Annotated[
    float,
    typer.Option("--timeout-s", min=1, help="Seconds a message may wait for the broker's answer."),
]


def send(
    paths: Paths,
    interface: Interface,
    *,
    watch: Watch = False,
    name: Name = None,
    after: AfterCommit = After.KEEP,
    settle_s: SettleSeconds = 1.0,
    timeout_s: TimeoutSeconds = 60.0,
    verb: VerbOfBare = None,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Send messages from files, folders and standard input into an interface.

    Prints a receipt per message: where it lies in Kafka and the identity it is recognised by.
    What a message says is judged behind the inbound topic (see `cimstream dlq list`); only
    one that is too large never gets there, and its receipt says so. What took effect takes
    effect once: sending it again changes nothing in the event log.

    A file that is a network model (CIM RDF/XML) is wrapped in a message of NetworkDataSet: one
    that supersedes another, or a difference, as a change, any other as a create. The payload of
    another noun without an envelope, such as a market document, is wrapped too: as the event
    created, or of a register as a create.

    With --watch, what appears in a folder is sent as it comes, each file exactly once even if
    this process is killed, until it is ended.

    Exit status: 0 every message got its receipt, 1 some did not, 2 wrong usage, 69 no broker.

    Example: cimstream send examples/i7 --interface I7
    """
    aim = target(bootstrap, config)
    interface = interface.upper()
    if interface not in aim.catalogue.interfaces:
        raise UnknownInterfaceError(interface, aim.catalogue.interfaces)
    _check_topics(aim, interface)
    receipts = Receipts(as_json=output is Form.JSON)
    if watch:
        settings = {"folder": _folder(paths), "interface": interface, "after": after,
                    "settle_s": settle_s}  # fmt: skip
        _watch(aim, _name(name), settings, receipts)
        return
    _send_all(aim, paths, interface, receipts, timeout_s, verb or "")
    sys.stdout.flush()
    Console(stderr=True).print(receipts.summary(), highlight=False)
    if receipts.failed:
        raise typer.Exit(EXIT_FAILED)


def _send_all(
    aim: Target,
    paths: list[str],
    interface: str,
    receipts: Receipts,
    timeout_s: float,
    verb: str,
) -> None:
    """With a progress bar where a person looks on."""
    missing = [path for path in paths if path != STDIN and not Path(path).exists()]
    if missing:
        raise OperatorError(
            "path_missing",
            what=f"there is no file or folder {missing[0]}",
            fix="correct the path; nothing was sent",
            exit_code=EXIT_CONFIG,
        )
    console = Console(stderr=True)
    columns = (
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal
    total = count_pieces(paths) if shown else None
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("sending", total=total)

        def printed(receipt: Receipt) -> None:
            receipts.print(receipt)
            bar.advance(task)

        one_terminal = shown and sys.stdout.isatty()
        with receipts.sharing(bar.console) if one_terminal else nullcontext():
            send_paths(
                paths,
                interface,
                aim.catalogue,
                aim.kafka,
                printed,
                timeout_s=timeout_s,
                verb=verb,
            )


def _check_topics(aim: Target, interface: str) -> None:
    with TopicReader(aim.kafka) as reader:
        existing = reader.topics()
    missing = {naming.inbound(interface), naming.rejected(interface)} - existing.keys()
    if missing:
        raise OperatorError(
            "topic_missing",
            what=f"the cluster has no topic {min(missing)}",
            where=aim.kafka.bootstrap_servers,
            fix="create the topics with `cimstream topics apply`",
            exit_code=EXIT_CONFIG,
        )


# ------------------------------------------------------------------------------- --watch


@dataclass(frozen=True, slots=True)
class _Narrator:
    """Tells a person what a folder source does."""

    receipts: Receipts
    console: Console

    def emit(self, event: SourceEvent) -> None:
        match event:
            case SourceCommitted():
                for received in event.records:
                    message = received.message
                    self.receipts.print(
                        Receipt(received.origin, message.topic, message.identity, message.code)
                    )
                sys.stdout.flush()
            case SourceSkipped():
                self._warn(f"{event.origin}: {event.why}; {event.fix}")
            case SourceInterrupted():
                self._warn(f"{event.code}: {event.reason}; again in {event.retry_s} s")
            case _:
                pass

    def _warn(self, text: str) -> None:
        self.console.print(text, style="yellow", highlight=False, markup=False)


def _watch(aim: Target, name: str, settings: dict[str, object], receipts: Receipts) -> None:
    source = make_source("files", name, settings, aim.catalogue)
    stop = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    console = Console(stderr=True)
    try:
        run_source(source, aim.kafka, _Narrator(receipts, console), stop)
    except FencedError as error:
        raise OperatorError(
            "source_taken_over",
            what=f"another process runs a source named {name!r} now",
            why=str(error),
            fix="end that one, or give this one another --name",
        ) from error
    except EngineError as error:
        raise OperatorError(
            f"source_{error.code}",
            what=f"the source {name!r} cannot go on",
            why=str(error),
            fix="start it again: it goes on behind what is committed",
        ) from error
    console.print(receipts.summary(), highlight=False)


def _folder(paths: list[str]) -> Path:
    if len(paths) != 1 or not Path(paths[0]).is_dir():
        raise OperatorError(
            "usage",
            what="--watch takes exactly one folder",
            fix="run one `cimstream send --watch` for each folder",
            exit_code=EXIT_CONFIG,
        )
    return Path(paths[0])


def _name(name: str | None) -> str:
    if not name:
        raise OperatorError(
            "usage",
            what="--watch needs --name",
            why="what was sent is remembered under it, across restarts and machines",
            fix="choose one and keep it, e.g. --name head-end-1",
            exit_code=EXIT_CONFIG,
        )
    return name
