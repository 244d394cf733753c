"""A reader of one partition that holds these records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from streams.engine.record import Record, TopicPartition
from streams.runtime.reading import Range


class OneLog:
    """`asked` says of each look at the bounds whether it was at what is committed."""

    def __init__(self, at: TopicPartition, records: Sequence[Record]) -> None:
        self.at = at
        self.asked: list[bool] = []
        self._records = records

    def topics(self) -> dict[str, tuple[TopicPartition, ...]]:
        return {self.at.topic: (self.at,)}

    def bounds(
        self, partitions: Iterable[TopicPartition], *, committed: bool = True
    ) -> dict[TopicPartition, Range]:
        self.asked.append(committed)
        return {at: Range(0, len(self._records)) for at in partitions}

    def records(self, ranges: Mapping[TopicPartition, Range]) -> Iterator[Record]:
        yield from self._records[slice(*ranges[self.at])]
