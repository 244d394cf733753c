"""The chain that led to a message: an event, its rule, the next event, its rule and so on.

Lives here: the header that carries it, and how long it may grow. Must not live here: who asks (see
`rules`).

    cim.i7.end-device-events/0@17>last-gasp-cluster@1,cim.i1.outages/0@5>outage-work-order@1

It is a header of the record, which only the rules write: a sender cannot claim a chain by what is
in its message. The Property `Chain` of the message says the same, for people and other systems.

Invariant: a link is only ever added, so no rule can act in its own chain and none is endless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.engine.record import Record
from topics.chains import CHAIN

DEPTH_MAX: Final = 4
"""Rules that act one after the other; the shipped ones come to two."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The links so far, the oldest first."""

    links: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: Record) -> Chain:
        """The chain that led to a record."""
        for name, value in record.headers:
            if name == CHAIN:
                return cls(tuple(value.decode(errors="replace").split(",")))
        return cls()

    def has(self, rule: str) -> bool:
        """Whether the rule acted in it, in any version."""
        return any(link.rpartition(">")[2].rpartition("@")[0] == rule for link in self.links)

    @property
    def full(self) -> bool:
        """Whether no rule may act on it any more."""
        return len(self.links) >= DEPTH_MAX

    def with_link(self, place: str, rule: str, version: int) -> Chain:
        """The chain to the message that a rule made of the event at `place`."""
        return Chain((*self.links, f"{place}>{rule}@{version}"))

    def __str__(self) -> str:
        return ",".join(self.links)
