"""`cimstream deliver`: messages to the systems that they are for, kept running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.listening import check_probes
from streams.cli.options import Bootstrap, ConfigFile, target
from streams.cli.supervising import fitted, supervise
from streams.runtime.delivery.process import configured
from streams.runtime.logs import configure
from streams.runtime.process import EXIT_FENCED, Orders
from streams.runtime.settings import Settings, load_settings
from streams.runtime.slots import claim
from topics.errors import OperatorError


def deliver(
    *,
    destinations_file: Annotated[
        Path | None, typer.Option(help="The systems to deliver to, and how.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes that share the destinations.  [default: 1]", min=1, max=64),
    ] = None,
    first_slot: Annotated[
        int | None,
        typer.Option(
            help="Number of the first process; default: the lowest free ones on this machine.",
            min=0,
        ),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(help="/metrics and /health; 0 takes a free one.  [default: 9500]"),
    ] = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Deliver each message that names a destination to that system, until its receipt is there.

    A message is kept and tried again, with growing pauses, until the destination has it, refuses
    it, or the message expires; then it is a dead letter: `cimstream dlq list`. Messages about one
    object arrive in order. A destination that is slow or dead holds back no other.

    Run it a second time, here or elsewhere, and the two share the destinations (elsewhere give it
    slots of its own: --first-slot). It never creates topics: run `cimstream topics apply` first.

    Exit status: 0 stopped as asked, 2 settings, topics or destinations, 69 no broker, 75 a slot
    was taken.

    Example: cimstream deliver --destinations-file destinations.toml
    """
    settings = load_settings(
        config,
        delivery={
            "destinations_file": destinations_file,
            "processes": processes,
            "first_slot": first_slot,
            "health_port": health_port,
        },
    )
    configure(settings.logging.level, settings.logging.format)
    aim = target(bootstrap, config)
    check_probes(settings.http)
    configured(settings, aim.catalogue)
    raise typer.Exit(_supervise(aim.kafka.bootstrap_servers, fitted(settings, aim)))


def _supervise(servers: str, settings: Settings) -> int:
    wanted = settings.delivery
    folder = settings.worker.state_folder / "delivery"
    slots = claim(folder, wanted.processes, wanted.first_slot)
    orders = [Orders(servers, settings, delivery=slot.number) for slot in slots]
    status = supervise(orders, slots)
    if status == EXIT_FENCED:
        raise OperatorError(
            "slot_taken",
            what="another process took over a slot of this one",
            why="two of the same number would deliver the same messages twice",
            fix="give each machine slots of its own (--first-slot)",
            exit_code=EXIT_FENCED,
        )
    return status
