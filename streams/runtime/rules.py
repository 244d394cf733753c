"""The process of rules: the engine's loop over the logs they read, and their folder.

Lives here: when the folder is read again, and what follows. Must not live here: what a rule does
(`streams.processors.rules`).

A folder that changed is read between two turns of the loop. If it is good, the next event is
evaluated by what it says. If it is not, the rules in force stay, and a line in the log and a metric
say so.

The process reads the logs of all nouns, whichever its rules are about: a rule about another noun
needs no other assignment, and begins where its log is now. Events older than what intake remembers
of messages are not evaluated: Kafka forgets how far a group was that did not run for a week, and
what its rules sent would not be recognised if it came again.

Invariant: an event is evaluated by one set of rules, that in force when its transaction commits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Final, cast

from streams.engine.errors import FatalError
from streams.engine.events import Telemetry
from streams.engine.processor import Processor
from streams.processors.rules import NAME, RuleFileError, RuleProcessor, read_folder
from streams.processors.rules.files import changed_in_place, files_of
from streams.runtime import metrics
from streams.runtime.logs import log
from streams.runtime.settings import Settings
from streams.runtime.wiring import MachineClock, engine_worker
from streams.runtime.worker import Loop, Post, plan_of, work
from topics import Catalogue, load_catalogue
from topics.errors import EXIT_CONFIG, OperatorError

_LOOK_S: Final = 1.0

_Print = tuple[tuple[str, int, int], ...]


class RuleFolder:
    """The rules of a folder as they were read last, when they were good."""

    def __init__(
        self,
        folder: Path,
        catalogue: Catalogue,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read it at once.

        Raises:
            RuleFileError: it has a mistake; there are no rules before that could go on.
        """
        self._folder = folder
        self._catalogue = catalogue
        self._clock = clock
        self._seen = self._fingerprint()
        self._looked_at = clock()
        self.rules = read_folder(folder, catalogue)
        self._tell()

    def changed(self) -> bool:
        """Look whether the files are others, now and then; True where the rules are."""
        now = self._clock()
        if now - self._looked_at < _LOOK_S:
            return False
        self._looked_at = now
        try:
            return self._look()
        except RuleFileError as error:
            metrics.RULES_INVALID.set(1)
            log(NAME, logging.ERROR, "rules not read", code=error.code, reason=str(error))
            return False

    def _look(self) -> bool:
        seen = self._fingerprint()
        if seen == self._seen:
            return False
        self._seen = seen
        rules = read_folder(self._folder, self._catalogue)
        if (changed := changed_in_place(self.rules, rules)) is not None:
            raise changed
        self.rules = rules
        self._tell()
        return True

    def _tell(self) -> None:
        metrics.RULES.set(len(self.rules))
        metrics.RULES_INVALID.set(0)
        log(NAME, logging.INFO, "rules in force", rules=", ".join(map(str, self.rules.values())))

    def _fingerprint(self) -> _Print:
        """What tells that a file was written, added or removed, without reading any."""
        found = []
        for file in files_of(self._folder):
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue  # removed since it was listed; the next look sees the same
            found.append((file.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


class RuleLoop:
    """The worker, and the rules that are in force between its turns."""

    def __init__(self, worker: Loop, processor: RuleProcessor, folder: RuleFolder) -> None:
        self._worker = worker
        self._processor = processor
        self._folder = folder

    def start(self) -> None:
        """As that of the worker."""
        self._worker.start()

    @property
    def ready(self) -> bool:
        """As that of the worker."""
        return self._worker.ready

    def turn(self) -> None:
        """Evaluate some events, by the rules that the folder says now. Raises as `Worker.turn`."""
        if self._folder.changed():
            self._processor.use(self._folder.rules)
        self._worker.turn()

    def stop(self) -> None:
        """As that of the worker."""
        self._worker.stop()


def run_rules(
    bootstrap: str,
    settings: Settings,
    slot: int,
    stopping: Event,
    fail: Callable[[FatalError], None],
) -> None:
    """Evaluate rules until `stopping` is set. `fail` ends the process, whatever is waited for.

    Raises:
        RuleFileError: the folder has a mistake, and nothing was in force before.
        FencedError, FatalError: see `streams.engine.worker.Worker.run`.
        OSError: the health port is in use.
    """
    folder = settings.rules.folder
    if folder is None:
        raise OperatorError(
            "rules_missing",
            what="no folder of rules is set",
            fix="set rules.folder",
            exit_code=EXIT_CONFIG,
        )
    catalogue = load_catalogue(settings.catalogue)
    plan = plan_of(settings, bootstrap, catalogue)
    rules = RuleFolder(folder, catalogue)
    remembered_ms = catalogue.dedup_horizon_ms - catalogue.dedup_slack_ms
    begin_ms = MachineClock().epoch_ms() - remembered_ms
    processor = RuleProcessor(catalogue, rules.rules, not_before_ms=begin_ms)

    def make(telemetry: Telemetry) -> RuleLoop:
        subject = cast(Processor[object], processor)
        worker = engine_worker(plan, slot, subject, telemetry, begin_ms=begin_ms)
        return RuleLoop(worker, processor, rules)

    work(Post(NAME, slot, settings.http, settings.rules.http_port), plan, make, stopping, fail)
