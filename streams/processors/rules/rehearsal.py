"""Rules tried out: what they would make of events, without a transaction and without an effect.

Lives here: the processor itself, run in memory. Must not live here: where the events come from.

Invariant: what is found is what the processor would emit for these events alone, in this order, by
rules that are in force from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from schemas.errors import Problem
from streams.engine.processor import Buffer, Context
from streams.engine.record import Output, Record, TopicPartition
from streams.processors.outputs import events
from streams.processors.rules.files import Rules
from streams.processors.rules.rules import RuleProcessor
from streams.processors.understand import Refused, Understanding
from topics import Catalogue, naming


@dataclass(frozen=True, slots=True)
class Found:
    """What one event came to by one rule; `output` is the message, or the failure.

    `problems` are those for which intake would refuse the message.
    """

    event: str
    rule: str
    outcome: str
    output: Output | None
    problems: tuple[Problem, ...] = ()


class Rehearsal:
    """A run of rules over events."""

    def __init__(self, catalogue: Catalogue, rules: Rules) -> None:
        self._catalogue = catalogue
        self._processor = RuleProcessor(
            catalogue, {name: replace(rule, since_ms=0) for name, rule in rules.items()}
        )
        self._state: dict[TopicPartition, dict[bytes, bytes | None]] = {}
        self._gathered = 0

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        """The state of the context."""
        return self._state.get(store, {}).get(key)

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        """The reader of the context; rules read nothing back."""

    def close(self) -> None:
        """Nothing to close."""

    @property
    def logs(self) -> frozenset[str]:
        """The logs that the rules read."""
        return frozenset(self._processor.inputs) - {naming.RULES_GATHERED}

    def message(self, data: bytes, interface: str, now_ms: int) -> Iterator[Found] | Refused:
        """What follows from the events of a message as it is sent, or why it would be refused.

        Of a register's message the events are what it says, without what was said before.
        """
        understood = Understanding(self._catalogue, interface).understand(data)
        if isinstance(understood, Refused):
            return understood
        inbound = Record(naming.inbound(interface), 0, 0, now_ms, None, data, ())
        made = events(inbound, understood, understood.items, self._catalogue)
        return (
            found
            for index, event in enumerate(made)
            if event.topic in self.logs
            for found in self.event(
                Record(event.topic, 0, index, now_ms, event.key, event.value, event.headers)
            )
        )

    def event(self, record: Record) -> Iterator[Found]:
        """What one event of a log comes to."""
        (prepared,) = self._processor.prepare([record])
        stores = {
            spec.name: TopicPartition(spec.changelog, 0)
            for spec in self._processor.inputs[record.topic]
        }
        buffer = Buffer()
        context = Context(stores, buffer, self, self)
        self._processor.process(record, prepared, context)
        context.accept()
        for store, writes in buffer.writes.items():
            self._state.setdefault(store, {}).update(writes)
        yield from self._found(record, buffer, context.outputs)

    def _found(self, record: Record, buffer: Buffer, outputs: list[Output]) -> Iterator[Found]:
        place = dict(record.headers).get("cimstream_event", str(record).encode()).decode()
        made = iter([one for one in outputs if one.topic != naming.RULES_GATHERED])
        for _, rule, outcome in buffer.counts:
            output = next(made) if outcome in ("fired", "failed") else None
            if outcome != "gathered":
                yield Found(place, rule, outcome, output, self._problems(output))
        for one in outputs:
            if one.topic == naming.RULES_GATHERED:
                at = self._gathered
                self._gathered += 1
                yield from self.event(
                    Record(one.topic, 0, at, record.timestamp_ms, one.key, one.value, one.headers)
                )

    def _problems(self, output: Output | None) -> tuple[Problem, ...]:
        interface = next(
            (i for i in self._catalogue.interfaces if output and output.topic == naming.inbound(i)),
            None,
        )
        if output is None or interface is None:
            return ()
        understood = Understanding(self._catalogue, interface).understand(output.value)
        if isinstance(understood, Refused):
            return understood.problems
        return tuple(problem for one in understood.rejected for problem in one.problems)
