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
from threading import Lock
from typing import Final

# Another process may be writing; it holds the file for less than a millisecond.
_WAIT_S: Final = 2.0
# Old ones are thrown away once in so many new ones.
_SWEEP_EVERY: Final = 1000


class Nonces:
    """Any thread. Loses nothing but the last instants with the machine."""

    def __init__(self, file: Path | None) -> None:
        """`file` None: only this process remembers.

        Raises:
            sqlite3.Error: the file cannot be used.
        """
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            file or ":memory:", timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        # What a crash of the machine can lose is younger than the disk's cache, and a process
        # that ends loses nothing.
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS nonce (name BLOB PRIMARY KEY, meant BLOB NOT NULL,"
            " until_ms INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._noted = 0
        self._lock = Lock()

    def belongs(
        self, source: str, nonce: bytes, meant: bytes, *, until_ms: int, now_ms: int
    ) -> bool:
        """Note a nonce of a system with the message it came with; False if it was another's.

        `until_ms` is when the credentials are too old to be taken anyway. Epoch milliseconds.
        """
        name = hashlib.sha256(b"%d:%b%b" % (len(source), source.encode(), nonce)).digest()
        with self._lock:
            return self._note(name, meant, until_ms, now_ms) == meant

    def _note(self, name: bytes, meant: bytes, until_ms: int, now_ms: int) -> bytes:
        """Note a nonce, unless it is there; the message that it belongs to."""
        if self._noted % _SWEEP_EVERY == 0:
            self._database.execute("DELETE FROM nonce WHERE until_ms < ?", (now_ms,))
        self._noted += 1
        self._database.execute(
            "INSERT INTO nonce VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (name, meant, until_ms)
        )
        (found,) = self._database.execute(
            "SELECT meant FROM nonce WHERE name = ?", (name,)
        ).fetchone()
        return bytes(found)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
