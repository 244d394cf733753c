"""Standard output that may be a pipe: closed early, and as wide as its lines need.

Lives here: what makes `cimstream … | head` and `cimstream … > file` behave.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console

# What is not a terminal has no width; this holds every table of ours without folding much.
_PIPE_WIDTH: Final = 160


@contextmanager
def pipe_may_close() -> Iterator[None]:
    """Write inside this; when nobody reads any more, stop there and write to nowhere from then on.

    Without it, the interpreter's own flush at the end would complain on standard error.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def wide_console() -> Console:
    """A console for tables: the terminal's width, or a generous one where there is none."""
    console = Console(soft_wrap=False, emoji=False)  # a place may read `a.xml:100: what`
    return console if console.is_terminal else Console(width=_PIPE_WIDTH, emoji=False)
