"""A folder source in a process of its own, to be killed.

Usage: files_child.py BOOTSTRAP FOLDER NAME [STEP NTH [MILLISECONDS]]

Ends by itself when the folder has nothing new. With STEP (polled, produced, committed) it kills
itself there, at the NTH batch, or so long after that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from connectors.api import Batch
from connectors.files.config import FilesConfig
from connectors.files.source import FolderSource
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.record import Output
from streams.runtime import sources
from streams.runtime.sources import SourceEvent, run_source
from topics import load_catalogue

bootstrap, folder, name, *crash = sys.argv[1:]
stop = threading.Event()
batches = 0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def reached(step: str) -> None:
    if crash[:2] != [step, str(batches)]:
        return
    if len(crash) > 2:
        threading.Timer(int(crash[2]) / 1000, die).start()
    else:
        die()


class Dying(FolderSource):
    """Stops when there is nothing more; may die behind a poll or a commit."""

    def poll(self, records_max: int, timeout_s: float) -> Batch | None:
        global batches  # noqa: PLW0603 - one process, one count
        batch = super().poll(records_max, timeout_s)
        if batch is None:
            stop.set()
        else:
            batches += 1
            reached("polled")
        return batch

    def committed(self, batch: Batch) -> tuple:
        reached("committed")
        return super().committed(batch)


class DyingProducer(TransactionalProducer):
    """May die with a transaction open that holds the whole batch."""

    def commit(self) -> None:
        self._producer.flush()  # type: ignore[union-attr]  # the records are at the broker
        reached("produced")
        super().commit()

    def produce(self, output: Output, origin: object = None) -> None:
        super().produce(output, origin)  # type: ignore[arg-type]


class Silent:
    """Tells nobody."""

    def emit(self, event: SourceEvent) -> None:
        """Nothing."""


sources.TransactionalProducer = DyingProducer  # type: ignore[attr-defined]
# About three files a batch.
config = FilesConfig(folder=Path(folder), interface="I7", settle_s=0.0, batch_bytes_max=2000)
source = Dying(name, config, load_catalogue())
run_source(source, KafkaSettings(bootstrap), Silent(), stop)
