"""The life of a task is the table in its module, and nothing else."""

from __future__ import annotations

import contextlib
import re

from hypothesis import given
from hypothesis import strategies as st

from streams.engine import task as module
from streams.engine.ports import Position
from streams.engine.record import TopicPartition
from streams.engine.task import Phase, Task

# Written down a second time, on purpose.
EDGES = {
    ("created", "restoring"),
    ("created", "closed"),
    ("restoring", "running"),
    ("restoring", "created"),
    ("restoring", "closed"),
    ("running", "created"),
    ("running", "closed"),
}


@given(st.lists(st.sampled_from(Phase), max_size=30))
def test_whatever_is_asked_of_it_a_task_takes_only_the_edges_of_the_table(
    wanted: list[Phase],
) -> None:
    subject = Task(TopicPartition("in", 0), Position(0), ())
    for phase in wanted:
        before = subject.phase
        with contextlib.suppress(ValueError):
            subject.become(phase)
        after = subject.phase
        if (before.value, phase.value) in EDGES:
            assert after is phase
        else:
            assert after is before


def test_the_diagram_names_every_phase() -> None:
    named = set(re.findall(r"\b[A-Z]{5,}\b", module.__doc__ or ""))
    assert {phase.name for phase in Phase} <= named
