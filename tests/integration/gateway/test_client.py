"""The client and a gateway that is killed or stopped: one effect, one answer, each event once."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Thread
from typing import Any

import httpx
import pytest

from connectors.client import Client, ConflictError, Event, Reply
from tests.integration.data_rig import cimstream, lines, message
from tests.integration.gateway.rig import GatewayRun, awaited, new_source, of
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import Run

pytestmark = pytest.mark.integration

LOG = "cim.i7.meter-readings"
MESSAGES, CLIENTS, KILLS = 600, 8, 20
OUTAGE = (
    '<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>{}</mRID>'
    "<cause>{}</cause><outageKind>unplanned</outageKind></Outage></Outages>"
)


def killed(
    subject: GatewayRun, kills: int, chance: random.Random, done: Callable[[], float]
) -> None:
    """Kill -9, again and again, spread over the work; `done` goes from 0 to 1."""
    for number in range(kills):
        while done() < (number + 1) / (kills + 2):
            time.sleep(0.01)
        time.sleep(chance.random() / 10)
        subject.kill()


def first_ids(stream: Iterator[Event], count: int) -> list[str]:
    return [next(stream).id for _ in range(count)]


def outage(mrid: str, cause: str) -> bytes:
    return OUTAGE.format(mrid, cause).encode()


@pytest.mark.slow
def test_a_client_has_one_effect_and_one_answer_while_the_gateway_is_killed_twenty_times(
    start: Callable[..., GatewayRun], processing: Run, kafka: str
) -> None:
    seed = random.randrange(1_000_000)
    subject, source = start(), new_source()
    bodies = [message(f"k-{number}", source=source) for number in range(MESSAGES)]
    answered: list[Reply] = []

    def work(mine: list[bytes]) -> list[bytes]:
        with Client(subject.url, patience_s=PATIENCE_S) as client:
            replies = []
            for body in mine:
                replies.append(client.request("I7", body, wait_s=PATIENCE_S))
                answered.append(replies[-1])
            return [reply.data for reply in replies]

    killing = Thread(
        target=killed, args=(subject, KILLS, random.Random(seed), lambda: len(answered) / MESSAGES)
    )
    killing.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = list(pool.map(work, (bodies[n::CLIENTS] for n in range(CLIENTS))))
    killing.join()
    told = Counter(dict(record.headers)["ce_messageid"] for record in of(kafka, LOG, source))
    assert told == {f"k-{number}".encode(): 1 for number in range(MESSAGES)}, f"seed {seed}"
    answers = [answer for share in shares for answer in share]
    assert len(set(answers)) == len(answers) == MESSAGES, f"seed {seed}"
    with Client(subject.url, patience_s=PATIENCE_S) as client:
        again = [client.request("I7", body, wait_s=PATIENCE_S).data for body in bodies[:CLIENTS]]
    assert again == [share[0] for share in shares], f"seed {seed}"


def test_a_subscriber_has_each_event_once_while_its_gateway_is_killed(
    start: Callable[..., GatewayRun], processing: Run, kafka: str
) -> None:
    """It keeps the position of its last event, and so does the one who takes over from it."""
    seed = random.randrange(1_000_000)
    subject, source, count = start(), new_source(), 120
    got: list[Event] = []

    def subscribe() -> None:
        position = "earliest"
        while len(got) < count:  # a subscriber that is started anew, too, every 50 events
            with Client(subject.url, patience_s=PATIENCE_S) as client:
                events = client.subscribe("I7", "MeterReadings", begin=position, source=source)
                with closing(events) as stream:
                    for event in stream:
                        got.append(event)
                        position = event.position
                        if len(got) >= count or len(got) % 50 == 0:
                            break

    reading = Thread(target=subscribe)
    reading.start()
    killing = Thread(
        target=killed, args=(subject, 4, random.Random(seed), lambda: len(got) / count)
    )
    killing.start()
    with Client(subject.url, patience_s=PATIENCE_S) as client:
        for number in range(count):
            client.publish("I7", message(f"s-{number}", source=source))
    reading.join(PATIENCE_S)
    killing.join(PATIENCE_S)
    assert sorted(event.id for event in got) == sorted(f"s-{n}#0" for n in range(count)), seed
    written = {(r.partition, r.offset) for r in of(kafka, LOG, source)}
    assert {(e.document["partition"], e.document["offset"]) for e in got} == written


def test_an_event_is_what_the_log_says_of_it(gateway: GatewayRun, kafka: str) -> None:
    source = new_source()
    with Client(gateway.url) as client:
        client.request("I7", message(source=source))
        with closing(
            client.subscribe("I7", "MeterReadings", begin="earliest", source=source)
        ) as stream:
            event = next(stream)
    shown = lines(cimstream(kafka, "tail", LOG, "-n", "1000", "-o", "json", "--unmask"))
    (own,) = [one for one in shown if one["headers"]["ce_source"] == source]  # type: ignore[index]
    assert event.document == own


def test_fired_and_forgotten_an_event_is_told_to_its_subscribers_once_however_often_it_came(
    gateway: GatewayRun, kafka: str
) -> None:
    """Fire/Forget and Publish/Subscribe, end to end: no reply, one effect, all who want it."""
    source = new_source()
    beacons = [
        message(f"b-{number}", source=source)
        .replace(b"RequestMessage", b"EventMessage")
        .replace(b"<Verb>create<", b"<Verb>created<")
        for number in range(3)
    ]
    with Client(gateway.url) as client, ThreadPoolExecutor(3) as pool:
        streams = [
            client.subscribe("I7", "MeterReadings", begin="earliest", source=source, verb="created")
            for _ in range(3)
        ]
        reading = [pool.submit(first_ids, stream, len(beacons)) for stream in streams]
        receipts = [client.publish("I7", beacon) for beacon in beacons for _ in range(3)]
        assert {receipt.answer for receipt in receipts} == {""}
        told = [found.result(PATIENCE_S) for found in reading]
        for stream in streams:
            stream.close()
        # A request behind the repeats on the same way is answered when they are through.
        client.request("I7", message(source=source))
    assert [sorted(ids) for ids in told] == [["b-0#0", "b-1#0", "b-2#0"]] * 3
    assert len(of(kafka, LOG, source)) == len(beacons) + 1


def test_objects_are_created_changed_and_closed_and_subscribers_see_each_step(
    gateway: GatewayRun,
) -> None:
    mrid = str(uuid.uuid4())
    with Client(gateway.url, source="OMS-1") as client:
        stream = client.subscribe("I1", "Outages", begin="earliest", mrid=mrid)
        client.create("I1", "Outages", outage(mrid, "wind"))
        with pytest.raises(ConflictError) as error:
            client.create("I1", "Outages", outage(mrid, "wind"))
        assert error.value.code == "object_exists"
        client.change("I1", "Outages", outage(mrid, "storm"), expected_revision=1)
        with pytest.raises(ConflictError) as error:
            client.change("I1", "Outages", outage(mrid, "wind"), expected_revision=1)
        assert error.value.code == "revision_outdated"
        client.close_object("I1", "Outages", mrid)
        with closing(stream):
            steps = [next(stream) for _ in range(3)]
    assert [(step.verb, step.record["lifeCycle"], step.record["cause"]) for step in steps] == [
        ("create", "open", "wind"), ("change", "open", "storm"), ("close", "closed", "storm"),
    ]  # fmt: skip


def test_a_gateway_that_is_stopped_sends_its_subscribers_elsewhere(
    start: Callable[..., GatewayRun], processing: Run
) -> None:
    subject = start()
    path = f"{subject.url}/v1/I1/Outages/events"
    with httpx.stream("GET", path, timeout=PATIENCE_S) as response:
        pieces = response.iter_text()
        assert "id: " in next(pieces)
        metrics = f"http://127.0.0.1:{subject.http}/metrics"
        shown = "cimstream_gateway_open_subscriptions 1.0"
        awaited(lambda: [1] if shown in httpx.get(metrics, timeout=PATIENCE_S).text else [], 1)
        assert subject.end() == 0
        last = "".join(pieces).strip().splitlines()[-1]
    assert json.loads(last.removeprefix("data: ")) == {"code": "gateway_stopping"}


def test_what_is_refused_at_the_edge_is_told_with_its_code(gateway: GatewayRun) -> None:
    def asked(path: str, **headers: str) -> tuple[int, Any]:
        response = httpx.get(gateway.url + path, headers=headers, timeout=PATIENCE_S)
        return response.status_code, response.json()["code"]

    assert asked("/v1/I1/Dreams/events") == (404, "noun_unknown")
    stale = {"Last-Event-ID": "A" * 22 + ".0.0.0.0.0.0"}
    assert asked("/v1/I1/Outages/events", **stale) == (410, "position_expired")
