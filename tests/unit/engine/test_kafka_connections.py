"""What a producer's log says of its connections."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from streams.engine.kafka.connections import Connections
from streams.engine.kafka.settings import LOGGER


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Messages that reach the handlers of all of ours."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    monkeypatch.setattr(LOGGER, "handlers", [Handler()])
    monkeypatch.setattr(LOGGER, "propagate", False)
    LOGGER.setLevel(logging.DEBUG)
    yield lines
    LOGGER.setLevel(logging.NOTSET)


def test_a_broken_connection_is_heard_of_in_the_librarys_log(passed_on: list[str]) -> None:
    """In the library's own form: facility, client, text."""
    connections = Connections()
    before = connections.broken
    connections.logger.info("%s [%s] %s", "FAIL", "rdkafka#producer-3", "a:1/1: Disconnected")
    assert (before, connections.broken) == (False, True)
    assert passed_on == []


def test_other_lines_are_passed_on_and_mean_nothing(passed_on: list[str]) -> None:
    connections = Connections()
    connections.logger.warning("%s [%s] %s", "GETPID", "rdkafka#producer-3", "retrying")
    assert not connections.broken
    assert passed_on == ["GETPID [rdkafka#producer-3] retrying"]


def test_it_is_heard_of_whatever_level_people_want_to_read(
    passed_on: list[str],
) -> None:
    LOGGER.setLevel(logging.ERROR)
    connections = Connections()
    connections.logger.info("%s [%s] %s", "FAIL", "rdkafka#producer-3", "a:1/1: Disconnected")
    connections.logger.warning("%s [%s] %s", "GETPID", "rdkafka#producer-3", "retrying")
    assert connections.broken
    assert passed_on == []


def test_a_failure_that_people_should_know_of_is_passed_on_too(passed_on: list[str]) -> None:
    connections = Connections()
    connections.logger.error("%s [%s] %s", "FAIL", "rdkafka#producer-3", "Connection refused")
    assert connections.broken
    assert len(passed_on) == 1
