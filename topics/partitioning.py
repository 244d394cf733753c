"""Which partition a keyed record goes to, on the JVM, in librdkafka and here.

Lives here: murmur2 and the partition of a key. Must not live here: keys (`schemas.identity`),
partition counts (the catalogue).

Invariant: the answer is that of the JVM's default partitioner and of librdkafka's
`murmur2_random` for every key that is not null, so that all of them co-partition.
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_SHIFT: Final = 24
_WORD: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Hash as Kafka does: 32-bit murmur2 with Kafka's seed, as an unsigned number."""
    length = len(data)
    whole = length & ~3
    state = _SEED ^ length
    for start in range(0, whole, 4):
        block = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _WORD
        block = (block ^ (block >> _SHIFT)) * _MULTIPLIER & _WORD
        state = (state * _MULTIPLIER & _WORD) ^ block
    if whole < length:
        state = (state ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _WORD
    state = (state ^ (state >> 13)) * _MULTIPLIER & _WORD
    return state ^ (state >> 15)


def murmur2_partition(key: bytes, partitions: int) -> int:
    """Give the partition, 0-based, of a record with this key in a topic of so many partitions.

    Raises:
        ValueError: `partitions` is less than one: there is no such topic.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return (murmur2(key) & 0x7FFFFFFF) % partitions
