"""Views fed from a real Kafka: exactly once through kills, one follower, logs that are lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.errors import StateLostError
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record
from streams.runtime.following import KafkaLogs
from streams.runtime.settings import Views
from streams.runtime.views import follow, open_database
from streams.runtime.wiring import MachineClock
from streams.views.follow import Follower
from streams.views.model import Log, read
from streams.views.sqlite import SqliteDatabase
from streams.views.store import StoreUnavailableError
from streams.views.tables import Database
from streams.views.writing import SqlWriter
from tests.integration.data_rig import committed, environment, make_topics
from tests.views.conftest import new_postgres
from tests.views.rig import CATALOGUE, MIDNIGHT, QUARTER, Silent, alarm, outage, series

pytestmark = pytest.mark.integration

# A context that no other test writes to.
OUTAGES = "cim.development.i1.outages.current"
ALARMS = "cim.development.i1.alarms"
READINGS = "cim.development.i7.meter-readings"
NOUNS = ("Outages", "Alarms", "MeterReadings")
PATIENCE_S = 90.0
ROUNDS, KILLS = 60, 2


class FollowerProcess:
    """`cimstream view follow` as a process of its own."""

    def __init__(self, kafka: str, url: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streams.cli",
                "view",
                "follow",
                "--database",
                url,
                "--http-port",
                "0",
            ],
            env={**environment(kafka), "CIMSTREAM__VIEWS__NOUNS": json.dumps(NOUNS)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_opened(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "view opened" in line:
                return
        raise AssertionError(f"ended with {self.process.wait()}")

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def followers(kafka: str) -> Iterator[Callable[[str], FollowerProcess]]:
    """Starts followers; whatever still runs at the end is killed."""
    started: list[FollowerProcess] = []

    def start(url: str) -> FollowerProcess:
        started.append(FollowerProcess(kafka, url))
        return started[-1]

    yield start
    for one in started:
        one.kill()


class Load:
    """Random changes of a register and of two histories, in transactions, some of them aborted."""

    def __init__(self, kafka: str, chance: random.Random) -> None:
        self._chance = chance
        self._mark = uuid.uuid4().hex[:8]
        settings = {"bootstrap.servers": kafka, "transactional.id": f"load-{self._mark}"}
        self._producer = Producer(settings)
        self._producer.init_transactions(PATIENCE_S)
        self._revision = 0

    def round(self) -> None:
        self._producer.begin_transaction()
        for _ in range(self._chance.randrange(1, 30)):
            topic, key, value = self._record()
            self._producer.produce(topic, value, key)
        self._producer.flush(PATIENCE_S)
        if self._chance.random() < 0.2:
            self._producer.abort_transaction(PATIENCE_S)
        else:
            self._producer.commit_transaction(PATIENCE_S)

    def _record(self) -> tuple[str, str, bytes | None]:
        self._revision += 1
        number, chance = self._revision, self._chance.random()
        mrid = f"{self._mark}-{self._chance.randrange(12)}"
        if chance < 0.1:
            return OUTAGES, mrid, None
        if chance < 0.4:
            return OUTAGES, mrid, outage(mrid, "open", number, names=[_name(str(number % 5))])
        if chance < 0.6:
            return ALARMS, mrid, alarm(mrid, MIDNIGHT + number)
        point = {"mRID": mrid, "names": [_name(mrid)]}
        first = MIDNIGHT + number % 3 * QUARTER
        return READINGS, mrid, series([float(number)] * 4, first=first, usage_point=point)


def _name(name: str) -> dict[str, Any]:
    return {"name": name, "type": None, "authority": None}


def content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a view but what belongs to its follower."""
    columns = {
        "objects": "context, noun, key, revision, first_ms, last_ms, body",
        "object_terms": "context, noun, kind, value, key",
        "events": "context, noun, time_ms, partition, log_offset, appended_ms, key, body",
        "event_terms": "context, noun, kind, value, time_ms, partition, log_offset, appended_ms",
        "readings": "context, key, reading_type, first_ms, last_ms, step_ms, partition, log_offset,"
        " appended_ms, meter, body",
        "subjects": "context, kind, value, key, day",
        "positions": "topic, partition, topic_id, next_offset",
    }
    return {
        table: sorted(
            (
                tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
                for row in database.execute(f"SELECT {names} FROM {table}")  # noqa: S608
            ),
            key=repr,
        )
        for table, names in columns.items()
    }  # fmt: skip


def of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    with closing(open_database(Views(database=url), write=False)) as database:
        return content(database)


def folded(records: list[Record]) -> set[tuple[str, bytes]]:
    """What a register is after these records."""
    newest = {record.key: record for record in records}
    return {((r.key or b"").decode(), r.value) for r in newest.values() if r.value is not None}


