"""The network between the workers and the broker delays, cuts, goes silent, reorders."""

from __future__ import annotations

from typing import Final

from confluent_kafka import Producer

from tests.chaos.faults import Anomaly, Blind, Stuck
from tests.chaos.proxy import ADD_OFFSETS_TO_TXN, END_TXN
from tests.chaos.scenario import Scenario
from tests.chaos.stage import STARTED_S, Stage
from tests.chaos.system import TRANSACTION_S

# So that a transaction does not grow too old meanwhile, which looks the same from inside.
_PATIENT: Final = {"CIMSTREAM__KAFKA__TRANSACTION_TIMEOUT_MS": "60000"}
# The shortest that the settings allow: a request is given up after so long.
_REQUEST_S: Final = 1.0
_IMPATIENT: Final = {"CIMSTREAM__KAFKA__REQUEST_TIMEOUT_S": str(_REQUEST_S)}


def slow(stage: Stage) -> None:
    """Every byte is late, and later from time to time."""
    stage.run(proxied=True)
    with stage.fed(100):
        for _ in range(stage.rounds(4)):
            for proxy in stage.cluster.proxies:
                proxy.delay_s = stage.chance.choice((0.0, 0.02, 0.1, 0.3))
            stage.rest(0.5, 1.5)
        for proxy in stage.cluster.proxies:
            proxy.delay_s = 0.0


def cut(stage: Stage) -> None:
    """Connections are reset again and again, for a while new ones too."""
    stage.run(workers=2, proxied=True)
    with stage.fed(80):
        for turn in range(stage.rounds(6)):
            refuse = turn % 3 == 2
            for proxy in stage.cluster.proxies:
                proxy.cut(refuse=refuse)
            stage.rest(0.2, 1.5)
            for proxy in stage.cluster.proxies:
                proxy.heal()


def half_open(stage: Stage) -> None:
    """The connections are there, and nothing passes, beyond session and transaction."""
    stage.run(proxied=True)
    with stage.fed(100):
        for _ in range(stage.rounds(1)):
            stage.rest(0.5, 1.5)
            for proxy in stage.cluster.proxies:
                proxy.silence()
            stage.rest(TRANSACTION_S, TRANSACTION_S + 3)
            for proxy in stage.cluster.proxies:
                proxy.heal()
            stage.rest(0.5, 1.0)


def delayed_end(stage: Stage) -> None:
    """A commit is lost on its way until the worker gives it up, and comes in a later transaction.

    It must be refused: the worker has thrown its producer away. It arrives when the later
    transaction is about to add its offsets; were it ended then, and the worker killed, its
    events would be there without their input being done.
    """
    run = stage.run(proxied=True, variables=_IMPATIENT)
    proxies = stage.cluster.proxies
    with stage.fed(60):
        for turn in range(stage.rounds(2)):
            _catch(stage, END_TXN)
            # Given up; and transactions of the new producer are under way.
            stage.rest(_REQUEST_S + 1.0, _REQUEST_S + 3.0)
            for proxy in proxies:
                proxy.stall(ADD_OFFSETS_TO_TXN)
            stage.until(lambda: any(p.caught for p in proxies), "no transaction follows")
            answers = [answer for proxy in proxies for answer in proxy.release()]
            if not answers:
                raise Stuck("no EndTxn was held back")
            if turn % 2 == 0:
                started = run.starts
                if run.kill_worker(0):
                    run.await_workers(started + 1, STARTED_S)
            for proxy in proxies:
                proxy.let_pass()
            stage.rest(0.3, 1.0)
    if not run.reasons("transaction aborted"):
        raise Blind("no commit was given up")


def hijack(stage: Stage) -> None:
    """A foreign producer takes our transactional id between produce and commit.

    Nothing of the transaction may be seen. Nobody has joined in our place, so that the slot is
    ours still: the worker starts again and takes its id back.
    """
    run = stage.run("a", first_slot=0, proxied=True, variables=_PATIENT)
    with stage.fed(60):
        for _ in range(stage.rounds(1)):
            stage.rest(0.5, 1.5)
            started = run.starts
            _catch(stage, END_TXN)
            thief = Producer(
                {"bootstrap.servers": stage.cluster.bootstrap, "transactional.id": "intake-0",
                 "log_level": 0}
            )  # fmt: skip
            thief.init_transactions(STARTED_S)
            for proxy in stage.cluster.proxies:
                proxy.release()
                proxy.cut()  # the worker asks again, and is told
            run.await_workers(started + 1, stage.left_s)
            run.await_ready(stage.left_s)
            del thief
    if not any("_FENCED" in reason for reason in run.reasons("process failed")):
        raise Anomaly(f"a worker whose id was taken was not ended by it; {run.tail()}")


def _catch(stage: Stage, api_key: int) -> None:
    """Hold back the next request of this kind, wherever its coordinator is; others pass then."""
    proxies = stage.cluster.proxies
    for proxy in proxies:
        proxy.hold(api_key)
    stage.until(lambda: any(proxy.caught for proxy in proxies), "no such request comes by")
    for proxy in proxies:
        proxy.let_pass()


SCENARIOS: Final = (
    Scenario("slow-network", "a proxy delays every byte, by chance up to 0.3 s each way", slow),
    Scenario(
        "cut-connections", "a proxy resets connections and refuses new ones", cut, selected=True
    ),
    Scenario(
        "half-open",
        "connections stay and nothing passes, longer than session and transaction",
        half_open,
    ),
    Scenario(
        "delayed-commit",
        "EndTxn is held back until given up, and delivered inside a later transaction",
        delayed_end,
        selected=True,
    ),
    Scenario(
        "hijacked-id",
        "a foreign producer takes our transactional id between produce and commit",
        hijack,
        selected=True,
    ),
)
