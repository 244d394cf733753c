"""What a MeterReading says, between its XML and its canonical events.

Lives here: the values that reader and bulk reader share. Must not live here: XML, bytes.
Invariant: a reading is its time, its value and its facet; readings with the same facet
differ in nothing else.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.profiles.objects import Draft
from schemas.profiles.parts import Record


class Quality(NamedTuple):
    """One ReadingQuality; `time_stamp_ms` is when it was given, epoch milliseconds UTC."""

    ref: str
    comment: str | None = None
    source: str | None = None
    time_stamp_ms: int | None = None


class Facet(NamedTuple):
    """Everything a reading says besides time, value and reading type."""

    qualities: tuple[Quality, ...] = ()
    reported_ms: int | None = None
    source: str | None = None
    reason: str | None = None
    period_start_ms: int | None = None
    period_end_ms: int | None = None

    @property
    def annotated(self) -> bool:
        """Whether it says more than qualities."""
        return any(field is not None for field in self[1:])


PLAIN = Facet()


class Segment(NamedTuple):
    """`length` readings in a row with the same facet."""

    facet: Facet
    length: int


@dataclass(slots=True)
class Block:
    """The readings of one future event.

    They stood in one IntervalBlocks element, or are all Readings of one reading type in one
    MeterReading.

    The lists run in parallel, in the message's order: times in epoch milliseconds UTC, values
    as written (stripped; empty: no value) and as doubles (NaN: no value), facets. `exact` says
    that the doubles hold all of the texts.
    """

    shape: str
    reading_type: str
    times_ms: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    facets: list[Facet] = field(default_factory=list)
    exact: bool = True
    pending: Record | None = None


@dataclass(slots=True)
class MeterReading:
    """One MeterReading; `events` come from the EndDeviceEvents that it carries."""

    meter: Record | None
    usage_point: Record | None
    key: bytes
    is_coincident_trigger: bool | None
    values_interval: Record | None
    events: list[Draft] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
