"""Rules on a real Kafka, from outside: what they send, through kills and other folders."""

from __future__ import annotations

import os
import random
import signal
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.avro import decode
from schemas.times import from_epoch_ms
from streams.engine.record import Record
from tests.integration.data_rig import cimstream, committed
from tests.integration.service import PATIENCE_S
from tests.integration.test_registers import outage, send
from tests.integration.test_run import Run, make_run
from topics.chains import CHAIN

pytestmark = pytest.mark.integration

ORDERS, INBOUND, OUTAGES = "cim.i4.work-orders", "cim.i4.inbound", "cim.i1.outages"
COUNT, KILLS = 120, 4


@pytest.fixture
def run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `cimstream run`; whatever still runs at the end is killed."""
    yield from make_run(kafka, tmp_path)


def new_rule(source: str, *, window: bool, version: int = 1, action: str = "repair") -> str:
    """A rule about the outages of one source, from now on."""
    counting = (
        '[window]\nkey = "event.mRID"\nmember = "event.mRID"\ncount = 1\nwithin_s = 1\nquiet_s = 60'
    )
    since = from_epoch_ms(time.time_ns() // 1_000_000 - 60_000)
    return f"""
version = {version}
since = "{since}"
description = "outages of one source"
[match]
noun = "Outages"
verbs = ["create", "change"]
when = "message.source == '{source}'"
{counting if window else ""}
[action]
interface = "I4"
noun = "WorkOrders"
verb = "create"
payload = '''<WorkOrders xmlns="urn:cimstream:WorkOrders:1"><WorkOrder>
<mRID>${{action.id}}</mRID><kind>{action}</kind><title>${{event.mRID}}</title>
</WorkOrder></WorkOrders>'''
"""


def of(kafka: str, topic: str, rule: str) -> list[Record]:
    """The committed records that a rule led to."""
    return [
        record
        for record in committed(kafka, topic)
        if f">{rule}@".encode() in dict(record.headers).get(CHAIN, b"")
    ]


def awaited(kafka: str, topic: str, rule: str, count: int) -> list[Record]:
    deadline = time.monotonic() + PATIENCE_S
    while len(found := of(kafka, topic, rule)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} on {topic}"
        time.sleep(0.2)
    return found


def settings(folder: Path) -> dict[str, str]:
    return {"CIMSTREAM__RULES__FOLDER": str(folder), "CIMSTREAM__RULES__HTTP_PORT": "0"}


def test_each_event_makes_its_message_once_while_rules_are_killed_hard(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    """On inbound already, where no one has looked for repeats yet; counted or not."""
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    unique = uuid.uuid4().hex[:8]
    source, plain, counting = f"OMS-{unique}", f"plain-{unique}", f"counting-{unique}"
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / f"{plain}.toml").write_text(new_rule(source, window=False))
    (folder / f"{counting}.toml").write_text(new_rule(source, window=True))
    subject = run("--interface", "I1", "--interface", "I4", **settings(folder))
    part = COUNT // KILLS
    for number in range(KILLS):
        worker = subject.await_event("rules started")
        numbers = range(number * part, (number + 1) * part)
        send(kafka, tmp_path, [outage(source, n, "x", "create") for n in numbers], "I1")
        time.sleep(chance.random())
        os.kill(int(str(worker["pid"])), signal.SIGKILL)
    for rule in (plain, counting):
        awaited(kafka, ORDERS, rule, COUNT)
        titles = Counter(
            decode(record.value or b"")[1]["title"] for record in of(kafka, ORDERS, rule)
        )
        assert titles == {f"{source}-{n}": 1 for n in range(COUNT)}, f"seed {seed}"
        sent = Counter(record.headers for record in of(kafka, INBOUND, rule))
        assert len(sent) == COUNT, f"seed {seed}"
        assert set(sent.values()) == {1}, f"seed {seed}"
    assert subject.end() == 0


def test_a_folder_that_changes_takes_effect_without_a_restart_and_a_broken_one_keeps_the_rules(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    unique = uuid.uuid4().hex[:8]
    source, rule, later = f"OMS-{unique}", f"first-{unique}", f"later-{unique}"
    folder = tmp_path / "rules"
    folder.mkdir()
    first = new_rule(source, window=False)
    subject = run("--interface", "I1", "--interface", "I4", **settings(folder))
    port = subject.await_event("rules started")["http"]

    (folder / f"{rule}.toml").write_text(first)
    while rule not in str(subject.await_event("rules in force")["rules"]):
        pass
    send(kafka, tmp_path, [outage(source, 1, "x", "create")], "I1")
    awaited(kafka, ORDERS, rule, 1)

    (folder / f"{rule}.toml").write_text(first.replace("repair", "patrol"))
    assert "version" in str(subject.await_event("rules not read")["reason"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert b"cimstream_rules_folder_invalid 1.0" in answer.read()
    send(kafka, tmp_path, [outage(source, 2, "x", "create")], "I1")
    kinds = [decode(r.value or b"")[1]["kind"] for r in awaited(kafka, ORDERS, rule, 2)]
    assert kinds == ["repair", "repair"]

    (folder / f"{rule}.toml").unlink()
    (folder / f"{later}.toml").write_text(new_rule(source, window=True, action="patrol"))
    while later not in str(subject.await_event("rules in force")["rules"]):
        pass
    send(kafka, tmp_path, [outage(source, 3, "x", "create")], "I1")
    awaited(kafka, ORDERS, later, 1)
    assert len(of(kafka, ORDERS, rule)) == 2
    assert len([line for line in subject.lines if line["event"] == "rules started"]) == 1
    assert subject.end() == 0

    trial = cimstream(
        kafka, "rules", "test", "--folder", folder, "--since", "5m", "--rule", later, "-o", "json"
    )
    assert trial.returncode == 0, trial.stderr
    assert trial.stdout.count(b'"outcome":"fired"') == 3  # since the beginning
    assert len(of(kafka, ORDERS, later)) == 1


def test_a_folder_with_a_mistake_starts_nothing(kafka: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("version = 1\n")
    done = cimstream(kafka, "rules", "check", "--folder", tmp_path)
    assert done.returncode == 2
    assert b"bad.toml" in done.stdout
