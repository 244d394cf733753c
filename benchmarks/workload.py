"""What is processed: three shapes of meter data, with repeats.

full      10 meters x 96 values in the Readings form, one quality each (about 200 KB)
compact   the same as IntervalBlocks (about 100 KB)
small     1 meter x 4 values in the Readings form (about 1.4 KB)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streams.demo import messages as m

# One message in fifty comes twice.
REPEAT_EVERY: Final = 50


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of message and how many of them a run has."""

    name: str
    meters: int
    values: int
    compact: bool
    messages: int

    @property
    def readings(self) -> int:
        """Readings of one message."""
        return self.meters * self.values

    def message(self, number: int, source: str) -> bytes:
        """The message of this number; every number gives other values."""
        form = m.compact_meter if self.compact else m.full_meter
        stamps = m.times(self.values)
        meters = (
            form(f"{number * self.meters + k:08d}-aaaa", m.values(number + k, self.values), stamps)
            for k in range(self.meters)
        )
        payload = m.meter_readings(meters)
        return m.envelope(payload, message_id=f"6c1e6e5a-{number:012d}", source=source)

    def stream(self, numbers: range) -> Iterator[int]:
        """Numbers in the order of sending: each, and every fiftieth again a little later."""
        for number in numbers:
            yield number
            if number % REPEAT_EVERY == REPEAT_EVERY - 1:
                yield number - REPEAT_EVERY // 2


SHAPES: Final = (
    Shape("full", 10, 96, compact=False, messages=2_000),
    Shape("compact", 10, 96, compact=True, messages=4_000),
    Shape("small", 1, 4, compact=False, messages=60_000),
)
