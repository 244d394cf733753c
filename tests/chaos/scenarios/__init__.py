"""All scenarios, in the order in which they are played."""

from __future__ import annotations

from typing import Final

from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import (
    brokers,
    changelogs,
    clocks,
    inputs,
    late_end,
    network,
    processes,
    rebalance,
    state,
)

ALL: Final[tuple[Scenario, ...]] = (
    *processes.SCENARIOS,
    *rebalance.SCENARIOS,
    *network.SCENARIOS,
    *late_end.SCENARIOS,
    *brokers.SCENARIOS,
    *changelogs.SCENARIOS,
    *state.SCENARIOS,
    *clocks.SCENARIOS,
    *inputs.SCENARIOS,  # the last one leaves a group behind that knows of one partition more
)
