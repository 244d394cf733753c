"""`cimstream gateway` from outside: real sockets, a real Kafka, `cimstream run` behind it."""

from __future__ import annotations

import random
import shutil
import ssl
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import httpx
import pytest

from connectors.access import key_hash, new_key
from streams.cli.errors import EXIT_INTERRUPTED
from streams.demo import messages as m
from tests.integration.data_rig import cimstream, committed, message
from tests.integration.gateway.rig import (
    GatewayRun,
    awaited,
    new_source,
    of,
    post,
    post_until_answered,
    written,
)
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import Run
from topics import naming
from topics.errors import EXIT_CONFIG

pytestmark = pytest.mark.integration

LOG = "cim.i7.meter-readings"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - to see that it is refused, and guarded where it is not
MESSAGES, CLIENTS, KILLS = 400, 8, 3


def outage(verb: str, mrid: str, expected_revision: int = 0) -> bytes:
    body = (
        f'<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>{mrid}</mRID>'
        "<cause>wind</cause><outageKind>unplanned</outageKind></Outage></Outages>"
    )
    data = m.envelope(body, message_id=uuid.uuid4().hex, verb=verb, noun="Outages", source="OMS-1")
    said = f"<Property><Name>ExpectedRevision</Name><Value>{expected_revision}</Value></Property>"
    return data.replace(b"</Header>", f"{said}</Header>".encode()) if expected_revision else data


# --- one effect, one answer ---------------------------------------------------------------------


def test_an_event_that_is_posted_again_has_one_effect(gateway: GatewayRun, kafka: str) -> None:
    source = new_source()
    body = message("e-1", source=source).replace(b"RequestMessage", b"EventMessage")
    body = body.replace(b"<Verb>create<", b"<Verb>created<")
    receipts = [post(gateway.url, body) for _ in range(3)]
    assert [response.status_code for response in receipts] == [202] * 3
    assert len({str(r.json()["offset"]) for r in receipts}) == 3
    inbound = of(kafka, "cim.i7.inbound", source)
    assert [record.value for record in inbound] == [body] * 3
    # A request behind the repeats on the same way is answered when they are through.
    post(gateway.url, message("e-2", source=source))
    awaited(lambda: of(kafka, LOG, source), 2)
    assert len(of(kafka, LOG, source)) == 2


def test_a_request_that_is_posted_again_gets_the_same_answer_and_another_content_409(
    gateway: GatewayRun, kafka: str
) -> None:
    source = new_source()
    body = message("r-1", source=source)
    first, again = post(gateway.url, body), post(gateway.url, body)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    other = post(gateway.url, body.replace(b"1.5", b"2.5"), Accept="application/problem+json, */*")
    assert (other.status_code, other.json()["code"]) == (409, "identity_conflict")
    assert post(gateway.url, body).content == first.content
    assert len(of(kafka, LOG, source)) == 1


def test_what_the_pipeline_refuses_has_the_status_of_its_code(gateway: GatewayRun) -> None:
    mrid = uuid.uuid4().hex
    sent = [
        ("create", 0), ("create", 0), ("change", 1), ("change", 1), ("close", 0), ("change", 0),
    ]  # fmt: skip
    statuses = [
        post(gateway.url, outage(verb, mrid, revision), "I1").status_code for verb, revision in sent
    ]
    assert statuses == [200, 409, 200, 412, 200, 409]
    assert post(gateway.url, outage("change", uuid.uuid4().hex), "I1").status_code == 404
    bad = message().replace(b"<value>1.5</value>", b"<value>much</value>")
    response = post(gateway.url, bad, Accept="application/xml, application/problem+json")
    assert response.status_code == 400
    assert response.json()["errors"][0]["fix"]


