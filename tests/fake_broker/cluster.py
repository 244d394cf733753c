"""The cluster: its partitions, its two coordinators, its time.

Time passes only when somebody waits; transactions and silent members grow old by it. Requests
may be answered wrongly, late or never: `fault` is asked before each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.engine.errors import FatalError
from streams.engine.ports import Position
from streams.engine.record import Output, TopicPartition
from tests.fake_broker.coordinator import Coordinator
from tests.fake_broker.groups import Groups
from tests.fake_broker.log import Log, Transaction

Faults = Callable[[str], None]
"""Asked before each call of a port by its name; raises what shall go wrong."""


def no_fault(_: str) -> None:
    """All is well."""


class Cluster:
    """Topics, producers, groups. One thread; every call is a request and its answer."""

    def __init__(
        self,
        *,
        session_timeout_s: float = 6.0,
        transaction_timeout_s: float = 10.0,
        long_transaction_timeout_s: float = 60.0,
    ) -> None:
        self.logs: dict[TopicPartition, Log] = {}
        self.topic_ids: dict[str, str] = {}
        self.now_s = 0.0
        self._topics = 0
        self.session_timeout_s = session_timeout_s
        self.transaction_timeout_s = transaction_timeout_s
        self.long_transaction_timeout_s = long_transaction_timeout_s
        self.fault: Faults = no_fault
        self.refuses: Callable[[Output], bool] = lambda _: False
        self.markers_wait: Callable[[], bool] = lambda: False
        self.groups = Groups(self.logs)
        self.coordinator = Coordinator(self._decided, self._mark)

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic; one that is there is made anew: empty, and with another id."""
        self._topics += 1
        self.topic_ids[topic] = f"id-{self._topics}"
        for partition in range(partitions):
            at = TopicPartition(topic, partition)
            self.logs[at] = Log(at)

    def log(self, at: TopicPartition) -> Log:
        """A partition's log.

        Raises:
            FatalError: there is no such partition.
        """
        if at not in self.logs:
            raise FatalError(f"{at} does not exist")
        return self.logs[at]

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return sum(at.topic == topic for at in self.logs)

    def wait(self, seconds: float) -> None:
        """Time passes: markers arrive, old transactions are aborted, silent members go."""
        self.now_s += seconds
        for transaction in self.coordinator.undecided():
            if transaction.outcome is not None and not self.markers_wait():
                self._mark(transaction)
        self.coordinator.expire(self.now_s)
        self.groups.expire(self.now_s - self.session_timeout_s)

    def committed(
        self, group: str, partitions: Sequence[TopicPartition], *, stable: bool = True
    ) -> dict[TopicPartition, Position]:
        """Committed positions; the log's start, without a note, where there is none.

        `stable` waits for transactions that may change them, at the longest until they are
        too old to go on.
        """
        while stable and (
            waited := self.groups.pending(group, partitions, self.coordinator.undecided())
        ):
            for transaction in waited:
                if transaction.outcome is not None:
                    self._mark(transaction)
            if any(not transaction.marked for transaction in waited):
                self.groups.beat(1.0)
                self.wait(1.0)
        known = self.groups.of(group).offsets
        return {at: known.get(at, Position(self.log(at).start)) for at in partitions}

    def decided(self, group: str) -> dict[TopicPartition, Position]:
        """Committed positions and those that are decided to be, waiting for nothing."""
        offsets = dict(self.groups.of(group).offsets)
        for transaction in self.coordinator.undecided():
            if transaction.outcome:
                offsets.update(transaction.offsets.get(group, {}))
        return offsets

    def _decided(self, transaction: Transaction) -> None:
        if not self.markers_wait():
            self._mark(transaction)

    def _mark(self, transaction: Transaction) -> None:
        """Write the markers of a decided transaction, and let its offsets count."""
        transaction.marked = True
        for log in transaction.logs:
            log.mark(transaction)
        self.groups.apply(transaction)
