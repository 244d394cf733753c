"""One message for one error: what, where, why, what to do.

Lives here: how errors look on a terminal, and the exit codes that belong to the command line
alone. Must not live here: the errors (`topics.errors` and their kin).

Invariant: of an error we did not expect only its class and place are shown: its text may
hold what a message said.
"""

from __future__ import annotations

import os
import traceback
from typing import Final

from rich.console import Console
from rich.text import Text
from typer.exceptions import TyperException

from topics.errors import OperatorError

EXIT_PENDING: Final = 3
EXIT_INTERNAL: Final = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

DEBUG_VARIABLE: Final = "CIMSTREAM_DEBUG"


def explain(error: OperatorError) -> None:
    """Print an error that someone must see to, on standard error."""
    _show(error.what, error.where, error.why, error.fix, error.code)


def explain_usage(error: TyperException) -> None:
    """Print what is wrong with a command line; the library's error knows the command."""
    command = getattr(getattr(error, "ctx", None), "command_path", "cimstream")
    _show(error.format_message(), "", "", f"{command} --help", "usage")


def explain_unexpected(error: Exception) -> None:
    """Print an error that should not have been; its stack only where CIMSTREAM_DEBUG is set."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    _show(
        f"cimstream failed in a way it should not: {type(error).__name__}",
        place,
        "this is a fault in cimstream, not in what you did",
        f"run it again with {DEBUG_VARIABLE}=1 and report what it prints, without message contents",
        "internal",
    )


def _show(what: str, where: str, why: str, fix: str, code: str) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    text = Text.assemble(("error: ", "bold red"), what)
    for label, value in (("at", where), ("why", why), ("fix", fix), ("code", code)):
        if value:
            text.append(f"\n  {label + ':':<6}", style="dim").append(value)
    console.print(text)