def test_every_message_has_one_effect_and_one_answer_while_the_gateway_is_killed_hard(
    start: Callable[..., GatewayRun], processing: Run, kafka: str
) -> None:
    """Clients send again until they are answered, and ask once more when all is over."""
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    subject = start()
    source = new_source()
    bodies = [message(f"k-{number}", source=source) for number in range(MESSAGES)]
    done = 0

    def work(mine: list[bytes]) -> list[bytes]:
        nonlocal done
        answers = []
        with httpx.Client(timeout=PATIENCE_S) as client:
            for body in mine:
                answers.append(post_until_answered(client, subject.url, body))
                done += 1
        return answers

    def kill() -> None:
        for number in range(KILLS):
            while done < MESSAGES * (number + 1) // (KILLS + 2):
                time.sleep(0.01)
            time.sleep(chance.random() / 10)
            subject.kill()

    killing = Thread(target=kill)
    killing.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = list(pool.map(work, (bodies[n::CLIENTS] for n in range(CLIENTS))))
    killing.join()
    again = post(subject.url, bodies[0])
    events = of(kafka, LOG, source)
    told = Counter(dict(record.headers)["ce_messageid"] for record in events)
    assert told == {f"k-{number}".encode(): 1 for number in range(MESSAGES)}, f"seed {seed}"
    answers = [answer for share in shares for answer in share]
    assert len(set(answers)) == len(answers) == MESSAGES, f"seed {seed}"
    assert again.content == shares[0][0]
    assert subject.end() == 0


def test_a_call_that_was_open_when_the_gateway_was_killed_is_answered_by_the_next(
    start: Callable[..., GatewayRun], processing: Run
) -> None:
    subject = start()
    response = post(subject.url, message(), Prefer="respond-async")
    location = response.headers["location"]
    unanswered = m.envelope(
        '<TroubleTickets xmlns="urn:cimstream:TroubleTickets:1"/>', message_id=uuid.uuid4().hex,
        verb="create", noun="TroubleTickets", source="CIS-1",
    )  # fmt: skip
    pending = post(subject.url, unanswered, "I6", Prefer="wait=0").headers["location"]
    subject.kill()

    def ask() -> list[httpx.Response]:
        found = httpx.get(subject.url + location, timeout=PATIENCE_S)
        return [found] if found.status_code == 200 else []

    (answer,) = awaited(ask, 1)
    assert b"<msg:Result>OK" in answer.content
    assert httpx.get(subject.url + pending, timeout=PATIENCE_S).status_code == 202
    unknown = httpx.get(f"{subject.url}/v1/I7/answers/0-99999999", timeout=PATIENCE_S)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "call_unknown")


def test_a_gateway_that_is_stopped_answers_the_calls_that_are_open(
    start: Callable[..., GatewayRun], processing: Run
) -> None:
    subject = start()
    unanswered = m.envelope(
        '<TroubleTickets xmlns="urn:cimstream:TroubleTickets:1"/>', message_id=uuid.uuid4().hex,
        verb="create", noun="TroubleTickets", source="CIS-1",
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, subject.url, unanswered, "I6", Prefer="wait=60")
        before = f"http://127.0.0.1:{subject.http}"
        awaited(lambda: [1] if _open(before) else [], 1)
        assert subject.end() == 0
        response = waiting.result(PATIENCE_S)
    assert response.status_code == 202
    assert response.headers["location"].startswith("/v1/I6/answers/")


def _open(url: str) -> bool:
    """Whether a request is being worked on."""
    text = httpx.get(f"{url}/metrics", timeout=PATIENCE_S).text
    return "cimstream_gateway_open_requests 1.0" in text


# --- who may, and how safe it is ----------------------------------------------------------------


def access(folder: Path, source: str, key: str) -> Path:
    return written(
        folder,
        f'[sources.{source}]\nkeys = ["{key_hash(key)}"]\n'
        f"[[sources.{source}.allow]]\n"
        'interface = "I7"\nnouns = ["MeterReadings"]\nverbs = ["create"]\n',
    )


