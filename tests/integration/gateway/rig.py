"""A gateway as an operator runs it, and clients that do not give up."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from streams.engine.record import Record
from tests.integration.data_rig import committed
from tests.integration.service import PATIENCE_S, Service, killed_at_the_end

XML = {"Content-Type": "application/xml"}


class GatewayRun(Service):
    """One `cimstream gateway` with what it logs."""

    def __init__(self, bootstrap: str, *arguments: str, port: int = 0, **variables: str) -> None:
        fixed = ("gateway", "--port", str(port), "--health-port", "0")
        super().__init__(bootstrap, *fixed, *arguments, **variables)
        started = self.await_event("gateway started")
        self.port, self.pid, self.http = started["port"], started["pid"], started["http"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill -9 of the process that serves; the supervisor starts another."""
        os.kill(self.pid, signal.SIGKILL)
        started = self.await_event("gateway started")
        self.pid, self.http = started["pid"], started["http"]


def make_gateway(kafka: str) -> Iterator[Any]:
    """Starts gateways; whatever still runs at the end is killed."""
    started: list[GatewayRun] = []

    def start(*arguments: str, **variables: Any) -> GatewayRun:
        started.append(GatewayRun(kafka, *arguments, **variables))
        return started[-1]

    with killed_at_the_end(started):
        yield start


def post(url: str, body: bytes, interface: str = "I7", **headers: str) -> httpx.Response:
    """One POST on a connection of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(
        f"{url}/v1/{interface}/messages", content=body, headers={**XML, **named},
        timeout=PATIENCE_S,
    )  # fmt: skip


def post_until_answered(client: httpx.Client, url: str, body: bytes) -> bytes:
    """What a well-behaved client does: the same bytes again until there is an answer."""
    deadline = time.monotonic() + PATIENCE_S
    path: str | None = None
    while time.monotonic() < deadline:
        try:
            if path is None:
                response = client.post(f"{url}/v1/I7/messages", content=body, headers=XML)
            else:
                response = client.get(f"{url}{path}")
        except httpx.TransportError:
            path = None
            time.sleep(0.05)
            continue
        if response.status_code == 200:
            return response.content
        assert response.status_code in (202, 503), response.text
        path = response.headers.get("location", path)
        time.sleep(0.1)
    raise AssertionError("no answer")


def view_in(folder: Path) -> dict[str, str]:
    """Settings of a view in the folder, which a run keeps up and a gateway asks."""
    return {
        "CIMSTREAM__VIEWS__DATABASE": str(folder / "view.sqlite"),
        "CIMSTREAM__VIEWS__FOLLOW": "true",
        "CIMSTREAM__VIEWS__HTTP_PORT": "0",
    }


def new_source() -> str:
    return f"HES-{uuid.uuid4().hex[:8]}"


def written(folder: Path, text: str) -> Path:
    """A file for a setting that names one."""
    file = folder / f"{uuid.uuid4().hex}.toml"
    file.write_text(text, encoding="utf-8")
    return file


def of(kafka: str, topic: str, source: str) -> list[Record]:
    """What was committed on a topic for messages of one source."""
    wanted = ("ce_source", source.encode())
    return [record for record in committed(kafka, topic) if wanted in record.headers]


def awaited(find: Callable[[], list[Any]], count: int) -> list[Any]:
    """What is found, once it is as many."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := find()) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count}"
        time.sleep(0.1)
    return found
