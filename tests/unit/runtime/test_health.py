"""The HTTP door: what probes and Prometheus see."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.cli.listening import check_probes
from streams.runtime.health import LIVE_WITHIN_S, Health, HealthServer
from streams.runtime.settings import Http
from tests.authority import Authority
from topics.errors import OperatorError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - to see that it is refused, and guarded where it is not


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
    server = HealthServer(health, Http(), 0)
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
        HealthServer(health, Http(), port)


def test_probes_come_over_tls_where_there_is_a_certificate(health: Health, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = authority.server()
    at = Http(host=EVERYWHERE, certificate_file=made.certificate, key_file=made.key)
    check_probes(at)
    server = HealthServer(health, at, 0)
    server.start()
    try:
        # Goes silent in the middle of its handshake; others are answered all the same.
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        trusting = ssl.create_default_context(cafile=str(authority.file))
        url = f"https://127.0.0.1:{server.port}/health/live"
        with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(OSError):  # noqa: PT011 - it is closed, or speaks something else
            get(server.port, "/health/live")
        silent.close()
    finally:
        server.close()


def test_off_loopback_probes_are_not_served_unencrypted_unless_that_is_said(
    tmp_path: Path,
) -> None:
    for host in (EVERYWHERE, "::", "10.0.0.1", "probes.example"):
        with pytest.raises(OperatorError, match="probes_unencrypted"):
            check_probes(Http(host=host))
        check_probes(Http(host=host, unencrypted=True))
    for host in ("127.0.0.1", "::1", "localhost"):
        check_probes(Http(host=host))
    made = Authority(tmp_path).server()
    with pytest.raises(OperatorError, match="certificate_missing"):
        check_probes(Http(host=EVERYWHERE, certificate_file=made.certificate))
    made.key.chmod(0o644)
    with pytest.raises(OperatorError, match="secret_unsafe"):
        check_probes(Http(certificate_file=made.certificate, key_file=made.key))
