"""The folder source on a real Kafka: each file exactly once, whatever dies."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.api import Batch, Received
from connectors.files.config import FilesConfig
from connectors.files.source import FolderSource
from connectors.inbound import Admitted
from streams.engine.errors import FencedError
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime import sources
from streams.runtime.reading import Range, TopicReader
from streams.runtime.sources import SourceCommitted, SourceEvent, run_source
from tests.integration.data_rig import (
    ROOT,
    committed,
    environment,
    fill,
    make_topics,
    message,
    times_there,
)
from topics import load_catalogue

pytestmark = pytest.mark.integration

INBOUND = "cim.i7.inbound"


@pytest.fixture(scope="module")
def cluster(kafka: str) -> str:
    make_topics(kafka)
    return kafka


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


class Quiet:
    """Telemetry that remembers."""

    def __init__(self) -> None:
        self.events: list[SourceEvent] = []

    def emit(self, event: SourceEvent) -> None:
        self.events.append(event)

    def sent(self) -> list[str]:
        found = [event for event in self.events if isinstance(event, SourceCommitted)]
        return [received.origin for event in found for received in event.records]


class UntilIdle(FolderSource):
    """Stops its runner when there is nothing more."""

    stop: threading.Event

    def poll(self, records_max: int, timeout_s: float) -> Batch | None:
        batch = super().poll(records_max, timeout_s)
        if batch is None:
            self.stop.set()
        return batch


def run_until_idle(cluster: str, folder: Path, name: str, **settings: object) -> list[str]:
    """Drive a source in this process; the files it sent."""
    config = FilesConfig.model_validate(
        {"folder": folder, "interface": "I7", "settle_s": 0.0, **settings}
    )
    source, telemetry = UntilIdle(name, config, load_catalogue()), Quiet()
    source.stop = threading.Event()
    run_source(source, KafkaSettings(cluster), telemetry, source.stop)
    return telemetry.sent()


def child(cluster: str, folder: Path, name: str, *crash: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.files_child", cluster, str(folder), name, *crash],
        stdout=subprocess.PIPE,
        env=environment(cluster),
        cwd=ROOT,
        text=True,
    )


def end_of(process: subprocess.Popen[str]) -> int:
    with process:
        process.communicate(timeout=120)
    return process.returncode


@pytest.mark.chaos
def test_killed_at_random_moments_each_file_is_there_exactly_once(
    cluster: str, tmp_path: Path, name: str
) -> None:
    """Goal: no loss and no repeat. Method: kill -9 some moment behind some batch, until done."""
    contents = fill(tmp_path, 300)
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    kills = 0
    while kills < 12:
        moment = ("polled", str(chance.randrange(1, 10)), str(chance.randrange(40)))
        if end_of(child(cluster, tmp_path, name, *moment)) == 0:
            break
        kills += 1
    assert kills >= 5, f"seed {seed}"
    assert end_of(child(cluster, tmp_path, name)) == 0
    times = times_there(cluster, INBOUND, contents.values())
    assert times == [1] * len(contents), f"seed {seed}"


@pytest.mark.parametrize("step", ["polled", "produced", "committed"])
def test_killed_at_each_step_of_a_commit_each_file_is_there_exactly_once(
    cluster: str, tmp_path: Path, name: str, step: str
) -> None:
    contents = fill(tmp_path, 20)
    for nth in ("1", "3"):
        assert end_of(child(cluster, tmp_path, name, step, nth)) == -9
    assert end_of(child(cluster, tmp_path, name)) == 0
    assert times_there(cluster, INBOUND, contents.values()) == [1] * len(contents)


def test_a_second_run_sends_only_what_is_new_or_changed(
    cluster: str, tmp_path: Path, name: str
) -> None:
    fill(tmp_path, 10)
    assert len(run_until_idle(cluster, tmp_path, name)) == 10
    assert run_until_idle(cluster, tmp_path, name) == []
    (tmp_path / "new.xml").write_bytes(message())
    (tmp_path / "0" / "0000.xml").write_bytes(message())
    assert run_until_idle(cluster, tmp_path, name) == ["0/0000.xml", "new.xml"]


def test_sources_do_not_see_each_others_positions(cluster: str, tmp_path: Path, name: str) -> None:
    fill(tmp_path, 3)
    assert len(run_until_idle(cluster, tmp_path, name)) == 3
    assert len(run_until_idle(cluster, tmp_path, f"{name}-b")) == 3
    keys = {record.key for record in committed(cluster, "cim.files.positions") if record.key}
    assert {key for key in keys if key.startswith(name.encode() + b"/")} == {
        f"{name}/{number}/{number:04}.xml".encode() for number in range(3)
    }


def test_a_process_of_the_same_name_takes_over_and_the_first_has_no_effect_any_more(
    cluster: str, tmp_path: Path, name: str
) -> None:
    contents = fill(tmp_path, 5)
    polled, go_on = threading.Event(), threading.Event()

    class Held(FolderSource):
        """Holds its first batch back until another process has taken over."""

        def poll(self, records_max: int, timeout_s: float) -> Batch | None:
            batch = super().poll(records_max, timeout_s)
            polled.set()
            assert go_on.wait(60)
            return batch

    config = FilesConfig(folder=tmp_path, interface="I7", settle_s=0.0)
    first = Held(name, config, load_catalogue())
    outcome: list[BaseException] = []

    def run_first() -> None:
        try:
            run_source(first, KafkaSettings(cluster), Quiet(), threading.Event())
        except FencedError as error:
            outcome.append(error)

    thread = threading.Thread(target=run_first)
    thread.start()
    assert polled.wait(60)
    assert len(run_until_idle(cluster, tmp_path, name)) == 5
    go_on.set()
    thread.join(60)
    assert not thread.is_alive()
    assert [type(error) for error in outcome] == [FencedError]
    assert times_there(cluster, INBOUND, contents.values()) == [1] * 5


def test_positions_behind_another_sources_open_transaction_are_waited_for(
    cluster: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: readers see nothing behind an open transaction, and we must not take that for all.

    Method: another source opens one, ours commits behind it and starts again; the other ends
    only once ours has asked how far to read.
    """
    contents = fill(tmp_path, 5)
    other = TransactionalProducer(KafkaSettings(cluster), f"other-{name}")
    other.reset()
    in_the_way: list[bool] = []

    class Overtaken(UntilIdle):
        def poll(self, records_max: int, timeout_s: float) -> Batch | None:
            if not in_the_way:
                in_the_way.append(True)
                other.begin()
                other.produce(Output("cim.files.positions", b"other/x", b"{}"))
                other._producer.flush()  # type: ignore[union-attr]
            return super().poll(records_max, timeout_s)

    class EndsOther(TopicReader):
        def records(self, ranges: Mapping[TopicPartition, Range]) -> Iterator[Record]:
            if in_the_way:
                other.abort()
            return super().records(ranges)

    monkeypatch.setattr(sources, "TopicReader", EndsOther)
    config = FilesConfig(folder=tmp_path, interface="I7", settle_s=0.0)
    first = Overtaken(name, config, load_catalogue())
    first.stop = threading.Event()
    run_source(first, KafkaSettings(cluster), Quiet(), first.stop)
    assert run_until_idle(cluster, tmp_path, name) == []
    other.close()
    assert times_there(cluster, INBOUND, contents.values()) == [1] * 5


