"""Destinations that pull over HTTP, from several gateways, on a real Kafka."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.data_rig import make_topics
from tests.integration.delivery.rig import (
    Deliver,
    address,
    dead_letters,
    destinations,
    eventually,
    make_deliverer,
    new_name,
)
from tests.integration.delivery.test_deliver import audited
from tests.integration.gateway.rig import GatewayRun, make_gateway
from tests.integration.service import PATIENCE_S

pytestmark = pytest.mark.integration


@pytest.fixture
def deliver(kafka: str) -> Iterator[Callable[..., Deliver]]:
    make_topics(kafka)
    yield from make_deliverer(kafka)


@pytest.fixture
def gateway(kafka: str) -> Iterator[Callable[..., GatewayRun]]:
    make_topics(kafka)
    yield from make_gateway(kafka)


def pull(gateway: GatewayRun, name: str, count: int = 1, wait_s: int = 0) -> list[dict[str, Any]]:
    response = httpx.get(
        f"{gateway.url}/v1/outbound", params={"destination": name, "max": count},
        headers={"Prefer": f"wait={wait_s}"}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert response.status_code in (200, 503), response.text
    return response.json()["messages"] if response.status_code == 200 else []


def acknowledge(gateway: GatewayRun, name: str, **said: Any) -> list[str]:
    response = httpx.post(
        f"{gateway.url}/v1/outbound/acknowledgements", params={"destination": name}, json=said,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert response.status_code == 200, response.text
    return list(response.json()["unknown"])


def test_messages_are_pulled_in_order_and_are_over_when_they_are_acknowledged(
    kafka: str, deliver: Callable[..., Deliver], gateway: Callable[..., GatewayRun], tmp_path: Path
) -> None:
    name = new_name()
    file = destinations(tmp_path, **{name: {"kind": "pull", "visibility_s": 60}})
    deliver(file)
    door = gateway("--destinations-file", str(file))
    address(kafka, name, [("m-0", "a"), ("m-1", "a"), ("m-2", "b")])
    got: list[dict[str, Any]] = []
    while len(got) < 2:
        got += pull(door, name, 10, wait_s=10)
    assert sorted(one["message_id"] for one in got) == ["m-0", "m-2"]
    assert "<title>x</title>" in got[0]["message"]
    assert pull(door, name, 10) == []
    ids = {one["message_id"]: one["id"] for one in got}
    assert acknowledge(door, name, done=[ids["m-0"], "nonsense"]) == ["nonsense"]
    (late,) = pull(door, name, 10, wait_s=10)
    assert late["message_id"] == "m-1"
    assert acknowledge(door, name, done=[late["id"]], refused={ids["m-2"]: "no crew"}) == []
    eventually(lambda: sorted(audited(kafka, name)),
               [("delivered", "m-0"), ("delivered", "m-1"), ("undelivered", "m-2")])  # fmt: skip
    assert dead_letters(kafka, name) == [("m-2", "delivery_refused")]
    assert acknowledge(door, name, done=[late["id"]]) == [late["id"]]


def test_what_is_not_acknowledged_comes_again_from_any_gateway_and_after_a_kill(
    kafka: str, deliver: Callable[..., Deliver], gateway: Callable[..., GatewayRun], tmp_path: Path
) -> None:
    name = new_name()
    file = destinations(tmp_path, **{name: {"kind": "pull", "visibility_s": 2}})
    run = deliver(file)
    first = gateway("--destinations-file", str(file))
    second = gateway("--destinations-file", str(file))
    address(kafka, name, [("m-0", "a")])
    (got,) = pull(first, name, wait_s=20)
    assert pull(second, name) == []
    first.kill()
    run.kill()
    (again,) = pull(second, name, wait_s=20)
    assert (again["id"], again["message"]) == (got["id"], got["message"])
    assert acknowledge(second, name, done=[again["id"]]) == []
    eventually(lambda: audited(kafka, name), [("delivered", "m-0")])
    assert pull(first, name) == []


def test_several_who_pull_at_two_gateways_get_each_message_once(
    kafka: str, deliver: Callable[..., Deliver], gateway: Callable[..., GatewayRun], tmp_path: Path
) -> None:
    name, count = new_name(), 60
    file = destinations(tmp_path, **{name: {"kind": "pull", "visibility_s": 60}})
    deliver(file)
    doors = [gateway("--destinations-file", str(file)) for _ in range(2)]
    address(kafka, name, [(f"m-{n:02}", f"o-{n}") for n in range(count)])
    got: Counter[str] = Counter()
    guard, over = threading.Lock(), threading.Event()

    def work(door: GatewayRun) -> None:
        while not over.is_set():
            messages = pull(door, name, 7, wait_s=1)
            with guard:
                got.update(one["message_id"] for one in messages)
                if len(got) == count:
                    over.set()
            if messages:
                acknowledge(door, name, done=[one["id"] for one in messages])

    threads = [threading.Thread(target=work, args=(doors[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    over.wait(PATIENCE_S)
    over.set()
    for thread in threads:
        thread.join()
    assert got == Counter(f"m-{n:02}" for n in range(count))
    eventually(lambda: len(audited(kafka, name)), count)
