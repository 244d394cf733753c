"""Running records inside an open transaction, each on its own account.

Lives here: failure isolation. A record that breaks the processor, or whose outputs the
broker refuses, is rejected by itself; its neighbours are not harmed.

The broker names the records of a whole produce batch when it refuses one of them, and the
transaction is lost. So the named records become suspects: they are run again alone, one
transaction each, and whoever is refused alone is guilty. (What the client itself will not
send needs no trial.)

Invariant: a record that failed left no write, no count and no output of its own behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.engine.errors import EngineError, FatalError, RefusedError
from streams.engine.events import RecordRejected, Telemetry
from streams.engine.ports import Origin, Produce, Reader, Values
from streams.engine.processor import Context, Processor
from streams.engine.record import Output, Record, TopicPartition
from streams.engine.task import Task

# A refused record is rejected with its value, then without it; refused once more, it is
# not the record that is wrong.
REFUSALS_MAX = 2


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands in for what `prepare` could not make of a record."""

    error: Exception


class Execution:
    """Runs records through the processor and puts their outputs into the transaction."""

    def __init__(
        self,
        processor: Processor[object],
        log: Produce,
        state: Values,
        reader: Reader,
        telemetry: Telemetry,
    ) -> None:
        self._processor = processor
        self._log = log
        self._state = state
        self._reader = reader
        self._telemetry = telemetry
        self._suspects: dict[TopicPartition, int] = {}
        self._refusals: dict[Origin, list[str]] = {}

    @property
    def one_by_one(self) -> bool:
        """Whether suspects are ahead: each record then has a transaction of its own."""
        return bool(self._suspects)

    def prepare(self, records: Sequence[Record]) -> Sequence[object]:
        """Prepare all at once; where that breaks, one by one, so that one cannot hurt all."""
        try:
            return self._processor.prepare(records)
        except EngineError:
            raise
        except Exception:  # noqa: BLE001 - the breaker is found, and named, one by one
            return [self._prepare_one(record) for record in records]

    def run(self, task: Task, record: Record, prepared: object) -> int:
        """Process one record of `task`; give the number of outputs.

        Raises:
            RefusedError: the client cannot send one of the outputs at all.
            FatalError: even the bare rejection of the record is refused, or fails.
            EngineError: whatever the ports say; it is about the worker, not about the record.
        """
        origin = (task.source, record.offset)
        refusals = self._refusals.get(origin, [])
        if len(refusals) > REFUSALS_MAX:
            raise FatalError(f"even the bare rejection of {record} is refused: {refusals[-1]}")
        if refusals:
            with_value = len(refusals) == 1
            context = self._reject(task, record, RefusedError.code, refusals[0], with_value)
        elif isinstance(prepared, _Broken):
            context = self._failed(task, record, prepared.error)
        else:
            context = task.context(self._state, self._reader)
            try:
                self._processor.process(record, prepared, context)
            except EngineError:
                raise
            except Exception as error:  # noqa: BLE001 - a poison record must not stop the line
                context = self._failed(task, record, error)
        count = len(context.outputs)
        for output in context.outputs:
            self._log.produce(output, origin)
        for output in self._made(context, origin):
            self._log.produce(output, origin)
            count += 1
        context.accept()
        task.position = record.offset + 1
        task.time_ms = max(task.time_ms, record.timestamp_ms)
        return count

    @staticmethod
    def _made(context: Context, origin: Origin) -> Iterator[Output]:
        """The outputs that are made one by one; where that fails, the transaction has to go."""
        try:
            for outputs in context.later:
                yield from outputs
        except Exception as error:
            raise RefusedError([origin], type(error).__name__, local=True) from error

    def refused(self, error: RefusedError, *, records: int) -> None:
        """The transaction was lost with `records` complete in it: find the guilty ones."""
        for origin in error.origins:
            partition, offset = origin
            if error.local or (len(error.origins) == 1 and records <= 1):
                self._refusals.setdefault(origin, []).append(error.reason)
            if error.local:
                continue
            self._suspects[partition] = max(offset, self._suspects.get(partition, offset))

    def committed(self, task: Task) -> None:
        """`task` is permanent up to its position: suspects behind it are cleared."""
        self._clear(task.source, task.position)

    def closed(self, partition: TopicPartition) -> None:
        """The partition is no longer ours."""
        self._clear(partition, None)

    def _clear(self, partition: TopicPartition, position: int | None) -> None:
        last = self._suspects.get(partition)
        if last is not None and (position is None or position > last):
            del self._suspects[partition]
        for origin in [o for o in self._refusals if o[0] == partition]:
            if position is None or position > origin[1]:
                del self._refusals[origin]

    def _prepare_one(self, record: Record) -> object:
        try:
            return self._processor.prepare([record])[0]
        except EngineError:
            raise
        except Exception as error:  # noqa: BLE001 - see prepare
            return _Broken(error)

    def _failed(self, task: Task, record: Record, error: Exception) -> Context:
        # The text of the error may hold payload; its type does not.
        return self._reject(task, record, "processing_failed", type(error).__name__, True)

    def _reject(
        self, task: Task, record: Record, code: str, reason: str, with_value: bool
    ) -> Context:
        self._telemetry.emit(RecordRejected(record.source, record.offset, code, reason))
        context = task.context(self._state, self._reader)
        try:
            self._processor.reject(record, code, reason, context, with_value=with_value)
        except EngineError:
            raise
        except Exception as error:
            raise FatalError(f"the rejection of {record} fails: {type(error).__name__}") from error
        return context
