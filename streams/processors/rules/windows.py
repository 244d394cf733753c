"""Counting events of one group within a time: how many members, how close together.

Lives here: one group's state, and what one more event does to it. Must not live here: which group
an event belongs to (see `rules`).

An event counts at its own time, never later than the log took it (a clock that runs ahead would
make all others late). The rule fires with the event that makes `count` different members lie within
`within`; from its time on nothing fires for `quiet`, and what comes meanwhile is not counted.
Events may come in any order: each is put where its time is. One that is older than `within` before
the newest is too late to count.

Invariant: a group holds at most `count` members, each once, with its newest time.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_HEAD: Final = struct.Struct(">Bq")
_VERSION: Final = 1
_TIME: Final = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class Span:
    """What a rule asks of a group; times in milliseconds."""

    count: int
    within_ms: int
    quiet_ms: int


class Outcome(StrEnum):
    """What became of an event in its group."""

    COUNTED = "counted"
    FIRED = "fired"
    QUIET = "quiet"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The members that made a rule fire, oldest first, with the first and the last time."""

    members: tuple[str, ...]
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Group:
    """One group: times (epoch ms) by member, and until when it is quiet."""

    times: dict[str, int] = field(default_factory=dict)
    quiet_until_ms: int | None = None

    def add(self, member: str, time_ms: int, span: Span) -> tuple[Outcome, Cluster | None]:
        """Count one more event."""
        if self.quiet_until_ms is not None and time_ms < self.quiet_until_ms:
            return Outcome.QUIET, None
        newest = max([time_ms, *self.times.values()])
        if time_ms < newest - span.within_ms:
            return Outcome.LATE, None
        self.times[member] = max(time_ms, self.times.get(member, time_ms))
        self.times = {m: t for m, t in self.times.items() if t >= newest - span.within_ms}
        if len(self.times) < span.count:
            return Outcome.COUNTED, None
        ordered = sorted(self.times.items(), key=lambda one: (one[1], one[0]))
        cluster = Cluster(tuple(m for m, _ in ordered), ordered[0][1], ordered[-1][1])
        self.times = {}
        self.quiet_until_ms = cluster.end_ms + span.quiet_ms
        return Outcome.FIRED, cluster

    def pack(self, logged_ms: int) -> bytes:
        """The bytes of the state; `logged_ms` is the log's time of the event that changed it."""
        state = {"times": self.times, "quiet": self.quiet_until_ms}
        return _HEAD.pack(_VERSION, logged_ms) + json.dumps(state, separators=(",", ":")).encode()

    @classmethod
    def unpack(cls, data: bytes | None) -> Group:
        """A group from its bytes; a new one from None.

        Raises:
            ValueError: written by a version that this one does not know.
        """
        if data is None:
            return cls()
        version, _ = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"group of version {version}, this release reads {_VERSION}")
        state: Mapping[str, object] = json.loads(data[_HEAD.size :])
        times, quiet = state["times"], state["quiet"]
        if not isinstance(times, dict) or not isinstance(quiet, int | None):
            raise TypeError("not the state of a group")
        return cls(times, quiet)


def time_of(data: bytes) -> int:
    """The log's time (epoch ms UTC) at which a packed group was changed last."""
    return int(_TIME.unpack_from(data, 1)[0])
