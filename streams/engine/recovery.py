"""Bringing local state up to its changelogs before a task runs.

Lives here: from where to where a restore reads, and when it is finished. Must not live
here: Kafka calls (see `kafka.changelogs`), the life cycle (see `task`).

Invariant: the store at checkpoint c equals the fold of the committed changelog up to c. A
restore is finished only when it has seen the high watermark that stood when it began; while
the last stable offset is behind that (an undecided transaction), it waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streams.engine.errors import EngineError, StateCorruptError, StateLostError, TransientError
from streams.engine.events import RestoreCompleted, RestoreProgressed, StateWiped, Telemetry
from streams.engine.note import LogEnd
from streams.engine.ports import Bounds, Changelogs, Clock, State
from streams.engine.record import TopicPartition
from streams.engine.task import WAY_OUT, Phase, Task

# One turn of a restore: enough to keep the fetcher busy (measured: larger batches gain
# nothing), small enough that the group's poll deadline and a SIGTERM are never far away.
RECORDS_PER_TURN = 10_000
TIMEOUT_S = 0.05
_ACCEPTED: Final = "an operator accepted the loss of what the changelog no longer holds"


@dataclass(slots=True)
class _Goal:
    task: Task
    position: int
    end: int
    time_ms: int = -1


class Recovery:
    """Restores the stores of all tasks that are RESTORING, a bounded step at a time."""

    def __init__(
        self, changelogs: Changelogs, state: State, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._changelogs = changelogs
        self._state = state
        self._telemetry = telemetry
        self._clock = clock
        self._goals: dict[TopicPartition, _Goal] = {}
        self._started: dict[TopicPartition, tuple[float, int]] = {}
        self._asked_again: set[TopicPartition] = set()

    @property
    def active(self) -> bool:
        """Whether any task still restores."""
        return bool(self._goals)

    def begin(self, task: Task) -> bool:
        """Take `task` in; True if there was nothing to read and it runs already.

        Raises:
            StateLostError: a changelog holds less than was once committed to it, or there is
                state of an input of which no offset is committed any more.
        """
        bounds = self._changelogs.bounds(task.stores.values()) if task.stores else {}
        for store, log in bounds.items():
            self._check(task, store, log)
        task.become(Phase.RESTORING)
        self._started[task.source] = (self._clock.monotonic(), 0)
        for store, log in bounds.items():
            checkpoint = self._state.checkpoint(store)
            if checkpoint is not None and task.loss_accepted:
                self._wipe(task, store, _ACCEPTED)
                checkpoint = None
            # One below the log's start is told by the first `poll`, like one the log moves past.
            position = log.start if checkpoint is None else checkpoint
            known = task.logs.get(store)
            task.logs[store] = LogEnd(log.topic_id, log.end, -1 if known is None else known.time_ms)
            if position < log.end:
                self._goals[store] = _Goal(task, position, log.end)
        self._follow()
        return self._finished(task)

    def check(self, tasks: Iterable[Task]) -> None:
        """Whether the changelogs of tasks at work are still what they were.

        Raises:
            StateLostError: as `begin`; it is better heard of today than at the next restore.
            FatalError: one does not exist any more.
            TransientError: the broker did not answer.
        """
        owners = {store: task for task in tasks for store in task.stores.values()}
        if owners:
            for store, log in self._changelogs.bounds(owners).items():
                self._check(owners[store], store, log)

    def _check(self, task: Task, store: TopicPartition, log: Bounds) -> None:
        """Compare a changelog with what is known of it from the note and since."""
        known = task.logs.get(store)
        problem = None
        if task.loss_accepted:
            return
        if known is not None and known.topic_id != log.topic_id:
            problem = "was deleted and created again"
        elif known is not None and known.end > log.end:
            problem = f"ends at {log.end} and was at {known.end}: it was truncated"
        elif known is not None and log.start >= known.end > 0 and self._of_use(task, store, known):
            problem = f"was emptied up to {log.start}"
        elif (checkpoint := self._state.checkpoint(store) or 0) > log.end:
            problem = f"ends at {log.end}, before the local checkpoint {checkpoint}"
        if problem is not None:
            raise StateLostError(f"changelog {store} {problem}. {WAY_OUT}")

    def _of_use(self, task: Task, store: TopicPartition, known: LogEnd) -> bool:
        """Whether the last record that was written must still be kept.

        The broker removes it a slack after the horizon at the earliest, so that a clock of
        ours that is late by less than that raises no alarm.
        """
        horizon = task.specs[store].horizon
        if horizon is None:
            return True
        return known.time_ms >= 0 and self._clock.epoch_ms() < known.time_ms + horizon.horizon_ms

    def forget(self, task: Task) -> None:
        """`task` is no longer ours: stop restoring it."""
        for store in task.stores.values():
            self._goals.pop(store, None)
        self._started.pop(task.source, None)
        self._asked_again.discard(task.source)
        self._follow()

    def advance(self) -> list[Task]:
        """Read and apply one bounded step; give the tasks that are finished with it.

        A task whose changelog moved away under its restore is wiped and CREATED again.
        """
        try:
            stretches = self._changelogs.poll(RECORDS_PER_TURN, TIMEOUT_S)
        except StateCorruptError as error:
            self._give_up(error)
            return []
        wanted = {store: read for store, read in stretches.items() if store in self._goals}
        writes = {store: read.writes for store, read in wanted.items()}
        checkpoints = {store: read.end for store, read in wanted.items()}
        counts = Counter({store: read.records for store, read in wanted.items()})
        for store, read in wanted.items():
            self._goals[store].time_ms = read.time_ms
        for store, position in self._changelogs.reached().items():
            if store in self._goals and position > self._goals[store].position:
                checkpoints[store] = max(position, checkpoints.get(store, 0))
        if checkpoints:
            self._state.apply(writes, checkpoints)
        return self._account(counts, checkpoints)

    def _account(
        self, counts: Counter[TopicPartition], checkpoints: dict[TopicPartition, int]
    ) -> list[Task]:
        done: list[Task] = []
        for store, checkpoint in checkpoints.items():
            goal = self._goals[store]
            goal.position = checkpoint
            since, count = self._started[goal.task.source]
            self._started[goal.task.source] = (since, count + counts[store])
            if goal.position >= goal.end:
                del self._goals[store]
                goal.task.extend_log(store, goal.position, goal.time_ms)
                if self._finished(goal.task):
                    done.append(goal.task)
            else:
                self._telemetry.emit(
                    RestoreProgressed(goal.task.source, self._remaining(goal.task))
                )
        if done:
            self._follow()
        return done

    def _give_up(self, error: StateCorruptError) -> None:
        """Retention or truncation moved the log under a restore: that task begins anew."""
        goal = self._goals.get(error.store)
        if goal is None:
            return
        task = goal.task
        self.forget(task)
        self._wipe(task, error.store, str(error))
        task.become(Phase.CREATED)

    def _wipe(self, task: Task, store: TopicPartition, reason: str) -> None:
        self._state.wipe(store)
        self._telemetry.emit(StateWiped(task.source, reason))

    def _remaining(self, task: Task) -> int:
        return sum(g.end - g.position for g in self._goals.values() if g.task is task)

    def _finished(self, task: Task) -> bool:
        if any(goal.task is task for goal in self._goals.values()):
            return False
        since, count = self._started.pop(task.source)
        if task.fresh and (store := self._filled(task)) is not None:
            task.become(Phase.CREATED)
            raise self._without_offset(task, store)
        self._asked_again.discard(task.source)
        self._telemetry.emit(RestoreCompleted(task.source, count, self._clock.monotonic() - since))
        task.become(Phase.RUNNING)
        return True

    def _without_offset(self, task: Task, store: TopicPartition) -> EngineError:
        """State of an input of which no offset was committed when the task was given to us.

        The first time it may be that another has taken our place since and committed the very
        first one: the group is heard, and asked again, before anything is called lost.
        """
        if task.source not in self._asked_again:
            self._asked_again.add(task.source)
            return TransientError(f"{store} holds state, and no offset of {task.source} is known")
        return StateLostError(
            f"no offset is committed for {task.source}, but {store} holds state of it: the "
            "group's offsets have expired or were deleted. To begin anew would let everything "
            "older than the horizon take effect again. Set the group's offset for the "
            "partition to where it stopped (or to the end of the log), and start again"
        )

    def _filled(self, task: Task) -> TopicPartition | None:
        """A store of the task that is not empty."""
        for store in task.stores.values():
            if next(self._state.items(store), None) is not None:
                return store
        return None

    def _follow(self) -> None:
        self._changelogs.follow({store: goal.position for store, goal in self._goals.items()})
