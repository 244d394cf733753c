"""A progress bar of several stages, where a person looks on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

# A bar that is drawn more often than this many records only takes time.
_DRAWN_EVERY: Final = 100


class Bar:
    """Drawn on standard error inside `shown`, if that is a terminal."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw it meanwhile."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as self._progress:
            self._progress.add_task("")
            yield
        self._progress = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """A `streams.runtime.replay.Progress`."""
        if self._progress is not None and done % _DRAWN_EVERY == 0:
            task = self._progress.task_ids[0]
            self._progress.update(task, description=stage, completed=done, total=total)
