"""`cimstream broker up|status|down`: a local Kafka without an installation.

Lives here: options and what is printed. Must not live here: the broker (`streams.runtime.broker`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams.runtime import broker as local
from topics.errors import EXIT_FAILED

app = typer.Typer(name="broker", help="A local Apache Kafka for development.", no_args_is_help=True)

_DEFAULTS = local.BrokerSettings()

DataFolder = Annotated[
    Path, typer.Option("--data", help="Folder of its data; made by `up`, removed by `down`.")
]


@app.command()
def up(
    data: DataFolder = _DEFAULTS.data_folder,
    port: Annotated[
        int, typer.Option(help="Port of the loopback; 0 takes a free one.", min=0, max=65535)
    ] = _DEFAULTS.port,
    heap_mb: Annotated[
        int, typer.Option(help="Memory of its JVM in MiB.", min=256, max=65536)
    ] = _DEFAULTS.heap_mb,
) -> None:
    """Start a local Kafka and wait until it answers; one that runs already is left alone.

    It runs on the machine's Java; Maven brings its jars the first time (45 MB). It listens on
    the loopback only and goes on running until `cimstream broker down`.

    Example: cimstream broker up --port 0
    """
    settings = local.BrokerSettings(data_folder=data, port=port, heap_mb=heap_mb)
    console = Console()
    if (running := local.status(settings)) is not None:
        console.print(f"already running: {_line(running)}", soft_wrap=True)
        return
    with console.status("starting Apache Kafka (the first time its jars are brought) …"):
        started = local.up(settings)
    console.print(f"started: {_line(started)}", soft_wrap=True)


@app.command()
def status(data: DataFolder = _DEFAULTS.data_folder) -> None:
    """Say whether the local Kafka runs: exit code 0 if it does, 1 if not.

    Example: cimstream broker status
    """
    running = local.status(local.BrokerSettings(data_folder=data))
    Console().print(f"running: {_line(running)}" if running else "not running", soft_wrap=True)
    if running is None:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def down(
    data: DataFolder = _DEFAULTS.data_folder,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Leave the data for the next `up`.")
    ] = False,
) -> None:
    """Stop the local Kafka and remove its data.

    Nothing is left but the jars in the user's cache folder. A process or a folder that
    `broker up` did not make is never touched.

    Example: cimstream broker down
    """
    stopped = local.down(local.BrokerSettings(data_folder=data), keep_data=keep_data)
    kept = "; its data are kept" if keep_data else ""
    Console().print(
        f"stopped: {_line(stopped)}{kept}" if stopped else "not running", soft_wrap=True
    )


def _line(info: local.BrokerInfo) -> str:
    return (
        f"Apache Kafka {info.version} at {info.bootstrap} (process {info.pid}, {info.data_folder})"
    )
