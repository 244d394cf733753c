"""The broker dies in the middle of transactions and comes back."""

from __future__ import annotations

from typing import Final

from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage
from tests.chaos.system import SESSION_S


def kill_and_restart(stage: Stage) -> None:
    """Kill -9 of a broker (with three: one after the other), under load, in a transaction."""
    stage.run(workers=2)
    with stage.fed(80):
        for turn in range(stage.rounds(1) * len(stage.cluster.brokers)):
            stage.rest(1.0, 2.0)
            stage.cluster.brokers[turn % len(stage.cluster.brokers)].kill()
            # Also for longer than a session, after which every member is a stranger.
            stage.rest(0.0, 2 * SESSION_S)
            stage.cluster.restart()
            stage.rest(1.0, 2.0)


SCENARIOS: Final = (
    Scenario(
        "kill-broker",
        "kill -9 of the broker in a transaction, and its restart",
        kill_and_restart,
        bound_s=120,
        selected=True,
    ),
)
