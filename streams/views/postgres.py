"""A view in PostgreSQL, through psycopg (the extra `postgres`).

Lives here: the connection. Must not live here: statements of the view.

Invariant: the tables lie in a schema of their own, and no password is ever in a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from streams.engine.errors import FatalError
from streams.views.store import StoreUnavailableError
from streams.views.tables import Value

_SCHEMA: Final = "cimstream"


class PostgresDatabase:
    """See `streams.views.tables.Database`. One thread."""

    row_id = "ctid"
    # By code points, as SQLite orders texts; a language's order would be another one.
    text = 'TEXT COLLATE "C"'
    blob = "BYTEA"

    def __init__(self, url: str, *, write: bool) -> None:
        """Connect; `write`: make the schema where there is none.

        Raises:
            OperatorError: `view_unavailable`.
        """
        try:
            self._connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise StoreUnavailableError("PostgreSQL", str(error).strip()) from error
        info = self._connection.info
        self.where = f"postgresql://{info.host}:{info.port}/{info.dbname}"
        if write:
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
        self.execute(f"SET search_path TO {_SCHEMA}")

    def execute(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; give its rows, of an update one row with the count."""
        try:
            cursor = self._connection.execute(_marked(sql), values)
            if cursor.description is None:
                return [(cursor.rowcount,)]
            return cursor.fetchall()
        except psycopg.Error as error:
            raise self._failure(error) from error

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement for each row."""
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(_marked(sql), rows)
        except psycopg.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """Commits at the end, rolls back on an error; reads inside are of one moment."""
        kind = "BEGIN" if write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self.execute(kind)
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(psycopg.Error):
                self._connection.rollback()
            raise

    def has_table(self, name: str) -> bool:
        """Whether there is such a table of the view."""
        ((found,),) = self.execute("SELECT to_regclass(?) IS NOT NULL", [f"{_SCHEMA}.{name}"])
        return bool(found)

    def size_bytes(self) -> int:
        """Of all tables of the schema with their indexes."""
        ((size,),) = self.execute(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::BIGINT FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = ?::regnamespace",
            [_SCHEMA],
        )
        return int(size)

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()

    def _failure(self, error: psycopg.Error) -> Exception:
        # The server's message alone: its detail may hold a value of a row.
        why = error.diag.message_primary or type(error).__name__
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            return StoreUnavailableError(self.where, why)
        return FatalError(f"{self.where}: {why}")


def _marked(sql: str) -> str:
    """The driver's placeholders; no statement of the view has a question mark of its own."""
    return sql.replace("?", "%s")
