"""`python -m benchmarks`: the figures of this machine as tables (some seven minutes)."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import gateway, latency, nouns, queries, recovery, throughput, views
from benchmarks.cluster import make_topics
from benchmarks.gateway import GatewayFigures
from benchmarks.latency import Latency
from benchmarks.machine import facts
from benchmarks.nouns import Speed
from benchmarks.recovery import Interruption, Restore
from benchmarks.throughput import Throughput
from benchmarks.workload import SHAPES
from streams.runtime import broker


@dataclass(slots=True)
class _Found:
    """What was measured; None and nothing where it was not asked for."""

    nouns: list[Speed] = field(default_factory=list)
    throughput: list[Throughput] = field(default_factory=list)
    latency: Latency | None = None
    gateway: GatewayFigures | None = None
    queries: queries.Figures | None = None
    view: views.Figures | None = None
    interruptions: list[Interruption] = field(default_factory=list)
    restore: Restore | None = None
    kafka: str = ""


def main() -> int:
    """Measure and print; 1 if a run's event log was not right."""
    options = _options([shape.name for shape in SHAPES])
    console, found = Console(), _Found()
    with console.status("small messages of every noun"):
        found.nouns = nouns.measure()
    with tempfile.TemporaryDirectory(prefix="cimstream-bench-") as name:
        folder = Path(name)
        settings = broker.BrokerSettings(data_folder=folder / "kafka", port=0)
        with broker.broker_for(settings, os.environ) as info:
            make_topics(info.bootstrap)
            _measure_pipeline(info.bootstrap, folder, options, console, found)
            _measure_doors(info.bootstrap, folder, options, console, found)
            if not options.no_recovery:
                _measure_recovery(info.bootstrap, folder, console, found)
            found.kafka = info.version or "as found"
        if not options.no_recovery:
            _measure_default_broker(folder, console, found)
    known = {**facts(), "kafka": found.kafka}
    _show(console, found, known)
    if options.json:
        options.json.write_text(json.dumps({"facts": known, **asdict(found)}, indent=2) + "\n")
    return 0 if all(run.right for run in found.throughput) else 1


def _measure_pipeline(
    bootstrap: str, folder: Path, options: argparse.Namespace, console: Console, found: _Found
) -> None:
    for shape in SHAPES:
        if options.shape is None or shape.name in options.shape:
            with console.status(f"{shape.name}: {shape.messages:,} messages"):
                found.throughput.append(
                    throughput.measure(bootstrap, folder, shape, options.workers)
                )
    if not options.no_latency:
        with console.status("latency"):
            found.latency = latency.measure(bootstrap, folder)


def _measure_doors(
    bootstrap: str, folder: Path, options: argparse.Namespace, console: Console, found: _Found
) -> None:
    if not options.no_gateway:
        with console.status("gateway"):
            found.gateway = gateway.measure(bootstrap, folder)
    if not options.no_views:
        with console.status("queries"):
            found.queries = queries.measure(bootstrap, folder)
        with console.status("a view of ten million readings"):
            topic = views.fill(bootstrap, views.DAYS)
            found.view = views.measure(bootstrap, str(folder / "big.sqlite"), topic, views.DAYS)


def _measure_recovery(bootstrap: str, folder: Path, console: Console, found: _Found) -> None:
    with console.status("recovery"):
        found.interruptions += recovery.interruptions(
            bootstrap, folder / "shipped", recovery.SHIPPED
        )
        found.restore = recovery.restore(bootstrap, folder)


