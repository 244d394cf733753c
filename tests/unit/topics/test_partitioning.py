"""The partitioner, against the vectors of Kafka's own tests."""

from __future__ import annotations

import pytest

from topics.partitioning import murmur2, murmur2_partition

# From the unit tests of org.apache.kafka.common.utils.Utils.murmur2, as signed 32-bit numbers.
JVM_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), JVM_VECTORS.items())
def test_the_hash_is_that_of_the_jvm(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


def test_a_negative_hash_still_gives_a_partition_of_the_topic() -> None:
    assert murmur2_partition(b"21", 6) == (-973932308 & 0x7FFFFFFF) % 6


def test_a_topic_without_partitions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        murmur2_partition(b"key", 0)
