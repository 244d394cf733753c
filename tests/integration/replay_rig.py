"""What the tests of replay share: an inbound range and what an intake of the past made of it."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from connectors.inbound import admit
from streams.demo import messages as m
from streams.engine.events import Event
from streams.engine.kafka import (
    ChangelogReader,
    GroupSource,
    KafkaSettings,
    RecordReader,
    TransactionalProducer,
)
from streams.engine.processor import Context, Processor
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.rocks import RocksState
from streams.engine.worker import Limits, Worker
from streams.processors.intake import Intake
from streams.processors.understand import Refused, Understood
from streams.runtime.reading import Range, TopicReader
from streams.runtime.sending import Sender
from streams.runtime.wiring import MachineClock
from tests.integration.data_rig import Done, cimstream
from topics import load_catalogue

CATALOGUE = load_catalogue()
INBOUND, LOG, EVENTS = "cim.i7.inbound", "cim.i7.meter-readings", "cim.i7.end-device-events"
TRAINING = "cim.training.i7.meter-readings"
PATIENCE_S = 90.0


def new_source() -> str:
    """A sender nobody else is, so that a test finds its own events."""
    return f"HES-{uuid.uuid4().hex[:8]}"


def reading(number: object, source: str, *, value: str = "1.5", **fields: str) -> bytes:
    """A MeterReadings message of one meter."""
    payload = m.meter_readings([m.full_meter(f"{source}-{number}", [value], m.times(1))])
    return m.envelope(payload, message_id=f"m-{number}", source=source, **fields)


def event_id(number: object) -> str:
    """The `ce_id` of its event."""
    return f"m-{number}#0"


class Past(Intake):
    """An intake of an earlier release, that loses some events and gives others another key."""

    lost: Collection[str] = ()
    altered: Collection[str] = ()

    def process(self, record: Record, prepared: Understood | Refused, context: Context) -> None:
        super().process(record, prepared, context)
        context.outputs = [self._past(o) for o in context.outputs if _id(o) not in self.lost]

    def _past(self, output: Output) -> Output:
        return output._replace(key=b"wrong") if _id(output) in self.altered else output


def _id(event: Output | Record) -> str:
    return dict(event.headers).get("ce_id", b"").decode()


class _Silent:
    def emit(self, event: Event) -> None:
        pass


@dataclass
class Rig:
    """A cluster, an inbound topic, and the command under test."""

    kafka: str
    folder: Path
    starts: dict[TopicPartition, int] = field(default_factory=dict)

    def begin(self) -> None:
        """The range of the next replay begins here."""
        self.starts = {at: span.end for at, span in self.bounds(INBOUND).items()}

    def send(self, messages: Iterable[bytes], *, key: bytes | None = None) -> None:
        """Append them to inbound, as a gateway does, or with a key of one's own."""
        sender, failed = Sender(KafkaSettings(self.kafka), timeout_s=30), []
        for data in messages:
            entered = admit(data, "I7", CATALOGUE, received_ms=0)
            output = Output(entered.topic, key or entered.key, entered.value, entered.headers)
            sender.send(output, lambda delivery: failed.append(delivery.failure))
        sender.finish()
        assert not any(failed)

    def process(self, *, lost: Collection[str] = (), altered: Collection[str] = ()) -> None:
        """Let intake work until nothing is left."""
        intake = Past(CATALOGUE, ["I7"])
        intake.lost, intake.altered = lost, altered
        kafka = KafkaSettings(self.kafka)
        worker = Worker(
            cast(Processor[object], intake),
            source=GroupSource(kafka, "intake", "intake-0"),
            log=TransactionalProducer(kafka, "intake-0"),
            changelogs=ChangelogReader(kafka, "restore"),
            reader=RecordReader(kafka, "reader"),
            state=RocksState(self.folder / uuid.uuid4().hex),
            telemetry=_Silent(),
            clock=MachineClock(),
            limits=Limits(),
        )
        worker.start()
        deadline = time.monotonic() + PATIENCE_S
        while self.lag():
            assert time.monotonic() < deadline, "intake does not come to its end"
            for _ in range(5):
                worker.turn()
        worker.stop()

    def lag(self) -> int:
        """Inbound records that intake has not committed; what it forwards lies there, too.

        While a transaction is still being ended, one more than can be read.
        """
        with TopicReader(KafkaSettings(self.kafka)) as reader:
            inbound = reader.topics()[INBOUND]
            kept = reader.bounds(inbound)
            if reader.bounds(inbound, committed=False) != kept:
                return 1
            done = reader.group_offsets("intake", kept)
            left = {at: Range(done.get(at, s.start), s.end) for at, s in kept.items()}
            return sum(1 for _ in reader.records(left))

    def bounds(self, topic: str) -> Mapping[TopicPartition, Range]:
        with TopicReader(KafkaSettings(self.kafka)) as reader:
            return reader.bounds(reader.topics()[topic])

    def ends(self) -> dict[TopicPartition, int]:
        """Of every topic but Kafka's own, to the high watermark."""
        with TopicReader(KafkaSettings(self.kafka)) as reader:
            ours = [at for name, ps in reader.topics().items() if name[:2] != "__" for at in ps]
            return {at: s.end for at, s in reader.bounds(ours, committed=False).items()}

    def records(self, topic: str, source: str) -> list[Record]:
        """Committed records of a topic that came from `source`; none where there is no topic."""
        with TopicReader(KafkaSettings(self.kafka)) as reader:
            partitions = reader.topics().get(topic, ())
            found = list(reader.records(reader.bounds(partitions)))
        return [r for r in found if ("ce_source", source.encode()) in r.headers]

    def ids(self, topic: str, source: str) -> Counter[str]:
        """How often each event of `source` is there."""
        return Counter(map(_id, self.records(topic, source)))

    def range(self) -> list[str]:
        """Options of a range from `begin` to now."""
        ends = self.bounds(INBOUND)
        begun = [at for at, start in self.starts.items() if start < ends[at].end]
        return [w for at in begun for w in ("--from", f"{at}@{self.starts[at]}")]

    def replay(self, *arguments: str) -> Done:
        """The command on the range from `begin` on."""
        return cimstream(self.kafka, "replay", "-i", "I7", "-o", "json", *self.range(), *arguments)

    def compared(self, *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
        """Exit status and the differences by log."""
        return compared(self.replay(*arguments))


def compared(done: Done) -> tuple[int, dict[str, dict[str, object]]]:
    """Exit status and the differences by log, of what the command wrote."""
    assert done.stdout, done.stderr.decode()
    document = json.loads(done.stdout.splitlines()[0])
    return done.returncode, {row["log"]: row for row in document["differences"]}


def counts(row: Mapping[str, object]) -> Sequence[object]:
    """Same, missing, different, log only."""
    return [row[kind] for kind in ("same", "missing", "different", "log_only")]


def written(done: Done) -> dict[str, object]:
    """What the command says that it wrote."""
    assert done.returncode == 0, done.stderr.decode()
    document: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return document