def _measure_default_broker(folder: Path, console: Console, found: _Found) -> None:
    with (
        console.status("recovery, a broker with default clocks"),
        recovery.default_broker(folder) as bootstrap,
    ):
        if bootstrap:
            make_topics(bootstrap)
            found.interruptions += recovery.interruptions(
                bootstrap, folder / "default", recovery.DEFAULT
            )


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shape", choices=names, action="append", help="only these shapes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-latency", action="store_true")
    parser.add_argument("--no-gateway", action="store_true")
    parser.add_argument("--no-views", action="store_true")
    parser.add_argument("--no-recovery", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


def _show(console: Console, found: _Found, known: Mapping[str, str]) -> None:
    _show_pipeline(console, found.throughput, found.latency)
    _show_gateway(console, found.gateway)
    if found.queries:
        console.print(queries.told(found.queries), highlight=False)
    if found.view:
        console.print(views.told("SQLite", found.view), highlight=False)
    _show_nouns(console, found.nouns)
    _show_recovery(console, found.interruptions, found.restore)
    console.print(", ".join(f"{name} {value}" for name, value in known.items()), style="dim")


def _show_pipeline(console: Console, runs: list[Throughput], hop: Latency | None) -> None:
    table = Table(title="Exactly once, with everything on; 2 % repeats", title_justify="left")
    for name in ("shape", "workers", "k readings/s", "messages/s", "MB/s", "CPU-s per M readings",
                 "peak MB", "log"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("shape", "log") else "right")
    for run in runs:
        table.add_row(
            run.shape,
            str(run.workers),
            f"{run.readings_per_s / 1000:,.0f}",
            f"{run.messages_per_s:,.0f}",
            f"{run.mb_per_s:,.0f}",
            f"{run.cpu_s_per_million:.2f}",
            f"{run.peak_mb:,.0f}",
            "right" if run.right else f"{run.events} of {run.expected}",
        )
    console.print(table)
    if hop:
        console.print(
            f"One hop at {latency.RATE_PER_S} messages/s: p50 {hop.p50_ms:.1f} ms, "
            f"p90 {hop.p90_ms:.1f} ms, p99 {hop.p99_ms:.1f} ms, max {hop.max_ms:.1f} ms",
            highlight=False,
        )


def _show_gateway(console: Console, door: GatewayFigures | None) -> None:
    if door:
        console.print(
            f"Gateway, one process: {door.accepted_per_s:,.0f} messages of 2 KB accepted/s, "
            f"{door.cpu_us_per_event:,.0f} µs of CPU each; replies at {gateway.RATE_PER_S} "
            f"requests/s: p50 {door.reply_p50_ms:.1f} ms, p99 {door.reply_p99_ms:.1f} ms",
            highlight=False,
        )


def _show_nouns(console: Console, speeds: list[Speed]) -> None:
    table = Table(title="Small messages understood, one core", title_justify="left")
    for name in ("noun", "KB", "messages/CPU-s", "of 2 KB"):
        table.add_column(name, justify="left" if name == "noun" else "right")
    by_size = [(speed, speed.messages_per_s * speed.size_bytes / 2048) for speed in speeds]
    shown = [by_size[0], by_size[len(by_size) // 2], by_size[-1]]
    for (speed, of_2_kb), which in zip(shown, ("slowest", "median", "fastest"), strict=True):
        table.add_row(
            f"{speed.noun} ({which} of {len(speeds)})",
            f"{speed.size_bytes / 1024:.1f}",
            f"{speed.messages_per_s:,.0f}",
            f"{of_2_kb:,.0f}",
        )
    console.print(table)


def _show_recovery(
    console: Console, interruptions: list[Interruption], restored: Restore | None
) -> None:
    table = Table(title="Recovery: longest standstill of a partition", title_justify="left")
    for name in ("what", "broker", "median s", "worst s", "promised s"):
        table.add_column(name, justify="left" if name in ("what", "broker") else "right")
    for row in interruptions:
        table.add_row(
            row.what, row.broker, f"{row.median_s:.1f}", f"{row.worst_s:.1f}",
            f"{row.promised_s:.0f}",
        )  # fmt: skip
    if interruptions:
        console.print(table)
    if restored:
        console.print(
            f"A lost store: {restored.keys:,} keys in {restored.seconds:.1f} s, "
            f"{restored.keys_per_s:,.0f} keys/s. An intact one: {restored.read_after_kill} records "
            f"read after kill -9, {restored.read_after_stop} after an orderly stop",
            highlight=False,
        )


if __name__ == "__main__":
    sys.exit(main())
