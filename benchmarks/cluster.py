"""The pipeline under measurement: `cimstream run` as its users start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Final

from confluent_kafka import Consumer, TopicPartition

PATIENCE_S: Final = 120.0
_CHECK_S: Final = 0.03
GROUP: Final = "intake"


class Workers:
    """The worker processes of one `cimstream run`, and what they log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pids: list[int] = []
        self.started: Mapping[str, object] = {}
        self._lines: Queue[Mapping[str, object]] = Queue()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self._lines.put(json.loads(line))

    def await_event(self, event: str) -> Mapping[str, object]:
        """The next log line with this event."""
        while (entry := self._lines.get(timeout=PATIENCE_S))["event"] != event:
            pass
        return entry

    def await_started(self) -> Mapping[str, object]:
        """The log line of a worker that starts, which is the last of `pids` then."""
        self.started = self.await_event("worker started")
        self.pids.append(int(str(self.started["pid"])))
        return self.started


@contextmanager
def workers(
    bootstrap: str, folder: Path, count: int, *arguments: str, interface: str = "I7"
) -> Iterator[Workers]:
    """Run so many workers of an interface; end them at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "run", "--interface", interface,
         "--workers", str(count), "--state-folder", str(folder), "--http-port", "0", *arguments],
        env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap,
             "CIMSTREAM__LOGGING__FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        running = Workers(process)
        for _ in range(count):
            running.await_started()
        yield running
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def make_topics(bootstrap: str) -> None:
    """All topics of the catalogue."""
    subprocess.run(
        [sys.executable, "-m", "streams.cli", "topics", "apply"],
        env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap},
        stdout=subprocess.DEVNULL,
        check=True,
    )


class Progress:
    """The committed offsets of intake."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._consumer: Consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False}
        )
        self._wanted = [TopicPartition(topic, number) for number in range(partitions)]

    def committed(self) -> Mapping[int, int]:
        """Next offset per partition."""
        found = self._consumer.committed(self._wanted, PATIENCE_S)
        return {at.partition: at.offset for at in found}

    def await_covered(self, last: Mapping[int, int]) -> None:
        """Until everything up to and including the `last` offsets is committed."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._covers(last):
            if time.monotonic() > deadline:
                raise RuntimeError("the workers do not get through")
            time.sleep(_CHECK_S)

    def _covers(self, last: Mapping[int, int]) -> bool:
        committed = self.committed()
        return all(committed[partition] > offset for partition, offset in last.items())

    def close(self) -> None:
        """Let go."""
        self._consumer.close()
