"""Rules tried out: what they would make of events, without a transaction and without an effect.

Lives here: the processor itself, run in memory. Must not live here: where the events come from.

Invariant: what is found is what the processor would emit for these events alone, in this order, by
rules that are in force from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from connectors.inbound import admit
from schemas.errors import MessageError, Problem
from streams.engine.processor import Buffer, Context, Processor
from streams.engine.record import Output, Record, TopicPartition
from streams.processors.intake import Intake
from streams.processors.registers import Registers
from streams.processors.rules.files import Rules
from streams.processors.rules.rules import RuleProcessor
from streams.processors.understand import Refused, Understanding
from topics import Catalogue, naming
from topics.partitioning import murmur2_partition

P = TypeVar("P")


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
        """The logs that the rules are about."""
        return self._processor.logs

    def message(self, data: bytes, interface: str, now_ms: int) -> Iterator[Found]:
        """What follows from a message that is sent, as if it were the first of all.

        Raises:
            MessageError: it would be refused.
        """
        admitted = admit(data, interface, self._catalogue, received_ms=now_ms)
        if admitted.code:
            raise MessageError(Problem(admitted.code))
        partitions = self._catalogue.interfaces[interface].partitions["inbound"]
        inbound = _record(Output(admitted.topic, admitted.key, data), 0, now_ms)._replace(
            partition=murmur2_partition(admitted.key, partitions)
        )
        outputs, _ = self._run(Intake(self._catalogue, [interface]), inbound)
        for accepted in [one for one in outputs if one.topic.endswith(".accepted")]:
            registers = Registers(self._catalogue, tuple(self._catalogue.interfaces))
            outputs += self._run(registers, _record(accepted, 0, now_ms))[0]
        made = [one for one in outputs if one.topic in self.logs]
        refused = [one for one in outputs if one.topic.endswith(".rejected")]
        if refused and not made:
            told = {name: value.decode() for name, value in refused[0].headers}
            code, what, why = (told[f"cimstream_{part}"] for part in ("code", "what", "why"))
            raise MessageError(Problem(code, "" if why == what else why))
        for index, one in enumerate(made):
            yield from self.event(_record(one, index, now_ms))

    def event(self, record: Record) -> Iterator[Found]:
        """What one event of a log comes to."""
        outputs, counts = self._run(self._processor, record)
        yield from self._found(record, counts, outputs)

    def _run(
        self, processor: Processor[P], record: Record
    ) -> tuple[list[Output], Iterable[tuple[str, ...]]]:
        """What a processor makes of a record, and what it counts."""
        (prepared,) = processor.prepare([record])
        stores = {
            spec.name: TopicPartition(spec.changelog, 0) for spec in processor.inputs[record.topic]
        }
        buffer = Buffer()
        context = Context(stores, buffer, self, self)
        processor.process(record, prepared, context)
        context.accept()
        for store, writes in buffer.writes.items():
            self._state.setdefault(store, {}).update(writes)
        return context.outputs, buffer.counts

    def _found(
        self, record: Record, counts: Iterable[tuple[str, ...]], outputs: list[Output]
    ) -> Iterator[Found]:
        place = dict(record.headers).get("cimstream_event", str(record).encode()).decode()
        made = iter([one for one in outputs if one.topic != naming.RULES_GATHERED])
        for _, rule, outcome in counts:
            output = next(made) if outcome in ("fired", "failed") else None
            yield Found(place, rule, outcome, output, self._problems(output))
        for one in outputs:
            if one.topic == naming.RULES_GATHERED:
                at = self._gathered
                self._gathered += 1
                yield from self.event(_record(one, at, record.timestamp_ms))

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


def _record(output: Output, offset: int, now_ms: int) -> Record:
    return Record(output.topic, 0, offset, now_ms, output.key, output.value, output.headers)
