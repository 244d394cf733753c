"""A broker in a container, where a Docker engine answers.

Lives here: asking for an engine, and the container. Must not live here: whether it is used
(`streams.runtime.broker`).

Invariant: the container runs with the settings of the local broker and is gone when the
context ends; if this process is killed, the reaper of testcontainers removes it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from streams.runtime.kafka.errors import WAYS_OUT, BrokerError
from streams.runtime.kafka.jars import kafka_version

_PING_S: Final = 3
_CLIENT_PORT: Final = 9092
_UNIX: Final = "unix://"
_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"


def engine_answers() -> bool:
    """Say whether testcontainers is installed and a Docker engine answers."""
    if not _listens(os.environ.get("DOCKER_HOST") or _DEFAULT_HOST):
        return False
    try:
        import docker  # noqa: PLC0415  # an optional extra
        import testcontainers  # noqa: F401, PLC0415
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=_PING_S)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except Exception:  # noqa: BLE001  # docker, requests, urllib3, OS: each its own; all mean no
        return False


def _listens(host: str) -> bool:
    """Try a local engine's socket first: the library leaves it open where nobody answers."""
    if not host.startswith(_UNIX):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PING_S)
        try:
            probe.connect(host.removeprefix(_UNIX))
        except OSError:
            return False
    return True


def container_settings(properties: Mapping[str, str], port: int) -> dict[str, str]:
    """Give the local broker's properties as the image wants them: environment variables.

    Inside, the broker listens on all addresses; it advertises `port` of this machine's
    loopback, the only one through which the container can be reached.
    """
    here = {
        "listeners": f"CLIENTS://0.0.0.0:{_CLIENT_PORT},CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port}",
        "inter.broker.listener.name": "CLIENTS",
        "controller.quorum.voters": "1@127.0.0.1:9093",
        "log.dirs": "/tmp/cimstream-logs",  # noqa: S108  # in the container, gone with it
    }
    return {
        f"KAFKA_{key.upper().replace('.', '_')}": value
        for key, value in {**properties, **here}.items()
    }


@contextmanager
def container_broker(properties: Mapping[str, str], port: int, heap_mb: int) -> Iterator[None]:
    """Run the image of Apache Kafka with `port` of the loopback as its clients' port.

    Returns as soon as the container runs; the broker in it may need seconds to answer.

    Raises:
        BrokerError: `start_failed`: the engine could not bring or start the image.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  # an optional extra

    image = f"apache/kafka:{kafka_version()}"
    container = DockerContainer(image)
    for key, value in container_settings(properties, port).items():
        container.with_env(key, value)
    container.with_env("KAFKA_HEAP_OPTS", f"-Xmx{heap_mb}m")
    container.with_kwargs(ports={f"{_CLIENT_PORT}/tcp": ("127.0.0.1", port)})
    try:
        container.start()
    except Exception as error:
        raise BrokerError(
            "start_failed",
            what=f"the Docker engine could not run {image}",
            where=os.environ.get("DOCKER_HOST", "the local engine"),
            why=str(error)[:500],
            fix=WAYS_OUT,
        ) from error
    try:
        yield
    finally:
        container.stop()
