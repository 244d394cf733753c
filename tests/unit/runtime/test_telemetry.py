"""Telemetry: events become metrics and few log lines, and no payload in either."""

from __future__ import annotations

import io
import json
import logging

import pytest

from streams.engine.events import (
    BatchCommitted,
    LagMeasured,
    PartitionsAssigned,
    PartitionsRevoked,
    RecordRejected,
    RestoreCompleted,
    RestoreProgressed,
    StateWiped,
    Step,
    StepReached,
    TransactionAborted,
)
from streams.engine.record import TopicPartition
from streams.runtime.logs import ROOT, JsonFormatter, TextFormatter, log
from streams.runtime.metrics import REGISTRY
from streams.runtime.telemetry import WorkerTelemetry

AT = TopicPartition("cim.i7.inbound", 3)
LABELS = {"topic": "cim.i7.inbound", "partition": "3"}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(ROOT)
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    return stream


@pytest.fixture
def telemetry() -> WorkerTelemetry:
    return WorkerTelemetry(slot=0, clock=lambda: 0.0)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_committed_counts_reach_the_counters_of_their_labels(telemetry: WorkerTelemetry) -> None:
    labels = {"interface": "I7", "context": "PRODUCTION", "noun": "", "code": "noun_unknown"}
    before = value("cimstream_messages_rejected_total", **labels)

    counts: dict[tuple[str, ...], int] = {("rejected", "I7", "PRODUCTION", "", "noun_unknown"): 2}
    telemetry.emit(BatchCommitted(records=5, outputs=7, seconds=0.1, counts=counts))

    assert value("cimstream_messages_rejected_total", **labels) == before + 2


def test_a_restore_shows_what_remains_and_then_zero(telemetry: WorkerTelemetry) -> None:
    telemetry.emit(RestoreProgressed(AT, 42))
    assert value("cimstream_restore_remaining_records", **LABELS) == 42

    telemetry.emit(RestoreCompleted(AT, 42, 0.5))
    assert value("cimstream_restore_remaining_records", **LABELS) == 0


def test_a_revoked_partition_leaves_no_stale_lag(telemetry: WorkerTelemetry) -> None:
    telemetry.emit(PartitionsAssigned((AT,)))
    telemetry.emit(LagMeasured({AT: 7}))
    assert value("cimstream_lag_records", **LABELS) == 7

    telemetry.emit(PartitionsRevoked((AT,), lost=False))

    assert REGISTRY.get_sample_value("cimstream_lag_records", LABELS) is None


def test_normal_operation_is_silent(telemetry: WorkerTelemetry, lines: io.StringIO) -> None:
    telemetry.emit(StepReached(Step.COMMIT, done=True))
    telemetry.emit(BatchCommitted(1, 1, 0.1, {}))
    telemetry.emit(LagMeasured({AT: 0}))

    assert lines.getvalue() == ""


def test_what_repeats_fast_is_logged_once_per_code(
    telemetry: WorkerTelemetry, lines: io.StringIO
) -> None:
    for _ in range(100):
        telemetry.emit(TransactionAborted("transient", "broker away"))
        telemetry.emit(RecordRejected(AT, 5, "processing_failed", "KeyError"))
    telemetry.emit(TransactionAborted("outcome_unknown", "no answer"))

    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["code"] for line in logged] == [
        "transient",
        "processing_failed",
        "outcome_unknown",
    ]


def test_a_log_line_is_one_json_object_with_time_level_event_and_fields(
    telemetry: WorkerTelemetry, lines: io.StringIO
) -> None:
    telemetry.emit(StateWiped(AT, "its checkpoint is below the start of the changelog"))

    (line,) = (json.loads(text) for text in lines.getvalue().splitlines())
    assert line["ts"].endswith("+00:00")
    assert {k: line[k] for k in ("level", "event", "component", "topic", "partition")} == {
        "level": "WARNING",
        "event": "local state wiped",
        "component": "worker",
        "topic": "cim.i7.inbound",
        "partition": 3,
    }


def test_the_text_form_has_the_same_on_one_line() -> None:
    record = logging.LogRecord(ROOT, logging.INFO, "", 0, "worker started", None, None)
    record.fields = {"slot": 1}

    assert TextFormatter().format(record).endswith("INFO    worker started slot=1")


def test_a_line_below_the_level_is_not_written(lines: io.StringIO) -> None:
    log("worker", logging.DEBUG, "detail")

    assert lines.getvalue() == ""
