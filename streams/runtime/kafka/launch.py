"""From a folder to a broker that answers: its files, its process, its first answer.

Lives here: properties, formatting, the command line, readiness. Must not live here: which
broker is wanted and when it ends (`streams.runtime.broker`).

Invariant: whatever is written goes into the broker's own folder.
"""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from streams.runtime.kafka import jars, process
from streams.runtime.kafka.errors import BrokerError
from topics import provision

HOST: Final = "127.0.0.1"
# Up in 4 s on two idle cores; a laptop that installs at the same time may take ten times that.
READY_S: Final = 90.0

_LOOK_S: Final = 0.1
_LOG_LINES: Final = 3
# A line of that level, or the exception that follows it on a line of its own.
_ERROR_LINE: Final = re.compile(r"\S+ ERROR |(Caused by: )?[\w.$]+(Exception|Error)\b|Error: ")


@dataclass(frozen=True, slots=True)
class Launched:
    """A broker's process: its id, the token that tells it from others, its clients' port."""

    pid: int
    token: str
    port: int
    version: str


def free_port(port: int) -> int:
    """Give the port if nobody listens there; for 0 any that is free.

    Raises:
        BrokerError: `port_in_use`.
    """
    with socket.socket() as probe:
        # A port whose last connections are just closing counts as free, as it does for Java.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                "port_in_use",
                what=f"port {port} cannot be had: another program uses it",
                where=f"{HOST}:{port}",
                why=error.strerror or str(error),
                fix="stop that program, or choose another port: `cimstream broker up --port 0`"
                " takes a free one",
            ) from error
        return int(probe.getsockname()[1])


def server_properties() -> dict[str, str]:
    """Give the broker's properties; what is filled in at start stands in braces."""
    lines = _template("server.properties").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def launch(
    folder: Path,
    java: Path,
    libraries: Path,
    port: int,
    heap_mb: int,
    properties: Mapping[str, str] = MappingProxyType({}),
) -> Launched:
    """Write the broker's files and start its process; it may need seconds to answer.

    Args:
        folder: Absolute; data that are there are used again.
        libraries: Kafka's jars.
        port: For clients; must be free.
        heap_mb: The JVM's limit, in MiB.
        properties: The broker's, above those we ship.

    Raises:
        BrokerError: `start_failed`: the folder could not be prepared.
    """
    file = folder / "server.properties"
    filled = _template("server.properties").format(
        port=port, controller_port=free_port(0), log_folder=folder / "logs"
    )
    # Of a property that is given twice, the last counts.
    filled += "".join(f"{name}={value}\n" for name, value in properties.items())
    file.write_text(filled, encoding="utf-8")
    logging = folder / "log4j2.properties"
    logging.write_text(_template("log4j2.properties"), encoding="utf-8")
    run = [
        str(java), "-cp", f"{libraries.absolute()}/*", "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={logging}", f"-Dcimstream.logs={folder}",
    ]  # fmt: skip
    if not (folder / "logs" / "meta.properties").exists():
        _format(run, file)
    token = f"cimstream.broker={uuid.uuid4().hex}"
    command = [
        *run, f"-D{token}", f"-Xms{min(heap_mb, 256)}m", f"-Xmx{heap_mb}m", "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError", "kafka.Kafka", str(file),
    ]  # fmt: skip
    pid = process.spawn(command, token, folder / "broker.out")
    return Launched(pid, token, port, jars.kafka_version())


def await_local(folder: Path, launched: Launched) -> None:
    """Return when the broker answers.

    Raises:
        BrokerError: `start_failed`, with the last errors of its log.
    """

    def ended() -> bool:
        return not process.is_ours(launched.pid, launched.token)

    if not await_answer(launched.port, ended):
        raise BrokerError(
            "start_failed",
            what="the broker ended while starting" if ended() else "the broker does not answer",
            where=str(folder / "broker.log"),
            why=_last_errors(folder) or f"waited {READY_S:.0f} s",
            fix="read the log; `cimstream broker down` clears the folder for a new start",
        )


def await_answer(port: int, given_up: Callable[[], bool]) -> bool:
    """Wait for a broker on this port of the loopback; False if it was given up or took too long."""
    deadline = time.monotonic() + READY_S
    while not _answers(port):
        if given_up() or time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def _answers(port: int) -> bool:
    # First the plain connection: librdkafka would wait and log.
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
        found = provision.cluster(provision.connect(f"{HOST}:{port}"), timeout_s=5.0)
    except (OSError, provision.ProvisionError):
        return False
    return found.brokers > 0


def _template(name: str) -> str:
    return (files("streams.runtime.kafka") / name).read_text(encoding="utf-8")


def _format(run: Sequence[str], properties: Path) -> None:
    # A cluster id is 16 random bytes in base64; one that begins with "-" would read as an option.
    cluster_id = "c" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    # A second of work: not worth compiling or collecting in parallel.
    brief = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id]
    done = subprocess.run(
        [*run, *brief, *tool, "--config", str(properties)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BrokerError(
            "start_failed",
            what="the broker's data folder could not be prepared",
            where=str(properties.parent),
            why=" ".join((done.stderr or done.stdout).split())[:500],
            fix="see that the folder can be written and has room",
        )


def _last_errors(folder: Path) -> str:
    lines: list[str] = []
    for name in ("broker.log", "broker.out"):
        path = folder / name
        if path.exists():
            text = path.read_text(encoding="utf-8", errors="replace")
            lines += [line for line in text.splitlines() if _ERROR_LINE.match(line)]
    return " / ".join(lines[-_LOG_LINES:])[:800]
