"""`cimstream broker up|status|down`: a local Kafka without an installation.

Lives here: options and what is printed. Must not live here: the broker (`streams.runtime.broker`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams.cli.options import ConfigFile, local_broker
from streams.runtime import broker as local
from streams.runtime.settings import load_settings
from topics.errors import EXIT_FAILED

app = typer.Typer(name="broker", help="A local Apache Kafka for development.", no_args_is_help=True)

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of its data; made by `up`, removed by `down`.  [default: .cimstream/broker]",
        show_default=False,
    ),
]


@app.command()
def up(
    *,
    data: DataFolder = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the loopback; 0 takes a free one.  [default: 19092]", min=0, max=65535
        ),
    ] = None,
    heap_mb: Annotated[
        int | None,
        typer.Option(help="Memory of its JVM in MiB.  [default: 1024]", min=256, max=65536),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Start a local Kafka and wait until it answers; one that runs already is left alone.

    It runs on the machine's Java; Maven brings its jars the first time (45 MB). It listens on
    the loopback only and goes on running until `cimstream broker down`.

    Example: cimstream broker up --port 0
    """
    settings = local_broker(load_settings(config, broker=_given(data, port, heap_mb)))
    console = Console()
    if (running := local.status(settings)) is not None:
        console.print(f"already running: {_line(running)}", soft_wrap=True)
        return
    with console.status("starting Apache Kafka (the first time its jars are brought) …"):
        started = local.up(settings)
    console.print(f"started: {_line(started)}", soft_wrap=True)


@app.command()
def status(*, data: DataFolder = None, config: ConfigFile = None) -> None:
    """Say whether the local Kafka runs: exit code 0 if it does, 1 if not.

    Example: cimstream broker status
    """
    running = local.status(local_broker(load_settings(config, broker=_given(data))))
    Console().print(f"running: {_line(running)}" if running else "not running", soft_wrap=True)
    if running is None:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def down(
    *,
    data: DataFolder = None,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Leave the data for the next `up`.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Stop the local Kafka and remove its data.

    Nothing is left but the jars in the user's cache folder. A process or a folder that
    `broker up` did not make is never touched.

    Example: cimstream broker down
    """
    settings = local_broker(load_settings(config, broker=_given(data)))
    stopped = local.down(settings, keep_data=keep_data)
    kept = "; its data are kept" if keep_data else ""
    Console().print(
        f"stopped: {_line(stopped)}{kept}" if stopped else "not running", soft_wrap=True
    )


def _line(info: local.BrokerInfo) -> str:
    return (
        f"Apache Kafka {info.version} at {info.bootstrap} (process {info.pid}, {info.data_folder})"
    )


def _given(
    data: Path | None, port: int | None = None, heap_mb: int | None = None
) -> dict[str, object]:
    return {"data_folder": data, "port": port, "heap_mb": heap_mb}
