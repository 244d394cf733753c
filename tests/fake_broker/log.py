"""One partition: records and markers, and what a reader of either isolation sees of them.

Rule: a record of a transaction is visible to read_committed readers when the transaction's
marker says commit, and no record is visible that stands behind one whose marker is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.engine.ports import Position
from streams.engine.record import Output, Record, TopicPartition


@dataclass(eq=False, slots=True)
class Transaction:
    """What one producer did between two ends.

    `outcome` is the coordinator's decision, None while it is undecided. `marked`: the
    decision has reached the partitions and the group; until then readers wait.
    """

    outcome: bool | None = None
    marked: bool = False
    began_s: float = 0.0
    logs: list[Log] = field(default_factory=list)
    offsets: dict[str, dict[TopicPartition, Position]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One offset of a log: a record, or a marker or hole where there is none."""

    record: Record | None = None
    transaction: Transaction | None = None

    @property
    def counts(self) -> bool:
        """Whether it is a record that is or will be visible to read_committed readers."""
        if self.record is None:
            return False
        return self.transaction is None or self.transaction.outcome is True


class Log:
    """The entries of one partition by offset, from `start` on."""

    def __init__(self, at: TopicPartition) -> None:
        self.at = at
        self.start = 0
        self._entries: list[Entry] = []
        self._open: dict[Transaction, int] = {}

    @property
    def end(self) -> int:
        """The high watermark."""
        return len(self._entries)

    @property
    def stable_end(self) -> int:
        """The last stable offset: the first record of a transaction that has no marker yet."""
        return min(self._open.values(), default=self.end)

    def append(self, output: Output, transaction: Transaction | None = None) -> int:
        """Write a record; give its offset."""
        offset = self.end
        record = Record(*self.at, offset, 0, output.key, output.value, tuple(output.headers))
        self._entries.append(Entry(record, transaction))
        if transaction is not None:
            self._open.setdefault(transaction, offset)
        return offset

    def mark(self, transaction: Transaction | None = None) -> None:
        """Write a marker, of a transaction or of one that held nothing anybody saw.

        It takes an offset and is given to no reader.
        """
        self._entries.append(Entry())
        if transaction is not None:
            self._open.pop(transaction, None)

    def visible(self, offset: int, *, committed: bool = True) -> Iterator[Record]:
        """Records from `offset` on, as a consumer of that isolation is given them."""
        for entry in self._entries[offset : self.stable_end if committed else self.end]:
            if entry.record is not None and (not committed or entry.counts):
                yield entry.record

    def decided(self) -> Iterator[Record]:
        """Records that count: committed, or decided to be, wherever the markers are."""
        return (e.record for e in self._entries[self.start :] if e.record is not None and e.counts)
