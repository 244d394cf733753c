"""The processor of a replay: intake's decisions, another place for what follows from them.

Lives here: what each output of intake is to a replay.

    event of a noun's log -> the outlet decides: side log, log, or only noted
    rejection             -> the outlet decides
    anything else         -> nowhere (replies, commands, forwarded and register messages)

Must not live here: intake's decisions, where an outlet leads (see `outlets`).

Invariant: what may pass is named here. A kind of output that intake learns later goes nowhere
until somebody has decided that it is no effect on the world outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from streams.engine.processor import Context, StoreSpec
from streams.engine.record import Output, Record
from streams.processors.intake import Intake
from streams.processors.understand import Refused, Understood
from topics import Catalogue


class Outlet(Protocol):
    """Where the events and rejections of a replay go: an output to produce, or None."""

    def event(self, record: Record, output: Output, /) -> Output | None:
        """A canonical event that `record` leads to."""

    def rejection(self, record: Record, output: Output, /) -> Output | None:
        """A rejection of `record`, or of an object in it."""


class Replay:
    """Wraps an intake. Its stores are intake's by name, to be kept apart by whoever runs it."""

    name = "replay"

    def __init__(self, intake: Intake, catalogue: Catalogue, outlet: Outlet) -> None:
        self._intake = intake
        self._outlet = outlet
        self._purposes = {spec.name: spec.purpose for spec in catalogue.topics()}
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = intake.inputs

    def heavy(self, record: Record) -> bool:
        """As intake."""
        return self._intake.heavy(record)

    def prepare(self, records: Sequence[Record]) -> Sequence[Understood | Refused]:
        """As intake."""
        return self._intake.prepare(records)

    def process(self, record: Record, prepared: Understood | Refused, context: Context) -> None:
        """As intake; then its outputs are led to the outlet."""
        self._intake.process(record, prepared, context)
        self._lead(record, context)

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        """As intake; then its outputs are led to the outlet."""
        self._intake.reject(record, code, reason, context, with_value=with_value)
        self._lead(record, context)

    def _lead(self, record: Record, context: Context) -> None:
        led = (self._led(record, output) for output in context.outputs)
        context.outputs = [output for output in led if output is not None]

    def _led(self, record: Record, output: Output) -> Output | None:
        match self._purposes.get(output.topic):
            case "log":
                return self._outlet.event(record, output)
            case "rejected":
                return self._outlet.rejection(record, output)
            case _:
                return None