def test_a_view_is_what_its_logs_say_though_its_follower_was_killed_at_random_moments(
    kafka: str, tmp_path: Path, postgres: str, followers: Callable[[str], FollowerProcess]
) -> None:
    """In a file and in PostgreSQL at once; then others take over, and both are built anew."""
    make_topics(kafka)
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    load = Load(kafka, chance)
    urls = [str(tmp_path / "view.sqlite"), new_postgres(postgres)]
    running = [followers(url) for url in urls]
    for _ in range(KILLS):
        for one in running:
            one.await_opened()
        for _ in range(ROUNDS // KILLS):
            load.round()
        for number, one in enumerate(running):
            time.sleep(chance.random() * 0.3)
            one.kill()
            running[number] = followers(urls[number])
    for one in running:
        one.await_opened()
    heirs = [followers(url) for url in urls]
    load.round()
    assert [one.process.wait(PATIENCE_S) for one in running] == [75, 75]

    logs = {topic: committed(kafka, topic) for topic in (OUTAGES, ALARMS, READINGS)}
    newest = {(r.key, read(r.value or b"")["firstTimeStamp"]): r for r in logs[READINGS]}
    wanted = sorted((record.offset, record.value) for record in newest.values())
    deadline = time.monotonic() + PATIENCE_S
    for url in urls:
        while readings_of(url) != wanted:
            assert time.monotonic() < deadline, f"seed {seed}"
            time.sleep(0.2)
    for heir in heirs:
        heir.process.terminate()
        assert heir.process.wait(PATIENCE_S) == 0
    views = [of(url) for url in urls]
    for view in views:
        here = {
            name: [row for row in rows if row[0] == "DEVELOPMENT"] for name, rows in view.items()
        }
        objects = {(row[2], row[6]) for row in here["objects"]}
        assert objects == folded(logs[OUTAGES]), f"seed {seed}"
        events = sorted((row[4], row[7]) for row in here["events"])
        assert events == [(r.offset, r.value) for r in logs[ALARMS]], f"seed {seed}"
    assert without_positions(views[0]) == without_positions(views[1])
    for url, before in zip(urls, views, strict=True):
        rebuild(kafka, url)
        assert of(url) == before


def readings_of(url: str) -> list[tuple[int, bytes]]:
    return sorted((row[7], row[10]) for row in of(url)["readings"] if row[0] == "DEVELOPMENT")


def without_positions(view: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Two views of the same moment may stand before or behind a transaction's own record."""
    return {name: rows for name, rows in view.items() if name != "positions"}


def rebuild(kafka: str, url: str) -> None:
    settings = Views(database=url, nouns=NOUNS)
    follow(KafkaSettings(kafka), settings, CATALOGUE, Event(), once=True, anew=True)


def test_a_follower_waits_for_a_database_that_is_away(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_topics(kafka)
    turned: list[bool] = []
    opened = 0

    def open_(settings: Views, *, write: bool) -> Database:
        nonlocal opened
        opened += 1
        if opened in (2, 3):
            raise StoreUnavailableError("there", "away")
        return open_database(settings, write=write)

    monkeypatch.setattr("streams.runtime.views.open_database", open_)
    settings = Views(database=str(tmp_path / "view.sqlite"), nouns=("Outages",))
    kept = KafkaSettings(kafka)
    follow(kept, settings, CATALOGUE, Event(), once=True, turned=turned.append)
    assert (opened, turned[:2], turned[-1]) == (4, [False, False], True)


@pytest.fixture
def topic(kafka: str) -> Iterator[str]:
    """A log of its own, with three records in it."""
    name = f"view-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    make(admin, name)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(3):
        producer.produce(name, series([float(number)]), "m", partition=0)
    producer.flush(PATIENCE_S)
    yield name
    admin.delete_topics([name])


def make(admin: AdminClient, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while admin.create_topics([NewTopic(name, 1, 1)])[name].exception(PATIENCE_S) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def followed(kafka: str, topic: str, file: Path, *, turns: int = 200) -> None:
    """Follow one log until it was read to its end."""
    logs = {topic: Log(topic, "PRODUCTION", "MeterReadings", "readings")}
    with (
        closing(KafkaLogs(KafkaSettings(kafka), "test")) as source,
        closing(SqlWriter(SqliteDatabase(file, write=True))) as writer,
    ):
        follower = Follower(
            writer, source, logs, window_ms=10**9, clock=MachineClock(), telemetry=Silent()
        )
        follower.open()
        for _ in range(turns):
            follower.turn(0.1)
            if follower.caught_up:
                return
    raise AssertionError("not read to its end")


def test_a_log_that_was_deleted_and_made_anew_is_refused(
    kafka: str, topic: str, tmp_path: Path
) -> None:
    file = tmp_path / "view.sqlite"
    followed(kafka, topic, file)
    admin = AdminClient({"bootstrap.servers": kafka})
    wait(list(admin.delete_topics([topic]).values()))
    make(admin, topic)
    with closing(KafkaLogs(KafkaSettings(kafka), "test")) as logs:
        while not logs.identify([topic]):
            time.sleep(0.05)
    with pytest.raises(StateLostError, match="made anew"):
        followed(kafka, topic, file)


def test_a_log_that_was_cut_before_it_was_read_is_refused(
    kafka: str, topic: str, tmp_path: Path
) -> None:
    file = tmp_path / "view.sqlite"
    followed(kafka, topic, file)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(3):
        producer.produce(topic, series([float(number)]), "m", partition=0)
    producer.flush(PATIENCE_S)
    admin = AdminClient({"bootstrap.servers": kafka})
    wait(list(admin.delete_records([KafkaPartition(topic, 0, 5)]).values()))
    with pytest.raises(StateLostError, match="begins at 5"):
        followed(kafka, topic, file)
