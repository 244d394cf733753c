"""A Kafka broker for a developer's or a newcomer's machine, and for the tests.

Lives here: which broker is used, and a local one's life: up, status, down. Must not live
here: jars, processes and containers (`streams.runtime.kafka`), topics (`topics.provision`).

Invariant: `down` leaves nothing that `up` made, and touches nothing that it did not make.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from streams.runtime.kafka import container, jars, process
from streams.runtime.kafka.errors import BrokerError
from streams.runtime.kafka.launch import (
    HOST,
    READY_S,
    Launched,
    await_answer,
    await_local,
    free_port,
    launch,
    server_properties,
)
from topics import provision

BOOTSTRAP_VARIABLE: Final = "CIMSTREAM_BOOTSTRAP"

_STATE: Final = "cimstream-broker.json"
_LOCK: Final = "cimstream-broker.lock"
_LOOK_S: Final = 0.1
_NAMED_S: Final = 5.0


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "cimstream")


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where and how a local broker runs.

    `port` 0 takes any free one; it is not Kafka's usual 9092, so that a Kafka that runs there
    already is not in the way. `heap_mb` is the JVM's limit. `cache_folder` keeps the jars
    between brokers. `properties` are the broker's own and stand above those we ship.
    """

    data_folder: Path = Path(".cimstream/broker")
    port: int = 19092
    heap_mb: int = 1024
    properties: Mapping[str, str] = field(default_factory=dict)
    cache_folder: Path = field(default_factory=_cache_folder)


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """A broker that answers. `pid` and `data_folder` are None where it is not a local process."""

    bootstrap: str
    origin: Literal["environment", "docker", "local"]
    version: str | None = None
    pid: int | None = None
    data_folder: Path | None = None


def status(settings: BrokerSettings) -> BrokerInfo | None:
    """Give the local broker of this data folder if it runs, else None."""
    state = _read_state(settings.data_folder)
    if state is None or not process.is_ours(state.pid, state.token):
        return None
    return _info(settings, state)


def up(settings: BrokerSettings) -> BrokerInfo:
    """Start the local broker of this data folder, and return when it answers.

    One that runs already is left as it is, whatever port was asked for. Data that are there,
    kept or left by a broker that died, are used again.

    Raises:
        BrokerError: `java_missing`, `java_too_old`, `maven_missing`, `jars_unavailable`,
            `port_in_use`, `folder_foreign`, `broker_busy`, `start_failed`.
    """
    if (running := _answering(settings)) is not None:
        return running
    _check_folder(settings.data_folder)
    java = jars.require_java()
    libraries = jars.require_jars(settings.cache_folder)
    with _locked(settings.data_folder):
        if (running := _answering(settings)) is not None:
            return running
        folder = settings.data_folder.absolute()
        if (before := _read_state(folder)) is not None:
            process.end(before.pid, before.token, orderly=False)  # it may be dying still
        port = free_port(settings.port)
        state = launch(folder, java, libraries, port, settings.heap_mb, settings.properties)
        _write_state(folder, state)
        try:
            await_local(folder, state)
        except BaseException:
            process.end(state.pid, state.token, orderly=False)
            raise
        return _info(settings, state)


def _answering(settings: BrokerSettings) -> BrokerInfo | None:
    """The local broker, if it runs and answers: one just killed still runs for a moment."""
    state = _read_state(settings.data_folder)
    if state is None:
        return None
    if not await_answer(state.port, lambda: not process.is_ours(state.pid, state.token)):
        return None
    return status(settings)


