"""The broker dies in the middle of transactions and comes back."""

from __future__ import annotations

from typing import Final

from tests.chaos.proxy import END_TXN
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage
from tests.chaos.system import SESSION_S

# Markers of a commit that has reached the broker are written within milliseconds.
_WRITTEN_S: Final = 0.5


def kill_and_restart(stage: Stage) -> None:
    """Kill -9 of a broker (with three: one after the other), under load, in a transaction."""
    alone = len(stage.cluster.brokers) == 1
    stage.run(workers=2, proxied=alone)
    with stage.fed(80):
        for turn in range(stage.rounds(1) * len(stage.cluster.brokers)):
            stage.rest(1.0, 2.0)
            if alone:
                _await_open_transaction(stage)
            stage.cluster.brokers[turn % len(stage.cluster.brokers)].kill()
            for proxy in stage.cluster.proxies:
                proxy.heal()
            # Also for longer than a session, after which every member is a stranger.
            stage.rest(0.0, 2 * SESSION_S)
            stage.cluster.restart()
            stage.rest(1.0, 2.0)


def _await_open_transaction(stage: Stage) -> None:
    """Let a transaction be open for sure, and none be ending.

    A single Kafka that is killed while it writes the markers of a commit (seen in 4.3.1) skips
    them when it starts again: until it is unfenced it knows no leaders and takes the partitions
    for deleted. What was committed then blocks every read_committed reader for ever, whoever
    wrote it. With three brokers the markers are another's to write.
    """
    proxies = stage.cluster.proxies
    for proxy in proxies:
        proxy.hold(END_TXN)
    stage.until(lambda: any(proxy.caught for proxy in proxies), "no commit comes by")
    stage.rest(_WRITTEN_S)


SCENARIOS: Final = (
    Scenario(
        "kill-broker",
        "kill -9 of the broker in a transaction, and its restart",
        kill_and_restart,
        bound_s=120,
        selected=True,
    ),
)
