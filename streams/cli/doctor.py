"""`cimstream doctor`: what this machine has, what it lacks, and how to get it.

Lives here: the checks and their table. Must not live here: installing anything.

Invariant: exit code 0 exactly if `cimstream demo` can have a broker and an environment here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.options import ConfigFile, local_broker
from streams.runtime.broker import BOOTSTRAP_VARIABLE, BrokerSettings, status
from streams.runtime.kafka import container, jars
from streams.runtime.settings import load_settings
from topics import provision
from topics.errors import EXIT_FAILED

# The demo's topics, logs and state, and the jars; a broker that runs for weeks needs more.
_DISK_BYTES_MIN: Final = 2 * 1024**3
_PYTHON_MIN: Final = (3, 11)
_PYTHON_END: Final = (3, 14)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `lacking` alone makes the doctor fail; `absent` has an alternative."""

    name: str
    state: Literal["ok", "absent", "lacking"]
    found: str
    fix: str = ""


def doctor(*, config: ConfigFile = None) -> None:
    """Say what is missing on this machine and how to get it; changes nothing.

    Exit code 0: cimstream can run here; 1: something is lacking.

    Example: cimstream doctor
    """
    checks = tuple(examine(local_broker(load_settings(config))))
    table = Table("", "what", "found", "how to get it", box=None, header_style="bold")
    marks = {"ok": "[green]ok[/]", "absent": "[yellow]absent[/]", "lacking": "[red]lacking[/]"}
    for check in checks:
        table.add_row(marks[check.state], check.name, Text(check.found), Text(check.fix))
    console = Console()
    console.print(table)
    if any(check.state == "lacking" for check in checks):
        raise typer.Exit(EXIT_FAILED)
    console.print("cimstream can run on this machine")


def examine(settings: BrokerSettings) -> Iterator[Check]:
    """Look at everything, cheapest first; each check stands alone."""
    yield _python()
    yield _environment()
    yield _disk(settings.data_folder)
    yield from _broker(settings)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if _PYTHON_MIN <= sys.version_info[:2] < _PYTHON_END:
        return Check("Python", "ok", found)
    return Check("Python", "lacking", found, "install Python 3.11, 3.12 or 3.13")


def _environment() -> Check:
    try:
        found = f"cimstream {version('cimstream')} in {sys.prefix}"
    except PackageNotFoundError:
        return Check("environment", "lacking", "cimstream is not installed", "make setup")
    if sys.prefix == sys.base_prefix:
        return Check("environment", "absent", f"{found}, shared with others", "make setup")
    return Check("environment", "ok", found)


def _disk(folder: Path) -> Check:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{free / 1024**3:.1f} GiB free at {place}"
    if free >= _DISK_BYTES_MIN:
        return Check("disk", "ok", found)
    needed = _DISK_BYTES_MIN // 1024**3
    return Check("disk", "lacking", found, f"free {needed} GiB, or work in another folder")


def _broker(settings: BrokerSettings) -> Iterator[Check]:
    """The ways to a broker, in the order in which they are tried; one of them must be open."""
    named = os.environ.get(BOOTSTRAP_VARIABLE, "").strip()
    if named:
        yield _reachable(named)
        return
    local = (_running(settings), _docker(), _java(), *_maven(settings))
    yield from local
    running, docker, java, *rest = (check.state == "ok" for check in local)
    if running or docker or (java and all(rest)):
        yield Check("Kafka broker", "ok", "runs" if running else "can be started here")
        return
    yield Check(
        "Kafka broker",
        "lacking",
        "none of the ways to one is open",
        f"one of: {BOOTSTRAP_VARIABLE}=host:port; a Docker engine; Java"
        f" {jars.JAVA_MAJOR_MIN}+ and Maven",
    )


def _reachable(named: str) -> Check:
    name = f"broker of {BOOTSTRAP_VARIABLE}"
    try:
        found = provision.cluster(provision.connect(named), timeout_s=5.0)
    except provision.ProvisionError as error:
        return Check(name, "lacking", f"{named}: {error.why}", "correct the variable or unset it")
    return Check(name, "ok", f"{named}: {found.brokers} broker(s), {len(found.topics)} topics")


def _running(settings: BrokerSettings) -> Check:
    running = status(settings)
    if running is None:
        return Check("local broker", "absent", "does not run", "cimstream broker up")
    return Check("local broker", "ok", f"Kafka {running.version} at {running.bootstrap}")


def _docker() -> Check:
    if container.engine_answers():
        return Check("Docker", "ok", "an engine answers")
    found = "no engine answers" if shutil.which("docker") else "not installed"
    return Check("Docker", "absent", found, "start Docker, and pip install 'cimstream[docker]'")


def _java() -> Check:
    fix = f"install Java {jars.JAVA_MAJOR_MIN} or newer (Debian: apt install default-jre-headless)"
    java = jars.find_java()
    if java is None:
        return Check("Java", "absent", "not found", fix)
    major = jars.java_major(java)
    if major is None or major < jars.JAVA_MAJOR_MIN:
        return Check("Java", "absent", f"{java} is {major or 'of unknown version'}", fix)
    return Check("Java", "ok", f"{major} at {java}")


def _maven(settings: BrokerSettings) -> tuple[Check, ...]:
    name = f"Kafka {jars.kafka_version()} jars"
    if (cached := jars.cached_jars(settings.cache_folder)) is not None:
        return (Check(name, "ok", f"{len(list(cached.iterdir()))} in {cached}"),)
    maven = jars.find_maven()
    if maven is None:
        return (Check("Maven", "absent", "not found", "install Maven (Debian: apt install maven)"),)
    return (Check("Maven", "ok", f"{maven}; brings the {name} at the first start"),)
