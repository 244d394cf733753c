"""Slots: which worker of this machine has which number.

A slot's number makes its group instance id and transactional id (`intake-0`), so it must not
be taken twice. On one machine a lock file in the state folder sees to that; between machines
the operator gives each its own numbers (`--first-slot`).
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Final

from topics.errors import EXIT_CONFIG, OperatorError

_SLOTS_MAX: Final = 1024


class SlotLock:
    """Holds one slot of this machine until closed (or the process ends, however)."""

    def __init__(self, number: int, lock: IO[bytes]) -> None:
        self.number = number
        self._lock = lock

    def close(self) -> None:
        """Let the slot go."""
        self._lock.close()


def claim(folder: Path, count: int, first: int | None) -> list[SlotLock]:
    """Take `count` slots: those from `first` on, or the lowest free ones.

    Raises:
        OperatorError: `slot_taken` when a wanted slot is held by a process of this machine,
            `state_folder` when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(
            "state_folder",
            what=f"the state folder cannot be made: {error.strerror}",
            where=str(folder),
            fix="name a folder that can be written (worker.state_folder, --state-folder)",
            exit_code=EXIT_CONFIG,
        ) from error
    held: list[SlotLock] = []
    candidates = range(_SLOTS_MAX) if first is None else range(first, first + count)
    for number in candidates:
        if len(held) == count:
            break
        lock = _try(folder, number)
        if lock is not None:
            held.append(SlotLock(number, lock))
        elif first is not None:
            for slot in held:
                slot.close()
            raise OperatorError(
                "slot_taken",
                what=f"slot {number} is held by another process of this machine",
                where=str(folder),
                fix="leave --first-slot out to take a free one, or end that process",
                exit_code=EXIT_CONFIG,
            )
    return held


def _try(folder: Path, number: int) -> IO[bytes] | None:
    lock = (folder / f"slot-{number}.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
