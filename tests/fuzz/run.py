"""Many messages through the edge, watched: findings, time, memory.

Lives here: which numbers a worker takes, the clock and the memory around each message, and
the sum of it. A worker is a process, because what is looked for includes hangs and crashes
of the parser's C code; its parent sees those.
"""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import os
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from streams.runtime.shifts import ALLOCATOR, in_shifts
from tests.fuzz import mutations
from tests.fuzz.corpus import Corpus
from tests.fuzz.judge import Edge, FindingError

CPU_S_MAX: Final = 1.0
# No sign of life for so long, whatever else the machine does, is a hang.
SILENT_S_MAX: Final = 120.0
# Growth over a whole run, beyond the warm-up: the allocator's noise was seen at 10 MB.
GROWTH_BYTES_MAX: Final = 48 * 1024 * 1024
WARM_UP: Final = 0.2
SAMPLES: Final = 400
ROOT: Final = Path(__file__).parents[2]
# Most messages go where their noun is at home.
INTERFACES: Final = ("I7",) * 99 + tuple(f"I{n}" for n in range(1, 12))


@dataclass(frozen=True, slots=True)
class Finding:
    """What was wrong with one message; `kind` is the same for the same fault."""

    number: int
    kind: str
    detail: str


@dataclass(slots=True)
class Report:
    """What became of a range of messages."""

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    cpu_s: float = 0.0
    growth_bytes: int = 0

    def add(self, other: Report) -> None:
        """Take in what another worker saw; growth is that of the worker that grew most."""
        self.count += other.count
        self.outcomes += other.outcomes
        self.codes += other.codes
        self.findings += other.findings
        self.slowest = max(self.slowest, other.slowest)
        self.cpu_s += other.cpu_s
        self.growth_bytes = max(self.growth_bytes, other.growth_bytes)


@dataclass(frozen=True, slots=True)
class Case:
    """One mutated message, where it enters, and whether intake knows the corpus already."""

    data: bytes
    interface: str
    seen: bool


def case(seed: int, number: int, corpus: Corpus) -> Case:
    """The case of this number: a function of its arguments."""
    dice = random.Random(f"{seed}:{number}")
    interface, seen = dice.choice(INTERFACES), dice.random() < 0.5
    return Case(mutations.message(seed, number, corpus), interface, seen)


def run(
    seed: int,
    numbers: Iterable[int],
    corpus: Corpus,
    *,
    edge: Edge | None = None,
    before: Callable[[int], None] = lambda _: None,
) -> Report:
    """Judge the cases of these numbers in this process; `before` is told each.

    In shifts, as a worker does it.
    """
    report, subject = Report(), edge or Edge(corpus)
    kinds: set[str] = set()
    ahead = iter(numbers)
    following = next(ahead, None)

    def turn() -> None:
        nonlocal following
        assert following is not None
        number, following = following, next(ahead, None)
        before(number)
        drawn = case(seed, number, corpus)
        report.count += 1
        try:
            verdict = subject.judge(drawn.data, drawn.interface, seen=drawn.seen)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            kind = _kind(error)
            report.outcomes["finding"] += 1
            if kind not in kinds:
                kinds.add(kind)
                report.findings.append(Finding(number, kind, traceback.format_exc()))
        else:
            report.outcomes[verdict.outcome] += 1
            report.codes.update(verdict.codes)
        report.cpu_s += subject.took_s
        report.slowest = max(report.slowest, (subject.took_s, number))

    in_shifts(turn, lambda: following is None)
    return report


def slow(report: Report) -> Finding | None:
    """The slowest message, where it took longer than any may."""
    took, number = report.slowest
    if took <= CPU_S_MAX:
        return None
    return Finding(number, f"slower than {CPU_S_MAX:.0f} s", f"{took:.2f} s of CPU time")


def _kind(error: Exception) -> str:
    """The fault: where it came from, or what the judge said."""
    if isinstance(error, FindingError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if ROOT in Path(frame.filename).parents]
    where = [f for f in ours if ".venv" not in f.filename and "tests" not in f.filename] or frames
    place = f"{Path(where[-1].filename).name}:{where[-1].name}"
    return f"{type(error).__name__} in {place}"


# ------------------------------------------------------------------------------------- memory


