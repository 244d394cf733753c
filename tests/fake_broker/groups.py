"""The group coordinator: members, generations, assignments, committed offsets.

Rules: the classic protocol with eager rebalances (all give up everything, then join again);
static members (KIP-345: who joins with a group.instance.id takes its place, and the member
before it is fenced); offsets of a transaction are checked against the generation (KIP-447),
are pending until it is decided, and are waited for by who asks for stable ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from streams.engine.errors import FencedError, TransientError
from streams.engine.ports import Position
from streams.engine.record import TopicPartition
from tests.fake_broker.log import Transaction


class Standing(Enum):
    """What a member hears when it shows a sign of life."""

    FINE = auto()
    ASSIGNED = auto()
    """The rebalance is over; there is an assignment it does not know yet."""
    REBALANCING = auto()
    """It must give up its partitions and join again."""
    UNKNOWN = auto()
    """It was thrown out; its partitions may be another's."""


@dataclass(slots=True)
class Member:
    """One member as the coordinator knows it."""

    number: int
    instance: str
    topics: tuple[str, ...]
    seen_s: float
    joined: bool = True
    told: bool = False
    assignment: tuple[TopicPartition, ...] = ()


@dataclass(slots=True)
class Group:
    """A group. `stable` is False from the moment a rebalance is needed until all joined."""

    generation: int = 0
    stable: bool = True
    members: dict[int, Member] = field(default_factory=dict)
    offsets: dict[TopicPartition, Position] = field(default_factory=dict)
    instances: dict[int, str] = field(default_factory=dict)
    """Whom every member that ever was here claimed to be."""


class Groups:
    """All groups of a cluster, told what partitions there are."""

    def __init__(self, partitions: Mapping[TopicPartition, object]) -> None:
        self._partitions = partitions
        self._groups: dict[str, Group] = {}
        self._numbers = 0

    def of(self, name: str) -> Group:
        """The group, made where there is none."""
        return self._groups.setdefault(name, Group())

    def join(self, name: str, instance: str, topics: Sequence[str], now_s: float) -> int:
        """Join for the first time; give the member id.

        A known instance gets the place and the assignment of the member before it, which is
        fenced from now on, without a rebalance.
        """
        group = self.of(name)
        self._numbers += 1
        member = Member(self._numbers, instance, tuple(topics), now_s)
        before = next((m for m in group.members.values() if m.instance == instance), None)
        group.members[member.number] = member
        group.instances[member.number] = instance
        if before is None:
            self._rebalance(group)
        else:
            del group.members[before.number]
            member.assignment = before.assignment
        self._complete(group)
        return member.number

    def rejoin(self, name: str, number: int, now_s: float) -> bool:
        """Join again, after everything was given up; False for who was thrown out meanwhile."""
        member = self._member(self.of(name), number)
        if member is None:
            return False
        member.joined, member.seen_s = True, now_s
        self._complete(self.of(name))
        return True

    def heartbeat(self, name: str, number: int, now_s: float) -> Standing:
        """A sign of life.

        Raises:
            FencedError: the instance id was taken by another member.
        """
        group = self.of(name)
        member = self._member(group, number)
        if member is None:
            return Standing.UNKNOWN
        member.seen_s = now_s
        if not group.stable:
            return Standing.FINE if member.joined else Standing.REBALANCING
        return Standing.FINE if member.told else Standing.ASSIGNED

    def assignment(self, name: str, number: int) -> tuple[TopicPartition, ...]:
        """The member's partitions; it knows them from now on."""
        member = self.of(name).members[number]
        member.told = True
        return member.assignment

    def rebalance(self, name: str) -> None:
        """Have all members of a group join again, as if one had come or gone."""
        group = self.of(name)
        self._rebalance(group)
        self._complete(group)

    def expire(self, silent_since_s: float) -> None:
        """Throw out who was silent; the others get its partitions."""
        for group in self._groups.values():
            gone = [m for m in group.members.values() if m.seen_s < silent_since_s]
            for member in gone:
                del group.members[member.number]
            if gone:
                self._rebalance(group)
                self._complete(group)

    def leave(self, name: str, number: int) -> None:
        """Go for good (LeaveGroup); the others get the partitions. Who is gone already, is."""
        group = self.of(name)
        if group.members.pop(number, None) is not None:
            self._rebalance(group)
            self._complete(group)

    def write(
        self, name: str, number: int, generation: int, offsets: Mapping[TopicPartition, Position]
    ) -> None:
        """OffsetCommit of a member, outside any transaction.

        Raises:
            FencedError, TransientError: as `check`; or the next generation is coming.
        """
        self.check(name, number, generation)
        group = self.of(name)
        if not group.stable:
            raise TransientError("a rebalance is under way")
        group.offsets.update(offsets)

    def check(self, name: str, number: int | None, generation: int) -> None:
        """Whether offsets of this member may be bound to a transaction (KIP-447).

        Raises:
            FencedError: its instance id was taken.
            TransientError: it is of another generation, or no member.
        """
        group = self.of(name)
        if number is None:
            if group.members:
                raise TransientError("offsets of no member, in a group that has some")
            return
        if self._member(group, number) is None:
            raise TransientError("no member of the group any more")
        if group.generation != generation:
            raise TransientError("offsets of another generation")

    def beat(self, seconds: float) -> None:
        """Time passes in which the members' background threads send their heartbeats."""
        for group in self._groups.values():
            for member in group.members.values():
                member.seen_s += seconds

    def pending(
        self, name: str, partitions: Sequence[TopicPartition], among: Sequence[Transaction]
    ) -> list[Transaction]:
        """Those transactions that have offsets of these partitions to commit."""
        return [t for t in among if any(at in t.offsets.get(name, {}) for at in partitions)]

    def apply(self, transaction: Transaction) -> None:
        """The marker has come: pending offsets are committed, or forgotten."""
        if transaction.outcome:
            for name, offsets in transaction.offsets.items():
                self.of(name).offsets.update(offsets)

    @staticmethod
    def _member(group: Group, number: int) -> Member | None:
        member = group.members.get(number)
        instance = group.instances[number]
        if member is None and any(m.instance == instance for m in group.members.values()):
            raise FencedError("another member has this group.instance.id")
        return member

    @staticmethod
    def _rebalance(group: Group) -> None:
        """All members have to join again; who has nothing to give up has done so already."""
        for member in group.members.values():
            # Who was never told its assignment holds nothing that it could give up.
            member.joined = not member.told
        group.stable = False

    def _complete(self, group: Group) -> None:
        """The rebalance is over when all have joined: the range assignor shares out."""
        if group.stable or not all(m.joined for m in group.members.values()):
            return
        group.stable = True
        group.generation += 1
        members = sorted(group.members.values(), key=lambda m: m.instance)
        shares: dict[int, list[TopicPartition]] = {m.number: [] for m in members}
        topics = sorted({topic for member in members for topic in member.topics})
        for topic in topics:
            takers = [m for m in members if topic in m.topics]
            partitions = sorted(at for at in self._partitions if at.topic == topic)
            size, extra = divmod(len(partitions), len(takers))
            for position, member in enumerate(takers):
                count = size + (position < extra)
                shares[member.number] += partitions[:count]
                del partitions[:count]
        for member in members:
            member.assignment = tuple(shares[member.number])
            member.told = False
