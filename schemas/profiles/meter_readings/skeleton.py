"""A message with its readings taken out: the little that is left says what they all mean.

Lives here: the skeleton of each MeterReading, in which every kind of reading stands once,
and the kinds of its readings in order. Must not live here: whether a skeleton is a valid
object (see `templates`).

Invariant: put back for each reading, in its place, a copy of its kind with its own time and
value, and the skeletons between `head` and `tail` are the message again, but for white
space between readings.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.profiles.meter_readings.rows import BREAK, NotPlainError, Rows

_SPACE: Final = b" \t\r\n"
# What stands for every time and value in a skeleton.
TIME: Final = b"1999-12-31T00:00:00Z"
VALUE: Final = b"0"
# A run with more kinds of readings is better read one by one.
_KINDS_MAX: Final = 64


class Run(NamedTuple):
    """Readings that follow each other directly.

    `kinds` has the kind of each, counted from 0 in the order in which the kinds first appear;
    `copies` one reading of each kind, in that order.
    """

    kinds: bytes
    copies: bytes


@dataclass(slots=True)
class Frame:
    """One MeterReading: its skeleton, and its readings as runs.

    `first` is the position of the first of them among the readings of the message.
    """

    first: int
    text: bytes
    runs: list[Run]


@dataclass(slots=True)
class Skeleton:
    """`head` goes up to the first MeterReading, `tail` begins behind the last."""

    head: bytes
    frames: list[Frame]
    tail: bytes


class _Joint(NamedTuple):
    """A separator cut in three: up to the end of a reading, between, from the next reading on.

    `within`: nothing but white space between, so the readings are of one run.
    """

    tail: bytes
    between: bytes
    head: bytes
    within: bool


class _Tags:
    """The tags that the cuts go by, with the prefix of the message."""

    def __init__(self, prefix: bytes) -> None:
        self.readings = tuple(
            (b"<%b%b>" % (prefix, name), b"</%b%b>" % (prefix, name))
            for name in (b"IntervalReadings", b"Readings")
        )
        self.object = b"<%bMeterReading>" % prefix
        self.object_end = b"</%bMeterReading>" % prefix

    def opened(self, text: bytes) -> int:
        """Where the last start tag of a reading is, -1 if there is none."""
        return max(text.rfind(start) for start, _ in self.readings)

    def closed(self, text: bytes) -> int:
        """Where the first end tag of a reading ends, -1 if there is none."""
        ends = [found + len(end) for _, end in self.readings if (found := text.find(end)) >= 0]
        return min(ends, default=-1)

    def joint(self, separator: bytes) -> _Joint:
        """A separator in its three parts."""
        cut, head_at = self.closed(separator), self.opened(separator)
        if not 0 < cut <= head_at:
            raise NotPlainError
        between = separator[cut:head_at]
        return _Joint(
            separator[:cut], between, separator[head_at:], within=not between.strip(_SPACE)
        )


_tags = lru_cache(maxsize=64)(_Tags)


def cut(rows: Rows) -> Skeleton:
    """The skeleton of a message.

    Raises:
        NotPlainError: the readings do not stand in elements as they should.
    """
    tags = _tags(rows.prefix)
    pattern, table, breaks = _joints(rows, tags)
    head_at, last_at = tags.opened(rows.head), tags.closed(rows.last)
    object_at = rows.head.find(tags.object)
    object_end = rows.last.rfind(tags.object_end)
    if min(head_at, last_at, object_at) < 0 or object_end < last_at or object_at > head_at:
        raise NotPlainError
    copies = _Copies(rows, table)
    tail_at = object_end + len(tags.object_end)
    builder = _Builder(tags.object)
    builder.text(rows.head[object_at:head_at])
    head, start = rows.head[head_at:], 0
    for position, joint in breaks:
        builder.run(copies.run(head, pattern[start:position], joint.tail))
        builder.text(joint.between)
        head, start = joint.head, position + 1
    builder.run(copies.run(head, pattern[start:], rows.last[:last_at]))
    builder.text(rows.last[last_at:tail_at])
    return Skeleton(rows.head[:object_at], builder.finish(), rows.last[tail_at:])


def _joints(rows: Rows, tags: _Tags) -> tuple[bytes, list[_Joint], list[tuple[int, _Joint]]]:
    """The pattern, the joints that it counts, and those across runs with their positions."""
    table = [tags.joint(separator) for separator in rows.patterns]
    across = frozenset(number for number, joint in enumerate(table) if not joint.within)
    found: list[tuple[int, _Joint]] = []
    pattern = bytearray(rows.pattern)
    lone = iter(rows.breaks)
    for match in _any_of(across | {BREAK}).finditer(rows.pattern):
        position = match.start()
        number = rows.pattern[position]
        joint = tags.joint(next(lone)) if number == BREAK else table[number]
        if not joint.within:
            found.append((position, joint))
        elif len(table) < BREAK:
            pattern[position] = len(table)
            table.append(joint)
        else:
            raise NotPlainError
    return bytes(pattern), table, found


@lru_cache(maxsize=256)
def _any_of(numbers: frozenset[int]) -> re.Pattern[bytes]:
    return re.compile(b"[%b]" % b"".join(b"\\x%02x" % number for number in sorted(numbers)))


class _Copies:
    """Makes runs: one copy of each kind of reading."""

    def __init__(self, rows: Rows, table: list[_Joint]) -> None:
        self._reading = b"".join((rows.opening, TIME, rows.middle, VALUE))
        self._table = table
        self._runs: dict[tuple[bytes, bytes, bytes], Run] = {}

    def run(self, head: bytes, pattern: bytes, tail: bytes) -> Run:
        """The run whose first reading begins with `head` and whose last ends with `tail`."""
        key = (head, pattern, tail)
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = self._made(*key)
        return run

    def _made(self, head: bytes, pattern: bytes, tail: bytes) -> Run:
        if pattern and pattern.count(pattern[0]) == len(pattern):
            joint = self._table[pattern[0]]
            if joint.head == head and joint.tail == tail:
                return Run(bytes(len(pattern) + 1), head + self._reading + tail)
        joints = [self._table[number] for number in pattern]
        heads = [head, *(joint.head for joint in joints)]
        tails = [*(joint.tail for joint in joints), tail]
        numbers: dict[tuple[bytes, bytes], int] = {}
        kinds = [numbers.setdefault(kind, len(numbers)) for kind in zip(heads, tails, strict=True)]
        if len(numbers) > _KINDS_MAX:
            raise NotPlainError
        copies = b"".join(first + self._reading + rest for first, rest in numbers)
        return Run(bytes(kinds), copies)


class _Builder:
    """Collects the texts and runs of a message and cuts them into frames."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self._frames: list[Frame] = []
        self._texts: list[bytes] = []
        self._runs: list[Run] = []
        self._first = 0
        self._count = 0

    def run(self, run: Run) -> None:
        self._texts.append(run.copies)
        self._runs.append(run)
        self._count += len(run.kinds)

    def text(self, text: bytes) -> None:
        """Text between runs; a frame begins at each start of an object in it."""
        before, *begun = text.split(self._start)
        self._texts.append(before)
        for part in begun:
            self._close()
            self._texts = [self._start, part]

    def _close(self) -> None:
        text = b"".join(self._texts).rstrip(_SPACE)
        if text:
            self._frames.append(Frame(self._first, text, self._runs))
        self._runs = []
        self._first = self._count

    def finish(self) -> list[Frame]:
        self._close()
        return self._frames