def down(settings: BrokerSettings, *, keep_data: bool = False) -> BrokerInfo | None:
    """Stop the local broker of this data folder and remove the folder; None if none ran.

    Args:
        keep_data: Stop in order and leave the folder; the next `up` goes on with it.

    Raises:
        BrokerError: `folder_foreign`, `broker_busy`, `stop_failed`.
    """
    folder = settings.data_folder
    if not folder.exists():
        return None
    _check_folder(folder)
    with _locked(folder):
        stopped = status(settings)
        state = _read_state(folder)
        # What is thrown away need not be closed in order.
        if state and not process.end(state.pid, state.token, orderly=keep_data):
            raise BrokerError(
                "stop_failed",
                what="the broker does not end",
                where=f"process {state.pid}",
                fix="end it by hand, then run `cimstream broker down` again",
            )
        if not keep_data:
            shutil.rmtree(folder)
    return stopped


@contextmanager
def broker_for(
    settings: BrokerSettings, environment: Mapping[str, str] = os.environ
) -> Iterator[BrokerInfo]:
    """Give a broker that answers, and stop it afterwards if it was started here.

    Tried in this order: the one that CIMSTREAM_BOOTSTRAP names; a container where a Docker
    engine answers; a local one on the machine's Java. A local one that runs already is used
    and left running.

    Raises:
        ProvisionError: `broker_unavailable`: the one named does not answer.
        BrokerError: none was named and none could be started.
    """
    named = environment.get(BOOTSTRAP_VARIABLE, "").strip()
    if named:
        provision.cluster(provision.connect(named), timeout_s=_NAMED_S)
        yield BrokerInfo(named, "environment")
        return
    running = status(settings)
    if running is not None:
        yield running
        return
    with ExitStack() as stack:
        if container.engine_answers():
            yield _contained(stack, settings)
            return
        stack.callback(down, settings)
        yield up(settings)


def _contained(stack: ExitStack, settings: BrokerSettings) -> BrokerInfo:
    port = free_port(settings.port)
    properties = {**server_properties(), **settings.properties}
    stack.enter_context(container.container_broker(properties, port, settings.heap_mb))
    bootstrap = f"{HOST}:{port}"
    if not await_answer(port, given_up=lambda: False):
        raise BrokerError(
            "start_failed",
            what="the broker in the container does not answer",
            where=bootstrap,
            why=f"waited {READY_S:.0f} s",
            fix="look at the container's log, or stop the Docker engine to use Java instead",
        )
    return BrokerInfo(bootstrap, "docker", jars.kafka_version())


def _info(settings: BrokerSettings, state: Launched) -> BrokerInfo:
    return BrokerInfo(
        f"{HOST}:{state.port}", "local", state.version, state.pid, settings.data_folder.absolute()
    )


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds something and was not made by `up`: `down` removes it."""
    if folder.exists() and not folder.is_dir():
        reason = "this is a file"
    elif folder.is_dir() and any(folder.iterdir()) and not (folder / _LOCK).exists():
        reason = "the folder holds other files, and `broker down` removes the whole folder"
    else:
        return
    raise BrokerError(
        "folder_foreign",
        what="this is not the data folder of a local broker",
        where=str(folder),
        why=reason,
        fix="name a folder that is empty or does not exist yet",
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others from starting or stopping the broker of this folder at the same time."""
    deadline = time.monotonic() + READY_S
    while (lock := _try_lock(folder)) is None:
        if time.monotonic() > deadline:
            raise BrokerError(
                "broker_busy",
                what="another process starts or stops the broker of this folder",
                where=str(folder),
                why=f"waited {READY_S:.0f} s",
                fix="wait for it, or name another data folder and port",
            )
        time.sleep(_LOOK_S)
    with lock:
        yield


def _try_lock(folder: Path) -> IO[str] | None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # `down` removes the folder with the lock in it: this may be the lock of the one before.
        if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    lock.close()
    return None


def _read_state(folder: Path) -> Launched | None:
    try:
        return Launched(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # never started, or its writing was cut off: then nothing of it runs


def _write_state(folder: Path, state: Launched) -> None:
    draft = folder / f"{_STATE}.new"
    draft.write_text(json.dumps(asdict(state)), encoding="utf-8")
    draft.replace(folder / _STATE)
