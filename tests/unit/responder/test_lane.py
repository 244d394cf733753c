"""Calls that may never come back."""

from __future__ import annotations

from threading import Event, current_thread, local

import pytest

from streams.engine.errors import FatalError
from streams.runtime.lane import Lane

PATIENCE_S = 30.0


def test_what_a_call_gives_or_raises_comes_back() -> None:
    lane = Lane("test")
    assert lane.call(lambda: 7, PATIENCE_S) == 7
    with pytest.raises(ZeroDivisionError):
        lane.call(lambda: 1 // 0, PATIENCE_S)
    lane.close()


def test_calls_are_made_on_one_thread_that_is_not_the_callers() -> None:
    lane, mine = Lane("test"), local()

    def count() -> tuple[int, str]:
        mine.count = getattr(mine, "count", 0) + 1
        return mine.count, current_thread().name

    assert [lane.call(count, PATIENCE_S) for _ in range(2)] == [(1, "test"), (2, "test")]
    lane.close()


def test_a_call_that_does_not_come_back_is_left_and_the_next_one_is_made() -> None:
    lane, over = Lane("test"), Event()
    with pytest.raises(TimeoutError):
        lane.call(over.wait, 0.01)
    assert lane.call(lambda: 7, PATIENCE_S) == 7
    over.set()
    lane.close()


def test_too_many_that_never_came_back_end_the_process() -> None:
    lane, over = Lane("test"), Event()
    for _ in range(8):
        with pytest.raises(TimeoutError):
            lane.call(over.wait, 0.01)
    with pytest.raises(FatalError, match="have not come back"):
        lane.call(over.wait, 0.01)
    over.set()
