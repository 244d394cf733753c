"""Registers on a real Kafka, from outside: state, effects and replies through kills."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.avro import decode
from streams.demo import messages as m
from streams.engine.record import Record
from tests.integration.data_rig import cimstream, committed
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import Run, make_run

pytestmark = pytest.mark.integration

LOG, CURRENT, OUTBOUND = "cim.i1.outages", "cim.i1.outages.current", "cim.i1.outbound"
OBJECTS, CHANGES, KILLS = 40, 4, 3


@pytest.fixture
def run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `cimstream run`; whatever still runs at the end is killed."""
    yield from make_run(kafka, tmp_path)


def outage(source: str, number: int, cause: str, verb: str) -> bytes:
    body = (
        f'<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>{source}-{number}</mRID>'
        f"<cause>{cause}</cause><outageKind>unplanned</outageKind></Outage></Outages>"
    )
    message_id = f"{number}-{cause}"
    return m.envelope(body, message_id=message_id, verb=verb, noun="Outages", source=source)


def send(kafka: str, folder: Path, messages: list[bytes], interface: str) -> None:
    outbox = folder / uuid.uuid4().hex
    outbox.mkdir()
    for number, data in enumerate(messages):
        (outbox / f"{number:06d}.xml").write_bytes(data)
    done = cimstream(kafka, "send", outbox, "--interface", interface)
    assert done.returncode == 0, done.stderr


def of(kafka: str, topic: str, source: str) -> list[Record]:
    """The committed records of one sender, or to it."""
    wanted = {("ce_source", source.encode()), ("ce_destination", source.encode())}
    return [record for record in committed(kafka, topic) if wanted & set(record.headers)]


def awaited(kafka: str, topic: str, source: str, count: int) -> list[Record]:
    deadline = time.monotonic() + PATIENCE_S
    while len(found := of(kafka, topic, source)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} on {topic}"
        time.sleep(0.2)
    return found


def test_a_register_takes_each_change_once_and_in_order_while_workers_are_killed_hard(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    """Log, present state and replies, from two interfaces, and everything sent a second time."""
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    source = f"OMS-{uuid.uuid4().hex[:8]}"
    subject = run("--interface", "I1", "--interface", "I6")
    rounds = [
        [outage(source, n, str(step), "change" if step else "create") for n in range(OBJECTS)]
        for step in range(1 + CHANGES)
    ]
    for step, messages in enumerate(rounds):
        worker = subject.await_event("worker started") if step <= KILLS else None
        send(kafka, tmp_path, messages, "I1")
        if step < KILLS and worker is not None:
            time.sleep(chance.random())
            os.kill(int(str(worker["pid"])), signal.SIGKILL)
    every = [message for messages in rounds for message in messages]
    events = awaited(kafka, LOG, source, len(every))
    first_replies = awaited(kafka, OUTBOUND, source, len(every))
    send(kafka, tmp_path, every, "I1")
    replies = awaited(kafka, OUTBOUND, source, 2 * len(every))

    assert of(kafka, LOG, source) == events, f"seed {seed}"
    history = defaultdict(list)
    for event in events:
        _, record = decode(event.value or b"")
        history[event.key].append((record["revision"], record["cause"]))
    expected = [(step + 1, str(step)) for step in range(1 + CHANGES)]
    assert all(changes == expected for changes in history.values()), f"seed {seed}"
    assert len(history) == OBJECTS
    current = {record.key: record.value for record in of(kafka, CURRENT, source)}
    assert current == {event.key: event.value for event in events}
    assert len(first_replies) == len(every)
    assert set(Counter(reply.value for reply in replies).values()) == {2}
    assert subject.end() == 0
