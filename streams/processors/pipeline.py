"""Several processors as one: each record goes to the one whose input it is.

So one worker, with one transactional id and one local database, does all the work of its slot, and
what intake lets through is applied without another process to run and to watch.

Must not live here: anything about a processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from streams.engine.processor import Context, Processor, StoreSpec
from streams.engine.record import Record

NAME: Final = "intake"
"""The group's name; it is older than the second processor in it, and names keep."""


class Pipeline:
    """See `streams.engine.processor.Processor`; no two of `processors` share an input."""

    name = NAME

    def __init__(self, processors: Sequence[Processor[object]]) -> None:
        self._of = {topic: processor for processor in processors for topic in processor.inputs}
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = {
            topic: processor.inputs[topic] for topic, processor in self._of.items()
        }

    def heavy(self, record: Record) -> bool:
        """As the record's processor."""
        return self._of[record.topic].heavy(record)

    def prepare(self, records: Sequence[Record]) -> Sequence[object]:
        """As each record's processor, in the records' order."""
        return [self._of[record.topic].prepare([record])[0] for record in records]

    def process(self, record: Record, prepared: object, context: Context) -> None:
        """As the record's processor."""
        self._of[record.topic].process(record, prepared, context)

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        """As the record's processor."""
        self._of[record.topic].reject(record, code, reason, context, with_value=with_value)
