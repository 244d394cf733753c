"""The worker of one slot: the engine's loop with its health door."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from threading import Event

from streams.engine.errors import FatalError
from streams.runtime.health import Health, HealthServer
from streams.runtime.logs import log
from streams.runtime.overdue import Overdue
from streams.runtime.settings import Settings
from streams.runtime.shifts import in_shifts
from streams.runtime.telemetry import WorkerTelemetry
from streams.runtime.wiring import WorkerPlan, kafka_settings, make_worker
from topics import load_catalogue


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
    plan = WorkerPlan(
        catalogue,
        settings.worker.interfaces or tuple(catalogue.interfaces),
        kafka_settings(settings, bootstrap, catalogue),
        settings.worker.limits(),
        settings.worker.state_folder,
    )
    health = Health()
    port = settings.http.port + slot if settings.http.port else 0
    server = HealthServer(health, settings.http.host, port)
    server.start()
    overdue = Overdue(WorkerTelemetry(slot), plan.kafka.request_timeout_s, fail)
    overdue.start()
    worker = make_worker(plan, slot, overdue)
    log("worker", logging.INFO, "worker started", slot=slot, pid=os.getpid(), http=server.port)
    worker.start()

    def turn() -> None:
        worker.turn()
        health.turned(ready=worker.ready)

    in_shifts(turn, stopping.is_set)
    worker.stop()
    server.close()
    overdue.close()
    log("worker", logging.INFO, "worker stopped", slot=slot)
