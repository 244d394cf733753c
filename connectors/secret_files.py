"""Secrets, which live in files and nowhere else: not in settings, environments or command lines.

Lives here: reading one, and refusing a file that others could read too. Must not live here: what
a secret is for.

Invariant: no error here holds a part of what the file holds.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from topics.errors import EXIT_CONFIG, OperatorError

# A group may read: that is how a container's user is given a mounted secret (mode 0440).
_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP
_BYTES_MAX: Final = 64 * 1024


def read_secret(file: Path, setting: str) -> str:
    """What the file holds, without the end of its last line. `setting` names it, for messages.

    Raises:
        OperatorError: `secret_unreadable`, `secret_unsafe`.
    """
    check_private(file, setting)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, setting, error) from error
    secret = text.rstrip("\r\n")
    if not secret or len(text) > _BYTES_MAX:
        why = "it is too long for a secret" if secret else "it is empty"
        raise _unreadable(file, setting, ValueError(why))
    return secret


def check_private(file: Path, setting: str) -> None:
    """Refuse a file that everybody on the machine may read, or more than its owner may change.

    Raises:
        OperatorError: `secret_unreadable`, `secret_unsafe`.
    """
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise _unreadable(file, setting, error) from error
    if mode & _OTHERS:
        raise OperatorError(
            "secret_unsafe",
            what=f"the file of {setting} is open to others",
            where=str(file),
            why=f"its mode is {stat.S_IMODE(mode):04o}",
            fix=f"chmod 600 {file} (or 640, for a group)",
            exit_code=EXIT_CONFIG,
        )


def _unreadable(file: Path, setting: str, error: Exception) -> OperatorError:
    # What a decoding error says holds the bytes.
    why = getattr(error, "strerror", None) or ("" if isinstance(error, UnicodeError) else error)
    return OperatorError(
        "secret_unreadable",
        what=f"the secret of {setting} cannot be read",
        where=str(file),
        why=str(why) or "it is no text",
        fix="name a file that holds the secret and nothing else",
        exit_code=EXIT_CONFIG,
    )
