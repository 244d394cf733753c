"""The follower of the settings' view: made, run, and told of in log lines and metrics.

Lives here: which database the settings mean, the loop with its back-off, the health door. Must
not live here: what is followed and how (`streams.views`).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from streams.engine.errors import TransientError
from streams.engine.kafka import KafkaSettings
from streams.runtime import metrics
from streams.runtime.following import KafkaLogs
from streams.runtime.health import Health, HealthServer
from streams.runtime.logs import log
from streams.runtime.settings import Settings, Views
from streams.runtime.wiring import MachineClock, kafka_settings
from streams.views.follow import (
    Applied,
    Follower,
    FollowEvent,
    Noted,
    Opened,
    Trimmed,
    Unreadable,
)
from streams.views.model import DAY_MS, logs
from streams.views.query import View
from streams.views.reading import SqlReader
from streams.views.sqlite import SqliteDatabase
from streams.views.store import StoreUnavailableError
from streams.views.tables import Database
from streams.views.writing import SqlWriter
from topics import Catalogue, load_catalogue
from topics.errors import EXIT_CONFIG, OperatorError

_POLL_S: Final = 0.1
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_POSTGRES: Final = re.compile(r"postgres(ql)?://")
_PASSWORD: Final = re.compile(r"postgres(ql)?://[^/@]*:[^/@]*@|[?&]password=")


def open_database(settings: Views, *, write: bool) -> Database:
    """The database that the settings name.

    Raises:
        OperatorError: `view_missing`, `view_unavailable`, `driver_missing`, `config_invalid`.
    """
    if not _POSTGRES.match(settings.database):
        return SqliteDatabase(Path(settings.database), write=write)
    if _PASSWORD.search(settings.database):
        raise OperatorError(
            "config_invalid",
            what="views.database holds a password",
            why="settings are shown and logged; secrets are not",
            fix="leave it out, and put it into the file that PGPASSFILE names (~/.pgpass)",
            exit_code=EXIT_CONFIG,
        )
    try:
        from streams.views.postgres import PostgresDatabase  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise OperatorError(
            "driver_missing",
            what="the driver of PostgreSQL is not installed",
            where="psycopg",
            fix="pip install 'cimstream[postgres]'",
            exit_code=EXIT_CONFIG,
        ) from error
    return PostgresDatabase(settings.database, write=write)


def check_nouns(settings: Views, catalogue: Catalogue) -> None:
    """Refuse a noun that has no log.

    Raises:
        OperatorError: `config_invalid`.
    """
    kept = {entry.noun for entry in logs(catalogue).values()}
    unknown = sorted(set(settings.nouns) - kept)
    if unknown:
        raise OperatorError(
            "config_invalid",
            what=f"views.nouns names what no view can keep: {', '.join(unknown)}",
            fix=f"name some of {', '.join(sorted(kept))}",
            exit_code=EXIT_CONFIG,
        )


def open_view(settings: Views, catalogue: Catalogue) -> View:
    """A view to ask; for the thread that opens it.

    Raises:
        OperatorError: as `open_database`, and `view_version`.
    """
    check_nouns(settings, catalogue)
    reader = SqlReader(open_database(settings, write=False))
    fresh_ms = settings.fresh_s * 1000
    clock = MachineClock()
    return View(reader, logs(catalogue, settings.nouns), fresh_ms=fresh_ms, clock_ms=clock.epoch_ms)


class FollowLog:
    """Events of a follower as log lines and metrics. Normal operation is silent in the log."""

    def emit(self, event: FollowEvent) -> None:
        """See `streams.views.follow.Telemetry`."""
        match event:
            case Opened(partitions, read_again):
                fields = {"partitions": partitions, "registers_read_again": read_again}
                log("view", logging.INFO, "view opened", **fields)
            case Applied(records, seconds):
                metrics.VIEW_APPLIED.inc(records)
                metrics.VIEW_APPLY_SECONDS.observe(seconds)
            case Unreadable(place, reason):
                metrics.VIEW_UNREADABLE.inc()
                log("view", logging.WARNING, "record passed over", at=place, reason=reason)
            case Noted(lag, floor_ms, size_bytes):
                metrics.VIEW_SIZE.set(size_bytes)
                for topic, offsets in lag.items():
                    metrics.VIEW_LAG.labels(topic).set(offsets)
                metrics.VIEW_FLOOR.set(floor_ms / 1000)
            case Trimmed(rows):
                metrics.VIEW_TRIMMED.inc(rows)


def follow(
    kafka: KafkaSettings,
    settings: Views,
    catalogue: Catalogue,
    stopping: Event,
    *,
    once: bool = False,
    anew: bool = False,
    turned: Callable[[bool], None] = lambda _: None,
) -> None:
    """Follow until `stopping` is set, through brokers and databases that are away for a while.

    Args:
        kafka: The cluster.
        settings: The view.
        catalogue: What the logs are.
        stopping: Ends it behind the transaction under way.
        once: End when all logs were read to their ends.
        anew: Throw away first what the view holds.
        turned: Told, again and again, whether all logs were read to their ends.

    Raises:
        FencedError: another follower has taken the view.
        StateLostError: a log is not the one that was read.
        OperatorError: the view cannot be opened as configured.
    """
    check_nouns(settings, catalogue)
    SqlWriter(open_database(settings, write=True), anew=anew).close()
    failures = 0
    while not stopping.is_set():
        try:
            with _opened(kafka, settings, catalogue) as follower:
                follower.open()
                while not (stopping.is_set() or (once and follower.caught_up)):
                    follower.turn(_POLL_S)
                    turned(follower.caught_up)
                    failures = 0
                return
        except (TransientError, StoreUnavailableError) as error:
            retry_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
            failures += 1
            fields = {"code": error.code, "reason": str(error), "retry_s": retry_s}
            log("view", logging.WARNING, "view interrupted", **fields)
            turned(False)
            stopping.wait(retry_s)


def run_configured(bootstrap: str, settings: Settings, stopping: Event) -> None:
    """Follow as the settings say until `stopping` is set, with a health door. Raises as `serve`."""
    catalogue = load_catalogue(settings.catalogue)
    serve(kafka_settings(settings, bootstrap, catalogue), settings, catalogue, stopping)


def serve(kafka: KafkaSettings, settings: Settings, catalogue: Catalogue, stopping: Event) -> None:
    """Follow until `stopping` is set, with a health door.

    Raises as `follow`; also OperatorError: `port_in_use`.
    """
    health = Health()
    try:
        server = HealthServer(health, settings.http, settings.views.http_port)
    except OSError as error:
        raise OperatorError(
            "port_in_use",
            what="the port of the follower's health door cannot be had",
            where=f"{settings.http.host}:{settings.views.http_port}",
            why=error.strerror or str(error),
            fix="set views.http_port (--http-port) to a free one",
            exit_code=EXIT_CONFIG,
        ) from error
    server.start()
    log("view", logging.INFO, "view follower started", pid=os.getpid(), http=server.port)
    follow(
        kafka,
        settings.views,
        catalogue,
        stopping,
        turned=lambda ready: health.turned(ready=ready),
    )
    server.close()
    log("view", logging.INFO, "view follower stopped")


@contextmanager
def _opened(kafka: KafkaSettings, settings: Views, catalogue: Catalogue) -> Iterator[Follower]:
    """A follower with a consumer and a connection of its own, closed in the end."""
    with (
        closing(KafkaLogs(kafka, "cimstream-view")) as source,
        closing(SqlWriter(open_database(settings, write=True))) as writer,
    ):
        yield Follower(
            writer,
            source,
            logs(catalogue, settings.nouns),
            window_ms=settings.window_days * DAY_MS,
            clock=MachineClock(),
            telemetry=FollowLog(),
        )
