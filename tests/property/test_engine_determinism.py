"""I5: the same input from the same state gives the same bytes, however it is cut into batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.record import Record, TopicPartition
from streams.engine.worker import Limits
from tests.unit.engine.world import COUNTS, REJECTED, SEEN, SINK, Machine, World

INPUT = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.binary(min_size=1, max_size=2),
        st.sampled_from([b"v", b"w", b"poison"]),
    ),
    max_size=40,
)


def outcome(records: list[tuple[int, bytes, bytes]], batch: int) -> list[object]:
    """What is in the logs at the end, markers and the changelog's cuts aside."""
    world = World(partitions=2)
    for partition, key, value in records:
        world.feed([(partition, key)], value)
    Machine(world, limits=Limits(batch_records_max=batch, commit_interval_s=0)).run()
    found: list[object] = []
    for partition in (0, 1):
        for topic in (SINK, REJECTED):
            found += [_without_offset(record) for record in world.records(topic, partition)]
        for topic in (SEEN, COUNTS):
            found.append(world.fold(TopicPartition(topic, partition)))
    return found


def _without_offset(record: Record) -> Record:
    return record._replace(offset=0)


@given(INPUT, st.integers(1, 50), st.integers(1, 50))
def test_the_same_records_give_the_same_bytes_whatever_the_batches(
    records: list[tuple[int, bytes, bytes]], one: int, other: int
) -> None:
    assert outcome(records, one) == outcome(records, other)
