"""Resources over HTTP as a system sees them: a real gateway, pipeline, view and Kafka."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from schemas.avro import decode
from schemas.avro.documents import document_of
from tests.integration.data_rig import committed
from tests.integration.gateway.rig import GatewayRun, make_gateway, new_source, post, view_in
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run

pytestmark = pytest.mark.integration

JSON = {"Accept": "application/json"}
KWH = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
EVENTS = "cim.i7.meter-readings"


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    """A gateway that answers from the view of a run."""
    folder = tmp_path_factory.mktemp("run")
    view = view_in(folder)
    with contextmanager(make_run)(kafka, folder) as start_run:
        start_run("--interface", "I1", **view).await_event("partitions assigned")
        with contextmanager(make_gateway)(kafka) as start_gateway:
            yield start_gateway(**view)


@pytest.fixture
def client(gateway: GatewayRun) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=PATIENCE_S) as one:
        yield one


def until(ask: Callable[[], httpx.Response], good: Callable[[httpx.Response], bool]) -> Any:
    """The view follows the logs; who asks at once may be answered with the state before."""
    deadline = time.monotonic() + PATIENCE_S
    while not good(response := ask()):
        assert time.monotonic() < deadline, response.text
        time.sleep(0.1)
    return response


def test_an_object_lives_its_life_over_http(client: httpx.Client) -> None:
    mrid = f"u-{uuid.uuid4().hex}"
    path = f"/v1/I7/UsagePointConfig/{mrid}"
    assert client.get(path).status_code == 404
    created = client.post(
        "/v1/I7/UsagePointConfig", json={"mRID": mrid, "isSdp": True}, headers=JSON
    )
    assert (created.status_code, created.headers["location"]) == (201, path)
    first = until(lambda: client.get(path, headers=JSON), lambda r: r.status_code == 200)
    assert (first.headers["etag"], first.json()["isSdp"]) == ('"1"', True)
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get(path, headers=known).status_code == 304

    seen = {"If-Match": first.headers["etag"]}
    changed = client.put(path, json={**first.json(), "isSdp": False}, headers=seen)
    assert changed.status_code == 200, changed.text
    late = client.put(path, json=first.json(), headers=seen)
    assert (late.status_code, late.json()["result"]) == (412, "FAILED")
    second = until(lambda: client.get(path, headers=known), lambda r: r.status_code == 200)
    assert second.headers["etag"] == '"2"'
    assert "<isSdp>false</isSdp>" in second.text

    assert client.delete(path, headers=seen).status_code == 412
    assert client.delete(path, headers={"If-Match": '"2"'}).status_code == 200
    assert until(lambda: client.get(path), lambda r: r.status_code == 404).status_code == 404
    assert client.put(path, json={"isSdp": True}).status_code == 404


def test_a_create_that_is_sent_again_with_its_key_has_one_effect_and_one_answer(
    client: httpx.Client,
) -> None:
    key, body = (
        uuid.uuid4().hex,
        {"mRID": uuid.uuid4().hex, "cause": "tree", "outageKind": "unplanned"},
    )

    def create(**change: str) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return client.post("/v1/I1/Outages", json={**body, **change}, headers=headers)

    first, again = create(), create()
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert create(cause="storm").status_code == 409
    found = until(
        lambda: client.get(f"/v1/I1/Outages?mrid={body['mRID']}", headers=JSON),
        lambda r: bool(r.json()["items"]),
    )
    assert [one["cause"] for one in found.json()["items"]] == ["tree"]
    assert found.json()["items"][0]["revision"] == 1


def test_a_message_means_the_same_in_json_and_in_xml(client: httpx.Client, kafka: str) -> None:
    source = new_source()
    message = {
        "header": {"verb": "create", "noun": "MeterReadings", "source": source, "messageID": "j-1"},
        "payload": {
            "meter": {"mRID": source}, "readingType": KWH, "intervalMs": 900_000,
            "firstTimeStamp": "2026-03-01T00:15:00+01:00", "values": [1.5, None, 0.1],
        },
    }  # fmt: skip
    reply = client.post("/v1/I7/messages", json=message)
    assert (reply.status_code, reply.json()["result"]) == (200, "OK")

    def records() -> list[bytes]:
        wanted = ("ce_source", source.encode())
        return [r.value or b"" for r in committed(kafka, EVENTS) if wanted in r.headers]

    (first,) = records()
    inbound = [
        r for r in committed(kafka, "cim.i7.inbound") if ("ce_source", source.encode()) in r.headers
    ]
    again = (inbound[0].value or b"").replace(b"j-1", b"x-1")
    assert post(str(client.base_url), again).status_code == 200
    bodies = [{**document_of(decode(value)[1]), "provenance": None} for value in records()]
    assert bodies == [bodies[0]] * 2
    assert bodies[0]["values"] == [1.5, None, 0.1]
    assert first


def test_readings_are_found_by_pages_in_both_forms(client: httpx.Client) -> None:
    meter = new_source()
    readings = [
        {"meter": {"mRID": meter}, "readingType": KWH, "intervalMs": 900_000,
         "firstTimeStamp": f"2026-03-{day:02d}T00:15:00Z", "values": [day, day + 0.5]}
        for day in range(1, 6)
    ]  # fmt: skip
    assert client.post("/v1/I7/MeterReadings", json=readings).status_code in (200, 201)
    question = f"/v1/I7/MeterReadings?mrid={meter}&since=2026-03-02T00:00:00Z&limit=2"
    until(lambda: client.get(question, headers=JSON), lambda r: len(r.json()["items"]) == 2)
    values, path = [], question
    while path:
        page = client.get(path, headers=JSON)
        values += [value for item in page.json()["items"] for value in item["values"]]
        assert page.headers["cimstream-code"] == page.json()["code"]
        path = page.json()["next"]
        assert (page.headers.get("link") == f'<{path}>; rel="next"') == bool(path)
    assert values == [value for day in range(2, 6) for value in (day, day + 0.5)]
    xml = client.get(f"{question}&until=2026-03-02T00:15:00Z", headers={"Accept": "text/xml"})
    assert xml.text.count("<value>") == 1


def test_a_gateway_without_a_view_says_so(kafka: str, tmp_path: Any, gateway: GatewayRun) -> None:
    with contextmanager(make_gateway)(kafka) as start:
        other = start(CIMSTREAM__VIEWS__DATABASE=str(tmp_path / "none.sqlite"))
        response = httpx.get(f"{other.url}/v1/I1/Outages", timeout=PATIENCE_S)
    assert (response.status_code, response.json()["code"]) == (501, "view_missing")
    assert httpx.get(f"{gateway.url}/v1/I1/Outages", timeout=PATIENCE_S).status_code == 200
