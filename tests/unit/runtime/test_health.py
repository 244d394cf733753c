"""The HTTP door: what probes and Prometheus see."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from streams.runtime.health import LIVE_WITHIN_S, Health, HealthServer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


@pytest.fixture
def port(health: Health) -> Iterator[int]:
    server = HealthServer(health, "127.0.0.1", 0)
    server.start()
    yield server.port
    server.close()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_is_live_from_the_start_and_ready_only_when_it_says_so(
    health: Health, port: int
) -> None:
    assert get(port, "/health/live")[0] == 200
    assert get(port, "/health/ready")[0] == 503

    health.turned(ready=True)
    assert get(port, "/health/ready")[0] == 200

    health.turned(ready=False)  # it restores
    assert get(port, "/health/ready")[0] == 503


def test_a_loop_that_stands_still_is_neither_live_nor_ready(
    health: Health, clock: Clock, port: int
) -> None:
    health.turned(ready=True)
    clock.now += LIVE_WITHIN_S

    assert get(port, "/health/live")[0] == 503
    assert get(port, "/health/ready")[0] == 503


def test_metrics_are_served_in_the_text_format(port: int) -> None:
    status, text = get(port, "/metrics")

    assert status == 200
    assert "# TYPE cimstream_commit_seconds histogram" in text


def test_other_paths_say_which_there_are(port: int) -> None:
    status, text = get(port, "/")

    assert status == 404
    assert "/metrics" in text


def test_a_port_in_use_is_an_error_at_once(health: Health, port: int) -> None:
    with pytest.raises(OSError, match="in use"):
        HealthServer(health, "127.0.0.1", port)
