"""The commit protocol: the one place where work becomes permanent.

Lives here: the order of the five steps. Must not live here: retries and what follows a
failure (see `worker`), Kafka calls (see `kafka`).

Invariant: local state is never ahead of a committed transaction. Everything else follows
from keeping step 4 after step 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.engine.events import Step, StepReached, Telemetry
from streams.engine.ports import Input, Position, State, Transactions
from streams.engine.record import Output
from streams.engine.task import Task


def commit(
    tasks: Sequence[Task],
    *,
    log: Transactions,
    source: Input,
    state: State,
    telemetry: Telemetry,
    acknowledge: Callable[[], None],
) -> None:
    """Make everything `tasks` did since the last commit permanent, or nothing of it.

    The outputs of the records are in the open transaction already. Raises what the ports
    raise; the caller then aborts, or resets where the outcome is unknown. A failure of
    step 4 is fatal: the transaction stands and local state lags behind it. StateLostError:
    a changelog's offsets went back, so it is not the one it was.
    """
    moved = [task for task in tasks if task.moved]

    def reached(step: Step, done: bool) -> None:
        telemetry.emit(StepReached(step, done))

    reached(Step.OUTPUTS, False)  # 1 the changelog joins the outputs in the transaction
    for task in moved:
        task.settle_counts(state)
        # Written for the task as a whole; refused, its last record brings all under suspicion.
        origin = (task.source, task.position - 1)
        for store, written in task.buffer.writes.items():
            for key, value in written.items():
                log.produce(Output(store.topic, key, value, (), store.partition), origin)
    reached(Step.OUTPUTS, True)

    reached(Step.OFFSETS, False)  # 2 and so do the input offsets
    positions = {t.source: Position(t.position, t.note(log.transactional_id)) for t in moved}
    log.send_offsets(positions, source.group())
    reached(Step.OFFSETS, True)

    reached(Step.COMMIT, False)  # 3 the only point of no return
    log.commit()
    reached(Step.COMMIT, True)

    reached(Step.APPLY, False)  # 4 data and changelog offsets, one atomic write
    delivered = log.delivered()
    writes = {store: w for task in moved for store, w in task.buffer.writes.items()}
    for task in moved:
        task.extend_logs(delivered)
    state.apply(writes, {s: delivered[s].offset + 1 for s in writes if s in delivered})
    for task in moved:
        task.settle()
    reached(Step.APPLY, True)

    reached(Step.ACKNOWLEDGE, False)  # 5 whoever waits may know
    acknowledge()
    reached(Step.ACKNOWLEDGE, True)
