"""Runs intake on records in memory: one interface, state and logs as plain dictionaries.

Stands in for the engine where only the processor's decisions are asked about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.avro import decode
from schemas.identity import unreadable_key
from streams.engine.processor import Buffer, Context
from streams.engine.record import Output, Record, TopicPartition
from streams.processors.intake import Intake
from topics import Catalogue, load_catalogue, naming
from topics.partitioning import murmur2_partition

CATALOGUE: Catalogue = load_catalogue()
HOUR_MS = 3_600_000
START_MS = 1_793_500_000_000


class _State:
    def __init__(self) -> None:
        self.stores: dict[TopicPartition, dict[bytes, bytes]] = {}

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        return self.stores.get(store, {}).get(key)


@dataclass
class Driver:
    """Feeds messages to intake and keeps what it emits."""

    interface: str = "I7"
    catalogue: Catalogue = CATALOGUE
    now_ms: int = START_MS
    outputs: list[Output] = field(default_factory=list)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.intake = Intake(self.catalogue, [self.interface])
        self.topic = naming.inbound(self.interface)
        self.log: dict[tuple[int, int], Record] = {}
        self.last = (-1, -1)
        self._state = _State()
        self._ends: Counter[int] = Counter()

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        """The reader of the context."""
        return self.log.get((partition.partition, offset))

    def close(self) -> None:
        """Nothing to close."""

    def send(
        self,
        data: bytes,
        *,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> list[Output]:
        """Append a message to the inbound log, on its own partition, and process it."""
        key = self.key(data)
        if partition is None:
            partition = self.home(data)
        record = Record(
            self.topic, partition, self._ends[partition], self.now_ms, key, data, headers
        )
        self._ends[partition] += 1
        self.log[partition, record.offset] = record
        self.last = (partition, record.offset)
        return self.run(record)

    def run(self, record: Record) -> list[Output]:
        """Process one record and commit what it did."""
        (prepared,) = self.intake.prepare([record])
        stores = {
            s.name: TopicPartition(s.changelog, record.partition)
            for s in self.intake.inputs[self.topic]
        }
        buffer = Buffer()
        context = Context(stores, buffer, self._state, self)
        self.intake.process(record, prepared, context)
        context.accept()
        for store, writes in buffer.writes.items():
            for key, value in writes.items():
                assert value is not None
                self._state.stores.setdefault(store, {})[key] = value
        self.counts.update(buffer.counts)
        self.outputs += context.outputs
        return context.outputs

    @property
    def partitions(self) -> int:
        """Partitions of the inbound topic."""
        return self.catalogue.interfaces[self.interface].partitions["inbound"]

    def home(self, data: bytes) -> int:
        """The partition that the message belongs to."""
        return murmur2_partition(self.key(data), self.partitions)

    def key(self, data: bytes) -> bytes:
        """The key a connector gives."""
        from connectors.inbound import admit

        if len(data) > self.catalogue.bytes_max(self.interface):
            return unreadable_key(data)
        return admit(data, self.interface, self.catalogue, received_ms=self.now_ms).key

    def count(self, name: str, code: str = "") -> int:
        """How often intake counted `name` (with `code`)."""
        return sum(
            n for key, n in self.counts.items() if key[0] == name and (not code or key[4] == code)
        )


def events(outputs: list[Output], topic: str = "cim.i7.meter-readings") -> Iterator[dict]:
    """The decoded events among outputs."""
    for output in outputs:
        if output.topic == topic:
            yield decode(output.value or b"")[1]


def header(output: Output, name: str) -> str:
    """A header of an output."""
    (value,) = [v for k, v in output.headers if k == name]
    return value.decode()


def codes(outputs: list[Output]) -> list[str]:
    """The codes of the rejections among outputs."""
    return [
        header(output, "cimstream_code") for output in outputs if output.topic.endswith(".rejected")
    ]
