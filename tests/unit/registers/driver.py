"""Runs intake and registers on messages in memory: logs and state as plain dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import Any

from connectors.inbound import admit
from schemas.avro import decode
from schemas.envelope import Message, read
from streams.engine.processor import Buffer, Context, Processor
from streams.engine.record import Headers, Output, Record, TopicPartition
from streams.processors.intake import Intake
from streams.processors.registers import Registers
from topics import Catalogue, load_catalogue, naming
from topics.partitioning import murmur2_partition

CATALOGUE: Catalogue = load_catalogue()
START_MS = 1_793_500_000_000
EVERY = tuple(CATALOGUE.interfaces)
TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


class House:
    """A cluster in memory. `now_ms` is the time at which records are appended."""

    def __init__(
        self, catalogue: Catalogue = CATALOGUE, registers: Registers | None = None
    ) -> None:
        self.catalogue = catalogue
        self.now_ms = START_MS
        self.logs: dict[str, list[Output]] = defaultdict(list)
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._read_back: dict[TopicPartition, list[Record]] = defaultdict(list)
        self._state: dict[TopicPartition, dict[bytes, bytes]] = defaultdict(dict)
        self._processors: tuple[Processor[Any], ...] = (
            Intake(catalogue, EVERY),
            registers or Registers(catalogue, EVERY),
        )

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        """The state of the context."""
        return self._state[store].get(key)

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        """The reader of the context."""
        return self._read_back[partition][offset]

    def close(self) -> None:
        """Nothing to close."""

    def send(self, data: bytes, interface: str) -> list[Output]:
        """Append a message as a connector does, and process it to the end; give all outputs."""
        admitted = admit(
            data, interface, self.catalogue, received_ms=self.now_ms, traceparent=TRACE
        )
        return self.append(Output(admitted.topic, admitted.key, admitted.value, admitted.headers))

    def append(self, output: Output) -> list[Output]:
        """Append a record to its log, and process it and what comes of it; give all outputs."""
        for processor in self._processors:
            if output.topic in processor.inputs:
                outputs = self._process(processor, output)
                return outputs + [more for one in outputs for more in self.append(one)]
        self.logs[output.topic].append(output)
        return []

    def _process(self, processor: Processor[Any], output: Output) -> list[Output]:
        partition = output.partition
        if partition is None:
            partition = murmur2_partition(output.key or b"", self._partitions(output.topic))
        at = TopicPartition(output.topic, partition)
        record = Record(
            *at, len(self._read_back[at]), self.now_ms, output.key, output.value, output.headers
        )
        self._read_back[at].append(record)
        stores = {
            spec.name: TopicPartition(spec.changelog, partition)
            for spec in processor.inputs[output.topic]
        }
        buffer = Buffer()
        context = Context(stores, buffer, self, self)
        (prepared,) = processor.prepare([record])
        processor.process(record, prepared, context)
        context.accept()
        for store, writes in buffer.writes.items():
            for key, value in writes.items():
                if value is None:
                    self._state[store].pop(key, None)
                else:
                    self._state[store][key] = value
        self.counts.update(buffer.counts)
        return [*context.outputs, *chain.from_iterable(context.later)]

    def _partitions(self, topic: str) -> int:
        return next(spec.partitions for spec in self.catalogue.topics() if spec.name == topic)

    def events(self, noun: str, context: str = naming.PRODUCTION) -> list[dict[str, Any]]:
        """The records of a noun's log."""
        home = self.catalogue.nouns[noun].home
        log = self.logs[naming.noun_log(home, noun, context)]
        return [decode(one.value or b"")[1] for one in log]

    def current(self, noun: str, context: str = naming.PRODUCTION) -> dict[bytes, dict[str, Any]]:
        """What compaction leaves of the present state of a register."""
        home = self.catalogue.nouns[noun].home
        left: dict[bytes, dict[str, Any]] = {}
        for one in self.logs[naming.current_log(home, noun, context)]:
            left.pop(one.key or b"", None)
            if one.value is not None:
                left[one.key or b""] = decode(one.value)[1]
        return left

    def codes(self, interface: str, context: str = naming.PRODUCTION) -> list[str]:
        """The codes of what was rejected."""
        log = self.logs[naming.rejected(interface, context)]
        return [header(one, "cimstream_code") for one in log]

    def replies(self, interface: str, context: str = naming.PRODUCTION) -> list[Message]:
        """What was answered."""
        return [read(one.value or b"") for one in self.logs[naming.outbound(interface, context)]]


def header(output: Output, name: str) -> str:
    """A header's text."""
    headers: Headers = output.headers
    return dict(headers)[name].decode()
