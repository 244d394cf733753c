"""Bringing local state up to its changelogs before a task runs.

Lives here: from where to where a restore reads, and when it is finished. Must not live
here: Kafka calls (see `kafka.changelogs`), the life cycle (see `task`).

Invariant: the store at checkpoint c equals the fold of the committed changelog up to c. A
restore is finished only when it has seen the high watermark that stood when it began; while
the last stable offset is behind that (an undecided transaction), it waits.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from streams.engine.errors import FatalError, StateCorruptError
from streams.engine.events import RestoreCompleted, RestoreProgressed, StateWiped, Telemetry
from streams.engine.ports import Changelogs, Clock, State
from streams.engine.record import TopicPartition
from streams.engine.task import Phase, Task

# One turn of a restore: enough to keep the fetcher busy (measured: larger batches gain
# nothing), small enough that the group's poll deadline and a SIGTERM are never far away.
RECORDS_PER_TURN = 10_000
TIMEOUT_S = 0.05


@dataclass(slots=True)
class _Goal:
    task: Task
    position: int
    end: int


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

    @property
    def active(self) -> bool:
        """Whether any task still restores."""
        return bool(self._goals)

    def begin(self, task: Task) -> bool:
        """Take `task` in; True if there was nothing to read and it runs already.

        Raises:
            FatalError: a changelog ends before the local checkpoint. Somebody deleted,
                emptied or truncated it; state that the log no longer backs is not used.
        """
        bounds = self._changelogs.bounds(task.stores.values()) if task.stores else {}
        task.become(Phase.RESTORING)
        self._started[task.source] = (self._clock.monotonic(), 0)
        for store, (start, end) in bounds.items():
            checkpoint = self._state.checkpoint(store)
            if checkpoint is not None and checkpoint > end:
                raise FatalError(
                    f"changelog {store} ends at {end}, before the local checkpoint {checkpoint}: "
                    "it was deleted, emptied or truncated. Restore the topic from a backup, or "
                    "accept the loss and remove the local state folder of this slot"
                )
            if checkpoint is not None and checkpoint < start:
                self._wipe(task, store, "its checkpoint is below the start of the changelog")
                checkpoint = None
            position = start if checkpoint is None else checkpoint
            if position < end:
                self._goals[store] = _Goal(task, position, end)
        self._follow()
        return self._finished(task)

    def forget(self, task: Task) -> None:
        """`task` is no longer ours: stop restoring it."""
        for store in task.stores.values():
            self._goals.pop(store, None)
        self._started.pop(task.source, None)
        self._follow()

    def advance(self) -> list[Task]:
        """Read and apply one bounded step; give the tasks that are finished with it.

        A task whose changelog moved away under its restore is wiped and CREATED again.
        """
        try:
            records = self._changelogs.poll(RECORDS_PER_TURN, TIMEOUT_S)
        except StateCorruptError as error:
            self._give_up(error)
            return []
        writes: dict[TopicPartition, dict[bytes, bytes | None]] = {}
        checkpoints: dict[TopicPartition, int] = {}
        counts: Counter[TopicPartition] = Counter()
        for record in records:
            store = record.source
            if store in self._goals:
                checkpoints[store] = record.offset + 1
                counts[store] += 1
                if record.key is not None:
                    writes.setdefault(store, {})[record.key] = record.value
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
        self._telemetry.emit(RestoreCompleted(task.source, count, self._clock.monotonic() - since))
        task.become(Phase.RUNNING)
        return True

    def _follow(self) -> None:
        self._changelogs.follow({store: goal.position for store, goal in self._goals.items()})
