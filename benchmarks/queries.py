"""`python -m benchmarks.queries`: how long a query takes, from the door to the view and back.

Meters with a day of readings each are sent in and followed into a view. Then the day of a meter is
asked for at a steady pace over HTTP: gateway, intake, the responder that ships with cimstream, its
SQLite file, outbound, gateway.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

import uvloop

from benchmarks.cluster import PATIENCE_S, make_topics, workers
from benchmarks.gateway import RATE_PER_S, WARM_UP, post_all, post_paced, request, serving
from benchmarks.machine import facts
from streams.demo import messages as m
from streams.runtime import broker
from streams.runtime.settings import Views
from streams.runtime.views import open_database
from streams.views.reading import SqlReader

METERS: Final = 500
VALUES: Final = 96
QUERIES: Final = 3_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of a query at quantiles, and the load of the machine around the run."""

    p50_ms: float
    p99_ms: float
    load: tuple[float, float]


def measure(bootstrap: str, folder: Path) -> Figures:
    """One run."""
    database = str(folder / "view.sqlite")
    settings = {
        "CIMSTREAM__VIEWS__DATABASE": database,
        "CIMSTREAM__VIEWS__FOLLOW": "true",
        "CIMSTREAM__VIEWS__HTTP_PORT": "0",
        "CIMSTREAM__RESPOND__HTTP_PORT": "0",
    }
    with (
        patch.dict(os.environ, settings),
        serving(bootstrap) as (_, port),
        workers(bootstrap, folder / "queries", 1) as running,
    ):
        for _ in ("worker", "responder"):
            running.await_event("partitions assigned")
        uvloop.run(post_all(port, [_readings(number) for number in range(METERS)]))
        _await_rows(database)
        before = os.getloadavg()[0]
        asked = [_query() for _ in range(WARM_UP + QUERIES)]
        waits = sorted(uvloop.run(post_paced(port, asked))[WARM_UP:])
    p50, p99 = (waits[int(q * (len(waits) - 1))] * 1000 for q in (0.5, 0.99))
    return Figures(p50, p99, (before, os.getloadavg()[0]))


def _mrid(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def _readings(number: int) -> bytes:
    meter = m.full_meter(_mrid(number), m.values(number, VALUES), m.times(VALUES))
    payload = m.meter_readings([meter])
    return request(m.envelope(payload, message_id=str(uuid.uuid4()), verb="created"))


def _query() -> bytes:
    body = m.envelope("", message_id=str(uuid.uuid4()), verb="get")
    asks = (
        "<Request><StartTime>2026-11-01T00:00:00Z</StartTime><EndTime>2026-12-01T00:00:00Z"
        f"</EndTime><ID>{_mrid(random.randrange(METERS))}</ID></Request></RequestMessage>"
    )
    return request(body.replace(b"</RequestMessage>", asks.encode()))


def _await_rows(database: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with closing(SqlReader(open_database(Views(database=database), write=False))) as reader:
            if reader.status().rows.get(("PRODUCTION", "MeterReadings"), 0) >= METERS:
                return
        time.sleep(0.1)
    raise RuntimeError("the view does not get through")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cimstream-bench-") as name:
        folder = Path(name)
        settings = broker.BrokerSettings(data_folder=folder / "kafka", port=0)
        with broker.broker_for(settings, os.environ) as info:
            make_topics(info.bootstrap)
            found = measure(info.bootstrap, folder)
    print(told(found))
    print(", ".join(f"{key} {value}" for key, value in facts().items()))
    return 0


def told(found: Figures) -> str:
    """The figures as a line."""
    return (
        f"A meter's day ({VALUES} readings) asked for at {RATE_PER_S} queries/s: "
        f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms "
        f"(load {found.load[0]:.1f} before, {found.load[1]:.1f} after)"
    )


if __name__ == "__main__":
    sys.exit(main())
