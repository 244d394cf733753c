"""Who may do what on the cluster: access control lists as the catalogue's topics ask for them.

Lives here: roles, and the bindings that follow from them. Must not live here: asking and changing
a cluster (`topics.authorizing`), who has a role (settings).

Invariant: a topic is written by those whom the catalogue names as its writers and by nobody else:
inbound by gateways, connectors and rules. Nothing is granted to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from topics.catalogue import Catalogue

Role = Literal[
    "gateway", "connector", "processor", "responder", "rules", "delivery", "view", "operator"
]  # fmt: skip
Kind = Literal["topic", "group", "transactional-id", "cluster"]

CLUSTER: Final = "kafka-cluster"
PREFIX: Final = "cim."
"""Of all topics that are cimstream's."""


class Binding(NamedTuple):
    """One permission. `prefixed`: for every resource whose name begins so."""

    principal: str
    operation: str
    kind: Kind
    name: str
    prefixed: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """What a role does.

    `writes`: which of the catalogue's writers it is. `reads`: the purposes of topics it reads,
    beside those of its own state.
    `groups`, `transactions`: what its groups and transactional ids begin with. `more`: what
    else it needs, as (operation, kind, name, prefixed).
    """

    writes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    more: tuple[tuple[str, Kind, str, bool], ...] = ()


_SIDE_LOGS: Final = "cim.replay-"
_DELIVERIES: Final = "cim.delivery."
_PARTS: Final[Mapping[Role, _Part]] = {
    "gateway": _Part(
        writes=frozenset({"gateway"}),
        reads=frozenset({"inbound", "outbound", "receipts", "log"}),
        groups=("gateway-",),
        # What waits for the systems that pull.
        more=(("read", "topic", _DELIVERIES, True),),
    ),
    "connector": _Part(
        writes=frozenset({"connector"}),
        groups=("source-",),
        transactions=("source-",),
    ),
    "processor": _Part(
        writes=frozenset({"intake", "registers"}),
        reads=frozenset({"inbound", "accepted", "log", "current"}),
        groups=("intake",),
        transactions=("intake-",),
        # Without it a slot that died is missed after 6 s at the soonest.
        more=(("describe-configs", "cluster", CLUSTER, False),),
    ),
    "responder": _Part(
        writes=frozenset({"responder"}),
        reads=frozenset({"inbound", "requests", "log", "current"}),
        groups=("responder",),
        transactions=("responder-",),
        more=(("describe-configs", "cluster", CLUSTER, False),),
    ),
    "rules": _Part(
        writes=frozenset({"rules"}),
        reads=frozenset({"log", "gathered"}),
        groups=("rules",),
        transactions=("rules-",),
        more=(("describe-configs", "cluster", CLUSTER, False),),
    ),
    "delivery": _Part(
        writes=frozenset({"delivery"}),
        reads=frozenset({"outbound", "receipts"}),
        groups=("delivery",),
        transactions=("delivery-",),
        more=(("describe-configs", "cluster", CLUSTER, False),),
    ),
    "view": _Part(reads=frozenset({"log", "current"}), groups=("cimstream-view",)),
    "operator": _Part(
        writes=frozenset({"operator"}),
        reads=frozenset({
            "inbound", "accepted", "requests", "outbound", "receipts", "rejected", "log", "current",
            "gathered", "failed", "changelog", "audit", "positions",
        }),
        groups=("cimstream-", "redrive", "replay"),
        transactions=("redrive", "replay"),
        more=(
            # How far the processors are.
            ("describe", "group", "intake", False),
            # The side logs of a replay are its own.
            ("create", "topic", _SIDE_LOGS, True),
            ("describe-configs", "topic", _SIDE_LOGS, True),
            ("read", "topic", _SIDE_LOGS, True),
            ("write", "topic", _SIDE_LOGS, True),
        ),
    ),
}  # fmt: skip
_STATE: Final = frozenset({"changelog", "positions"})
_READERS_READ: Final = frozenset({"log", "current"})


def bindings(
    catalogue: Catalogue,
    principals: Mapping[Role, Sequence[str]],
    readers: Mapping[str, Sequence[str]],
) -> frozenset[Binding]:
    """What must be allowed so that each principal can do its part.

    Args:
        catalogue: Whose topics.
        principals: Role to those that have it; one principal may have several.
        readers: Principal to the interfaces whose logs it may read. The groups of a reader begin
            with its name.
    """
    wanted: set[Binding] = set()
    for role, named in principals.items():
        for principal in named:
            wanted.update(_of_role(catalogue, _PARTS[role], principal))
    for principal, interfaces in readers.items():
        wanted.update(_of_reader(catalogue, principal, interfaces))
    return frozenset(wanted)


def writers_played() -> frozenset[str]:
    """The writers of the catalogue that some role is."""
    return frozenset().union(*(part.writes for part in _PARTS.values()))


def _of_role(catalogue: Catalogue, part: _Part, principal: str) -> Iterator[Binding]:
    # Names and sizes of topics are no secret, and every command looks whether they are all there.
    yield Binding(principal, "describe", "topic", PREFIX, prefixed=True)
    for spec in catalogue.topics():
        writes = bool(part.writes & spec.writers)
        if writes:
            yield Binding(principal, "write", "topic", spec.name)
        if spec.purpose in part.reads or (writes and spec.purpose in _STATE):
            yield Binding(principal, "read", "topic", spec.name)
    for name in part.groups:
        yield Binding(principal, "read", "group", name, prefixed=True)
    for name in part.transactions:
        yield Binding(principal, "write", "transactional-id", name, prefixed=True)
    for operation, kind, name, prefixed in part.more:
        yield Binding(principal, operation, kind, name, prefixed)


def _of_reader(
    catalogue: Catalogue, principal: str, interfaces: Sequence[str]
) -> Iterator[Binding]:
    for spec in catalogue.topics():
        if spec.purpose in _READERS_READ and spec.interface in interfaces:
            yield Binding(principal, "describe", "topic", spec.name)
            yield Binding(principal, "read", "topic", spec.name)
    _, _, own = principal.partition(":")
    yield Binding(principal, "read", "group", own, prefixed=True)
