"""Options that several commands share, and the cluster they lead to.

Lives here: their types, names and help, said once. Must not live here: commands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from logging import NullHandler, getLogger
from pathlib import Path
from typing import Annotated

import typer

from streams.engine.kafka import KafkaSettings
from streams.runtime import broker
from streams.runtime.cluster import BOOTSTRAP_VARIABLE
from streams.runtime.settings import Settings, load_settings
from streams.runtime.wiring import kafka_settings
from topics import Catalogue, load_catalogue


class Form(StrEnum):
    """How results are written: for people, or one JSON document a line."""

    TABLE = "table"
    JSON = "json"


Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-server",
        envvar=BOOTSTRAP_VARIABLE,
        metavar="HOST:PORT",
        help="The cluster; default: the settings file, else the broker of `cimstream broker up`.",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings file; default: cimstream.toml if there is one.",
        show_default=False,
    ),
]
OutputForm = Annotated[
    Form, typer.Option("--output", "-o", help="For people, or one JSON document a line.")
]


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster a command works on, and the catalogue it works by."""

    kafka: KafkaSettings
    catalogue: Catalogue


def target(bootstrap: str | None, config: Path | None) -> Target:
    """Settle which cluster is meant.

    Raises:
        OperatorError: the settings or the catalogue have a mistake.
    """
    settings = load_settings(config)
    catalogue = load_catalogue(settings.catalogue)
    local = local_broker(settings)
    named = bootstrap or settings.kafka.bootstrap_servers
    if not named:
        running = broker.status(local)
        named = running.bootstrap if running else f"127.0.0.1:{local.port}"
    kafka = kafka_settings(settings, named, catalogue)
    # librdkafka's own lines would repeat, less clearly, what the command says when it fails; some
    # come whatever the level is, and what has no handler at all would be printed.
    getLogger("cimstream.librdkafka").addHandler(NullHandler())
    return Target(replace(kafka, extra={"log_level": 0, **kafka.extra}), catalogue)


def local_broker(settings: Settings) -> broker.BrokerSettings:
    """The local broker of the settings."""
    wanted = settings.broker
    return broker.BrokerSettings(
        data_folder=wanted.data_folder, port=wanted.port, heap_mb=wanted.heap_mb
    )
