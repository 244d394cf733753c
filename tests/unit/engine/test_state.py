"""The local database: one contract for the real one and its double, and what damages it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rocksdict import Rdict, WriteBatch

from streams.engine.errors import FatalError
from streams.engine.ports import State
from streams.engine.record import TopicPartition
from streams.engine.rocks import RocksState, _successor
from tests.unit.engine.world import MemoryState

A, B = TopicPartition("a", 0), TopicPartition("a", 1)


@pytest.fixture(params=["rocks", "memory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    made: State = RocksState(tmp_path / "state") if request.param == "rocks" else MemoryState()
    yield made
    made.close()


def test_an_empty_store_has_no_values_and_no_checkpoint(state: State) -> None:
    assert state.get(A, b"k") is None
    assert state.checkpoint(A) is None
    assert list(state.items(A)) == []


def test_values_and_checkpoints_are_what_was_applied_last(state: State) -> None:
    state.apply({A: {b"k": b"1", b"gone": b"1"}}, {A: 3})
    state.apply({A: {b"k": b"2", b"gone": None, b"never": None}}, {A: 7})
    assert dict(state.items(A)) == {b"k": b"2"}
    assert state.get(A, b"gone") is None
    assert state.checkpoint(A) == 7


def test_an_empty_value_is_a_value_and_an_empty_key_a_key(state: State) -> None:
    state.apply({A: {b"": b"x", b"k": b""}}, {A: 0})
    assert state.get(A, b"") == b"x"
    assert state.get(A, b"k") == b""
    assert state.checkpoint(A) == 0


def test_a_checkpoint_can_move_without_data_and_data_without_a_checkpoint(state: State) -> None:
    state.apply({A: {b"k": b"1"}}, {A: 1})
    state.apply({}, {A: 2})
    state.apply({A: {b"k": b"2"}}, {})
    assert (state.get(A, b"k"), state.checkpoint(A)) == (b"2", 2)


def test_items_come_in_the_order_of_their_keys_and_belong_to_one_store(state: State) -> None:
    pairs = {bytes([i]) * n: b"v" for i in (0, 1, 127, 255) for n in (1, 2, 9)}
    state.apply({A: dict(pairs), B: {b"other": b"v"}}, {})
    assert list(state.items(A)) == sorted(pairs.items())


def test_wiping_a_store_forgets_it_and_leaves_its_neighbours_alone(state: State) -> None:
    extremes: dict[bytes, bytes | None] = {b"": b"v", b"\x00": b"v", b"\xff" * 20: b"v"}
    neighbours = [TopicPartition("a", 1), TopicPartition("a", 10), TopicPartition("b", 0)]
    for store in (A, *neighbours):
        state.apply({store: dict(extremes)}, {store: 5})
    state.wipe(A)
    assert list(state.items(A)) == []
    assert state.checkpoint(A) is None
    for store in neighbours:
        assert dict(state.items(store)) == extremes
        assert state.checkpoint(store) == 5


def test_a_wiped_store_can_be_filled_again(state: State) -> None:
    state.apply({A: {b"old": b"v"}}, {A: 5})
    state.wipe(A)
    state.apply({A: {b"new": b"v"}}, {A: 1})
    assert dict(state.items(A)) == {b"new": b"v"}
    assert state.checkpoint(A) == 1


@pytest.mark.parametrize(
    ("prefix", "after"),
    [(b"d\x00", b"d\x01"), (b"d\x00\xff", b"d\x01\x00"), (b"d\xff\xff", b"e\x00\x00")],
)
def test_a_prefix_is_followed_by_what_follows_all_it_begins(prefix: bytes, after: bytes) -> None:
    assert _successor(prefix) == after
    assert prefix + b"\xff" * 50 < after


# ------------------------------------------------------------------- on a real disk


def filled(folder: Path) -> Path:
    """A closed database with a table and a log file in it."""
    for checkpoint in (1, 2):
        state = RocksState(folder)
        state.apply({A: {b"%d-%d" % (checkpoint, i): b"v" * 50 for i in range(99)}}, {A: 99})
        state.close()
    return folder


def test_what_was_applied_is_there_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    state = RocksState(filled(tmp_path))
    assert len(list(state.items(A))) == 198
    assert state.checkpoint(A) == 99
    assert state.discarded is None
    state.close()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    state = RocksState(tmp_path)
    state.close()
    state.close()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x55
    file.write_bytes(data)


def overwrite(file: Path) -> None:
    file.write_bytes(b"\xa5" * file.stat().st_size)


@pytest.mark.parametrize("harm", [Path.unlink, truncate, flip, overwrite])
@pytest.mark.parametrize("files", ["*.sst", "MANIFEST-*", "CURRENT"])
def test_a_damaged_database_is_emptied_when_opened_or_refused_when_read(
    tmp_path: Path, files: str, harm: Callable[[Path], None]
) -> None:
    """Goal: never a wrong answer, and never a process that cannot start for ever.

    Method: damage each kind of file; start up to twice, as the supervisor would.
    """
    folder = filled(tmp_path)
    for file in folder.glob(files):
        harm(file)
    state = RocksState(folder)
    if state.discarded is None:
        with pytest.raises(FatalError, match="removed and restored"):
            [state.get(A, b"%d-%d" % (c, i)) for c in (1, 2) for i in range(99)]
        state.close()
        state = RocksState(folder)
    assert state.discarded
    assert state.checkpoint(A) is None
    assert list(state.items(A)) == []
    state.apply({A: {b"k": b"v"}}, {A: 1})
    state.close()
    again = RocksState(folder)
    assert (again.get(A, b"k"), again.discarded) == (b"v", None)
    again.close()


HOLDER = """
import sys
from pathlib import Path
from streams.engine.rocks import RocksState

