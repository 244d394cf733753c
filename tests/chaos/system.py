"""`cimstream run` from outside: its processes, their signals, their log, their health.

Lives here: one `run` of one machine (a state folder of its own). Must not live here: what is
expected of it (the scenarios), Kafka (`cluster`).

Invariant: a signal goes only to a process that this `run` started and that is still the same.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Condition, Thread
from typing import Final

from streams.runtime.kafka import process
from tests.chaos.cluster import INTERFACE
from tests.chaos.faults import Anomaly, Stuck

Line = Mapping[str, object]

# What a worker's command line holds: a process id that has passed to somebody else lacks it.
_WORKER: Final = "streams.runtime.process"
_LOOK_S: Final = 0.05
_HTTP_S: Final = 2.0
# Fast clocks: what is waited for in a scenario is mostly one of these.
SESSION_S: Final = 3.0
TRANSACTION_S: Final = 5.0
CLOCKS: Final = {
    "CIMSTREAM__KAFKA__SESSION_TIMEOUT_MS": str(int(SESSION_S * 1000)),
    "CIMSTREAM__KAFKA__TRANSACTION_TIMEOUT_MS": str(int(TRANSACTION_S * 1000)),
}


class Run:
    """One `cimstream run` with its workers."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        *,
        workers: int = 1,
        first_slot: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.lines: list[Line] = []
        self._pids: dict[int, int] = {}
        self._ports: dict[int, int] = {}
        self._started = 0
        self._news = Condition()
        slots = [] if first_slot is None else ["--first-slot", str(first_slot)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "run", "--interface", INTERFACE,
             "--workers", str(workers), "--state-folder", str(folder), "--http-port", "0", *slots],
            env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap,
                 "CIMSTREAM__LOGGING__FORMAT": "json", **CLOCKS, **(variables or {})},
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )  # fmt: skip
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    # ------------------------------------------------------------------------------- log

    def await_line(
        self,
        event: str,
        timeout_s: float,
        *,
        since: int = 0,
        where: Callable[[Line], bool] = lambda _: True,
    ) -> Line:
        """The first line with this event (and `where`) from line number `since` on."""
        deadline = time.monotonic() + timeout_s
        seen = since
        with self._news:
            while True:
                for line in self.lines[seen:]:
                    seen += 1
                    if line["event"] == event and where(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and seen == len(self.lines)):
                    raise Stuck(f"the log never said {event!r}; it said {self.tail()}")
                self._news.wait(min(left, 0.5))

    def tail(self, count: int = 6) -> str:
        """The last lines, shortened, for a verdict."""
        kept = [
            " ".join(str(v) for k, v in line.items() if k not in ("ts", "component"))
            for line in self.lines[-count:]
        ]
        return " / ".join(kept)[:900]

    def reasons(self, event: str) -> list[str]:
        """The field `reason` of all lines with this event."""
        return [str(line.get("reason")) for line in list(self.lines) if line["event"] == event]

    # --------------------------------------------------------------------------- processes

    @property
    def running(self) -> bool:
        """Whether the supervisor is there."""
        return self._process.poll() is None

    @property
    def slots(self) -> list[int]:
        """Slots whose worker has been started at least once."""
        return sorted(self._pids)

    @property
    def starts(self) -> int:
        """How many workers were started until now."""
        return self._started

    def await_workers(self, count: int, timeout_s: float) -> None:
        """Wait until so many workers have been started in all."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while self._started < count:
                left = deadline - time.monotonic()
                if left <= 0 or not self.running:
                    raise Stuck(f"{self._started} of {count} workers started; {self.tail()}")
                self._news.wait(min(left, 0.5))

    def await_ready(self, timeout_s: float) -> None:
        """Wait until every worker says that it is."""
        deadline = time.monotonic() + timeout_s
        while not (self._pids and all(self.ready(slot) for slot in self.slots)):
            if time.monotonic() > deadline:
                raise Stuck(f"the workers do not get ready; {self.tail()}")
            time.sleep(_LOOK_S)

    def ready(self, slot: int) -> bool:
        """Whether /health/ready of the slot's worker says so now."""
        return self._get(slot, "/health/ready") is not None

    def metrics(self, slot: int) -> str:
        """What /metrics of the slot's worker says now; "" where it does not answer."""
        return self._get(slot, "/metrics") or ""

    def _get(self, slot: int, path: str) -> str | None:
        """The answer of a worker's HTTP door; None where it is not 200, or none comes."""
        url = f"http://127.0.0.1:{self._ports[slot]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=_HTTP_S) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None

    def signal_worker(self, slot: int, number: signal.Signals) -> bool:
        """Send the slot's worker a signal; False if it is not there at the moment."""
        pid = self._pids[slot]
        if not process.is_ours(pid, _WORKER):
            return False
        os.kill(pid, number)
        return True

    def kill_worker(self, slot: int) -> bool:
        """Kill -9 the slot's worker."""
        return self.signal_worker(slot, signal.SIGKILL)

    def pause(self, slot: int) -> bool:
        """SIGSTOP."""
        return self.signal_worker(slot, signal.SIGSTOP)

    def resume(self, slot: int) -> bool:
        """SIGCONT."""
        return self.signal_worker(slot, signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9 the supervisor; its workers end by themselves."""
        self._process.kill()
        self._process.wait()

    def await_end(self, timeout_s: float) -> int:
        """The exit status, once it has ended by itself."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise Stuck(f"`cimstream run` does not end; {self.tail()}") from error
        finally:
            self._reader.join(1.0)

    def end(self, timeout_s: float) -> None:
        """SIGTERM; it must end well, and may just end where it has not begun yet."""
        if self.running:
            self._process.terminate()
        status = self.await_end(timeout_s)
        if status == -signal.SIGTERM and not self.lines:
            return
        if status != 0:
            raise Anomaly(f"`cimstream run` ended with {status}; {self.tail()}")

    def clear(self) -> None:
        """Leave nothing running, whatever state it is in."""
        for slot in self.slots:
            self.kill_worker(slot)
        if self.running:
            self.kill()
        self.await_gone()

    def await_gone(self, timeout_s: float = 20.0) -> None:
        """Wait until no worker of a killed supervisor is left."""
        deadline = time.monotonic() + timeout_s
        while any(process.is_ours(pid, _WORKER) for pid in self._pids.values()):
            if time.monotonic() > deadline:
                raise Stuck("a worker outlives its supervisor")
            time.sleep(_LOOK_S)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for text in stream:
                line = _parse(text)
                with self._news:
                    self.lines.append(line)
                    if line["event"] == "worker started":
                        slot = int(str(line["slot"]))
                        self._pids[slot] = int(str(line["pid"]))
                        self._ports[slot] = int(str(line["http"]))
                        self._started += 1
                    self._news.notify_all()


def _parse(text: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError:
        return {"event": text.strip()}
    return line if isinstance(line, dict) and "event" in line else {"event": text.strip()}


def cimstream(bootstrap: str, *arguments: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap, **CLOCKS},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Anomaly(
            f"cimstream {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        )
    return done.stdout
