"""The changelogs under a restore: undecided, cut, compacted, ending in a marker, gone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Producer

from streams.engine.record import TopicPartition
from streams.runtime.process import EXIT_STATE_LOST
from tests.chaos.cluster import INTERFACE, partitions_of
from tests.chaos.faults import Anomaly
from tests.chaos.scenario import Scenario
from tests.chaos.stage import COUNTERS, DEDUP, STARTED_S, Stage
from tests.chaos.system import SESSION_S, cimstream
from tests.chaos.workload import Message, Receipt

_SLOT: Final = "intake-0"
_OPEN_S: Final = 3.0


def undecided(stage: Stage) -> None:
    """A foreign transaction is open on the changelog while the state is restored from it.

    Until it is decided the restore must not be finished; of what is aborted nothing stays.
    """
    _worked(stage, 100)
    shutil.rmtree(stage.folder / "a" / _SLOT)
    foreigner = Producer(
        {"bootstrap.servers": stage.cluster.bootstrap, "transactional.id": "foreigner",
         "transaction.timeout.ms": 60_000, "log_level": 0}
    )  # fmt: skip
    foreigner.init_transactions(STARTED_S)
    foreigner.begin_transaction()
    for topic, partition in partitions_of(stage.cluster, [DEDUP]):
        foreigner.produce(topic, b"not a mark", b"of nobody", partition)
    foreigner.flush(STARTED_S)
    run = stage.run(ready=False)
    run.await_workers(1, STARTED_S)
    run.await_line("partitions assigned", STARTED_S)
    with stage.fed(60):
        for _ in range(int(_OPEN_S / 0.5)):
            stage.rest(0.5)
            if run.ready(0):
                raise Anomaly("a restore ended below records that were not decided yet")
        foreigner.abort_transaction(STARTED_S)
        run.await_ready(stage.left_s)


def below_the_start(stage: Stage) -> None:
    """The checkpoint of an old folder lies below the start of the log: it is wiped, and restored.

    Marks that retention has removed are gone, those that the log holds are recognised.
    """
    copy, database = stage.folder / "copy", stage.folder / "a" / _SLOT
    before = _worked(stage, 60)
    shutil.copytree(database, copy)
    after = _worked(stage, 120)
    shutil.rmtree(database)
    shutil.copytree(copy, database)
    stage.cluster.remove_records(_between(before, after))
    stage.not_recomputed.add("marks")
    run = stage.run()
    if not run.reasons("local state wiped"):
        raise Anomaly("a checkpoint below the log's start was believed")
    known = _last_of_each_partition(stage)
    stage.send([stage.workload.again(message) for message in known])
    stage.send([stage.workload.first() for _ in range(40)])


def head_lost(stage: Stage) -> None:
    """Retention takes the head of the changelog under a running system: that is normal.

    The local state has it still, so that everything is recognised as before.
    """
    before = stage.changelog_ends()
    run = stage.run()
    stage.send(150)
    stage.settle()
    stage.remember_changelogs()
    stage.cluster.remove_records(_between(before, stage.changelog_ends()))
    stage.not_recomputed.add("marks")
    stage.send(80)
    stage.settle()
    stage.remember_changelogs()
    run.end(stage.left_s)
    run = stage.run()
    if run.reasons("local state wiped"):
        raise Anomaly("intact local state was thrown away because retention did its work")
    stage.send(80)


def compacted(stage: Stage) -> None:
    """The changelogs are compacted while work goes on; then the state is restored from them."""
    for topic in (DEDUP, COUNTERS):
        stage.cluster.configure(
            topic, segment_ms="500", min_cleanable_dirty_ratio="0.01", delete_retention_ms="100",
            max_compaction_lag_ms="500", min_compaction_lag_ms="0",
        )  # fmt: skip
    run = stage.run()
    with stage.fed(60):
        stage.until(lambda: _has_gaps(stage), "the counters are not compacted")
    stage.settle()
    run.end(stage.left_s)
    shutil.rmtree(stage.folder / "a" / _SLOT)
    run = stage.run()
    stage.send(60)


def ends_in_a_marker(stage: Stage) -> None:
    """The run is killed in a transaction, its state lost: the changelog ends in an abort marker."""
    for _ in range(stage.rounds(1)):
        run = stage.run()
        with stage.fed(60):
            stage.rest(0.5, 1.5)
            run.kill()
            run.await_gone()
        shutil.rmtree(stage.folder / "a" / _SLOT)
    stage.run()
    stage.send(40)


def deleted(stage: Stage) -> None:
    """The changelog is deleted under a running system, and an empty one is made later."""
    _lose(stage, at_once=False)


def replaced(stage: Stage) -> None:
    """The changelog is deleted and at once there again, empty: it must be noticed all the same."""
    _lose(stage, at_once=True)


def _lose(stage: Stage, *, at_once: bool) -> None:
    """The system refuses to go on; what is lost is for an operator to decide, who can."""
    run = stage.run()
    stage.send(80)
    stage.settle()
    stage.cluster.delete_topics([DEDUP])
    stage.not_recomputed.add("marks")
    if at_once:
        stage.cluster.apply_topics()
    stage.send([stage.workload.first() for _ in range(30)])
    # The first failure may be that of the transaction which found the topic gone.
    run.await_line(
        "process failed", stage.left_s, where=lambda line: "changelog" in str(line["reason"])
    )
    stage.cluster.apply_topics()
    status = run.await_end(stage.left_s)
    lost = run.await_line("process failed", 0, where=lambda line: line["code"] == "state_lost")
    if status != EXIT_STATE_LOST or "accept-loss" not in str(lost["reason"]):
        raise Anomaly(f"lost state ends the run with {status}, and says {lost}")
    stage.rest(SESSION_S + 0.5)  # the dead member is one until then
    cimstream(stage.cluster.bootstrap, "state", "accept-loss", "--yes", "--interface", INTERFACE)
    stage.run()
    stage.send([stage.workload.first() for _ in range(30)])


def _worked(stage: Stage, count: int) -> Mapping[TopicPartition, int]:
    """A run that did so much and ended well; give the ends of the dedup changelog."""
    run = stage.run()
    stage.send(count)
    stage.settle()
    run.end(stage.left_s)
    return stage.changelog_ends()


def _between(
    before: Mapping[TopicPartition, int], after: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Offsets in the middle of the two."""
    return {at: (before[at] + end) // 2 for at, end in after.items() if end > before[at] + 1}


def _last_of_each_partition(stage: Stage) -> list[Message]:
    """The message of each partition whose mark is the last: far behind the middle of the marks."""
    last: dict[TopicPartition, Receipt] = {}
    for receipt in stage.receipts.delivered:
        message, before = receipt.message, last.get(receipt.at)
        new = message.events and message.kind != "repeat"
        if new and (before is None or receipt.offset > before.offset):
            last[receipt.at] = receipt
    return [receipt.message for receipt in last.values()]


def _has_gaps(stage: Stage) -> bool:
    """Whether records of the counters' changelog were removed: its first one was overwritten."""
    firsts: dict[TopicPartition, int] = {}
    for record in stage.read(COUNTERS):
        firsts.setdefault(record.source, record.offset)
    return len(firsts) > 1 and all(firsts.values())


SCENARIOS: Final = (
    Scenario(
        "undecided-changelog",
        "a restore while the last stable offset is behind the high watermark",
        undecided,
        selected=True,
    ),
    Scenario(
        "checkpoint-below-start",
        "retention has passed the checkpoint of the local state",
        below_the_start,
    ),
    Scenario("changelog-head-lost", "retention removes the head of the changelog", head_lost),
    Scenario("changelog-compacted", "a restore from compacted changelogs", compacted, bound_s=90),
    Scenario("changelog-ends-in-marker", "a changelog that ends in an abort", ends_in_a_marker),
    Scenario("changelog-deleted", "the changelog is deleted under a running system", deleted, 90),
    Scenario("changelog-replaced", "an empty changelog takes its place unseen", replaced),
)
