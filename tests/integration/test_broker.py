"""The local broker's life: up, twice up, status, down, a death in between; on real processes."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams import cli
from streams.runtime import broker
from streams.runtime.broker import BrokerInfo, BrokerSettings
from streams.runtime.kafka import jars, process
from streams.runtime.kafka.errors import BrokerError
from tests.commands import examples
from topics import provision

pytestmark = pytest.mark.integration

if jars.find_java() is None:
    pytest.skip("the local broker needs Java", allow_module_level=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerSettings]:
    """A broker that runs already, for tests that leave it running."""
    shared = BrokerSettings(tmp_path_factory.mktemp("running") / "broker", port=0, heap_mb=512)
    broker.up(shared)
    yield shared
    broker.down(shared)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[BrokerSettings]:
    mine = BrokerSettings(tmp_path / "broker", port=0, heap_mb=512)
    yield mine
    broker.down(mine)


def runs(info: BrokerInfo) -> bool:
    assert info.pid is not None
    return process.is_ours(info.pid, "cimstream.broker=")


def port_of(info: BrokerInfo) -> int:
    return int(info.bootstrap.rpartition(":")[2])


def create_topic(info: BrokerInfo, name: str) -> None:
    client = AdminClient({"bootstrap.servers": info.bootstrap})
    client.create_topics([NewTopic(name, 1, 1)])[name].result()


def topics_of(info: BrokerInfo) -> set[str]:
    return set(provision.cluster(provision.connect(info.bootstrap)).topics)


def kill(info: BrokerInfo) -> None:
    assert info.pid is not None
    os.kill(info.pid, signal.SIGKILL)
    while runs(info):
        time.sleep(0.02)


def test_up_gives_a_broker_that_answers_and_down_leaves_nothing_behind(
    settings: BrokerSettings,
) -> None:
    started = broker.up(settings)
    assert started.version == jars.kafka_version()
    assert provision.cluster(provision.connect(started.bootstrap)).brokers == 1
    assert broker.status(settings) == started

    assert broker.down(settings) == started
    assert not runs(started)
    assert not settings.data_folder.exists()
    assert broker.status(settings) is None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port_of(started)), timeout=1).close()


def test_up_twice_leaves_the_first_broker_as_it_is(running: BrokerSettings) -> None:
    assert broker.up(running) == broker.status(running) == broker.up(running)


def test_a_broker_that_runs_already_is_used_and_left_running(running: BrokerSettings) -> None:
    before = broker.status(running)
    with broker.broker_for(running, environment={}) as found:
        assert found == before
    assert broker.status(running) == before


def test_the_data_of_a_broker_that_died_are_used_again_or_removed(
    settings: BrokerSettings,
) -> None:
    first = broker.up(settings)
    create_topic(first, "cim.survivor")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)  # and at once, while it is still dying:

    second = broker.up(settings)
    assert second.pid != first.pid
    assert "cim.survivor" in topics_of(second)

    kill(second)
    assert broker.down(settings) is None
    assert not settings.data_folder.exists()


def test_kept_data_are_there_after_the_next_up_on_another_port(settings: BrokerSettings) -> None:
    first = broker.up(settings)
    create_topic(first, "cim.kept")
    broker.down(settings, keep_data=True)
    assert not runs(first)
    second = broker.up(settings)
    assert "cim.kept" in topics_of(second)


def test_a_broker_started_for_a_piece_of_work_ends_with_it_even_when_it_fails(
    settings: BrokerSettings,
) -> None:
    class WorkFailedError(Exception):
        pass

    with pytest.raises(WorkFailedError), broker.broker_for(settings, environment={}) as found:
        raise WorkFailedError
    assert broker.status(settings) is None
    assert found.origin == "docker" or not runs(found)


def test_a_port_in_use_is_refused_before_anything_is_started(settings: BrokerSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = BrokerSettings(settings.data_folder, port=port, heap_mb=512)
        with pytest.raises(BrokerError, match="port_in_use"):
            broker.up(taken)
    assert broker.status(taken) is None


def test_a_broker_that_cannot_start_says_where_its_log_is_and_leaves_no_process(
    settings: BrokerSettings,
) -> None:
    folder = settings.data_folder
    (folder / "logs").mkdir(parents=True)
    (folder / "cimstream-broker.lock").touch()
    identity = folder / "logs" / "meta.properties"
    identity.write_text("version=1\ncluster.id=other\nnode.id=7\n", encoding="utf-8")
    with pytest.raises(BrokerError) as caught:
        broker.up(settings)
    assert caught.value.code == "start_failed"
    assert caught.value.where == str(folder / "broker.log")
    assert "node id" in caught.value.why
    assert broker.status(settings) is None


def test_the_examples_in_the_help_lead_from_nothing_to_topics_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(broker.BOOTSTRAP_VARIABLE, raising=False)

    def said(*words: str) -> tuple[int, str]:
        (arguments,) = examples(words)
        code = cli.execute(arguments)
        return code, capsys.readouterr().out

    try:
        code, out = said("broker", "up")
        assert (code, out.split(":")[0]) == (0, "started")
        assert said("broker", "up")[1].startswith("already running: Apache Kafka")
        assert said("broker", "status")[0] == 0
        assert said("topics", "plan")[0] == 3
        assert said("topics", "apply")[0] == 0
        assert said("topics", "plan")[0] == 0
        assert said("doctor")[0] == 0
    finally:
        code, out = said("broker", "down")
    assert (code, out.split(":")[0]) == (0, "stopped")
    assert said("broker", "status") == (1, "not running\n")
    assert said("broker", "down") == (0, "not running\n")
