"""The database on disk and its double in memory cannot be told apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine.record import TopicPartition
from streams.engine.rocks import RocksState
from tests.unit.engine.world import MemoryState

STORES = [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
KEYS = st.binary(max_size=3) | st.sampled_from([b"", b"\x00", b"\xff", b"\xff" * 9])
WRITES = st.dictionaries(
    st.sampled_from(STORES),
    st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=5),
    max_size=3,
)
CHECKPOINTS = st.dictionaries(st.sampled_from(STORES), st.integers(0, 2**62), max_size=3)
STEPS = st.lists(
    st.tuples(WRITES, CHECKPOINTS) | st.sampled_from(STORES) | st.just("reopen"), max_size=12
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_any_sequence_of_writes_wipes_and_restarts_gives_the_same_in_both(
    steps: list[object],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        real, double = RocksState(Path(folder)), MemoryState()
        for step in steps:
            if step == "reopen":
                real.close()
                real = RocksState(Path(folder))
            elif isinstance(step, TopicPartition):
                real.wipe(step)
                double.wipe(step)
            else:
                assert isinstance(step, tuple)
                writes, checkpoints = step
                real.apply(writes, checkpoints)
                double.apply(writes, checkpoints)
            for store in STORES:
                assert list(real.items(store)) == list(double.items(store))
                assert real.checkpoint(store) == double.checkpoint(store)
        real.close()
