"""Finds the readings in the bytes of a message without parsing it.

Lives here: cutting the bytes into readings and what stands between them. Must not live
here: what any of it means; whether it is XML.

Invariant: nothing is lost. head + the readings with their separators + last, put together
again with `opening`, `middle` and the separators, is the message, byte for byte. That is
what lets the caller judge the few pieces that differ and know about all the rest.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.avro.wire import Float64Array, Int64Array
from schemas.profiles.meter_readings import lexical

# Prefix, time, and what stands between time and value.
_FIRST: Final = re.compile(
    rb"<((?:[A-Za-z_][A-Za-z0-9._-]*:)?)timeStamp>([0-9TZ:.+-]{20,35})"
    rb"(</\1timeStamp>[ \t\r\n]*<\1value>)"
)
# A separator that occurs once in a while is no pattern.
BREAK: Final = 255
# After so many rounds of looking for patterns the rest is taken one by one, and so are the
# breaks of a message with few of them.
_PATTERNS_MAX: Final = 24
_BREAKS_FEW: Final = 32
# More differing words than this are not worth picking out.
_WORDS_FEW: Final = 2048
# Up to here Python's own loops beat the fixed cost of array operations: the two are level at
# about 100 readings, which are 10 KiB as IntervalReadings and 20 KiB as Readings.
_SMALL_BYTES: Final = 16 * 1024


class NotPlainError(Exception):
    """The message is not of the plain form that can be read in bulk.

    Raised anywhere on the bulk path and caught by `columns.read_bulk` alone, which then leaves
    the message to the reference reader. Says nothing about whether the message is good.
    """


@dataclass(slots=True)
class Rows:
    """The readings of a message.

    Each reading is `opening` + its time + `middle` + its value; `opening` ends the start tag
    of timeStamp, and the value is followed by a separator or, behind the last one, by `last`.

    `times` are the texts of all times, `time_size` bytes each; `values` the values as
    little-endian doubles. `pattern` has one byte per separator: its position in `patterns`,
    or `BREAK`, and then it is the next one of `breaks`. `prefix` is the namespace prefix of
    timeStamp with its colon.
    """

    count: int
    prefix: bytes
    opening: bytes
    middle: bytes
    head: bytes
    last: bytes
    times: bytes
    time_size: int
    values: bytes
    pattern: bytes
    patterns: list[bytes]
    breaks: list[bytes]


def find(data: bytes) -> Rows:
    """The readings of a message.

    Plain is: one prefix, times of one length, each time followed by its value, and values
    that are decimals of at most 15 digits.

    Raises:
        NotPlainError: the readings are not plain, or there are none.
    """
    first = _FIRST.search(data)
    if first is None:
        raise NotPlainError
    if len(data) <= _SMALL_BYTES:
        return _few(data, first)
    return _many(data, first)


def _few(data: bytes, first: re.Match[bytes]) -> Rows:
    prefix, time, middle = first.groups()
    opening = b"<%btimeStamp>" % prefix
    head, *pieces = data.split(opening)
    time_size = len(time)
    value_at = time_size + len(middle)
    times: list[bytes] = []
    values: list[bytes] = []
    separators: list[bytes] = []
    for piece in pieces:
        if piece[time_size:value_at] != middle:
            raise NotPlainError
        value_end = piece.find(b"<", value_at)
        if value_end < 0:
            raise NotPlainError
        times.append(piece[:time_size])
        values.append(piece[value_at:value_end])
        separators.append(piece[value_end:])
    numbers = lexical.values(values)
    if numbers is None:
        raise NotPlainError
    last = separators.pop()
    patterns = list(dict.fromkeys(separators))
    pattern = bytes(map(patterns.index, separators)) if len(patterns) < BREAK else b""
    return Rows(
        count=len(times),
        prefix=prefix,
        opening=opening,
        middle=middle,
        head=head,
        last=last,
        times=b"".join(times),
        time_size=time_size,
        values=lexical.little_endian(numbers),
        pattern=pattern or bytes([BREAK]) * len(separators),
        patterns=patterns if pattern else [],
        breaks=[] if pattern else separators,
    )


def _many(data: bytes, first: re.Match[bytes]) -> Rows:
    prefix, time, middle = first.groups()
    opening = b"<%btimeStamp>" % prefix
    octets = np.frombuffer(data, np.uint8)
    # "<" and, behind the prefix, "t": few enough to look closer at each.
    apart = len(prefix) + 1
    starts = np.flatnonzero((octets[:-apart] == ord("<")) & (octets[apart:] == ord("t")))
    value_at = len(opening) + len(time) + len(middle)
    starts = starts[: np.searchsorted(starts, len(data) - value_at)]
    starts = starts[_windows(data, starts, opening)]
    starts = starts[_windows(data, starts + (value_at - len(middle)), middle)]
    if not len(starts) or starts[0] != first.start():
        raise NotPlainError
    cut = _separators(data, starts, starts + value_at)
    values = _values(octets, data, starts + value_at, cut.value_ends)
    return Rows(
        count=len(starts),
        prefix=prefix,
        opening=opening,
        middle=middle,
        head=data[: starts[0]],
        last=data[cut.value_ends[-1] :],
        times=_view(data, len(time))[starts + len(opening)].tobytes(),
        time_size=len(time),
        values=values.astype("<f8", copy=False).tobytes(),
        pattern=cut.pattern,
        patterns=cut.patterns,
        breaks=cut.breaks,
    )


def _view(data: bytes, size: int) -> npt.NDArray[np.void]:
    """Every piece of `size` bytes in `data`, by its first byte; no copy."""
    return np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))


def _windows(data: bytes, starts: Int64Array, text: bytes) -> npt.NDArray[np.bool_]:
    """At which of `starts` (all within the data) `text` stands."""
    found = np.ones(len(starts), np.bool_)
    pieces = _view(data, len(text))[starts].tobytes()
    expected = text * len(starts)
    if pieces == expected:
        return found
    # Eight bytes at a time; a word that differs may belong to two pieces, so its bytes decide.
    words = len(pieces) // 8
    differ = np.frombuffer(pieces, np.uint64, words) != np.frombuffer(expected, np.uint64, words)
    wrong = np.flatnonzero(differ)
    wrong = wrong if len(wrong) <= _WORDS_FEW else np.arange(words)
    octets = np.append(
        (wrong[:, None] * 8 + np.arange(8)).ravel(), np.arange(words * 8, len(pieces))
    )
    unequal = np.frombuffer(pieces, np.uint8)[octets] != np.frombuffer(expected, np.uint8)[octets]
    found[octets[unequal] // len(text)] = False
    return found


@dataclass(slots=True)
class _Cut:
    value_ends: Int64Array
    pattern: bytes
    patterns: list[bytes]
    breaks: list[bytes]


def _separators(data: bytes, starts: Int64Array, value_starts: Int64Array) -> _Cut:
    """What stands between each value and the next reading.

    The separator of a reading that is not done yet is tried on all that are not done: it ends
    where the next reading starts, so its place is known. A few rounds leave only those that
    stand alone, between blocks and meters, and these are taken one by one.
    """
    nexts = starts[1:]
    ends = np.empty(len(starts), np.int64)
    ends[-1] = data.find(b"<", int(value_starts[-1]))
    if ends[-1] < 0:
        raise NotPlainError
    kinds = np.full(len(nexts), BREAK, np.uint8)
    patterns: list[bytes] = []
    todo = np.arange(len(nexts))
    alone = max(_BREAKS_FEW, len(nexts) // 16)
    while len(todo) > alone and len(patterns) < _PATTERNS_MAX:
        sample = int(todo[0])
        end = data.find(b"<", int(value_starts[sample]))
        separator = data[end : nexts[sample]]
        if not separator:
            raise NotPlainError
        candidates = nexts[todo] - len(separator)
        fits = _windows(data, np.maximum(candidates, 0), separator)
        fits &= candidates >= value_starts[todo]
        done = todo[fits]
        ends[done] = candidates[fits]
        kinds[done] = len(patterns)
        patterns.append(separator)
        todo = todo[~fits]
    breaks = []
    for row in todo.tolist():
        end = data.find(b"<", int(value_starts[row]))
        ends[row] = end
        breaks.append(data[end : nexts[row]])
    return _Cut(ends, kinds.tobytes(), patterns, breaks)


def _values(
    octets: npt.NDArray[np.uint8], data: bytes, starts: Int64Array, ends: Int64Array
) -> Float64Array:
    negative = octets[starts] == ord("-")
    begins = starts + negative
    windows = _view(data, lexical.WINDOW)[ends - lexical.WINDOW].view(np.uint8)
    values = lexical.fixed_point(windows.reshape(-1, lexical.WINDOW), ends - begins, negative)
    if values is not None:
        return values
    texts = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    numbers = lexical.values(texts)
    if numbers is None:
        raise NotPlainError
    return np.array(numbers)
