"""Replay against a cluster: which range, reading it, comparing, writing what it leads to."""

from streams.runtime.replay.job import Progress, Rehearsal, rehearsal
from streams.runtime.replay.plan import (
    Plan,
    Wanted,
    again,
    require_logs_kept,
    require_topics,
    resolve,
)
from streams.runtime.replay.runs import INTO_LOG, INTO_SIDE, Run, RunMismatchError, read_run
from streams.runtime.replay.writing import side_specs, transactional_id, write

__all__ = [
    "INTO_LOG",
    "INTO_SIDE",
    "Plan",
    "Progress",
    "Rehearsal",
    "Run",
    "RunMismatchError",
    "Wanted",
    "again",
    "read_run",
    "rehearsal",
    "require_logs_kept",
    "require_topics",
    "resolve",
    "side_specs",
    "transactional_id",
    "write",
]
