"""`cimstream respond`: who answers queries, kept running.

Lives here: options. Must not live here: answering (`streams.runtime.responding`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.listening import check_probes
from streams.cli.options import Bootstrap, ConfigFile, target
from streams.cli.run import check_functions, check_interfaces
from streams.cli.supervising import fitted, supervise
from streams.runtime.logs import configure
from streams.runtime.process import EXIT_FENCED, EXIT_STATE_LOST, Orders
from streams.runtime.responding import FOLDER
from streams.runtime.settings import Settings, load_settings
from streams.runtime.slots import claim
from topics.errors import OperatorError


def respond(
    *,
    functions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODULE:NAME",
            help="Responders of your own; they are asked before the view.",
            show_default=False,
        ),
    ] = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            "--interface",
            "-i",
            metavar="I1…I11",
            help="Only queries for what is at home on these interfaces. Repeatable.",
        ),
    ] = None,
    from_view: Annotated[
        bool | None,
        typer.Option("--view/--no-view", help="Answer all other queries from the view."),
    ] = None,
    leave: Annotated[
        list[str] | None,
        typer.Option(metavar="NOUN", help="Left to responders of another make. Repeatable."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Responder processes.  [default: 1]", min=1, max=64)
    ] = None,
    first_slot: Annotated[
        int | None,
        typer.Option(
            help="Number of the first; default: the lowest free ones on this machine.", min=0
        ),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(help="/metrics and /health of the first; 0 takes a free one."),
    ] = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Answer queries (messages with verb get): from the view, and by functions of your own.

    Each query gets one reply, written in one transaction with the query's offset. Run it a second
    time, here or elsewhere, and the two share the queries; they must have the same functions.

    `cimstream run` lets the queries through, and starts responders itself where views.follow is
    set. It never creates topics: run `cimstream topics apply` first.

    Exit status: 0 stopped as asked, 2 settings, functions or topics, 69 no broker, 75 a slot was
    taken, 78 committed state is gone.

    Example: cimstream respond on_demand:responder --interface I7
    """
    settings = load_settings(
        config,
        respond={
            "functions": tuple(functions) if functions else None,
            "interfaces": tuple(interface) if interface else None,
            "from_view": from_view,
            "leave": tuple(leave) if leave else None,
            "processes": processes,
            "first_slot": first_slot,
            "http_port": http_port,
        },
    )
    configure(settings.logging.level, settings.logging.format)
    aim = target(bootstrap, config)
    check_interfaces(settings.respond.interfaces, aim.catalogue)
    check_functions(settings, aim.catalogue)
    check_probes(settings.http)
    raise typer.Exit(_supervise(aim.kafka.bootstrap_servers, fitted(settings, aim)))


def _supervise(servers: str, settings: Settings) -> int:
    wanted = settings.respond
    folder = settings.worker.state_folder / FOLDER
    slots = claim(folder, max(1, wanted.processes), wanted.first_slot)
    orders = [Orders(servers, settings, responder=slot.number) for slot in slots]
    status = supervise(orders, slots)
    if status in (EXIT_FENCED, EXIT_STATE_LOST):
        raise OperatorError(
            "slot_taken" if status == EXIT_FENCED else "state_lost",
            what="the responder cannot go on",
            why="the line `process failed` in the log says why",
            fix="give each machine slots of its own (--first-slot); see docs/operating.md",
            exit_code=status,
        )
    return status
