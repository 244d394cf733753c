"""`cimstream state`: what an operator decides about the state of the processors.

Lives here: the question and its options. Must not live here: how it is written
(`streams.engine.kafka.acceptance`).
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from connectors.inbound import UnknownInterfaceError
from streams.cli.options import Bootstrap, ConfigFile, target
from streams.engine.errors import EngineError
from streams.engine.kafka import accept_loss
from streams.engine.record import TopicPartition
from streams.processors.intake import NAME
from streams.runtime.audit import actor, audit_record
from topics import naming
from topics.errors import EXIT_FAILED, OperatorError

app = typer.Typer(name="state", help="The state of the processors.", no_args_is_help=True)

Interface = Annotated[
    str, typer.Option("--interface", "-i", metavar="I1..I11", help="Of this one.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("accept-loss")
def accept_loss_(
    *,
    interface: Interface,
    yes: Yes = False,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Let workers go on although dedup marks were lost from Kafka.

    A worker that finds a changelog deleted, emptied or truncated refuses to run (`state_lost`).
    If there is no backup to restore, this accepts the loss: the workers take what the
    changelogs still hold. **Messages from before the loss take effect a second time if they
    come again.** Nothing may run meanwhile. It is written to the audit log.

    Exit status: 0, 1 something runs or nothing was processed yet, 2 wrong usage, 69 no broker.

    Example: cimstream state accept-loss --interface I7 --yes
    """
    aim = target(bootstrap, config)
    interface = interface.upper()
    if interface not in aim.catalogue.interfaces:
        raise UnknownInterfaceError(interface, aim.catalogue.interfaces)
    if not yes:
        _ask(interface)
    topic = naming.inbound(interface)
    count = aim.catalogue.interfaces[interface].partitions["inbound"]
    told = audit_record(
        "accept-loss", topic, by=actor(), time_ms=time.time_ns() // 1_000_000, details={}
    )
    try:
        offsets = accept_loss(
            aim.kafka, NAME, [TopicPartition(topic, number) for number in range(count)], told
        )
    except EngineError as error:
        raise OperatorError(
            "not_accepted",
            what="the decision could not be written",
            why=str(error),
            fix="stop every `cimstream run`, wait for the session time-out (6 s), and repeat",
            exit_code=EXIT_FAILED,
        ) from error
    if not offsets:
        raise OperatorError(
            "nothing_processed",
            what=f"no offset is committed for {topic}",
            why="nothing of it was processed yet, or the group's offsets have expired",
            fix="see docs/operating.md, The group's offsets are gone",
            exit_code=EXIT_FAILED,
        )
    Console().print(f"accepted for {len(offsets)} partition(s) of {topic}: workers may start")


def _ask(interface: str) -> None:
    if not sys.stdin.isatty():
        raise OperatorError(
            "not_confirmed",
            what="nobody confirmed",
            why="repeats of what was lost will take effect a second time",
            fix="say --yes",
            exit_code=EXIT_FAILED,
        )
    typer.confirm(
        f"Repeats of lost messages of {interface} will take effect a second time. Go on?",
        abort=True,
    )