def test_over_tls_a_source_with_its_key_comes_in_and_refusals_are_audited(
    start: Callable[..., GatewayRun], processing: Run, kafka: str, tmp_path: Path
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on the path")
    certificate, private = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(private),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    source, key = new_source(), new_key()
    subject = start(
        "--access-file", str(access(tmp_path, source, key)), "--host", EVERYWHERE,
        CIMSTREAM__GATEWAY__CERTIFICATE_FILE=str(certificate),
        CIMSTREAM__GATEWAY__KEY_FILE=str(private),
    )  # fmt: skip
    trusting = ssl.create_default_context(cafile=str(certificate))
    url = f"https://127.0.0.1:{subject.port}/v1/I7/messages"
    with httpx.Client(verify=trusting, timeout=PATIENCE_S) as client:
        headers = {"Content-Type": "application/xml", "X-API-Key": key}
        good = client.post(url, content=message(source=source), headers=headers)
        other = client.post(url, content=message(source="HES-X"), headers=headers)
        nobody = client.post(
            url, content=message(source=source), headers={**headers, "X-API-Key": ""}
        )
    assert [r.status_code for r in (good, other, nobody)] == [200, 403, 401]
    about = {r.json()["instance"].encode() for r in (other, nobody)}
    records = awaited(
        lambda: [r for r in committed(kafka, naming.AUDIT) if r.key in about], len(about)
    )
    text = b"".join(record.value or b"" for record in records)
    assert b"source_mismatch" in text
    assert b"authentication_needed" in text
    assert key.encode() not in text
    assert key not in str(subject.lines)
    assert of(kafka, "cim.i7.inbound", "HES-X") == []
    assert subject.end() == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--host", EVERYWHERE), "gateway_open"),
        (("--host", "::"), "gateway_open"),
        (("--host", EVERYWHERE, "--access-file", "ACCESS"), "gateway_unencrypted"),
        (("--access-file", "NOWHERE"), "access_file_invalid"),
    ],
)
def test_a_door_that_would_not_be_safe_does_not_open(
    arguments: tuple[str, ...], code: str, kafka: str, tmp_path: Path
) -> None:
    file = access(tmp_path, "HES-1", new_key())
    named = [str(file) if a == "ACCESS" else a for a in arguments]
    done = cimstream(kafka, "gateway", *named)
    assert done.returncode == EXIT_CONFIG
    assert code in done.stderr.decode()


@pytest.mark.parametrize(
    "text",
    [
        "sources = 1",
        '[sources.A]\nkeys = ["secret"]',
        '[sources.A]\nkey = "x"',
        '[[sources.A.allow]]\ninterface = "I12"\nnouns = ["*"]\nverbs = ["*"]',
        '[[sources.A.allow]]\ninterface = "I7"\nnouns = ["Metres"]\nverbs = ["*"]',
        f'[sources.A]\nkeys = ["{key_hash("k")}"]\n[sources.B]\nkeys = ["{key_hash("k")}"]',
        f'[sources.""]\nkeys = ["{key_hash("k")}"]',
        "[sources",
    ],
)
def test_an_access_file_that_is_half_understood_lets_nobody_in(
    text: str, kafka: str, tmp_path: Path
) -> None:
    done = cimstream(kafka, "gateway", "--access-file", str(written(tmp_path, text)))
    assert done.returncode == EXIT_CONFIG
    assert b"access_file_invalid" in done.stderr
    assert b"secret" not in done.stderr


def test_a_key_is_made_with_the_hash_that_belongs_to_it(kafka: str) -> None:
    done = cimstream(kafka, "gateway-key")
    (_, key), (_, digest) = (line.split() for line in done.stdout.decode().splitlines())
    assert key_hash(key) == digest
    assert done.returncode not in (EXIT_INTERRUPTED, EXIT_CONFIG)


def test_probes_and_metrics_are_served_beside_the_door(gateway: GatewayRun) -> None:
    post(gateway.url, message())
    beside = f"http://127.0.0.1:{gateway.http}"
    deadline = time.monotonic() + PATIENCE_S
    while httpx.get(f"{beside}/health/ready").status_code != 200:
        assert time.monotonic() < deadline, "it never follows the replies"
        time.sleep(0.1)
    assert 'outcome="served"' in httpx.get(f"{beside}/metrics").text
    assert httpx.get(f"{gateway.url}/metrics").status_code == 404
