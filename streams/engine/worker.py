"""One worker: a consumer group member with one producer, turning its loop.

Lives here: the order of a turn, and what follows each kind of failure. Must not live here:
threads, wall clocks, environment, payload knowledge.

    turn:  settle a failure -> restore a step -> consume -> process -> commit when due

A transaction is open only between the first record taken and the commit that follows when
the input runs dry, the interval is over, or enough bytes are in it.

Invariant: every record taken is either committed with all its effects or taken again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from streams.engine.commit import commit
from streams.engine.errors import (
    EngineError,
    FatalError,
    FencedError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from streams.engine.events import (
    BatchCommitted,
    LeaveFailed,
    PartitionsAssigned,
    PartitionsRevoked,
    SlotCleared,
    Telemetry,
    TransactionAborted,
)
from streams.engine.execution import Execution
from streams.engine.housekeeping import Housekeeping
from streams.engine.limits import Limits, OpenTransaction
from streams.engine.ports import Changelogs, Clock, Input, Position, Reader, State, Transactions
from streams.engine.processor import Processor
from streams.engine.record import Record, TopicPartition
from streams.engine.recovery import Recovery
from streams.engine.task import Phase, Task

__all__ = ["Limits", "Worker"]

# Committed offsets stop at the last record; what lies behind it (the markers of a producer's
# transactions) is committed now and then, so that retention never seems to have removed
# records that were not processed. Retention works in hours; a minute is enough and costs
# nothing where nothing changed.
ENDS_INTERVAL_S = 60.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
# Records asked for at once: small enough that the byte limit of a batch is overshot by
# little (256 x 1.4 KB = 0.4 MB), large enough that the call itself costs nothing per record.
CHUNK_RECORDS = 256


class Worker:
    """Runs one processor over the input partitions the group assigns."""

    def __init__(  # noqa: PLR0913 - the composition root names every port
        self,
        processor: Processor[object],
        *,
        source: Input,
        log: Transactions,
        changelogs: Changelogs,
        reader: Reader,
        state: State,
        telemetry: Telemetry,
        clock: Clock,
        limits: Limits,
        acknowledge: Callable[[], None] = lambda: None,
    ) -> None:
        self._processor = processor
        self._source = source
        self._log = log
        self._closables = (source, log, changelogs, reader, state)
        self._state = state
        self._telemetry = telemetry
        self._clock = clock
        self._limits = limits
        self._acknowledge = acknowledge
        self._execution = Execution(processor, log, state, reader, telemetry)
        self._recovery = Recovery(changelogs, state, telemetry, clock)
        self._housekeeping = Housekeeping(source, state, self._recovery, telemetry, clock)
        self._tasks: dict[TopicPartition, Task] = {}
        self._transaction: OpenTransaction | None = None
        self._failure: EngineError | None = None
        self._backoff_s = 0.0
        self._ends_at = clock.monotonic()
        self._joined = False

    # ---------------------------------------------------------------- the loop

    def run(self, stopping: Callable[[], bool]) -> None:
        """Join the group and turn until `stopping()`; then commit, leave and close.

        Raises:
            FencedError, FatalError: the process must end at once, without closing anything
                (an open consumer of a dying process would hold its partitions).
        """
        self.start()
        while not stopping():
            self.turn()
        self.stop()

    def start(self) -> None:
        """Join the group; the first turn settles what a predecessor of this slot left open."""
        self._failure = UnknownOutcomeError("a predecessor may have left a transaction open")
        self._source.subscribe(tuple(self._processor.inputs), self)

    def turn(self) -> None:
        """One bounded step of everything there is to do."""
        try:
            if self._failure is not None:
                self._settle(self._failure)
            self._work()
        except FatalError:
            raise
        except FencedError as error:
            raise self._fenced(error) from error
        except EngineError as error:
            self._fail(error)

    @property
    def ready(self) -> bool:
        """Whether the group has spoken and every assigned partition runs (none restores)."""
        return self._joined and all(t.phase is Phase.RUNNING for t in self._tasks.values())

    def _work(self) -> None:
        self._restore()
        records, dry = self._take()
        if self._failure is not None:
            return  # a rebalance inside the take went wrong: what was taken is taken again
        if records:
            self._process(records)
        now = self._clock.monotonic()
        if now - self._ends_at >= ENDS_INTERVAL_S:
            self._ends_at = now
            self._go_to_ends()
        open_ = self._transaction
        if open_ is not None and (dry or open_.full(self._limits, now)):
            self._commit()
        self._housekeeping.turn(self._tasks.values(), len(records))

    def stop(self) -> None:
        """Commit what is open, give the partitions away, close everything.

        Where that fails they are kept: the slot comes back, or is somebody else's.
        """
        try:
            if self._failure is None:
                self._go_to_ends()
                self._commit()
            elif self._transaction is not None:
                self._abandon(self._failure)
        except (FatalError, FencedError):
            raise
        except EngineError as error:
            self._abandon(error)
        self._close(tuple(self._tasks), lost=False)
        try:
            self._source.leave()
        except EngineError as error:
            self._telemetry.emit(LeaveFailed(str(error)))
        for closable in self._closables:
            closable.close()

    # ------------------------------------------------------------- processing

    def _take(self) -> tuple[list[Record], bool]:
        """The next batch, and whether the input ran dry while it was taken."""
        busy = self._transaction is not None or self._recovery.active
        records = self._source.consume(1, 0.0 if busy else self._limits.poll_timeout_s)
        if not records or self._execution.one_by_one:
            return records, True
        size = len(records[0].value or b"")
        records_max, bytes_max = self._limits.batch_records_max, self._limits.batch_bytes_max
        while len(records) < records_max and size < bytes_max:
            # The average so far says how many more fit into the bytes.
            fit = max(1, (bytes_max - size) * len(records) // max(size, 1))
            chunk = min(records_max - len(records), fit, CHUNK_RECORDS)
            more = self._source.consume(chunk, 0.0)
            records += more
            size += sum(len(record.value or b"") for record in more)
            if len(more) < chunk:
                return records, True
        return records, False

    def _process(self, records: Sequence[Record]) -> None:
        due = [(task, record) for record in records if (task := self._due(record)) is not None]
        for heavy, group in groupby(due, lambda one: self._processor.heavy(one[1])):
            for part in ([one] for one in group) if heavy else (list(group),):
                self._run(part, long=heavy)

    def _run(self, due: Sequence[tuple[Task, Record]], *, long: bool) -> None:
        """What is long ages no transaction while it is prepared, and has one to itself."""
        if long:
            self._commit()
        prepared = self._execution.prepare([record for _, record in due])
        for (task, record), parsed in zip(due, prepared, strict=True):
            if record.offset < task.position:
                continue  # handed out again
            open_ = self._open(long=long)
            open_.add(record, self._execution.run(task, record, parsed))
            if long or open_.aged(self._limits, self._clock.monotonic()):
                self._commit()

    def _due(self, record: Record) -> Task | None:
        """The record's task; None for what a rebalance inside the same take took away."""
        task = self._tasks.get(record.source)
        return None if task is None or task.phase is not Phase.RUNNING else task

    def _open(self, *, long: bool = False) -> OpenTransaction:
        """The open transaction, begun where there is none."""
        if self._transaction is None:
            self._log.begin(long=long)
            self._transaction = OpenTransaction(self._clock.monotonic())
        return self._transaction

    def _go_to_ends(self) -> None:
        """Let the next commit cover what holds no records, up to the ends that were reached.

        Only between turns, when every record taken has been processed.
        """
        for partition, end in self._source.ends().items():
            task = self._tasks.get(partition)
            if task is not None and end > task.position:
                self._open()
                task.position = end

    def _commit(self) -> None:
        open_ = self._transaction
        if open_ is None:
            return
        tasks = tuple(self._tasks.values())
        counts: Counter[tuple[str, ...]] = Counter()
        for task in tasks:
            counts.update(task.buffer.counts)
        commit(
            tasks,
            log=self._log,
            source=self._source,
            state=self._state,
            telemetry=self._telemetry,
            acknowledge=self._acknowledge,
        )
        self._transaction = None
        self._backoff_s = 0.0
        for task in tasks:
            self._execution.committed(task)
        seconds = self._clock.monotonic() - open_.opened_at
        self._telemetry.emit(BatchCommitted(open_.records, open_.outputs, seconds, counts))

    # --------------------------------------------------------------- failures

    def _fail(self, error: EngineError) -> None:
        """Remember what must be settled before anything else is done."""
        self._telemetry.emit(TransactionAborted(error.code, str(error)))
        if isinstance(error, RefusedError):
            records = self._transaction.records if self._transaction else 0
            self._execution.refused(error, records=records)
        else:
            self._backoff_s = min(max(self._backoff_s * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S)
            self._clock.sleep(self._backoff_s)
        # An unknown outcome stays one until it is settled, whatever fails meanwhile.
        if not isinstance(self._failure, UnknownOutcomeError):
            self._failure = error

    def _settle(self, error: EngineError) -> None:
        """Undo the open transaction and go back to what is committed.

        Every assigned partition is rewound, the retained ones too: the consumer has moved
        past records that were taken and never committed.
        """
        unknown = isinstance(error, UnknownOutcomeError)
        if unknown:
            self._log.reset()
        elif self._transaction is not None:
            self._log.abort()
        self._transaction = None
        # Hear what the group has to say before asking it: were we thrown out, or fenced, no
        # partition could be rewound and nothing else would ever tell us. A record that comes
        # along is rewound with the others.
        self._source.consume(1, 0.0)
        for partition, position in self._source.rewind(tuple(self._tasks)).items():
            self._tasks[partition].rewound(position)
        running = [t for t in self._tasks.values() if t.phase is Phase.RUNNING]
        # Were a changelog gone, every transaction would fail like this one, for ever.
        self._recovery.check(running)
        if unknown:
            # It may have been committed without our hearing of it: local state follows,
            # from its checkpoint, what the changelog says.
            self._pause(running)
            for task in running:
                task.become(Phase.CREATED)
        self._failure = None

    def _abandon(self, error: EngineError) -> None:
        """Undo at once: partitions are going. What stays is rewound when this is settled."""
        self._telemetry.emit(TransactionAborted(error.code, str(error)))
        if self._failure is None:
            self._failure = error
        try:
            if isinstance(error, UnknownOutcomeError):
                self._log.reset()
            else:
                self._log.abort()
        except UnknownOutcomeError:
            self._log.reset()
        self._transaction = None

    def _fenced(self, error: FencedError) -> EngineError:
        """What a fence means. The group says who has a slot, by the group instance id.

        Whoever takes it joins with it. Who fences us and does not is an heir, who was given our
        partitions when we were silent too long: the slot is still ours, the process starts again.
        Asked before a listener's call returns: behind it we would join again, as another member.
        """
        if self._source.rivalled():
            return error
        return FatalError(f"{error}: our transaction was ended by another, but the slot is ours")

    # ------------------------------------------------------------- assignment

    def inherited(self, slots: Sequence[str]) -> None:
        """Listener: end what slots that are gone left open; readers wait for it."""
        failures = self._log.clear(slots)
        for slot in slots:
            self._telemetry.emit(SlotCleared(slot, failures.get(slot)))

    def assigned(self, partitions: Mapping[TopicPartition, Position]) -> None:
        """Listener: new partitions; they restore, in later turns, before they run."""
        for partition, start in partitions.items():
            stores = self._processor.inputs[partition.topic]
            self._tasks[partition] = Task(partition, start, stores)
        self._pause([self._tasks[partition] for partition in partitions])
        self._joined = True
        self._telemetry.emit(PartitionsAssigned(tuple(partitions)))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: commit while we still may, then let go."""
        try:
            if self._failure is None:  # else nothing is open: what failed is settled before
                self._commit()
        except FatalError:
            raise
        except FencedError as error:
            raise self._fenced(error) from error
        except EngineError as error:
            self._abandon(error)
        finally:
            self._close(partitions, lost=False)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Listener: too late to commit; nothing of ours may count."""
        try:
            if self._transaction is not None:
                self._abandon(TransientError("the partitions were lost"))
        except FencedError as error:
            raise self._fenced(error) from error
        finally:
            self._close(partitions, lost=True)

    def _close(self, partitions: Sequence[TopicPartition], *, lost: bool) -> None:
        for partition in partitions:
            task = self._tasks.pop(partition, None)
            if task is not None:
                self._recovery.forget(task)
                task.become(Phase.CLOSED)
            self._execution.closed(partition)
        self._telemetry.emit(PartitionsRevoked(tuple(partitions), lost))

    def _restore(self) -> None:
        """Begin the restore of new tasks, go on with the others, let the finished ones run."""
        for task in self._tasks.values():
            if task.phase is Phase.CREATED:
                self._recovery.begin(task)
        if self._recovery.active:
            self._recovery.advance()
        waiting = [t for t in self._tasks.values() if t.paused and t.phase is Phase.RUNNING]
        if waiting:
            self._source.resume([task.source for task in waiting])
            for task in waiting:
                task.paused = False

    def _pause(self, tasks: Sequence[Task]) -> None:
        self._source.pause([task.source for task in tasks])
        for task in tasks:
            task.paused = True
