"""The commands of cimstream and the examples in their help, for tests that check or run them."""

from __future__ import annotations

import re
import shlex

import typer

from streams import cli


def _walk(command: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    children = getattr(command, "commands", None)
    if children is None:
        return {path: command}
    return {
        words: leaf
        for name, child in children.items()
        for words, leaf in _walk(child, (*path, name)).items()
    }


COMMANDS = _walk(typer.main.get_command(cli.app))
"""Every command that does something, by its words: ("broker", "up"), ("doctor",)."""


def examples(words: tuple[str, ...]) -> list[list[str]]:
    """Give the arguments of each `Example:` line; what follows a pipe belongs to the shell."""
    text = getattr(COMMANDS[words], "help", "") or ""
    lines = re.findall(r"^\s*Example:\s+cimstream\s(.+?)\s*$", text, re.MULTILINE)
    return [shlex.split(line.partition("|")[0]) for line in lines]