def test_sent_files_are_deleted_after_the_commit(cluster: str, tmp_path: Path, name: str) -> None:
    contents = fill(tmp_path, 10)
    assert len(run_until_idle(cluster, tmp_path, name, after="delete")) == 10
    assert not list(tmp_path.rglob("*.xml"))
    assert times_there(cluster, INBOUND, contents.values()) == [1] * 10


def test_an_oversize_file_is_refused_and_its_neighbours_pass(
    cluster: str, tmp_path: Path, name: str
) -> None:
    contents = fill(tmp_path, 2)
    with (tmp_path / "big.xml").open("wb") as file:
        file.truncate(10_000_000)
    assert len(run_until_idle(cluster, tmp_path, name)) == 3
    assert times_there(cluster, INBOUND, contents.values()) == [1, 1]
    where = f"{name}: big.xml".encode()
    refused = [
        dict(record.headers)
        for record in committed(cluster, "cim.i7.rejected")
        if ("cimstream_where", where) in record.headers
    ]
    assert [found["cimstream_size"] for found in refused] == [b"10000000"]
    assert run_until_idle(cluster, tmp_path, name) == []


class Two:
    """Two messages for topics of the test: the second is more than the broker takes."""

    def __init__(self, name: str, topic: str, stop: threading.Event) -> None:
        self.name = name
        self._topic = topic
        self._stop = stop
        self._next = 0

    def check(self) -> None:
        return

    def open(self, positions: Mapping[bytes, bytes]) -> None:
        self._next = int(positions.get(b"p", b"0"))

    def poll(self, records_max: int, timeout_s: float) -> Batch | None:
        values = [b"small", random.randbytes(50_000)][self._next :][:records_max]
        if not values:
            self._stop.set()
            return None
        records = tuple(
            Received(Admitted(self._topic, b"k", (), value, "k", f"{self._topic}.no"), "a file")
            for value in values
        )
        self._next += len(values)
        return Batch(records, {b"p": b"%d" % self._next})

    def committed(self, batch: Batch) -> tuple[()]:
        return ()

    def close(self) -> None:
        return


def test_what_the_broker_refuses_is_kept_as_a_refusal_and_does_not_stop_the_rest(
    cluster: str, name: str
) -> None:
    small = {"max.message.bytes": "20000"}
    wanted = [NewTopic(name, 1, 1, config=small), NewTopic(f"{name}.no", 1, 1)]
    admin = AdminClient({"bootstrap.servers": cluster})
    for future in admin.create_topics(wanted).values():
        future.result(30)
    stop = threading.Event()
    run_source(Two(name, name, stop), KafkaSettings(cluster), Quiet(), stop)
    assert [record.value for record in committed(cluster, name)] == [b"small"]
    (refusal,) = committed(cluster, f"{name}.no")
    told = dict(refusal.headers)
    assert told["cimstream_code"] == b"produce_refused"
    assert told["cimstream_where"] == b"a file"
    assert told["cimstream_size"] == b"50000"
