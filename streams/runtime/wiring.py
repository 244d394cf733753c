"""Putting a worker together from settings: the one place that names every part."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from connectors.secret_files import read_secret
from streams.engine.events import Telemetry
from streams.engine.kafka import (
    ChangelogReader,
    GroupSource,
    KafkaSettings,
    RecordReader,
    TransactionalProducer,
)
from streams.engine.processor import Processor
from streams.engine.rocks import RocksState
from streams.engine.worker import Limits, Worker
from streams.processors.intake import Intake
from streams.processors.pipeline import Pipeline
from streams.processors.registers import MODEL_OBJECTS_MAX, Registers
from streams.runtime.settings import Settings
from topics import Catalogue

# What a broker with default settings allows.
SESSION_TIMEOUT_MS: Final = 6_000
# Six heartbeats: one that is late on a busy machine is not taken for a death.
_SESSION_TIMEOUT_MIN_MS: Final = 2_000


# A quarter of what two quiet cores write. The rest is for busy ones (ADR 0015).
_MODEL_OBJECTS_PER_S: Final = 4_000


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """Everything a worker of one slot is made from."""

    catalogue: Catalogue
    interfaces: tuple[str, ...]
    kafka: KafkaSettings
    limits: Limits
    state_folder: Path


class MachineClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()

    def epoch_ms(self) -> int:
        """Milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def with_session_timeout(settings: Settings, allowed_ms: int | None) -> Settings:
    """The settings, with the shortest session time-out that is allowed where none was chosen."""
    if settings.kafka.session_timeout_ms is not None or allowed_ms is None:
        return settings
    chosen = max(allowed_ms, _SESSION_TIMEOUT_MIN_MS)
    kafka = settings.kafka.model_copy(update={"session_timeout_ms": chosen})
    return settings.model_copy(update={"kafka": kafka})


def kafka_settings(settings: Settings, bootstrap: str, catalogue: Catalogue) -> KafkaSettings:
    """What the engine's Kafka adapter needs, secrets read from their files.

    Raises:
        OperatorError: as `read_secret`.
    """
    kafka = settings.kafka
    secrets = {
        name: read_secret(file, f"kafka.secret_files {name}")
        for name, file in kafka.secret_files.items()
    }
    return KafkaSettings(
        bootstrap,
        message_bytes_max=catalogue.message_bytes_max,
        transaction_timeout_ms=kafka.transaction_timeout_ms,
        long_transaction_timeout_ms=kafka.long_transaction_timeout_ms,
        session_timeout_ms=kafka.session_timeout_ms or SESSION_TIMEOUT_MS,
        request_timeout_s=kafka.request_timeout_s,
        extra={**kafka.properties, **secrets},
    )


def model_objects_max(long_transaction_timeout_ms: int) -> int:
    """How many objects a version of a model may have, to be written before its transaction ends.

    All that are written are in one transaction (ADR 0015); one that outlives its time-out would be
    tried again for ever.
    """
    return min(MODEL_OBJECTS_MAX, long_transaction_timeout_ms * _MODEL_OBJECTS_PER_S // 1000)


def make_worker(plan: WorkerPlan, slot: int, telemetry: Telemetry) -> Worker:
    """The worker of one slot, ready to run."""
    intake = Intake(plan.catalogue, plan.interfaces)
    objects_max = model_objects_max(plan.kafka.long_transaction_timeout_ms)
    registers = Registers(plan.catalogue, plan.interfaces, objects_max)
    processor = Pipeline([cast(Processor[object], intake), cast(Processor[object], registers)])
    return engine_worker(plan, slot, cast(Processor[object], processor), telemetry)


def engine_worker(
    plan: WorkerPlan,
    slot: int,
    processor: Processor[object],
    telemetry: Telemetry,
    *,
    begin_ms: int | None = None,
) -> Worker:
    """The worker of one slot of any processor; `begin_ms` as for `GroupSource`."""
    member = f"{processor.name}-{slot}"
    return Worker(
        processor,
        source=GroupSource(plan.kafka, processor.name, member, begin_ms=begin_ms),
        log=TransactionalProducer(plan.kafka, member),
        changelogs=ChangelogReader(plan.kafka, f"{member}-restore"),
        reader=RecordReader(plan.kafka, f"{member}-reader"),
        state=RocksState(plan.state_folder / member),
        telemetry=telemetry,
        clock=MachineClock(),
        limits=plan.limits,
    )
