"""What the real pipeline made of its inbound topic is what must follow from it.

One run with workers killed in the middle serves all tests: the demonstration's messages, good,
repeated, conflicting and bad. It must give no difference; then differences are planted, one
by one, and each must be named, or the check would prove nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import Producer

from connectors.inbound import admit
from streams.demo.scenario import Sent
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record
from streams.engine.rocks import RocksState
from streams.runtime import broker
from streams.runtime.broker import BrokerSettings
from streams.runtime.kafka import jars
from streams.runtime.reading import TopicReader
from tests.chaos.recompute import (
    COUNTERS,
    GROUP,
    INBOUND,
    MARKS,
    Cut,
    Difference,
    differences,
    differences_while_running,
    take,
)
from tests.chaos.test_ruling import thinned
from tests.integration.data_rig import make_topics
from tests.integration.test_run import Run
from topics import load_catalogue

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

if jars.find_java() is None:
    pytest.skip("needs a broker of its own, which needs Java", allow_module_level=True)

LOG = "cim.i7.meter-readings"
SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "avro" / "meter-reading-series.avsc"
PATIENCE_S = 90.0
PARTS = 4


@dataclass(frozen=True)
class Ran:
    """What a run left: the cluster, its state folder, what each cut on the way showed."""

    bootstrap: str
    folder: Path
    on_the_way: list[list[Difference]]
    cut: Cut


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A run of two workers, killed in turn, on a Kafka that nobody else uses."""
    folder = tmp_path_factory.mktemp("recompute")
    settings = BrokerSettings(folder / "broker", port=0, heap_mb=512)
    bootstrap = broker.up(settings).bootstrap
    try:
        make_topics(bootstrap)
        subject = Run(bootstrap, folder / "state", "--interface", "I7", "--workers", "2")
        on_the_way = [differences_while_running(cut) for cut in _torment(bootstrap, subject)]
        assert subject.end() == 0
        yield Ran(bootstrap, folder / "state", on_the_way, take(bootstrap))
    finally:
        broker.down(settings)


def _torment(bootstrap: str, subject: Run) -> Iterator[Cut]:
    """Send everything in parts; after each, kill a worker and take a cut while others go on."""
    sent = [message for message in thinned() if message.kind != "10 MB"]
    stray = [message for message in sent if message.kind == "MeterReadings, Readings"][:5]
    size = len(sent) // PARTS + 1
    for start in range(0, len(sent), size):
        pid = int(str(subject.await_event("worker started")["pid"]))
        _send(bootstrap, sent[start : start + size])
        os.kill(pid, signal.SIGKILL)
        yield take(bootstrap)
    _send(bootstrap, stray, partition=0)  # repeats, most of them on a foreign partition
    deadline = time.monotonic() + PATIENCE_S
    while _lag(bootstrap):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _send(bootstrap: str, messages: list[Sent], partition: int = -1) -> None:
    """Write the messages to inbound as a connector would, or all to one partition."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 5}
    )
    catalogue = load_catalogue()
    for message in messages:
        admitted = admit(message.data, "I7", catalogue, received_ms=0)
        producer.produce(
            admitted.topic, admitted.value, admitted.key, partition, headers=[*admitted.headers]
        )
        producer.poll(0)
    assert producer.flush(PATIENCE_S) == 0


def _lag(bootstrap: str) -> int:
    with TopicReader(KafkaSettings(bootstrap)) as reader:
        partitions = reader.topics()[INBOUND]
        ends = {at: span.end for at, span in reader.bounds(partitions).items()}
        done = reader.group_offsets(GROUP, partitions)
    return sum(end - done.get(at, 0) for at, end in ends.items())


# --- nothing is wrong ---------------------------------------------------------------------------


def test_every_cut_of_a_run_with_kills_has_exactly_the_events_and_energy_of_its_input(
    ran: Ran,
) -> None:
    assert len(ran.on_the_way) == PARTS
    assert [named for cut in ran.on_the_way for named in cut] == []


def test_marks_counters_events_statistics_and_stores_follow_from_the_inbound_topic(
    ran: Ran,
) -> None:
    assert differences(ran.cut, ran.folder) == []


def test_the_run_had_everything_that_the_check_is_about(ran: Ran) -> None:
    """Else the other tests would agree about nothing."""
    counted = {record.key.decode().split("|")[0] for record in ran.cut.of(COUNTERS) if record.key}
    assert {"received", "produced", "duplicates", "rejected", "rerouted"} <= counted
    assert sum(1 for _ in ran.cut.of(LOG)) > 300
    assert sum(1 for _ in ran.cut.of(MARKS)) > 100
    assert len(list(ran.folder.glob("intake-*"))) == 2


# --- planted ------------------------------------------------------------------------------------


def dropped(record: Record) -> list[Record]:
    return []


def doubled(record: Record) -> list[Record]:
    return [record, record._replace(offset=record.offset + 1)]


def with_another_key(record: Record) -> list[Record]:
    return [record._replace(key=b"another meter")]


def with_another_value(record: Record) -> list[Record]:
    """One reading has a kWh more."""
    schema = fastavro.parse_schema(json.loads(SCHEMA.read_text("utf-8")))
    value = record.value or b""
    event = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
    assert isinstance(event, dict)
    event["values"][0] += 1
    changed = BytesIO()
    fastavro.schemaless_writer(changed, schema, event)
    return [record._replace(value=value[:5] + changed.getvalue())]


def one_more(record: Record) -> list[Record]:
    """The last byte of the value counts one more: of a counter, of a mark's digest."""
    *head, last = record.value or b""
    return [record._replace(value=bytes([*head, (last + 1) % 256]))]


