"""Input that breaks things by itself: poison in every place, a changed number of partitions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from streams.demo import messages as m
from tests.chaos.faults import Anomaly
from tests.chaos.recompute import Facts
from tests.chaos.scenario import Scenario
from tests.chaos.stage import INBOUND, STARTED_S, Stage
from tests.chaos.workload import BAD, READINGS, Message, to_inbound
from topics import load_catalogue
from topics.partitioning import murmur2_partition

_BATCH: Final = 8
_BY_CONTENT: Final = frozenset(field.name for field in fields(Facts)) - {"forwards"}
_PARTITIONS: Final = load_catalogue().interfaces["I7"].partitions["inbound"]
# What this topic takes at most in the scenario: more than a batch of the workload has.
_LIMIT_BYTES: Final = 40_000


def poison(stage: Stage) -> None:
    """Batches of one partition with bad records in every place; among them one the broker refuses.

    Each is rejected by itself with its own code, and its neighbours pass.
    """
    stage.cluster.configure(READINGS, max_message_bytes=str(_LIMIT_BYTES))
    stage.not_recomputed |= _BY_CONTENT  # what a broker refuses does not follow from the message
    stage.send(list(_batches(stage)))
    stage.run(variables={"CIMSTREAM__WORKER__BATCH_RECORDS_MAX": str(_BATCH)})
    stage.settle()
    stage.send(40)


def _batches(stage: Stage) -> Iterator[Message]:
    """For each place a batch with a bad record there; then one of bad records alone."""
    kinds = list(BAD)
    stage.chance.shuffle(kinds)
    for place in range(_BATCH):
        for position in range(_BATCH):
            if position != place:
                yield _on_one_partition(stage, "")
            elif place % 4 == 3:
                yield _oversize(stage)
            else:
                yield _on_one_partition(stage, kinds[place % len(kinds)])
    for position in range(_BATCH):
        yield _on_one_partition(stage, kinds[position % len(kinds)])


def _on_one_partition(stage: Stage, kind: str) -> Message:
    if not kind:
        return stage.workload.first(_is_home)
    while not _is_home(message := stage.workload.bad(kind)):
        pass
    return message


def _oversize(stage: Stage) -> Message:
    """A good message whose event is larger than its topic takes: noise does not compress."""
    while True:
        noise = random.Random(stage.chance.random())
        numbers = [f"{noise.randrange(10**14)}.5" for _ in range(_LIMIT_BYTES // 6)]
        name = f"large-{noise.randrange(10**9)}"
        meter = m.compact_meter(name, numbers, m.times(len(numbers)))
        data = m.envelope(m.meter_readings([meter]), message_id=name)
        message = Message("refused", name, data, code="produce_refused")
        if _is_home(message):
            return message


def _is_home(message: Message) -> bool:
    """Whether it belongs to the first partition of inbound."""
    return murmur2_partition(to_inbound(message.data).key or b"", _PARTITIONS) == 0


def repartitioned(stage: Stage) -> None:
    """Inbound gets another partition: refused at a start, and noticed by what runs."""
    run = stage.run(
        # How soon a client looks is its own affair; not after five minutes here.
        variables={"CIMSTREAM__KAFKA__PROPERTIES": '{"topic.metadata.refresh.interval.ms": 500}'}
    )
    stage.send(60)
    stage.settle()
    stage.cluster.add_partitions(INBOUND, _PARTITIONS + 1)
    failed = run.await_line("process failed", STARTED_S)
    if failed["code"] != "fatal" or "partitions" not in str(failed["reason"]):
        raise Anomaly(f"another partition count is not refused clearly: {failed}")
    run.end(stage.left_s)
    run = stage.run(ready=False)
    status = run.await_end(STARTED_S)
    if status != 2 or "topics_conflict" not in run.tail(12):
        raise Anomaly(f"a start with another partition count ended with {status}; {run.tail()}")


SCENARIOS: Final = (
    Scenario(
        "poison", "bad records in every position of a batch, and batches of them", poison,
        selected=True,
    ),
    Scenario(
        "partition-count", "inbound gets another partition", repartitioned, judged=False
    ),
)  # fmt: skip
