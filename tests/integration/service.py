"""A command that serves until it is told to stop, and what it logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import Any

PATIENCE_S = 90.0


class Service:
    """One `cimstream …` process; `lines` are its log so far."""

    def __init__(self, bootstrap: str, *arguments: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", *arguments],
            env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap, **variables},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[dict[str, Any]] = []
        self._queue: Queue[dict[str, Any] | None] = Queue()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                entry = json.loads(line) if line.startswith("{") else {"event": line}
                self.lines.append(entry)
                self._queue.put(entry)
        self._queue.put(None)

    def await_event(self, event: str) -> dict[str, Any]:
        """The next log line with this event."""
        while (entry := self._queue.get(timeout=PATIENCE_S)) is not None:
            if entry["event"] == event:
                return entry
        raise AssertionError(f"ended without {event!r}: {self.lines}")

    def end(self) -> int:
        """SIGTERM and the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@contextmanager
def killed_at_the_end(started: Sequence[Service]) -> Iterator[None]:
    """Whatever of these still runs is killed, also where a test fails."""
    try:
        yield
    finally:
        for one in started:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()
