"""What is known of each replay that writes: its record in `cim.replay.runs.changelog`.

Lives here: the form of that record and reading it. Must not live here: when it is written.

Invariant: it is written in the same transaction as what it tells of. So `positions` are exact
after a kill, and an id means one range and one destination for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from streams.engine.record import Output, TopicPartition
from streams.runtime.reading import Range, TopicReader
from topics import naming
from topics.errors import EXIT_CONFIG, OperatorError

INTO_SIDE: Final = "side"
INTO_LOG: Final = "log"


class RunMismatchError(OperatorError):
    """The id belongs to a replay of something else; nothing was changed."""

    def __init__(self, run: Run, differs: str) -> None:
        super().__init__(
            "replay_id_used",
            what=f"the replay {run.id} is another one: its {differs} is not the one asked for",
            why=f"it goes over {run.range_text()}, --into {run.into}",
            fix="take another --id; to go on with that one, repeat its command or name only "
            "--interface, --id and --into",
            exit_code=EXIT_CONFIG,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One replay. Times are epoch ms UTC, `finished_ms` 0 until it is.

    `asked` is the range as it was typed, `ranges` what it meant then: start and end by
    partition. `positions` are the next offsets by partition; `events` and `rejections` how
    many were written below them, `refused` of how many records the broker took nothing.
    """

    id: str
    interface: str
    into: str
    asked: str
    ranges: Mapping[int, tuple[int, int]]
    by: str
    started_ms: int
    positions: Mapping[int, int]
    events: int = 0
    rejections: int = 0
    refused: int = 0
    finished_ms: int = 0

    def spans(self) -> dict[TopicPartition, Range]:
        """The ranges by partition of the inbound topic."""
        topic = naming.inbound(self.interface)
        return {TopicPartition(topic, p): Range(*span) for p, span in self.ranges.items()}

    def range_text(self) -> str:
        """The ranges for people."""
        topic = naming.inbound(self.interface)
        return ", ".join(
            f"{topic}/{partition}@{start}..{end}"
            for partition, (start, end) in sorted(self.ranges.items())
        )

    def require_same(self, other: Run) -> None:
        """Refuse to take `other` for a continuation of this one.

        Raises:
            RunMismatchError: it has another interface, destination or range.
        """
        if other.interface != self.interface:
            raise RunMismatchError(self, "interface")
        if other.into != self.into:
            raise RunMismatchError(self, "destination")
        if other.asked not in ("", self.asked):
            raise RunMismatchError(self, "range")

    def moved(
        self, positions: Mapping[int, int], events: int, rejections: int, refused: int
    ) -> Run:
        """The run after one more transaction."""
        return replace(
            self,
            positions={**self.positions, **positions},
            events=self.events + events,
            rejections=self.rejections + rejections,
            refused=self.refused + refused,
        )

    def output(self) -> Output:
        """The record that keeps it."""
        document = json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)
        headers = (("content-type", b"application/json"),)
        return Output(naming.REPLAY_RUNS, self.id.encode(), document.encode(), headers, 0)

    @classmethod
    def parse(cls, value: bytes) -> Run:
        """From the value of that record."""
        data: dict[str, Any] = json.loads(value)
        data["ranges"] = {int(p): (span[0], span[1]) for p, span in data["ranges"].items()}
        data["positions"] = {int(p): offset for p, offset in data["positions"].items()}
        return cls(**data)


def read_run(reader: TopicReader, replay_id: str, *, settled: bool = True) -> Run | None:
    """The newest record of a replay; None where there is none.

    `settled`: up to the high watermark, waiting for transactions that are open.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    at = TopicPartition(naming.REPLAY_RUNS, 0)
    found = None
    for record in reader.records(reader.bounds([at], committed=not settled)):
        if record.key == replay_id.encode() and record.value is not None:
            found = record.value
    return None if found is None else Run.parse(found)
