"""What every test may ask for.

Lives here: the servers of the whole run. Must not live here: fixtures of one part; those stay
beside its tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from streams.runtime.broker import BrokerSettings, broker_for
from tests.postgres import postgres_server

# How fast a machine is, is no property of ours.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that no one can read are named by their argument, not by themselves.

    Workers that run tests side by side must find the same names, and compressed bytes hold the
    time at which they were made.
    """
    return argname if isinstance(val, bytes) and not val.decode("latin-1").isprintable() else None


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a real Kafka, found or started as `make demo` does it.

    One for the whole run, shared by all tests: a test makes topics and groups with names of
    its own and does not count on an empty cluster.
    """
    local = BrokerSettings(data_folder=tmp_path_factory.mktemp("kafka") / "broker", port=0)
    with broker_for(local) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As `kafka`, for one file whose examples say how many there are, or wait as users do.

    Elsewhere others may have sent the same examples, or left a slot that is waited for.
    """
    local = BrokerSettings(data_folder=tmp_path_factory.mktemp("own") / "broker", port=0)
    with broker_for(local) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server; skips where none can be had."""
    with postgres_server() as folder:
        yield folder
