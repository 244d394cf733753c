"""What came in on each interface and what became of it, as numbers.

Lives here: the figures of `cimstream stats`. Must not live here: tables.

The counts are exact: the engine writes them in the transaction of the records they count, one
running total per key and inbound partition, so that the sum of the newest totals is the truth
at the last commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streams.engine.processor import COUNTERS
from streams.engine.record import TopicPartition
from streams.processors.intake import NAME as INTAKE
from streams.processors.pipeline import NAME as GROUP
from streams.processors.registers import NAME as REGISTERS
from streams.runtime.reading import Range, TopicReader
from topics import Catalogue, naming

# Up to so many offsets behind, the lag is counted record by record: an offset may also be a
# transaction's control record, and an idle log would then seem to lag for ever.
_COUNTED_LAG_MAX: Final = 2_000


class CounterKey(NamedTuple):
    """What a count counts; `noun` and `code` are "" where it has none.

    `name` is one of received, produced, duplicates, misspelt, rejected, replied, rerouted.
    """

    name: str
    interface: str
    context: str
    noun: str
    code: str


@dataclass(frozen=True, slots=True)
class InterfaceFigures:
    """The figures of one interface.

    `logs` maps each of its topics to the offsets it holds, or to its records where they were
    counted. `lag` is the committed inbound records that intake has not processed.
    """

    interface: str
    title: str
    logs: Mapping[str, int]
    counts: Mapping[CounterKey, int]
    lag: int

    def count(self, name: str) -> int:
        """The sum over context, noun and code."""
        return sum(number for key, number in self.counts.items() if key.name == name)

    def by_code(self) -> dict[str, int]:
        """Rejections by code."""
        codes: Counter[str] = Counter()
        for key, number in self.counts.items():
            if key.name == "rejected":
                codes[key.code] += number
        return dict(sorted(codes.items()))

    @property
    def idle(self) -> bool:
        """Nothing ever happened here."""
        return not (self.counts or any(self.logs.values()))


@dataclass(slots=True)
class _Totals:
    """Newest running total per counter and partition."""

    newest: dict[tuple[TopicPartition, bytes], int] = field(default_factory=dict)

    def take(self, at: TopicPartition, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.newest.pop((at, key), None)
        else:
            self.newest[at, key] = int.from_bytes(value, "big")

    def sums(self) -> dict[str, dict[CounterKey, int]]:
        """Per interface; a key that is none of ours (another version's) is left out."""
        found: dict[str, Counter[CounterKey]] = {}
        for (_, raw), number in self.newest.items():
            parts = raw.decode("utf-8", "replace").split("|")
            if len(parts) == len(CounterKey._fields):
                key = CounterKey(*parts)
                found.setdefault(key.interface, Counter())[key] += number
        return {interface: dict(sorted(counts.items())) for interface, counts in found.items()}


def measure(
    reader: TopicReader, catalogue: Catalogue, interfaces: Iterable[str], *, count_records: bool
) -> list[InterfaceFigures]:
    """The figures of the interfaces, in their order.

    Args:
        reader: Reads the cluster.
        catalogue: Says which topics there are.
        interfaces: Ids of the catalogue's interfaces.
        count_records: Read every log to its end instead of taking its offsets, which count
            control records and what compaction removed too. Takes as long as reading does.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    existing = reader.topics()
    wanted = [catalogue.interfaces[name] for name in interfaces]
    ids = {interface.id for interface in wanted}
    logs = [
        spec
        for spec in catalogue.topics()
        if spec.name in existing and spec.interface in ids and spec.purpose != "changelog"
    ]
    ranges = reader.bounds(at for spec in logs for at in existing[spec.name])
    sizes = _counted(reader, ranges) if count_records else _offsets(ranges)
    counts = _counters(reader, existing, ids)
    return [
        InterfaceFigures(
            interface.id,
            interface.title,
            {spec.name: sizes[spec.name] for spec in logs if spec.interface == interface.id},
            counts.get(interface.id, {}),
            sum(
                _lag(reader, ranges, existing.get(topic, ()))
                for topic in (naming.inbound(interface.id), naming.accepted(interface.id))
            ),
        )
        for interface in wanted
    ]


def _offsets(ranges: Mapping[TopicPartition, Range]) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for at, span in ranges.items():
        sizes[at.topic] += span.end - span.start
    return sizes


def _counted(reader: TopicReader, ranges: Mapping[TopicPartition, Range]) -> Counter[str]:
    sizes: Counter[str] = Counter({at.topic: 0 for at in ranges})
    for record in reader.records(ranges):
        sizes[record.topic] += 1
    return sizes


def _counters(
    reader: TopicReader,
    existing: Mapping[str, tuple[TopicPartition, ...]],
    ids: Iterable[str],
) -> dict[str, dict[CounterKey, int]]:
    names = [
        naming.changelog(processor, f"{COUNTERS}-{number.lower()}")
        for processor in (INTAKE, REGISTERS)
        for number in ids
    ]
    totals = _Totals()
    partitions = [at for name in names for at in existing.get(name, ())]
    for record in reader.records(reader.bounds(partitions)):
        totals.take(record.source, record.key or b"", record.value)
    return totals.sums()


def _lag(
    reader: TopicReader,
    ranges: Mapping[TopicPartition, Range],
    inputs: tuple[TopicPartition, ...],
) -> int:
    done = reader.group_offsets(GROUP, inputs)
    behind = {at: Range(max(done.get(at, 0), ranges[at].start), ranges[at].end) for at in inputs}
    offsets = sum(max(0, span.end - span.start) for span in behind.values())
    if offsets > _COUNTED_LAG_MAX:
        return offsets
    return sum(1 for _ in reader.records(behind))
