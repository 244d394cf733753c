"""`cimstream run`: the workers of this machine, kept running."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.listening import check_probes
from streams.cli.options import Bootstrap, ConfigFile, target
from streams.cli.supervising import fitted, supervise
from streams.processors.rules import read_folder
from streams.runtime.logs import configure
from streams.runtime.process import EXIT_FENCED, EXIT_STATE_LOST, Orders
from streams.runtime.responding import FOLDER, configured
from streams.runtime.settings import Settings, load_settings
from streams.runtime.slots import claim
from streams.runtime.sources import make_configured
from topics import Catalogue
from topics.errors import EXIT_CONFIG, OperatorError


def run(
    *,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            "--interface", "-i", metavar="I1…I11", help="Only these interfaces. Repeatable."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes.  [default: 1]", min=1, max=64)
    ] = None,
    first_slot: Annotated[
        int | None,
        typer.Option(
            help="Number of the first slot; default: the lowest free ones on this machine.", min=0
        ),
    ] = None,
    state_folder: Annotated[
        Path | None, typer.Option(help="Folder of the local databases.  [default: state]")
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(help="/metrics and /health of slot 0; 0 takes a free one.  [default: 9464]"),
    ] = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Process what arrives: validate, deduplicate, route; exactly once, until stopped.

    Starts a worker process per slot, one per source of the settings, where views.follow is set
    one that keeps the view up and those that answer queries (`cimstream respond`), where
    rules.folder is set one that evaluates rules, and keeps them running: one that ends is
    started again.
    Run it a second time, here or elsewhere, and the two share the work (elsewhere give it
    slots of its own: --first-slot). SIGTERM or Ctrl-C ends it after the last commit.

    It never creates topics: run `cimstream topics apply` first.

    Exit status: 0 stopped as asked, 2 settings or topics, 69 no broker, 75 a slot was taken,
    78 committed state is gone.

    Example: cimstream run --interface I7 --workers 2
    """
    settings = load_settings(
        config,
        worker={
            "interfaces": tuple(interface) if interface else None,
            "workers": workers,
            "first_slot": first_slot,
            "state_folder": state_folder,
        },
        http={"port": http_port},
    )
    configure(settings.logging.level, settings.logging.format)
    aim = target(bootstrap, config)
    check_interfaces(settings.worker.interfaces, aim.catalogue)
    check_probes(settings.http)
    for name in settings.sources:
        make_configured(settings, name, aim.catalogue).check()
    if settings.views.follow and settings.respond.processes:
        check_functions(settings, aim.catalogue)
    if settings.rules.folder is not None:
        read_folder(settings.rules.folder, aim.catalogue)
    raise typer.Exit(_supervise(aim.kafka.bootstrap_servers, fitted(settings, aim)))


def _supervise(servers: str, settings: Settings) -> int:
    worker, respond = settings.worker, settings.respond
    slots = claim(worker.state_folder, worker.workers, worker.first_slot)
    orders = [
        *(Orders(servers, settings, slot=slot.number) for slot in slots),
        *(Orders(servers, settings, source=name) for name in settings.sources),
        *([Orders(servers, settings, rules=slots[0].number)] if settings.rules.folder else []),
    ]
    if settings.views.follow:
        orders.append(Orders(servers, settings, view=True))
        answering = claim(worker.state_folder / FOLDER, respond.processes, respond.first_slot)
        orders += [Orders(servers, settings, responder=slot.number) for slot in answering]
        slots += answering
    status = supervise(orders, slots)
    if status == EXIT_FENCED:
        raise OperatorError(
            "slot_taken",
            what="another process took over a slot or a source of this one",
            why="two of the same number or name would do the same work twice",
            fix="give each machine slots of its own (--first-slot) and each source one place",
            exit_code=EXIT_FENCED,
        )
    if status == EXIT_STATE_LOST:
        raise OperatorError(
            "state_lost",
            what="state that was committed is no longer in Kafka",
            why="the line `process failed` in the log says what is missing",
            fix="do what that line says; see docs/operating.md, A changelog was truncated",
            exit_code=EXIT_STATE_LOST,
        )
    return status


def check_interfaces(wanted: Sequence[str], catalogue: Catalogue) -> None:
    """Refuse the name of an interface that there is not."""
    unknown = [name for name in wanted if name not in catalogue.interfaces]
    if unknown:
        raise OperatorError(
            "interface_unknown",
            what=f"there is no interface {', '.join(unknown)}",
            fix=f"name some of {', '.join(catalogue.interfaces)}",
            exit_code=EXIT_CONFIG,
        )


def check_functions(settings: Settings, catalogue: Catalogue) -> None:
    """Refuse responders that cannot be loaded, or can never be asked."""
    # Where their processes find them too: `python -m` has the working folder on its path.
    sys.path.insert(0, str(Path.cwd()))
    configured(settings, catalogue)
