"""A process that the supervisor starts: `python -m streams.runtime.process`.

Reads its orders as one line of JSON from standard input and then keeps that pipe as its
life-line: when it closes, the supervisor is gone, and the process ends hard at once, so that
no orphan works on.

Ends 0 when asked to (SIGTERM), 75 when another process took its place, 78 when state is gone
that an operator has to decide about, 70 on any other fatal error. On an error it ends without
closing anything: an open consumer of a dying process would hold its partitions.
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

from streams.engine.errors import EngineError, FatalError, FencedError, StateLostError
from streams.runtime.logs import configure, log
from streams.runtime.settings import Settings
from streams.runtime.stopping import Stopping
from topics.errors import OperatorError

EXIT_FATAL: Final = 70  # EX_SOFTWARE
EXIT_STATE_LOST: Final = 78  # EX_CONFIG: not before somebody has changed something
EXIT_FENCED: Final = 75  # EX_TEMPFAIL: its place belongs to somebody else now


@dataclass(frozen=True, slots=True)
class Orders:
    """What the supervisor tells a process to be: one of the kinds below."""

    bootstrap: str
    settings: Settings
    slot: int | None = None
    source: str | None = None
    gateway: int | None = None
    view: bool = False
    responder: int | None = None
    rules: int | None = None
    delivery: int | None = None

    @property
    def name(self) -> str:
        """How people know it."""
        if self.gateway is not None:
            return f"gateway {self.gateway}"
        if self.view:
            return "view"
        if self.responder is not None:
            return f"responder {self.responder}"
        if self.rules is not None:
            return f"rules {self.rules}"
        if self.delivery is not None:
            return f"delivery {self.delivery}"
        return f"source {self.source}" if self.slot is None else f"slot {self.slot}"

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "bootstrap": self.bootstrap,
                "settings": self.settings.model_dump(mode="json"),
                "slot": self.slot,
                "source": self.source,
                "gateway": self.gateway,
                "view": self.view,
                "responder": self.responder,
                "rules": self.rules,
                "delivery": self.delivery,
            }
        )

    @classmethod
    def from_json(cls, line: str) -> Orders:
        """From that line; the settings were validated before they were sent."""
        data = json.loads(line)
        data["settings"] = Settings.model_validate(data["settings"])
        return cls(**data)


def main() -> None:
    """Take orders from standard input and run."""
    orders = Orders.from_json(sys.stdin.readline())
    configure(orders.settings.logging.level, orders.settings.logging.format)
    stopping = Stopping()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides
    Thread(target=_watch_lifeline, name="life-line", daemon=True).start()
    try:
        _obey(orders, stopping)
    except FencedError as error:
        _die(orders, EXIT_FENCED, error.code, str(error))
    except StateLostError as error:
        _die(orders, EXIT_STATE_LOST, error.code, str(error))
    except (EngineError, OperatorError) as error:
        _die(orders, EXIT_FATAL, error.code, str(error))
    except Exception as error:  # noqa: BLE001 - the last line before the process ends
        _die(orders, EXIT_FATAL, "internal", f"{type(error).__name__}: {error}")


def _obey(orders: Orders, stopping: Event) -> None:
    # Imported here: each kind of process loads only what it needs, and a worker that was
    # killed is back the sooner.
    def fail(error: FatalError) -> None:
        _die(orders, EXIT_FATAL, error.code, str(error))

    if orders.slot is not None:
        from streams.runtime.worker import run_worker  # noqa: PLC0415

        run_worker(orders.bootstrap, orders.settings, orders.slot, stopping, fail)
    elif orders.rules is not None:
        from streams.runtime.rules import run_rules  # noqa: PLC0415

        run_rules(orders.bootstrap, orders.settings, orders.rules, stopping, fail)
    elif orders.source is not None:
        from streams.runtime.sources import run_configured  # noqa: PLC0415

        run_configured(orders.bootstrap, orders.settings, orders.source, stopping)
    elif orders.gateway is not None:
        from streams.runtime.gateway.process import run_gateway  # noqa: PLC0415

        run_gateway(orders.bootstrap, orders.settings, orders.gateway)
    elif orders.responder is not None:
        from streams.runtime.responding import run_responder  # noqa: PLC0415

        run_responder(orders.bootstrap, orders.settings, orders.responder, stopping, fail)
    elif orders.view:
        from streams.runtime import views  # noqa: PLC0415

        views.run_configured(orders.bootstrap, orders.settings, stopping)
    elif orders.delivery is not None:
        from streams.runtime.delivery.process import run_delivery  # noqa: PLC0415

        run_delivery(orders.bootstrap, orders.settings, orders.delivery, stopping)


def _die(orders: Orders, status: int, code: str, reason: str) -> None:
    log("process", logging.ERROR, "process failed", name=orders.name, code=code, reason=reason)
    sys.stderr.flush()
    os._exit(status)


def _watch_lifeline() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(EXIT_FATAL)


if __name__ == "__main__":
    main()
