"""The worker of one slot: the engine's loop with its health door."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import NamedTuple, Protocol

from streams.engine.errors import FatalError
from streams.engine.events import Telemetry
from streams.runtime.health import Health, HealthServer
from streams.runtime.logs import log
from streams.runtime.overdue import Overdue
from streams.runtime.settings import Http, Settings
from streams.runtime.shifts import in_shifts
from streams.runtime.telemetry import WorkerTelemetry
from streams.runtime.wiring import WorkerPlan, kafka_settings, make_worker
from topics import Catalogue, load_catalogue


class Loop(Protocol):
    """What turns: a worker, or what puts one in the place of another."""

    def start(self) -> None:
        """Join."""

    @property
    def ready(self) -> bool:
        """Whether every partition runs."""

    def turn(self) -> None:
        """One bounded step. Raises as `streams.engine.worker.Worker.turn`."""

    def stop(self) -> None:
        """Commit, leave and close."""


class Post(NamedTuple):
    """What a worker is called in the log, and where its health door is (port 0: a free one)."""

    name: str
    slot: int
    at: Http
    first_port: int


def run_worker(
    bootstrap: str,
    settings: Settings,
    slot: int,
    stopping: Event,
    fail: Callable[[FatalError], None],
) -> None:
    """Work until `stopping` is set. `fail` ends the process, whatever this thread waits for.

    Raises:
        FencedError, FatalError: see `streams.engine.worker.Worker.run`.
        OSError: the health port is in use.
    """
    catalogue = load_catalogue(settings.catalogue)
    plan = plan_of(settings, bootstrap, catalogue)
    post = Post("worker", slot, settings.http, settings.http.port)
    work(post, plan, partial(make_worker, plan, slot), stopping, fail)


def plan_of(settings: Settings, bootstrap: str, catalogue: Catalogue) -> WorkerPlan:
    """What a worker is made from, by the settings."""
    return WorkerPlan(
        catalogue,
        settings.worker.interfaces or tuple(catalogue.interfaces),
        kafka_settings(settings, bootstrap, catalogue),
        settings.worker.limits(),
        settings.worker.state_folder,
    )


def work(
    post: Post,
    plan: WorkerPlan,
    make: Callable[[Telemetry], Loop],
    stopping: Event,
    fail: Callable[[FatalError], None],
) -> None:
    """Turn what `make` gives until `stopping` is set. Raises as `run_worker`.

    Where an error ends it, nothing is closed: the process ends at once.
    """
    health = Health()
    port = post.first_port + post.slot if post.first_port else 0
    server = HealthServer(health, post.at, port)
    server.start()
    overdue = Overdue(WorkerTelemetry(post.slot), plan.kafka.request_timeout_s, fail)
    overdue.start()
    loop = make(overdue)
    told = {"slot": post.slot, "pid": os.getpid(), "http": server.port}
    log(post.name, logging.INFO, f"{post.name} started", **told)
    loop.start()

    def turn() -> None:
        loop.turn()
        health.turned(ready=loop.ready)

    in_shifts(turn, stopping.is_set)
    loop.stop()
    server.close()
    overdue.close()
    log(post.name, logging.INFO, f"{post.name} stopped", slot=post.slot)
