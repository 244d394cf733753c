"""A view in a file: SQLite, as Python brings it.

Lives here: connections and their settings. Must not live here: statements of the view.

Invariant: a transaction that writes holds the file's one write lock from its first statement,
so that the fence and the rows behind it cannot be separated.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streams.views.store import StoreUnavailableError, view_missing
from streams.views.tables import Value

# Another writer holds the lock for one batch, or while it throws a view away.
_BUSY_S: Final = 30.0
_CACHE_KIB: Final = 64 * 1024


class SqliteDatabase:
    """See `streams.views.tables.Database`. One thread."""

    row_id = "rowid"
    text = "TEXT"
    blob = "BLOB"

    def __init__(self, file: Path, *, write: bool) -> None:
        """Open the file; `write`: make it where there is none.

        Raises:
            OperatorError: `view_missing`, `view_unavailable`.
        """
        self.where = str(file)
        self._file = file
        if not write and not file.exists():
            raise view_missing(self.where)
        try:
            if write:
                file.parent.mkdir(parents=True, exist_ok=True)
                # For its owner alone: it holds data about persons.
                os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            # Who may write has to, where the last one died: readers bring the log into order.
            self._connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
            # With a write-ahead log readers do not wait for the follower, nor it for them. A
            # power failure may take the last transactions, whole: with their positions.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            if not write:
                self._connection.execute("PRAGMA query_only = ON")
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error

    def execute(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; give its rows, of an update one row with the count."""
        try:
            cursor = self._connection.execute(sql, values)
            if cursor.description is None:
                return [(cursor.rowcount,)]
            return cursor.fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unavailable(error) from error

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement for each row."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from error

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """Commits at the end, rolls back on an error; reads inside are of one moment."""
        self.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    def has_table(self, name: str) -> bool:
        """Whether there is such a table of the view."""
        found = self.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [name]
        )
        return bool(found)

    def size_bytes(self) -> int:
        """Of the file and its write-ahead log."""
        files = (self._file, self._file.with_name(f"{self._file.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        return StoreUnavailableError(self.where, str(error))
