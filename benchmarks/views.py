"""`python -m benchmarks.views`: how fast a view follows, and how fast it answers.

Ten million readings, 96 to a series, one series a meter and day, lie in a log of their own. The
follower reads them into an empty view, from Kafka to the last database transaction. Then meter
and day are asked for at random, each question by itself, answers decoded.
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

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.machine import facts
from schemas.avro import encode_body, encode_provenance, frame
from streams.engine.kafka import KafkaSettings
from streams.runtime import broker
from streams.runtime.following import KafkaLogs
from streams.runtime.settings import Views
from streams.runtime.views import open_database
from streams.runtime.wiring import MachineClock
from streams.views.criteria import Criteria
from streams.views.follow import Follower, FollowEvent
from streams.views.model import DAY_MS, Log
from streams.views.query import View
from streams.views.reading import SqlReader
from streams.views.writing import SqlWriter

METERS: Final = 3_500
DAYS: Final = 30
VALUES: Final = 96
QUESTIONS: Final = 2_000
_TYPE: Final = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
_START_MS: Final = 1_767_225_600_000  # 2026-01-01
_PARTITIONS: Final = 6


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one database."""

    series: int
    follow_s: float
    follow_cpu_s: float
    size_bytes: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class _Silent:
    def emit(self, event: FollowEvent) -> None:
        """Nobody looks."""


def measure(bootstrap: str, database: str, topic: str, days: int) -> Figures:
    """Follow the log into the database, which must be empty, and ask it."""
    logs = {topic: Log(topic, "PRODUCTION", "MeterReadings", "readings")}
    settings = Views(database=database)
    with (
        closing(KafkaLogs(KafkaSettings(bootstrap), "bench")) as source,
        closing(SqlWriter(open_database(settings, write=True))) as writer,
    ):
        follower = Follower(
            writer, source, logs, window_ms=DAY_MS, clock=MachineClock(), telemetry=_Silent()
        )
        begun, cpu = time.monotonic(), time.process_time()
        follower.open()
        while not follower.caught_up:
            follower.turn(0.1)
        follow_s, follow_cpu_s = time.monotonic() - begun, time.process_time() - cpu
    with closing(SqlReader(open_database(settings, write=False))) as reader:
        view = View(reader, logs, fresh_ms=3_600_000, clock_ms=MachineClock().epoch_ms)
        times = sorted(_ask(view, days) for _ in range(QUESTIONS))
        status = reader.status()
    series = status.rows["PRODUCTION", "MeterReadings"]
    assert series == METERS * days, f"{series} series"
    return Figures(
        series,
        follow_s,
        follow_cpu_s,
        status.size_bytes,
        times[len(times) // 2],
        times[len(times) * 99 // 100],
        times[-1],
    )


def _ask(view: View, days: int) -> float:
    """One meter-day; milliseconds."""
    after_ms = _START_MS + random.randrange(days) * DAY_MS
    criteria = Criteria(
        "MeterReadings",
        mrids=(_mrid(random.randrange(METERS)),),
        after_ms=after_ms,
        until_ms=after_ms + DAY_MS,
    )
    begun = time.perf_counter()
    page = view.page(criteria)
    count = sum(len(row.chosen or ()) for row in page.rows if row.event()["values"])
    spent = time.perf_counter() - begun
    assert count == VALUES, f"{count} readings"
    return spent * 1000


def _mrid(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def fill(bootstrap: str, days: int) -> str:
    """Make a log as intake writes it, day by day a series of each meter; give its topic."""
    topic = f"bench-view-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, _PARTITIONS, 1)])[topic].result()
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 50, "compression.type": "lz4",
         "queue.buffering.max.messages": 1_000_000}
    )  # fmt: skip
    start = frame("MeterReadingSeries")
    for day in range(days):
        for number in range(METERS):
            body = encode_body(
                "MeterReadingSeries",
                {
                    "usagePoint": {"mRID": _mrid(number), "names": []},
                    "readingType": _TYPE,
                    "readingTypeFields": [int(field) for field in _TYPE.split(".")],
                    "shape": "READINGS",
                    "firstTimeStamp": _START_MS + day * DAY_MS + 900_000,
                    "intervalMs": 900_000,
                    "values": [(number * 7 + day + i * 3) % 997 / 1000 for i in range(VALUES)],
                    "qualities": [{"from": 0, "count": VALUES, "ref": "1.0.0"}],
                },
            )
            said = encode_provenance("cim.i7.inbound", 0, day, f"m-{day}-{number}", "HES", 0)
            producer.produce(topic, start + said + body, _mrid(number))
            producer.poll(0)
        producer.flush()
    return topic


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS, help=f"of {METERS:,} meters")
    parser.add_argument("--postgres", metavar="URL", help="also in this empty database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cimstream-bench-") as name:
        settings = broker.BrokerSettings(data_folder=Path(name) / "kafka", port=0)
        with broker.broker_for(settings, os.environ) as info:
            topic = fill(info.bootstrap, options.days)
            for database in (str(Path(name) / "view.sqlite"), options.postgres):
                if database:
                    found = measure(info.bootstrap, database, topic, options.days)
                    print(told("PostgreSQL" if database == options.postgres else "SQLite", found))
    print(", ".join(f"{name} {value}" for name, value in facts().items()))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load of the machine {load}")
    return 0


def told(database: str, found: Figures) -> str:
    """The figures as lines."""
    per_s = found.series / found.follow_s
    return (
        f"{database}: {found.series:,} series ({found.series * VALUES:,} readings) followed in"
        f" {found.follow_s:.1f} s, {per_s:,.0f} series/s, {per_s * VALUES:,.0f} readings/s,"
        f" {found.series / found.follow_cpu_s:,.0f} series per CPU-second of the follower;"
        f" {found.size_bytes / found.series:,.0f} bytes a series\n"
        f"{database}: a meter-day p50 {found.p50_ms:.2f} ms, p99 {found.p99_ms:.2f} ms,"
        f" max {found.max_ms:.2f} ms, decoded"
    )


if __name__ == "__main__":
    sys.exit(main())