state = RocksState(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_process_holds_is_refused_and_not_touched(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    (folder / "DAMAGED").write_text("a marker does not make it ours")
    with pytest.raises(FatalError, match="Another process may hold the folder"):
        RocksState(folder)
    assert list(folder.glob("*.sst"))
    holder.communicate()
    assert holder.returncode == 0


def test_a_folder_that_cannot_be_one_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FatalError, match=str(folder)):
            RocksState(folder)
    assert (tmp_path / "file").read_text() == "in the way"


class _Full:
    """A database whose disk is full."""

    def write(self, _: object) -> None:
        raise Exception("IO error: No space left on device")  # noqa: TRY002 - as rocksdict does

    def get(self, _: object) -> None:
        raise Exception("IO error: While pread: Input/output error")  # noqa: TRY002


def test_a_disk_that_fails_without_damage_is_fatal_and_keeps_the_state(tmp_path: Path) -> None:
    state = RocksState(filled(tmp_path))
    database, state._database = state._database, _Full()  # type: ignore[assignment]
    for call in (
        lambda: state.apply({A: {b"k": b"v"}}, {A: 100}),
        lambda: state.wipe(A),
        lambda: state.get(A, b"k"),
        lambda: state.checkpoint(A),
    ):
        with pytest.raises(FatalError, match="check the disk"):
            call()
    database.close()
    again = RocksState(tmp_path)
    assert again.discarded is None
    assert again.checkpoint(A) == 99
    again.close()


class _Dying:
    """A database whose process dies after so many writes."""

    def __init__(self, database: Rdict, writes: int) -> None:
        self._database, self._writes = database, writes

    def write(self, batch: WriteBatch) -> None:
        self._writes -= 1
        if self._writes < 0:
            raise Exception("IO error: the process is gone")  # noqa: TRY002
        self._database.write(batch)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_data_and_checkpoint_are_written_both_or_neither(tmp_path: Path, writes: int) -> None:
    """Goal: a kill in the midst of a step never leaves a checkpoint beside other data."""
    for step, after in (
        (lambda state: state.apply({A: {b"k": b"2"}}, {A: 2}), (b"2", 2)),
        (lambda state: state.wipe(A), (None, None)),
    ):
        state = RocksState(tmp_path)
        state.apply({A: {b"k": b"1"}}, {A: 1})
        database = state._database
        state._database = _Dying(database, writes)  # type: ignore[assignment]
        with contextlib.suppress(FatalError):
            step(state)
        database.close()
        again = RocksState(tmp_path)
        assert (again.get(A, b"k"), again.checkpoint(A)) in ((b"1", 1), after)
        again.close()


def test_a_sweep_looks_at_so_many_keys_and_goes_on_behind_the_last(state: State) -> None:
    state.apply({A: {bytes([i]): b"old" if i % 2 else b"new" for i in range(10)}}, {A: 5})
    state.apply({B: {b"\0": b"old"}}, {})
    last, removed = state.sweep(A, lambda value: value == b"old", None, 4)
    assert (last, removed) == (b"\3", 2)
    last, removed = state.sweep(A, lambda value: value == b"old", last, 100)
    assert (last, removed) == (None, 3)
    assert [key for key, _ in state.items(A)] == [bytes([i]) for i in range(0, 10, 2)]
    assert state.checkpoint(A) == 5
    assert list(state.items(B)) == [(b"\0", b"old")]


def test_the_size_is_told(state: State) -> None:
    state.apply({A: {b"k" * 100: b"v" * 10_000}}, {A: 1})
    assert state.size_bytes() > 0
