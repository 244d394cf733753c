"""Processes die, hang, come back, join and leave."""

from __future__ import annotations

from typing import Final

from streams.runtime.process import EXIT_FENCED
from tests.chaos.faults import Anomaly
from tests.chaos.proxy import ADD_OFFSETS_TO_TXN
from tests.chaos.scenario import Scenario
from tests.chaos.stage import STARTED_S, Stage
from tests.chaos.system import SESSION_S

# So that nothing grows too old meanwhile: that would look the same from inside.
_PATIENT: Final = {
    "CIMSTREAM__KAFKA__TRANSACTION_TIMEOUT_MS": "60000",
    "CIMSTREAM__KAFKA__REQUEST_TIMEOUT_S": "30",
}


def kill_in_rotation(stage: Stage) -> None:
    """Workers in turn, at moments by chance, under load; in the end the supervisor."""
    run = stage.run(workers=2)
    with stage.fed(80):
        for turn in range(stage.rounds(4)):
            stage.rest(0.3, 2.0)
            started = run.starts
            slot = turn % 2
            if run.kill_worker(slot):
                run.await_workers(started + 1, STARTED_S)
        stage.rest(0.5, 1.5)
        run.kill()
        run.await_gone()
        stage.run(workers=2)


def pause_and_resume(stage: Stage) -> None:
    """A worker stops beyond its session, about to commit; another takes over; it comes back.

    The zombie goes on exactly where it was: with a transaction that nobody has ended, and a
    healthy producer. Only its membership in the group tells that its input has been processed.
    """
    first = stage.run("a", first_slot=0, proxied=True, variables=_PATIENT)
    second = stage.run("b", first_slot=10)
    proxies = stage.cluster.proxies
    with stage.fed(60):
        for _ in range(stage.rounds(1)):
            stage.rest(0.5, 1.5)
            for proxy in proxies:
                proxy.stall(ADD_OFFSETS_TO_TXN)
            stage.until(lambda: any(p.caught for p in proxies), "the zombie has nothing to commit")
            since = len(second.lines)
            first.pause(0)
            second.await_line("partitions assigned", SESSION_S + STARTED_S, since=since)
            stage.rest(0.5, 1.5)
            first.resume(0)
            for proxy in proxies:
                proxy.let_pass()
            stage.rest(1.0, 2.0)


def pause_and_replace(stage: Stage) -> None:
    """A worker stops; one of the same slot starts elsewhere; the first comes back.

    Two that claim one slot would fence each other for ever: one must end and stay away, whichever
    the group has heard last, and the other work on.
    """
    runs = [stage.run("a", first_slot=0, variables=_PATIENT)]
    with stage.fed(60):
        stage.rest(0.5, 1.5)
        runs[0].pause(0)
        runs.append(stage.run("b", first_slot=0, variables=_PATIENT))
        stage.rest(0.3, 1.0)
        runs[0].resume(0)
        stage.until(lambda: not all(run.running for run in runs), "neither gives the slot up")
        stage.rest(3.0)
        ended = [run for run in runs if not run.running]
        if len(ended) != 1:
            raise Anomaly(f"both gave the slot up; {runs[0].tail()} | {runs[1].tail()}")
        status = ended[0].await_end(stage.left_s)
        if status != EXIT_FENCED:
            raise Anomaly(f"the run that lost its slot ended with {status}; {ended[0].tail()}")


SCENARIOS: Final = (
    Scenario(
        "kill-workers",
        "kill -9 of workers in rotation, then of the supervisor",
        kill_in_rotation,
        selected=True,
    ),
    Scenario(
        "pause-and-resume",
        "SIGSTOP beyond the session; a successor takes over; SIGCONT of the zombie",
        pause_and_resume,
        selected=True,
    ),
    Scenario(
        "pause-and-replace",
        "SIGSTOP; another process takes the slot; SIGCONT: one of the two ends",
        pause_and_replace,
    ),
)
