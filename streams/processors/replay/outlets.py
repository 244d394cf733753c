"""Where a replay leads events and rejections: nowhere, to a comparison, to side logs, to the log.

Must not live here: which outputs may pass at all (see `replay`), the comparison itself.

Invariant: whatever leaves here carries the header `cimstream_replayid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.engine.record import Output, Record
from streams.processors.replay.differences import Differences
from streams.processors.replay.replay import Outlet
from topics import naming

REPLAY_ID: Final = "cimstream_replayid"


class Nowhere:
    """For what lies before the range: only its marks are wanted."""

    def event(self, record: Record, output: Output, /) -> Output | None:
        """Nothing."""

    def rejection(self, record: Record, output: Output, /) -> Output | None:
        """Nothing."""


class Rehearsed:
    """Tells the comparison what is to be expected, and lets nothing pass."""

    def __init__(self, differences: Differences) -> None:
        self._differences = differences

    def event(self, record: Record, output: Output, /) -> Output | None:
        """Expected in the log."""
        self._differences.expect(record, output)
        return None

    def rejection(self, record: Record, output: Output, /) -> Output | None:
        """Counted by its code."""
        self._differences.expect_rejection(record, output)
        return None


class IntoSide:
    """All of it, into the side logs of the replay."""

    def __init__(self, replay_id: str) -> None:
        self._id = replay_id

    def event(self, _: Record, output: Output, /) -> Output | None:
        """To the side log of the event's log, with the same key and value."""
        return _marked(output, naming.replayed(self._id, output.topic), self._id)

    def rejection(self, _: Record, output: Output, /) -> Output | None:
        """To the side log of rejections."""
        return _marked(output, naming.replayed(self._id, output.topic), self._id)


class IntoLog:
    """What the log lacks, into the log; no rejections: those of the past stand."""

    def __init__(self, replay_id: str, differences: Differences) -> None:
        self._id = replay_id
        self._differences = differences

    def event(self, record: Record, output: Output, /) -> Output | None:
        """The event, unless the log has it already."""
        if not self._differences.wanted(record, output):
            return None
        return _marked(output, output.topic, self._id)

    def rejection(self, record: Record, output: Output, /) -> Output | None:
        """Nothing."""


class Remaining:
    """Lets pass what lies at or behind `positions` (next offset by partition) of a killed run."""

    def __init__(self, outlet: Outlet, positions: Mapping[int, int]) -> None:
        self._outlet = outlet
        self._positions = positions

    def event(self, record: Record, output: Output, /) -> Output | None:
        """As the outlet, if it was not written before."""
        return self._outlet.event(record, output) if self._open(record) else None

    def rejection(self, record: Record, output: Output, /) -> Output | None:
        """As the outlet, if it was not written before."""
        return self._outlet.rejection(record, output) if self._open(record) else None

    def _open(self, record: Record) -> bool:
        return record.offset >= self._positions.get(record.partition, 0)


def _marked(output: Output, topic: str, replay_id: str) -> Output:
    headers = (*output.headers, (REPLAY_ID, replay_id.encode()))
    return output._replace(topic=topic, headers=headers)