EVENT = {"events", "statistics", "energy"}


@pytest.mark.parametrize(
    ("topic", "key", "spoil", "named"),
    [
        (LOG, b"", dropped, EVENT),
        (LOG, b"", doubled, EVENT),
        (LOG, b"", with_another_key, {"events", "statistics"}),
        (LOG, b"", with_another_value, {"statistics", "energy"}),
        ("cim.i7.end-device-events", b"", dropped, {"events"}),
        ("cim.i7.rejected", b"", dropped, {"rejections"}),
        ("cim.i7.rejected", b"", doubled, {"rejections"}),
        (MARKS, b"", dropped, {"marks"}),
        (MARKS, b"", one_more, {"marks"}),
        (COUNTERS, b"received|", one_more, {"counters"}),
        (COUNTERS, b"rejected|", one_more, {"counters"}),
        (COUNTERS, b"duplicates|", one_more, {"counters"}),
    ],
)
def test_a_planted_difference_is_named(
    ran: Ran, topic: str, key: bytes, spoil: Callable[[Record], list[Record]], named: set[str]
) -> None:
    assert {difference.what for difference in differences(spoilt(ran, topic, key, spoil))} == named


def spoilt(ran: Ran, topic: str, key: bytes, spoil: Callable[[Record], list[Record]]) -> Cut:
    """The cut with the newest record of a topic, among those of such keys, spoilt."""
    newest = [r for r in ran.cut.of(topic) if (r.key or b"").startswith(key)][-1]
    log = ran.cut.records[newest.source]
    at = log.index(newest)
    changed = [*log[:at], *spoil(newest), *log[at + 1 :]]
    return replace(ran.cut, records={**ran.cut.records, newest.source: changed})


def test_a_forwarded_message_that_did_not_arrive_is_named(ran: Ran) -> None:
    forwarded = [r for r in ran.cut.of(INBOUND) if "cimstream_reroutedfrom" in dict(r.headers)]
    (at, lost) = (forwarded[-1].source, forwarded[-1])
    kept = [record for record in ran.cut.records[at] if record != lost]
    cut = replace(ran.cut, records={**ran.cut.records, at: kept})

    assert {difference.what for difference in differences(cut)} == {"forwards", "counters"}


def test_an_event_whose_input_is_not_committed_is_named(ran: Ran) -> None:
    newest = max(ran.cut.processed.items())[0]
    cut = replace(ran.cut, processed={**ran.cut.processed, newest: 0})

    early = "event before its input is committed"
    assert {difference.what for difference in differences_while_running(cut)} == {early}


def test_a_mark_that_the_local_store_has_otherwise_is_named(ran: Ran, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    shutil.copytree(ran.folder, folder)
    slot = next(iter(sorted(folder.glob("intake-*"))))
    state = RocksState(slot)
    (at, key) = next(
        (at, key)
        for at in ran.cut.records
        if at.topic == MARKS and state.checkpoint(at)
        for key, _ in state.items(at)
    )
    state.apply({at: {key: b"another", b"nobody's": b"mark"}}, {})
    state.close()

    wrong = differences(ran.cut, folder)

    assert [difference.what for difference in wrong] == ["local state"] * 2
    assert any(key.hex() in difference.place for difference in wrong)


def test_an_event_produced_by_hand_is_named_with_its_identity(ran: Ran) -> None:
    """On the real log; last, because the log keeps it."""
    event = next(ran.cut.of(LOG))
    producer = Producer({"bootstrap.servers": ran.bootstrap})
    producer.produce(LOG, event.value, event.key, event.partition, headers=[*event.headers])
    assert producer.flush(PATIENCE_S) == 0

    wrong = differences_while_running(take(ran.bootstrap))

    assert {difference.what for difference in wrong} == EVENT
    (twice,) = (difference for difference in wrong if difference.what == "events")
    assert dict(event.headers)["ce_id"].decode() in twice.place
