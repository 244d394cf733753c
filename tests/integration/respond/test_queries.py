"""Queries from door to door: a gateway, intake, responders, a real Kafka."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from streams.demo import messages as m
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output
from streams.runtime.sending import Sender
from tests.integration.data_rig import committed, make_topics
from tests.integration.gateway.rig import (
    GatewayRun,
    make_gateway,
    new_source,
    post,
    post_until_answered,
)
from tests.integration.respond.rig import (
    Respond,
    awaited,
    make_respond,
    option,
    query,
    replies,
)
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import Run, make_run

pytestmark = pytest.mark.integration

PROBLEM = "application/problem+json, */*"
QUERIES, CLIENTS, KILLS = 120, 6, 3


@pytest.fixture(scope="module")
def processing(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Intake of I7 and I1, a view, and a responder that answers from it what is at home on I1."""
    folder = tmp_path_factory.mktemp("run")
    with contextmanager(make_run)(kafka, folder) as start_run:
        run = start_run(
            "--interface", "I1",
            CIMSTREAM__VIEWS__FOLLOW="true",
            CIMSTREAM__VIEWS__DATABASE=str(folder / "view.sqlite"),
            CIMSTREAM__VIEWS__HTTP_PORT="0",
            CIMSTREAM__RESPOND__INTERFACES='["I1"]',
            CIMSTREAM__RESPOND__HTTP_PORT="0",
        )  # fmt: skip
        run.await_event("responder started")
        yield run


@pytest.fixture(scope="module")
def gateway(kafka: str, processing: Run) -> Iterator[GatewayRun]:
    with contextmanager(make_gateway)(kafka) as start:
        yield start()


@pytest.fixture
def another(kafka: str) -> Iterator[Callable[..., GatewayRun]]:
    make_topics(kafka)
    yield from make_gateway(kafka)


@pytest.fixture(scope="module")
def start_responder(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Respond]]:
    make_topics(kafka)
    with contextmanager(make_respond)(kafka, tmp_path_factory.mktemp("respond")) as start:
        yield start


@pytest.fixture(scope="module")
def responder(start_responder: Callable[..., Respond]) -> Respond:
    """One process that answers for MeterReadings."""
    one = start_responder()
    one.pids(1)
    return one


def metric(gateway: GatewayRun, fate: str) -> float:
    """How many replies had this fate in the gateway's process."""
    text = httpx.get(f"http://127.0.0.1:{gateway.http}/metrics", timeout=PATIENCE_S).text
    name = f'cimstream_gateway_replies_total{{fate="{fate}"}} '
    found = [line.removeprefix(name) for line in text.splitlines() if line.startswith(name)]
    return float(found[0]) if found else 0.0


# --- from the view ------------------------------------------------------------------------------


def outage(mrid: str) -> bytes:
    body = (
        f'<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>{mrid}</mRID>'
        "<cause>wind</cause><outageKind>unplanned</outageKind></Outage></Outages>"
    )
    return m.envelope(body, message_id=uuid.uuid4().hex, verb="create", noun="Outages")


def test_what_was_created_is_answered_to_who_asks_for_it(gateway: GatewayRun) -> None:
    mrid, source = uuid.uuid4().hex, new_source()
    assert post(gateway.url, outage(mrid), "I1").status_code == 200

    def ask() -> httpx.Response | None:
        body = query(uuid.uuid4().hex, source, "Outages", asks=f'<ID kind="uuid">{mrid}</ID>')
        response = post(gateway.url, body, "I1")
        assert response.status_code == 200, response.text
        return response if mrid.encode() in response.content else None

    response = awaited(ask)
    assert b"<msg:Result>OK<" in response.content
    assert b"<cause>wind</cause>" in response.content
    assert b"<msg:Name>Revision</msg:Name><msg:Value>1<" in response.content


def test_pages_are_partial_until_the_last_one(gateway: GatewayRun) -> None:
    for _ in range(3):
        assert post(gateway.url, outage(uuid.uuid4().hex), "I1").status_code == 200
    source = new_source()

    def page(cursor: str) -> tuple[bytes, str]:
        asks = option("limit", 2) + (option("cursor", cursor) if cursor else "")
        body = query(uuid.uuid4().hex, source, "Outages", asks=asks + option("life", "open"))
        content = post(gateway.url, body, "I1").content
        said = content.partition(b"<msg:Name>Cursor</msg:Name><msg:Value>")[2]
        return content, said.partition(b"<")[0].decode()

    awaited(lambda: page("")[1])
    content, cursor = page("")
    assert b"<msg:Result>PARTIAL<" in content
    assert b"<msg:code>0.1<" in content
    while cursor:
        content, cursor = page(cursor)
    assert b"<msg:code>0.1<" not in content


