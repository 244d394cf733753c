"""Which nonces were used, and with which message.

Lives here: the memory, shared by all processes of one machine through a file. Must not live here:
what a nonce protects (`security`).

A digest of WS-Security does not depend on the message: who overhears one could put another message
beside it, until its time is over. A nonce belongs to the first message that comes with it; the same
message may come again, which is what a sender in doubt does.

Invariant: of two messages with one nonce at most one is ever let in, whatever process they reach.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from threading import RLock
from typing import Final

from topics.errors import EXIT_CONFIG, OperatorError

# Another process may be writing; it holds the file for less than a millisecond.
_WAIT_S: Final = 2.0
# Old ones are thrown away once in so many new ones.
_SWEEP_EVERY: Final = 1000


class NonceFileError(OperatorError):
    """The nonces cannot be remembered, so no digest can be let in."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(
            "nonce_file_unusable",
            what="the gateway cannot remember the nonces of WS-Security",
            where=str(file),
            why=why,
            fix="set soap.nonce_file to a file in a folder that the gateway can write",
            exit_code=EXIT_CONFIG,
        )


class Nonces:
    """Any thread. Loses nothing but the last instants with the machine."""

    def __init__(self, file: Path | None) -> None:
        """`file` None: only this process remembers. It is touched when it is needed first."""
        self._file = file
        self._opened: sqlite3.Connection | None = None
        self._noted = 0
        self._lock = RLock()

    def open(self) -> sqlite3.Connection:
        """The database of the file, made where it is missing.

        Raises:
            NonceFileError: the file cannot be used.
        """
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = _opened(self._file)
                except (OSError, sqlite3.Error) as error:
                    raise NonceFileError(self._file or Path(), str(error)) from error
            return self._opened

    def belongs(
        self, source: str, nonce: bytes, meant: bytes, *, until_ms: int, now_ms: int
    ) -> bool:
        """Note a nonce of a system with the message it came with; False if it was another's.

        `until_ms` is when the credentials are too old to be taken anyway. Epoch milliseconds.

        Raises:
            NonceFileError: the file cannot be used.
        """
        name = hashlib.sha256(b"%d:%b%b" % (len(source), source.encode(), nonce)).digest()
        with self._lock:
            database = self.open()
            if self._noted % _SWEEP_EVERY == 0:
                database.execute("DELETE FROM nonce WHERE until_ms < ?", (now_ms,))
            self._noted += 1
            database.execute(
                "INSERT INTO nonce VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (name, meant, until_ms)
            )
            row = database.execute("SELECT meant FROM nonce WHERE name = ?", (name,)).fetchone()
            return bool(row[0] == meant)

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()


def _opened(file: Path | None) -> sqlite3.Connection:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(
        file or ":memory:", timeout=_WAIT_S, isolation_level=None, check_same_thread=False
    )
    database.execute("PRAGMA journal_mode = WAL")
    # What a crash of the machine can lose is younger than the disk's cache, and a process that
    # ends loses nothing.
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "CREATE TABLE IF NOT EXISTS nonce (name BLOB PRIMARY KEY, meant BLOB NOT NULL,"
        " until_ms INTEGER NOT NULL) WITHOUT ROWID"
    )
    return database
