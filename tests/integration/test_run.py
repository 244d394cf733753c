"""`cimstream run` from outside: processes, signals, sockets, and what is in Kafka afterwards."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.avro import decode
from streams.demo import messages as m
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record
from streams.runtime.reading import TopicReader
from tests.integration.data_rig import make_topics
from tests.integration.service import PATIENCE_S, Service, killed_at_the_end
from topics import load_catalogue

pytestmark = pytest.mark.integration

LOG = "cim.i7.meter-readings"


class Run(Service):
    """One `cimstream run` process and what it logs."""

    def __init__(self, bootstrap: str, folder: Path, *arguments: str, **variables: str) -> None:
        fixed = ("run", "--interface", "I7", "--http-port", "0", "--state-folder", str(folder))
        super().__init__(bootstrap, *fixed, *arguments, **variables)


@pytest.fixture
def run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `cimstream run`; whatever still runs at the end is killed."""
    yield from make_run(kafka, tmp_path)


def make_run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """See `run`; for fixtures of other files."""
    make_topics(kafka)
    started: list[Run] = []

    def start(*arguments: str, folder: str = "state", **variables: str) -> Run:
        started.append(Run(kafka, tmp_path / folder, *arguments, **variables))
        return started[-1]

    with killed_at_the_end(started):
        yield start


