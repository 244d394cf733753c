"""A pipeline and gateways for the files here; who needs others makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.integration.data_rig import make_topics
from tests.integration.gateway.rig import GatewayRun, make_gateway
from tests.integration.test_run import Run, make_run


@pytest.fixture(scope="module")
def processing(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What answers: I7 and I1. Nothing answers on I6."""
    with contextmanager(make_run)(kafka, tmp_path_factory.mktemp("run")) as start_run:
        run = start_run("--interface", "I1")
        run.await_event("partitions assigned")
        yield run


@pytest.fixture
def start(kafka: str) -> Iterator[Callable[..., GatewayRun]]:
    make_topics(kafka)
    yield from make_gateway(kafka)


@pytest.fixture(scope="module")
def gateway(kafka: str, processing: Run) -> Iterator[GatewayRun]:
    """One without access file, for all tests of a file that do not hurt it."""
    with contextmanager(make_gateway)(kafka) as start_gateway:
        yield start_gateway()