def resident_bytes() -> int:
    """Memory of this process now; its peak, where the system tells no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def growth(samples: list[int]) -> int:
    """How much memory grew after the warm-up, by the line that fits the samples best."""
    kept = samples[int(len(samples) * WARM_UP) :]
    if len(kept) < 2:
        return 0
    middle, mean = (len(kept) - 1) / 2, sum(kept) / len(kept)
    spread = sum((i - middle) ** 2 for i in range(len(kept)))
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(kept)) / spread
    return int(slope * (len(kept) - 1))


def too_large(report: Report) -> Finding | None:
    """The growth, where it is more than noise."""
    if report.growth_bytes <= GROWTH_BYTES_MAX:
        return None
    return Finding(-1, "memory grows", f"{report.growth_bytes >> 20} MiB after the warm-up")


# ------------------------------------------------------------------------------------ workers


def work(seed: int, numbers: range, corpus: Corpus, pipe: Connection) -> None:
    """A worker's whole life: tell each number before it is judged, and the report at the end."""
    samples: list[int] = []
    every = max(1, len(numbers) // SAMPLES)

    def before(number: int) -> None:
        pipe.send(number)
        if (number - numbers.start) // numbers.step % every == 0:
            samples.append(resident_bytes())

    report = run(seed, numbers, corpus, before=before)
    report.growth_bytes = growth(samples)
    pipe.send(report)


def spread(seed: int, count: int, workers: int, corpus: Corpus) -> Iterator[int | Report]:
    """Judge `count` cases in `workers` processes; tell how many are done, at last the report.

    A worker that dies or goes silent is a finding; its numbers go on behind the one it fell at.
    """
    total = Report()
    jobs = {_Job(seed, range(first, count, workers), corpus) for first in range(workers)}
    while jobs:
        for pipe in multiprocessing.connection.wait([job.pipe for job in jobs], SILENT_S_MAX):
            (job,) = (job for job in jobs if job.pipe is pipe)
            job.listen()
        for job in jobs:
            job.check()
        for job in [job for job in jobs if job.over]:
            jobs.discard(job)
            total.add(job.report)
            if (rest := job.rest()) is not None:
                jobs.add(_Job(seed, rest, corpus))
        yield total.count + sum(job.done for job in jobs)
    for finding in (slow(total), too_large(total)):
        if finding is not None:
            total.findings.append(finding)
    yield total


class _Job:
    """A worker process and what was heard of it."""

    def __init__(self, seed: int, numbers: range, corpus: Corpus) -> None:
        self._numbers = numbers
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        for name, value in ALLOCATOR.items():  # as the supervisor does it
            os.environ.setdefault(name, value)
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=work, args=(seed, numbers, corpus, theirs))
        self._process.start()
        theirs.close()
        self._last = numbers.start - numbers.step
        self._heard_at = time.monotonic()
        self.report = Report()
        self.over = False

    @property
    def done(self) -> int:
        """How many numbers it has begun."""
        return (self._last - self._numbers.start) // self._numbers.step + 1

    def listen(self) -> None:
        """Take in what it said; the end of the line is its end."""
        with contextlib.suppress(EOFError):
            while True:
                said = self.pipe.recv()
                self._heard_at = time.monotonic()
                if isinstance(said, Report):
                    self.report = said
                    break
                self._last = said
                if not self.pipe.poll():
                    return
        self._process.join()
        self.over = True
        if not self.report.count:
            self._fell(f"the process ended with {self._process.exitcode}")

    def check(self) -> None:
        """End it where it has been silent for too long."""
        if not self.over and time.monotonic() - self._heard_at > SILENT_S_MAX:
            self._process.kill()
            self._process.join()
            self.over = True
            self._fell("hang")

    def _fell(self, kind: str) -> None:
        self.report = Report(count=self.done, outcomes=Counter({"finding": 1}))
        self.report.findings.append(Finding(self._last, kind, "seen from outside"))

    def rest(self) -> range | None:
        """The numbers behind the one it fell at, if any."""
        if self._process.exitcode == 0 or self._last + self._numbers.step >= self._numbers.stop:
            return None
        return range(self._last + self._numbers.step, self._numbers.stop, self._numbers.step)
