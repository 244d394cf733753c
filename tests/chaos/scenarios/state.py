"""Local state is torn, old, from the future, or cannot be written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streams.engine.rocks import RocksState
from streams.runtime.process import EXIT_STATE_LOST
from tests.chaos import verify
from tests.chaos.faults import Anomaly, Unfit
from tests.chaos.scenario import Scenario
from tests.chaos.stage import STARTED_S, Stage

_SLOT: Final = "intake-0"
_TABLE: Final = "*.sst"
# RocksDB keeps its write-ahead log, tables and their descriptions under names that end so.
_LIVE: Final = ("*.sst", "*.log", "MANIFEST-*", "CURRENT")


def torn(stage: Stage) -> None:
    """Between two runs the local database is damaged, each time in another way.

    A damaged one is thrown away and restored, or its damage does not matter; never is it
    believed.
    """
    database = stage.folder / "a" / _SLOT
    damages = list(_DAMAGES)
    stage.chance.shuffle(damages)
    for damage in damages * stage.rounds(1):
        run = stage.run()
        stage.send(60)
        stage.settle()
        if stage.chance.random() < 0.5:
            run.end(stage.left_s)
        else:
            run.kill()  # the write-ahead log is all there is
            run.await_gone()
        damage(stage, database)
    stage.run()
    stage.send(120)


def _truncated(stage: Stage, database: Path) -> None:
    victim = _largest(database)
    with victim.open("r+b") as file:
        file.truncate(stage.chance.randrange(victim.stat().st_size))


def _flipped(stage: Stage, database: Path) -> None:
    victim = _largest(database)
    data = bytearray(victim.read_bytes())
    for _ in range(8):
        data[stage.chance.randrange(len(data))] ^= 1 << stage.chance.randrange(8)
    victim.write_bytes(data)


def _one_deleted(stage: Stage, database: Path) -> None:
    files = sorted(path for pattern in _LIVE for path in database.glob(pattern))
    stage.chance.choice(files).unlink()


def _all_deleted(_: Stage, database: Path) -> None:
    shutil.rmtree(database)


def _zeroed(stage: Stage, database: Path) -> None:
    victim = _largest(database)
    victim.write_bytes(bytes(victim.stat().st_size))


def _half_copied(stage: Stage, database: Path) -> None:
    """As a copy that was cut off: some files, no others."""
    for path in sorted(database.iterdir()):
        if stage.chance.random() < 0.5:
            path.unlink()


_DAMAGES: Final[tuple[Callable[[Stage, Path], None], ...]] = (
    _truncated, _flipped, _one_deleted, _all_deleted, _zeroed, _half_copied,
)  # fmt: skip


def _largest(database: Path) -> Path:
    """The largest table; where there is none yet, the write-ahead log."""
    files = [*database.glob(_TABLE)] or [*database.glob("*.log")]
    return max(files, key=lambda path: path.stat().st_size)


def from_the_past(stage: Stage) -> None:
    """An older copy of the folder is put back: its checkpoint is behind, and it catches up."""
    database, copy = stage.folder / "a" / _SLOT, stage.folder / "copy"
    run = stage.run()
    stage.send(80)
    stage.settle()
    run.end(stage.left_s)
    shutil.copytree(database, copy)
    run = stage.run()
    stage.send(120)
    stage.settle()
    run.end(stage.left_s)
    shutil.rmtree(database)
    shutil.copytree(copy, database)
    stage.run()
    stage.send(150)


def from_the_future(stage: Stage) -> None:
    """A folder whose checkpoint is ahead of the changelog, as from another life of the cluster.

    State that no log backs must be refused, and a person told what to do; the way out that the
    message names then leads on.
    """
    database = stage.folder / "a" / _SLOT
    run = stage.run()
    stage.send(100)
    stage.settle()
    run.end(stage.left_s)
    state = RocksState(database)
    ends = {at: end + stage.chance.randint(1, 1000) for at, end in stage.changelog_ends().items()}
    state.apply({}, ends)
    state.close()
    run = stage.run(ready=False)
    failed = run.await_line("process failed", STARTED_S)
    if "before the local checkpoint" not in str(failed["reason"]):
        raise Anomaly(f"state from the future is not refused clearly: {failed}")
    status = run.await_end(stage.left_s)
    if status != EXIT_STATE_LOST:
        raise Anomaly(f"state from the future ends the run with {status}")
    shutil.rmtree(database)
    stage.run()
    stage.send(100)


def in_the_way(stage: Stage) -> None:
    """A file stands where the database's folder must be; then it is taken away."""
    database = stage.folder / "a" / _SLOT
    database.parent.mkdir(parents=True)
    database.write_text("not a folder")
    run = stage.run(ready=False)
    failed = run.await_line("process failed", STARTED_S)
    if failed["code"] != "fatal" or "not usable" not in str(failed["reason"]):
        raise Anomaly(f"a folder that cannot be used is not named: {failed}")
    stage.send(40)
    database.unlink()
    run.await_ready(stage.left_s)
    stage.send(40)


def read_only(stage: Stage) -> None:
    """The database's folder turns read-only between two runs, and writable again."""
    database = stage.folder / "a" / _SLOT
    with _file_system(database, "64m"):
        run = stage.run()
        stage.send(60)
        stage.settle()
        run.end(stage.left_s)
        _mount("-o", "remount,ro", str(database))
        run = stage.run(ready=False)
        failed = run.await_line("process failed", STARTED_S)
        if failed["code"] != "fatal":
            raise Anomaly(f"a read-only folder is not a clear failure: {failed}")
        stage.send(60)
        _mount("-o", "remount,rw", str(database))
        run.await_ready(stage.left_s)
        stage.send(60)
        stage.finish()
        stage.found += verify.local_state(stage)
        stage.folders.clear()


def disk_full(stage: Stage) -> None:
    """The disk runs full under a running worker, and has room again."""
    database = stage.folder / "a" / _SLOT
    with _file_system(database, "24m"):
        run = stage.run()
        stage.send(60)
        stage.settle()
        ballast = database / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        since = len(run.lines)
        with stage.fed(80):
            failed = run.await_line("process failed", STARTED_S, since=since)
            if failed["code"] != "fatal" or "disk" not in str(failed["reason"]):
                raise Anomaly(f"a full disk is not a clear failure: {failed}")
            stage.rest(0.5, 2.0)
            ballast.unlink()
            stage.rest(1.0)
        stage.finish()
        stage.found += verify.local_state(stage)
        stage.folders.clear()


@contextmanager
def _file_system(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own at `folder`: needs root, and a kernel that lets it mount."""
    if os.geteuid() != 0:
        raise Unfit("mounting a small file system needs root")
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        # Lazily: what a worker that is being ended holds open does not keep it.
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unfit(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


SCENARIOS: Final = (
    Scenario(
        "torn-state",
        "truncated, bit-flipped, deleted, zeroed, half-copied local databases",
        torn,
        bound_s=150,
    ),
    Scenario("state-from-the-past", "an older copy of the state folder", from_the_past),
    Scenario(
        "state-from-the-future",
        "a state folder whose checkpoint is ahead of the changelog",
        from_the_future,
    ),
    Scenario("state-in-the-way", "a file in place of the state folder", in_the_way),
    Scenario("read-only-state", "the state folder turns read-only", read_only),
    Scenario("disk-full", "the disk of the state folder runs full", disk_full),
)
