"""A loop in shifts: one thread after another, so that what a thread cannot forget goes with it.

libxml2 keeps each name of an element or attribute that a thread has read in a dictionary, which
lxml frees with the thread and not before. A sender that invents names would make a process grow
for as long as it lives.

Lives here: the threads. Must not live here: what is done in a turn, when a thread has read enough
(see `schemas.parsers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from schemas.parsers import has_read_enough

ALLOCATOR: Final[Mapping[str, str]] = {"MALLOC_ARENA_MAX": "2"}
"""For the environment of a process that works in shifts. Left alone, glibc gives new threads arenas
of their own, up to eight per core, and one after the other keeps what its largest message took."""


def in_shifts(turn: Callable[[], None], over: Callable[[], bool]) -> None:
    """Take turns until it is over, each after the one before. What a turn raises goes through."""

    def shift() -> None:
        while not (has_read_enough() or over()):
            turn()

    while not over():
        with ThreadPoolExecutor(1, "shift") as thread:
            thread.submit(shift).result()
