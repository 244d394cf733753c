"""The transaction coordinator: one producer per transactional id, told apart by its epoch.

Rules (Kafka's before KIP-890, which is what librdkafka speaks): `initialise` raises the epoch
and aborts what the predecessor left open; a request with an old epoch is refused as fenced; an
EndTxn ends whatever transaction is open under its epoch, also when it was meant for another.
An end is decided first and marked later: in between the outcome is certain and not visible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from streams.engine.errors import FatalError, FencedError, UnknownOutcomeError
from tests.fake_broker.log import Log, Transaction


class Fate(Enum):
    """What becomes of a request whose answer is not heard."""

    LOST = auto()
    """It never arrived."""
    APPLIED = auto()
    """It arrived; the answer was lost."""
    LATE = auto()
    """It is on its way, and arrives when the cluster delivers it."""


class UnheardError(UnknownOutcomeError):
    """No answer; `fate` is what the client cannot know."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        super().__init__(f"no answer ({fate.name.lower()})")


@dataclass(slots=True)
class _Id:
    epoch: int = -1
    open: Transaction | None = None
    last: Transaction | None = None
    timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a producer is: its transactional id and its epoch."""

    transactional_id: str
    number: int


class Coordinator:
    """All transactional ids.

    `decided` is told of each decision; `mark` brings one to the partitions and the groups.
    """

    def __init__(
        self, decided: Callable[[Transaction], None], mark: Callable[[Transaction], None]
    ) -> None:
        self._ids: dict[str, _Id] = {}
        self._decided = decided
        self._mark = mark
        self.late: list[tuple[Epoch, bool]] = []

    def initialise(self, transactional_id: str, timeout_s: float) -> Epoch:
        """InitProducerId: a new epoch; what was open is aborted and seen to its end."""
        entry = self._ids.setdefault(transactional_id, _Id())
        entry.epoch += 1
        entry.timeout_s = timeout_s
        if entry.open is not None:
            self._decide(entry, commit=False)
        self._settle(entry)
        return Epoch(transactional_id, entry.epoch)

    def open(self, epoch: Epoch, now_s: float) -> Transaction:
        """The open transaction of the producer, begun where there is none.

        A transaction whose markers are still being written has to be over first: clients
        wait for that (CONCURRENT_TRANSACTIONS).
        """
        entry = self._checked(epoch)
        if entry.open is None:
            self._settle(entry)
            entry.open = Transaction(began_s=now_s)
        return entry.open

    def present(self, epoch: Epoch) -> Transaction | None:
        """The open transaction, if any."""
        return self._checked(epoch).open

    def end(self, epoch: Epoch, *, commit: bool) -> None:
        """EndTxn. Where nothing is open, repeating the last decision is no error."""
        entry = self._checked(epoch)
        if entry.open is not None:
            self._decide(entry, commit=commit)
        elif entry.last is not None and entry.last.outcome is not commit:
            raise FatalError("the transaction was ended otherwise")

    def deliver_late(self) -> None:
        """Let the delayed requests arrive; nobody listens to the answers any more."""
        for epoch, commit in self.late:
            entry = self._ids[epoch.transactional_id]
            if entry.epoch == epoch.number and entry.open is not None:
                self._decide(entry, commit=commit)
        self.late.clear()

    def expire(self, now_s: float) -> None:
        """Abort what is open for longer than its producer allows; that fences the producer."""
        for entry in self._ids.values():
            if entry.open is not None and now_s - entry.open.began_s > entry.timeout_s:
                entry.epoch += 1
                self._decide(entry, commit=False)

    def undecided(self) -> list[Transaction]:
        """Transactions that are open or whose markers are missing."""
        found = [t for entry in self._ids.values() for t in (entry.last, entry.open)]
        return [t for t in found if t is not None and not t.marked]

    def _checked(self, epoch: Epoch) -> _Id:
        entry = self._ids[epoch.transactional_id]
        if entry.epoch != epoch.number:
            raise FencedError(f"{epoch.transactional_id}: a newer producer has this id")
        return entry

    def _decide(self, entry: _Id, *, commit: bool) -> None:
        transaction = entry.open
        assert transaction is not None
        transaction.outcome = commit
        entry.open, entry.last = None, transaction
        self._decided(transaction)

    def _settle(self, entry: _Id) -> None:
        if entry.last is not None and not entry.last.marked:
            self._mark(entry.last)


def add(transaction: Transaction, log: Log) -> None:
    """AddPartitionsToTxn."""
    if log not in transaction.logs:
        transaction.logs.append(log)
