"""One worker process: what the supervisor starts, `python -m streams.runtime.worker`.

Reads its orders as one line of JSON from standard input and then keeps that pipe as its
life-line: when it closes, the supervisor is gone, and the worker ends hard at once, so that
no orphan works on.

Ends 0 when asked to (SIGTERM), 75 when its slot was taken by another process, 70 on any other
fatal error. On an error it ends without closing anything: an open consumer of a dying process
would hold its partitions.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from streams.engine.errors import EngineError, FencedError
from streams.runtime.health import Health, HealthServer
from streams.runtime.logs import configure, log
from streams.runtime.settings import Settings
from streams.runtime.telemetry import WorkerTelemetry
from streams.runtime.wiring import WorkerPlan, kafka_settings, make_worker
from topics import load_catalogue

EXIT_FATAL: Final = 70  # EX_SOFTWARE
EXIT_FENCED: Final = 75  # EX_TEMPFAIL: the slot belongs to somebody else now


@dataclass(frozen=True, slots=True)
class Orders:
    """What the supervisor tells a worker."""

    slot: int
    bootstrap: str
    settings: Settings

    def to_json(self) -> str:
        """One line."""
        settings = self.settings.model_dump(mode="json")
        return json.dumps({"slot": self.slot, "bootstrap": self.bootstrap, "settings": settings})

    @classmethod
    def from_json(cls, line: str) -> Orders:
        """From that line; the settings were validated before they were sent."""
        data = json.loads(line)
        return cls(data["slot"], data["bootstrap"], Settings.model_validate(data["settings"]))


def run(orders: Orders, stopping: Event) -> None:
    """Work until `stopping` is set."""
    settings, slot = orders.settings, orders.slot
    catalogue = load_catalogue(settings.catalogue)
    plan = WorkerPlan(
        catalogue,
        settings.worker.interfaces or tuple(catalogue.interfaces),
        kafka_settings(settings, orders.bootstrap, catalogue),
        settings.worker.limits(),
        settings.worker.state_folder,
    )
    health = Health()
    port = settings.http.port + slot if settings.http.port else 0
    server = HealthServer(health, settings.http.host, port)
    server.start()
    worker = make_worker(plan, slot, WorkerTelemetry(slot))
    log("worker", logging.INFO, "worker started", slot=slot, pid=os.getpid(), http=server.port)
    worker.start()
    while not stopping.is_set():
        worker.turn()
        health.turned(ready=worker.ready)
    worker.stop()
    server.close()
    log("worker", logging.INFO, "worker stopped", slot=slot)


def main() -> None:
    """Take orders from standard input and run."""
    orders = Orders.from_json(sys.stdin.readline())
    configure(orders.settings.logging.level, orders.settings.logging.format)
    stopping = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides
    Thread(target=_watch_lifeline, name="life-line", daemon=True).start()
    try:
        run(orders, stopping)
    except FencedError as error:
        _die(orders, EXIT_FENCED, error.code, str(error))
    except EngineError as error:
        _die(orders, EXIT_FATAL, error.code, str(error))
    except Exception as error:  # noqa: BLE001 - the last line before the process ends
        _die(orders, EXIT_FATAL, "internal", f"{type(error).__name__}: {error}")


def _die(orders: Orders, status: int, code: str, reason: str) -> None:
    log("worker", logging.ERROR, "worker failed", slot=orders.slot, code=code, reason=reason)
    sys.stderr.flush()
    os._exit(status)


def _watch_lifeline() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(EXIT_FATAL)


if __name__ == "__main__":
    main()
