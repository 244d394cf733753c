"""The error a person at a terminal must act on.

Lives here: its form. Must not live here: errors about a message (`schemas.errors`) or about a
transaction (`streams.engine.errors`): those have no one at a terminal.

Invariant: what, where, why and what to do are each said once, and none holds a payload value
or a secret.
"""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h


class OperatorError(Exception):
    """Something a person must see to before the command can succeed.

    `code` is a stable slug, `exit_code` what the command ends with; the rest are sentences or
    parts of one, each for a line of its own. `where` and `fix` may be empty.
    """

    def __init__(
        self,
        code: str,
        *,
        what: str,
        where: str = "",
        why: str = "",
        fix: str = "",
        exit_code: int = EXIT_FAILED,
    ) -> None:
        self.code = code
        self.what = what
        self.where = where
        self.why = why
        self.fix = fix
        self.exit_code = exit_code
        parts = [what, f"at {where}" if where else "", why]
        super().__init__(f"{code}: " + "; ".join(part for part in parts if part))
