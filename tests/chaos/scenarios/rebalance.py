"""Members join and leave, faster than the group comes to rest."""

from __future__ import annotations

import shutil
import time
from typing import Final

from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage
from tests.chaos.system import Run

_STORM_S: Final = 9.0


def storm(stage: Stage) -> None:
    """Runs join and leave every one to three seconds, dying or in order, while state restores."""
    run = stage.run("a", first_slot=0)
    stage.send(400)
    stage.settle()
    run.end(stage.left_s)
    shutil.rmtree(stage.folder / "a" / "intake-0")
    run = stage.run("a", first_slot=0, ready=False)
    others: list[Run] = []
    ends = time.monotonic() + _STORM_S * (5 if stage.long else 1)
    number = 0
    with stage.fed(60):
        while time.monotonic() < ends:
            number += 1
            others.append(stage.run(f"b{number}", first_slot=10 * number, ready=False))
            stage.rest(1.0, 3.0)
            if len(others) == 2:
                leaving = others.pop(0)
                if stage.chance.random() < 0.5:
                    leaving.kill()
                else:
                    leaving.end(stage.left_s)
        for leaving in others:
            leaving.kill()


def joins_in_a_batch(stage: Stage) -> None:
    """Members join while a large transaction is open; what is given up is done again in full."""
    heavy = {"CIMSTREAM__WORKER__COMMIT_INTERVAL_MS": "2000"}
    stage.run("a", first_slot=0, variables=heavy)
    with stage.fed(80):
        stage.rest(1.0, 2.0)
        stage.run("b", first_slot=10, variables=heavy)
        stage.rest(0.5, 1.5)
        third = stage.run("c", first_slot=20, variables=heavy)
        stage.rest(0.5, 1.5)
        third.end(stage.left_s)


SCENARIOS: Final = (
    Scenario(
        "rebalance-storm",
        "workers join and leave every 1-3 s while state restores",
        storm,
        bound_s=90,
    ),
    Scenario(
        "joins-in-a-batch",
        "members join and leave in the middle of large transactions",
        joins_in_a_batch,
    ),
)