@pytest.mark.parametrize(
    ("asks", "status", "code"),
    [
        (option("colour", "red"), 400, "criteria_unknown"),
        (option("readingType", "1.2"), 400, "criteria_unfit"),
        (option("limit", "many"), 400, "limit_invalid"),
        ("<StartTime>yesterday</StartTime>", 400, "timestamp_invalid"),
    ],
)
def test_a_query_that_cannot_be_answered_as_it_is_asked_is_refused_with_a_code(
    gateway: GatewayRun, asks: str, status: int, code: str
) -> None:
    body = query(uuid.uuid4().hex, new_source(), "Outages", asks=asks)
    response = post(gateway.url, body, "I1", Accept=PROBLEM)
    assert (response.status_code, response.json()["code"]) == (status, code)


# --- by a function ------------------------------------------------------------------------------


def test_a_repeat_gets_the_same_reply_and_another_content_is_a_conflict(
    gateway: GatewayRun, responder: Respond, kafka: str
) -> None:
    source = new_source()
    body = query("q-1", source)
    first, again = post(gateway.url, body), post(gateway.url, body)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    other = query("q-1", source, asks=option("refuse", "x"))
    response = post(gateway.url, other, Accept=PROBLEM)
    assert (response.status_code, response.json()["code"]) == (409, "identity_conflict")
    assert post(gateway.url, body).content == first.content
    answered = [one for each in replies(kafka, source).values() for one in each]
    assert [record.value for record in answered].count(first.content) == 1


def test_a_repeat_of_one_that_is_pending_gets_its_reply(
    gateway: GatewayRun, responder: Respond, kafka: str
) -> None:
    source = new_source()
    body = query("q-1", source, asks=option("sleep", 1))
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: post(gateway.url, body), range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1
    assert len(replies(kafka, source)) == 1


def test_a_gateway_that_has_seen_nothing_finds_the_reply_to_a_repeat(
    gateway: GatewayRun,
    another: Callable[..., GatewayRun],
    responder: Respond,
) -> None:
    source = new_source()
    body = query("q-1", source)
    first = post(gateway.url, body)
    fresh = another()
    assert post(fresh.url, body).content == first.content
    location = post(fresh.url, body, Prefer="respond-async").headers["location"]
    fresh.kill()
    found = awaited(
        lambda: (r := httpx.get(fresh.url + location, timeout=PATIENCE_S)).status_code == 200 and r
    )
    assert found.content == first.content


def test_a_query_that_fails_or_takes_too_long_does_not_stop_the_others(
    gateway: GatewayRun, responder: Respond
) -> None:
    source = new_source()
    asked = {"fail": "responder_failed", "sleep": "responder_slow", "refuse": "criteria_too_wide"}
    with ThreadPoolExecutor(4) as pool:
        bad = {
            code: pool.submit(
                post, gateway.url, query(f"q-{name}", source, asks=option(name, 30)), Accept=PROBLEM
            )
            for name, code in asked.items()
        }
        good = pool.submit(post, gateway.url, query("q-good", source))
        assert good.result().status_code == 200
        for code, one in bad.items():
            assert one.result().json()["code"] == code
    assert "secret of a person" not in str(responder.lines)
    again = post(gateway.url, query("q-fail", source, asks=option("fail", 30)), Accept=PROBLEM)
    assert again.json()["code"] == "responder_failed"


def test_each_query_has_one_reply_while_two_responders_are_killed_hard_in_turn(
    gateway: GatewayRun, responder: Respond, start_responder: Callable[..., Respond], kafka: str
) -> None:
    """The module's responder and one more share the queries."""
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    more = start_responder()
    more.pids(1)
    source = new_source()
    bodies = [query(f"k-{n}", source, asks=option("sleep", 0.02)) for n in range(QUERIES)]

    def work(mine: list[bytes]) -> list[bytes]:
        with httpx.Client(timeout=PATIENCE_S) as client:
            return [post_until_answered(client, gateway.url, body) for body in mine]

    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = [pool.submit(work, bodies[n::CLIENTS]) for n in range(CLIENTS)]
        for number in range(KILLS):
            time.sleep(0.5 + chance.random())
            service = (responder, more)[number % 2]
            started = [line for line in service.lines if line["event"] == "responder started"]
            os.kill(int(started[-1]["pid"]), signal.SIGKILL)
            service.await_event("responder started")
        answers = [answer for share in shares for answer in share.result()]
    found = replies(kafka, source)
    assert len(set(answers)) == len(answers) == QUERIES, f"seed {seed}"
    assert {len(each) for each in found.values()} == {1}, f"seed {seed}"
    assert {each[0].value for each in found.values()} == set(answers), f"seed {seed}"
    assert more.end() == 0