def cimstream(bootstrap: str, *arguments: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env={**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def send(bootstrap: str, folder: Path, source: str, numbers: range) -> None:
    """Write one message per number into a new folder and send it."""
    outbox = folder / uuid.uuid4().hex
    outbox.mkdir()
    for number in numbers:
        meter = m.full_meter(f"{source}-{number}", m.values(number, 4), m.times(4))
        data = m.envelope(m.meter_readings([meter]), message_id=f"m-{number}", source=source)
        (outbox / f"{number:06d}.xml").write_bytes(data)
    cimstream(bootstrap, "send", str(outbox), "--interface", "I7")


def committed(bootstrap: str, source: str) -> list[Record]:
    """Committed events of one source."""
    with TopicReader(KafkaSettings(bootstrap)) as reader:
        records = list(reader.records(reader.bounds(reader.topics()[LOG])))
    return [r for r in records if ("ce_source", source.encode()) in r.headers]


def await_committed(bootstrap: str, source: str, count: int) -> list[Record]:
    """Wait until so many events of the source are committed."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        records = committed(bootstrap, source)
        if len(records) >= count:
            return records
        assert time.monotonic() < deadline, f"{len(records)} of {count}"
        time.sleep(0.2)


def new_source() -> str:
    return f"HES-{uuid.uuid4().hex[:8]}"


def test_each_message_takes_effect_once_while_workers_are_killed_hard(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    """Goal: kill -9 at random moments loses nothing and doubles nothing.

    Method: the worker is killed again and again while messages and their repeats come in.
    """
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    source = new_source()
    subject = run()
    for part in range(4):
        worker = subject.await_event("worker started")
        send(kafka, tmp_path, source, range(part * 100, part * 100 + 150))  # 50 of them again
        time.sleep(chance.random())
        os.kill(int(str(worker["pid"])), signal.SIGKILL)
    subject.await_event("worker started")

    records = await_committed(kafka, source, 450)

    times_seen = Counter(record.key for record in records)
    assert len(times_seen) == 450, f"seed {seed}"
    assert set(times_seen.values()) == {1}, f"seed {seed}"
    assert subject.end() == 0


def test_a_clean_stop_commits_and_the_next_start_reads_no_changelog(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    source = new_source()
    first = run()
    send(kafka, tmp_path, source, range(20))
    await_committed(kafka, source, 20)
    assert first.end() == 0

    second = run()
    send(kafka, tmp_path, source, range(15, 30))
    await_committed(kafka, source, 30)

    assert second.end() == 0
    assert [line for line in second.lines if line["event"] == "state restored"] == []


def test_a_lost_state_folder_is_restored_and_repeats_are_still_recognised(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    source = new_source()
    first = run()
    send(kafka, tmp_path, source, range(20))
    await_committed(kafka, source, 20)
    first.end()
    shutil.rmtree(tmp_path / "state")

    second = run()
    send(kafka, tmp_path, source, range(25))
    records = await_committed(kafka, source, 25)

    assert second.end() == 0
    assert max(Counter(record.key for record in records).values()) == 1
    assert any(line["event"] == "state restored" for line in second.lines)


def test_workers_end_when_their_supervisor_is_killed(run: Callable[..., Run]) -> None:
    subject = run()
    pid = int(str(subject.await_event("worker started")["pid"]))

    subject.process.kill()
    subject.process.wait()

    deadline = time.monotonic() + PATIENCE_S
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_second_run_on_the_machine_takes_the_next_slot_and_both_work(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    source = new_source()
    first = run()
    assert first.await_event("worker started")["slot"] == 0
    second = run()
    assert second.await_event("worker started")["slot"] == 1
    second.await_event("partitions assigned")

    send(kafka, tmp_path, source, range(60))
    await_committed(kafka, source, 60)

    assert (first.end(), second.end()) == (0, 0)


def test_a_run_that_stops_hands_over_at_once(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    """Method: its session would last longer than the test has patience."""
    source = new_source()
    stays = run("--first-slot", "1", folder="stays")
    stays.await_event("partitions assigned")
    goes = run("--first-slot", "0", folder="goes", CIMSTREAM__KAFKA__SESSION_TIMEOUT_MS="300000")
    goes.await_event("partitions assigned")
    send(kafka, tmp_path, source, range(30))
    await_committed(kafka, source, 30)

    assert goes.end() == 0
    send(kafka, tmp_path, source, range(30, 90))
    records = await_committed(kafka, source, 90)

    assert set(Counter(record.key for record in records).values()) == {1}
    assert not any(line["event"] == "group not left" for line in goes.lines)
    assert stays.end() == 0
    # One that has left in order leaves nothing behind for others to clear.
    assert not any(line["event"] == "dead slot cleared" for line in stays.lines)


def test_a_worker_whose_slot_is_taken_over_ends_and_is_not_started_again(
    run: Callable[..., Run],
) -> None:
    first = run("--first-slot", "0")
    first.await_event("partitions assigned")

    second = run("--first-slot", "0", folder="elsewhere")
    second.await_event("partitions assigned")

    assert first.process.wait(PATIENCE_S) == 75
    assert second.end() == 0


def test_ready_is_said_when_the_partitions_run_and_metrics_count_what_was_done(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    source = new_source()
    subject = run()
    port = subject.await_event("worker started")["http"]
    send(kafka, tmp_path, source, range(7))
    await_committed(kafka, source, 7)

    assert _get(f"http://127.0.0.1:{port}/health/live") == (200, "live\n")
    assert _get(f"http://127.0.0.1:{port}/health/ready") == (200, "ready\n")
    _, text = _get(f"http://127.0.0.1:{port}/metrics")
    produced = [line for line in text.splitlines()
                if line.startswith("cimstream_events_produced_total")]  # fmt: skip
    assert sum(float(line.rsplit(" ", 1)[1]) for line in produced) >= 7
    assert subject.end() == 0


def _get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own, on loopback
        return answer.status, answer.read().decode()


def test_run_refuses_topics_whose_partition_count_is_not_the_catalogues(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    """Goal: another count would send repeats elsewhere; nothing may start."""
    from importlib.resources import files

    folder = tmp_path / "catalogue"
    folder.mkdir()
    for file in files("topics.catalogue").iterdir():
        if file.name.endswith(".toml"):
            text = file.read_text()
            (folder / file.name).write_text(
                text.replace("inbound = 6", "inbound = 7") if "i07" in file.name else text
            )

    subject = run(CIMSTREAM__CATALOGUE=str(folder))

    assert subject.process.wait(PATIENCE_S) == 2
    _until_read(subject)
    assert any("topics_conflict" in str(line["event"]) for line in subject.lines)


def _until_read(subject: Run) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while subject._queue.empty() or None not in list(subject._queue.queue):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_folder_source_of_the_settings_feeds_the_pipeline(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    source, folder = new_source(), tmp_path / "from-head-end"
    folder.mkdir()
    settings = tmp_path / "cimstream.toml"
    settings.write_text(
        f'[sources.{source.lower()}]\ntype = "files"\nfolder = "{folder}"\ninterface = "I7"\n'
        "settle_s = 0.0\n"
    )
    subject = run("--config", str(settings))
    subject.await_event("source opened")
    for number in range(5):
        meter = m.full_meter(f"{source}-{number}", m.values(number, 4), m.times(4))
        data = m.envelope(m.meter_readings([meter]), message_id=f"m-{number}", source=source)
        (folder / f"{number}.part").write_bytes(data)
        (folder / f"{number}.part").rename(folder / f"{number}.xml")

    records = await_committed(kafka, source, 5)

    assert {record.key for record in records} == {f"{source}-{n}".encode() for n in range(5)}
    assert subject.end() == 0


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ('type = "carrier-pigeon"', "carrier-pigeon"),
        ('type = "files"\nfolder = "/nowhere/at/all"\ninterface = "I7"', "/nowhere/at/all"),
        ('type = "files"\nfolder = "."\ninterface = "I12"', "interface"),
    ],
)
def test_a_source_that_can_never_work_is_refused_before_anything_starts(
    run: Callable[..., Run], tmp_path: Path, entry: str, word: str
) -> None:
    settings = tmp_path / "cimstream.toml"
    settings.write_text(f"[sources.bad]\n{entry}\n")

    subject = run("--config", str(settings))

    assert subject.process.wait(PATIENCE_S) == 2
    _until_read(subject)
    assert any(word in str(line["event"]) for line in subject.lines)


def test_an_unknown_interface_is_refused(run: Callable[..., Run]) -> None:
    assert run("--interface", "I12").process.wait(PATIENCE_S) == 2


def test_events_are_attributed_to_the_record_that_brought_them(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    source = new_source()
    subject = run()
    send(kafka, tmp_path, source, range(3))
    records = await_committed(kafka, source, 3)
    subject.end()

    with TopicReader(KafkaSettings(kafka)) as reader:
        at = reader.topics()["cim.i7.inbound"]
        inbound = {(r.partition, r.offset): r for r in reader.records(reader.bounds(at))}
    for record in records:
        event = decode(record.value or b"")[1]
        origin = event["provenance"]
        raw = inbound[origin["partition"], origin["offset"]].value or b""
        assert event["meter"]["mRID"].encode() in raw


def test_every_noun_log_of_the_catalogue_exists_after_apply(kafka: str) -> None:
    cimstream(kafka, "topics", "apply")
    with TopicReader(KafkaSettings(kafka)) as reader:
        existing = reader.topics()

    wanted = {spec.name: spec.partitions for spec in load_catalogue().topics()}
    assert {name: len(existing.get(name, ())) for name in wanted} == wanted
