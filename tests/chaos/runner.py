"""Plays scenarios one after the other and judges them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.chaos import verify
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Anomaly, Blind, Unfit
from tests.chaos.history import Reader
from tests.chaos.observer import Observer
from tests.chaos.scenario import Result, Scenario, Verdict
from tests.chaos.stage import LOGS, Stage


def play(
    scenario: Scenario,
    cluster: Cluster,
    seed: int,
    *,
    long: bool = False,
    logs: Path | None = None,
) -> Verdict:
    """Play one scenario on a healthy cluster with topics of its own, and judge it.

    Where it ends badly, the logs of its runs are written into `logs`.
    """
    cluster.heal()
    cluster.fresh_topics()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cimstream-chaos-") as name:
        bound_s = scenario.bound_s * (4 if long else 1)
        stage = Stage(cluster, Path(name), seed, bound_s=bound_s, long=long)
        result: Result = "ok"
        reason, events = "", 0
        anomalies: list[str] = []
        try:
            with Observer(cluster.bootstrap, LOGS, stage.folder) as observer:
                scenario.act(stage)
                if scenario.judged:
                    stage.finish()
                    events, anomalies = judge(stage, observer.stop())
        except Unfit as error:
            result, reason = "skipped", str(error)
        except Blind as error:
            result, reason = "blind", str(error)
        except Anomaly as error:
            anomalies.append(str(error))
        except Exception as error:  # noqa: BLE001 - a fault of the suite is a bad verdict, too
            result, reason = "failed", f"the suite itself: {type(error).__name__}: {error}"
        if anomalies:
            result, reason = "failed", anomalies[0]
        if logs is not None and result not in ("ok", "skipped"):
            stage.write_logs(logs / f"{scenario.name}-{seed}")
        stage.clear()
    return Verdict(
        scenario.name, seed, _mode(long=long), result, reason, tuple(anomalies),
        round(time.monotonic() - started, 1), len(stage.receipts.delivered), events,
        repeat_command(scenario, seed, long=long),
    )  # fmt: skip


def unplayed(scenario: Scenario, seed: int, reason: str, *, long: bool) -> Verdict:
    """The verdict of a scenario that was not played."""
    return Verdict(
        scenario.name, seed, _mode(long=long), "skipped", reason, (), 0.0, 0, 0,
        repeat_command(scenario, seed, long=long),
    )  # fmt: skip


def judge(stage: Stage, reader: Reader) -> tuple[int, list[str]]:
    """What must hold after every scenario: the number of events, and what is wrong."""
    events, anomalies = verify.history(stage, reader)
    anomalies += stage.found
    anomalies += verify.recomputed(stage)
    anomalies += verify.rejections(stage)
    anomalies += verify.local_state(stage)
    return events, anomalies


def _mode(*, long: bool) -> str:
    return "long" if long else "short"


def repeat_command(scenario: Scenario, seed: int, *, long: bool) -> str:
    """How to play it again."""
    mode = " --long" if long else ""
    return f"python -m tests.chaos --scenario {scenario.name} --seed {seed}{mode}"
