"""Avro's binary encoding of the few types that are written by hand.

Lives here: bytes of longs, strings and arrays, from Python objects and from columns; and
longs and strings back. Must not live here: knowledge of any record. Invariant: exactly the
bytes that fastavro writes for the same data, so that either can be used for any part of a
record.
"""

import sys
from collections.abc import Iterable, Sequence
from struct import pack
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

END: Final = b"\x00"
_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))
# Six groups of seven bits: zigzag numbers from 2**35 to 2**42 - 1, so every instant from
# July 1970 to September 2039 in milliseconds.
_SIX_BYTES_MIN: Final = 1 << 34
_SIX_BYTES_MAX: Final = (1 << 41) - 1


def long(number: int) -> bytes:
    """An Avro int or long; `number` must fit 64 bits, signed."""
    zigzag = (number << 1) ^ (number >> 63)
    if zigzag < 0x80:
        return _ONE_BYTE[zigzag]
    groups = bytearray()
    while zigzag > 0x7F:
        groups.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    groups.append(zigzag)
    return bytes(groups)


def string(text: str) -> bytes:
    """An Avro string."""
    encoded = text.encode()
    size = len(encoded)
    return (_ONE_BYTE[size << 1] if size < 64 else long(size)) + encoded


def array(items: Sequence[bytes]) -> bytes:
    """An Avro array of encoded items, in one block."""
    if not items:
        return END
    return b"".join((long(len(items)), *items, END))


def doubles(values: Sequence[float]) -> bytes:
    """An Avro array of doubles from Python floats."""
    if not values:
        return END
    return long(len(values)) + pack(f"<{len(values)}d", *values) + END


def double_column(values: Float64Array) -> bytes:
    """An Avro array of doubles from a column: a copy of its memory."""
    if not len(values):
        return END
    if sys.byteorder != "little":
        values = values.astype("<f8")
    return long(len(values)) + values.tobytes() + END


def longs(numbers: Iterable[int]) -> bytes:
    """An Avro array of longs from Python ints."""
    return array([long(number) for number in numbers])


def long_column(numbers: Int64Array) -> bytes:
    """An Avro array of longs from a column; without a loop where all are times of this age."""
    if not len(numbers):
        return END
    if numbers.min() < _SIX_BYTES_MIN or numbers.max() > _SIX_BYTES_MAX:
        return longs(numbers.tolist())
    groups = np.empty((len(numbers), 6), np.uint8)
    zigzag = numbers << 1
    for position in range(5):
        groups[:, position] = (zigzag >> (7 * position)) & 0x7F | 0x80
    groups[:, 5] = zigzag >> 35
    return long(len(numbers)) + groups.tobytes() + END


# Ten groups of seven bits hold 64.
_GROUPS_MAX: Final = 10


class Reader:
    """Reads longs and strings one after the other, beginning at `position` of `data`."""

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position

    def long(self) -> int:
        """An Avro int or long.

        Raises:
            ValueError: the data end inside it, or it is longer than any.
        """
        zigzag = 0
        for group in range(_GROUPS_MAX):
            if self.position >= len(self._data):
                break
            byte = self._data[self.position]
            self.position += 1
            zigzag |= (byte & 0x7F) << (7 * group)
            if byte < 0x80:
                return (zigzag >> 1) ^ -(zigzag & 1)
        raise ValueError("no long ends here")

    def string(self) -> str:
        """An Avro string.

        Raises:
            ValueError: it is longer than the data, or not UTF-8.
        """
        size = self.long()
        end = self.position + size
        if size < 0 or end > len(self._data):
            raise ValueError("no string ends here")
        text = self._data[self.position : end].decode()
        self.position = end
        return text
