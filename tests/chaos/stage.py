"""Where a scenario plays: a cluster, the runs on it, what is sent, and the time that is left.

Lives here: what scenarios have in common, each step bounded by the scenario's time. Must not
live here: faults of one scenario, the checks that follow (`verify`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record, TopicPartition
from streams.runtime.reading import TopicReader
from tests.chaos.cluster import INTERFACE, Cluster
from tests.chaos.faults import Stuck
from tests.chaos.history import Snapshot
from tests.chaos.observer import snapshot
from tests.chaos.progress import Progress
from tests.chaos.recompute import Cut, take
from tests.chaos.system import Run
from tests.chaos.workload import EVENTS, READINGS, Feed, Message, Receipts, Workload
from topics import naming

DEDUP: Final = naming.changelog("intake", f"dedup-{INTERFACE.lower()}")
COUNTERS: Final = naming.changelog("intake", f"counters-{INTERFACE.lower()}")
INBOUND: Final = naming.inbound(INTERFACE)
LOGS: Final = (READINGS, EVENTS)
_LOOK_S: Final = 0.1
# A small machine starts a worker in two seconds, a busy one in ten.
STARTED_S: Final = 30.0


class Stage:
    """One scenario at play. Whatever it started is ended by `clear`."""

    def __init__(
        self, cluster: Cluster, folder: Path, seed: int, *, bound_s: float, long: bool
    ) -> None:
        self.cluster = cluster
        self.folder = folder
        self.long = long
        self.chance = random.Random(seed)
        self.workload = Workload(random.Random(seed))
        self.receipts = Receipts()
        self.remembered: list[Record] = []
        """Changelog records that the log was to lose: retention and compaction are normal."""
        self.folders: list[Path] = []
        """State folders of the slots, for the last check."""
        self.found: list[str] = []
        """What the scenario itself found wrong, beside what is judged in the end."""
        self.snapshots: list[Snapshot] = []
        self.cuts: list[Cut] = []
        """What could be seen while things happened."""
        self.not_recomputed: set[str] = set()
        """Facts (`recompute.Facts`) that do not follow from inbound here: what was taken away."""
        self._deadline = time.monotonic() + bound_s
        self._runs: list[Run] = []
        self._feeds: list[Feed] = []
        self._progress = Progress(cluster.bootstrap)

    def rounds(self, short: int) -> int:
        """How often something is done: five times as often in the long mode."""
        return short * 5 if self.long else short

    # ------------------------------------------------------------------------------- time

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self._deadline - time.monotonic()

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait for the condition; what does not come true in the scenario's time is stuck."""
        while not condition():
            if self.left_s <= 0:
                tails = " | ".join(run.tail() for run in self._runs)
                raise Stuck(f"{otherwise}; {tails}")
            time.sleep(_LOOK_S)

    def rest(self, shortest_s: float, longest_s: float | None = None) -> None:
        """Let things go on for a while; of a length by chance where two are given."""
        seconds = shortest_s if longest_s is None else self.chance.uniform(shortest_s, longest_s)
        time.sleep(max(0.0, min(seconds, self.left_s)))

    # ----------------------------------------------------------------------------- actors

    def run(
        self,
        machine: str = "a",
        *,
        workers: int = 1,
        first_slot: int | None = None,
        proxied: bool = False,
        ready: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Run:
        """Start `cimstream run` on a machine (a state folder) and wait until it works."""
        folder = self.folder / machine
        run = Run(
            self.cluster.proxied if proxied else self.cluster.bootstrap,
            folder,
            workers=workers,
            first_slot=first_slot,
            variables=variables,
        )
        self._runs.append(run)
        if folder not in self.folders:
            self.folders.append(folder)
        if ready:
            run.await_workers(workers, min(STARTED_S, self.left_s))
            run.await_ready(self.left_s)
        return run

    @contextmanager
    def fed(self, rate_per_s: float) -> Iterator[Feed]:
        """The workload runs inside; afterwards every message has its receipt.

        At its end, while everything is still at work, it is looked what is committed.
        """
        feed = Feed(self.cluster.bootstrap, iter(self.workload), self.receipts, rate_per_s)
        self._feeds.append(feed)
        yield feed
        self.look()
        feed.stop()

    def send(self, messages: int | Iterable[Message]) -> None:
        """Send these (or so many of the workload) as fast as it goes; they are in Kafka then."""
        if isinstance(messages, int):
            messages = itertools.islice(self.workload, messages)
        feed = Feed(self.cluster.bootstrap, iter(messages), self.receipts, 2000.0)
        self._feeds.append(feed)
        feed.join()

    # -------------------------------------------------------------------------- questions

    def processed(self) -> bool:
        """Whether the group has committed behind everything that was received."""
        return self._progress.done(self.receipts)

    def settle(self) -> None:
        """Wait until all that was sent is processed."""
        self.until(self.processed, "the input is not processed")

    def reader(self) -> TopicReader:
        """A reader of committed records at the direct door."""
        return TopicReader(KafkaSettings(self.cluster.bootstrap, extra={"log_level": 0}))

    def read(self, *topics: str) -> list[Record]:
        """All committed records of these topics."""
        with self.reader() as reader:
            known = reader.topics()
            wanted = [at for topic in topics for at in known.get(topic, ())]
            return list(reader.records(reader.bounds(wanted)))

    def look(self) -> None:
        """Take down all that is committed just now; it is judged in the end."""
        name = f"snapshot {len(self.snapshots) + 1}"
        self.snapshots.append(snapshot(self.cluster.bootstrap, name, LOGS, [INBOUND]))
        self.cuts.append(take(self.cluster.bootstrap))

    def remember_changelogs(self) -> None:
        """Keep what the changelogs hold now: they are to lose some of it."""
        self.remembered += self.read(DEDUP, COUNTERS)

    def changelog_ends(self) -> dict[TopicPartition, int]:
        """Last stable offsets of the dedup changelog."""
        with self.reader() as reader:
            bounds = reader.bounds(reader.topics()[DEDUP])
        return {at: span.end for at, span in bounds.items()}

    # -------------------------------------------------------------------------------- end

    def finish(self) -> None:
        """Everything sent is processed, and what still runs ends in order."""
        for feed in self._feeds:
            feed.stop()
        self.settle()
        for run in self._runs:
            if run.running:
                run.end(max(1.0, self.left_s))

    def write_logs(self, folder: Path) -> None:
        """Log and metrics of every run, for whoever looks for the cause."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, run in enumerate(self._runs):
            text = "".join(json.dumps(line, default=str) + "\n" for line in list(run.lines))
            (folder / f"run-{number}-{run.folder.name}.log").write_text(text, encoding="utf-8")
            for slot in run.slots:
                path = folder / f"run-{number}-{run.folder.name}-{slot}.metrics"
                path.write_text(run.metrics(slot), encoding="utf-8")

    def clear(self) -> None:
        """Leave no process and no sender of the scenario behind, whatever state it is in."""
        self.cluster.heal()
        for feed in self._feeds:
            with contextlib.suppress(Exception):  # what it met is told by then
                feed.stop()
        for run in self._runs:
            run.clear()
        self._progress.close()
