"""The scenarios of `make test`: those that break what the guarantee rests on, each once.

The whole suite is `make chaos`. A scenario that fails prints the command that repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from streams.runtime.kafka import jars
from streams.runtime.kafka.errors import BrokerError
from tests.chaos.cluster import Cluster
from tests.chaos.runner import play
from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import ALL

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker of our own: it is killed, and its network is ours to break."""
    try:
        jars.require_java()
    except BrokerError as error:
        pytest.skip(f"the broker must be a process that can be killed: {error}")
    with Cluster(tmp_path_factory.mktemp("chaos")) as cluster:
        cluster.apply_topics()
        yield cluster


@pytest.mark.parametrize(
    "scenario", [scenario for scenario in ALL if scenario.selected], ids=lambda s: s.name
)
def test_nothing_is_lost_or_twice_or_torn_or_stuck(cluster: Cluster, scenario: Scenario) -> None:
    verdict = play(scenario, cluster, random.randrange(1_000_000))
    if verdict.result == "skipped":
        pytest.skip(verdict.reason)
    assert verdict.good, f"{verdict.to_json()}\nrepeat: {verdict.repeat}"