def test_a_responder_that_dies_of_a_query_answers_it_when_it_is_back(
    gateway: GatewayRun, responder: Respond, kafka: str, tmp_path: Path
) -> None:
    source = new_source()
    body = query("q-1", source, asks=option("die", tmp_path / "died"))
    assert post(gateway.url, body, Prefer="wait=60").status_code == 200
    assert (tmp_path / "died").exists()
    assert [len(each) for each in replies(kafka, source).values()] == [1]


# --- open, late, foreign ------------------------------------------------------------------------


def test_a_query_that_was_open_when_the_gateway_was_killed_is_answered_afterwards(
    another: Callable[..., GatewayRun], processing: Run, responder: Respond
) -> None:
    subject = another()
    body = query(uuid.uuid4().hex, new_source(), asks=option("sleep", 2))
    location = post(subject.url, body, Prefer="wait=0").headers["location"]
    subject.kill()
    found = awaited(
        lambda: (
            (r := httpx.get(subject.url + location, timeout=PATIENCE_S)).status_code == 200 and r
        )
    )
    assert b"<msg:Result>OK<" in found.content


def test_an_expired_query_is_not_answered_and_its_repeat_is(
    gateway: GatewayRun, responder: Respond, kafka: str
) -> None:
    source = new_source()
    expiry = "<Property><Name>Expiry</Name><Value>2026-01-01T00:00:00Z</Value></Property>"
    gone = post(gateway.url, query("q-1", source, extra=expiry), Prefer="wait=1")
    assert gone.status_code == 202
    assert post(gateway.url, query("q-1", source)).status_code == 200
    assert len(replies(kafka, source)) == 1


def test_a_late_reply_is_told_apart_from_an_unknown_one_even_after_a_restart(
    another: Callable[..., GatewayRun], processing: Run, responder: Respond, kafka: str
) -> None:
    subject = another()
    source = new_source()
    body = query("q-late", source, asks=option("sleep", 2))
    assert post(subject.url, body, Prefer="wait=0").status_code == 202
    awaited(lambda: metric(subject, "late") == 1)
    unanswered = query("q-foreign", source, "MeterConfig")
    assert post(subject.url, unanswered, Prefer="wait=0").status_code == 202
    subject.kill()
    reply_as_stranger(kafka, source, "MeterConfig", "q-foreign")
    reply_as_stranger(kafka, source, "MeterConfig", "q-nobody-asked")
    awaited(lambda: metric(subject, "unknown") == 1)
    awaited(lambda: metric(subject, "other") == 1)
    assert metric(subject, "late") == 0


@pytest.mark.parametrize("convention", ["correlation ID", "message ID"])
def test_a_responder_of_another_make_answers_by_either_convention(
    gateway: GatewayRun, kafka: str, convention: str
) -> None:
    """A plain consumer of requests and a plain producer to outbound; it knows no header of ours."""
    source = new_source()
    correlation = "<CorrelationID>c-77</CorrelationID>" if convention == "correlation ID" else ""
    body = query("q-77", source, "MeterConfig", extra=correlation)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, gateway.url, body, Prefer="wait=60")
        (asked,) = awaited(
            lambda: [
                dict(record.headers)
                for record in committed(kafka, "cim.i7.requests")
                if ("ce_source", source.encode()) in record.headers
            ]
        )
        named = asked.get("ce_correlationid", asked["ce_id"]).decode()
        assert named == ("c-77" if correlation else "q-77")
        reply_as_stranger(kafka, source, "MeterConfig", named)
        response = waiting.result()
    assert response.status_code == 200
    assert b"<Result>OK<" in response.content


def reply_as_stranger(kafka: str, source: str, noun: str, correlation_id: str) -> None:
    body = (
        '<ResponseMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header>'
        f"<Verb>reply</Verb><Noun>{noun}</Noun><CorrelationID>{correlation_id}</CorrelationID>"
        "</Header><Reply><Result>OK</Result></Reply></ResponseMessage>"
    ).encode()
    said = {
        "ce_verb": b"reply", "ce_noun": noun.encode(), "ce_destination": source.encode(),
        "ce_correlationid": correlation_id.encode(),
    }  # fmt: skip
    sender = Sender(KafkaSettings(kafka), timeout_s=PATIENCE_S)
    sender.send(Output("cim.i7.outbound", source.encode(), body, tuple(said.items())), print)
    sender.finish()
