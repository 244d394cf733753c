"""What is kept of a replay, what its id forbids, and the two layers of marks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.engine.record import TopicPartition
from streams.runtime.replay import INTO_LOG, INTO_SIDE, Run, RunMismatchError, transactional_id
from streams.runtime.replay.passage import Layers
from tests.unit.engine.world import MemoryState

RUN = Run("r1", "I7", INTO_SIDE, "--since 1h", {3: (5, 9)}, "ann@host", 1, {3: 5})
STORE = TopicPartition("marks", 0)


def test_a_run_comes_back_from_its_record() -> None:
    moved = RUN.moved({3: 7}, 10, 2, 1).moved({3: 8}, 1, 0, 0)
    output = moved.output()
    assert (output.topic, output.key) == ("cim.replay.runs.changelog", b"r1")
    assert Run.parse(output.value or b"") == moved
    assert (moved.positions, moved.events, moved.rejections, moved.refused) == ({3: 8}, 11, 2, 1)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(RUN, interface="I1"), "interface"),
        (replace(RUN, into=INTO_LOG), "destination"),
        (replace(RUN, asked="--since 2h"), "range"),
    ],
)
def test_an_id_means_one_range_and_one_destination(other: Run, named: str) -> None:
    with pytest.raises(RunMismatchError) as raised:
        RUN.require_same(other)
    assert named in raised.value.what
    assert "cim.i7.inbound/3@5..9" in raised.value.why


def test_a_run_that_goes_on_need_not_name_its_range() -> None:
    RUN.require_same(replace(RUN, asked="", ranges={}))


def test_replays_into_one_log_share_a_fence_and_those_into_side_logs_do_not() -> None:
    log = replace(RUN, into=INTO_LOG)
    assert transactional_id(log) == transactional_id(replace(log, id="r2"))
    assert transactional_id(log) != transactional_id(replace(log, interface="I1"))
    assert transactional_id(RUN) != transactional_id(replace(RUN, id="r2"))
    # Whatever the id, the two never meet.
    assert transactional_id(replace(RUN, id="log-i7")) != transactional_id(log)


def test_a_pass_over_the_range_leaves_the_marks_before_it_as_they_were() -> None:
    marks = Layers(MemoryState())
    marks.apply({STORE: {b"before": b"1"}}, {})
    for _ in range(2):
        marks.clear()
        assert marks.get(STORE, b"before") == b"1"
        assert marks.get(STORE, b"within") is None
        marks.apply({STORE: {b"within": b"2", b"before": b"3"}}, {})
        assert (marks.get(STORE, b"before"), marks.get(STORE, b"within")) == (b"3", b"2")
