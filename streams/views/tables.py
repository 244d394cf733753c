"""The tables of a view, their version, and what the databases have in common.

Lives here: the SQL that makes tables, and the port of a connection. Must not live here: what
is written into them (`writing`) or asked of them (`reading`), drivers (`sqlite`, `postgres`).

Invariant: the statements say the same in SQLite and PostgreSQL; what differs is `Database`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from streams.views.store import version_differs, view_missing

# Raised with every change of a table or of what a row says (`model`): a view is built again.
VERSION: Final = 2

Value = str | int | bytes | None


class Database(Protocol):
    """One connection. Placeholders are `?`. Errors are StoreUnavailableError."""

    where: str
    """What the database is called in messages; no password."""
    row_id: str
    """The column that names a row of any table physically."""
    text: str
    """The type of texts, ordered by their code points."""
    blob: str
    """The type of bytes."""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; give its rows, of an update one row with the count."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement for each row."""

    def transaction(self, *, write: bool) -> AbstractContextManager[None]:
        """Commits at the end, rolls back on an error; reads inside are of one moment."""

    def has_table(self, name: str) -> bool:
        """Whether there is such a table of the view."""

    def size_bytes(self) -> int:
        """Of the whole database on its disk."""

    def close(self) -> None:
        """Idempotent."""


_TABLES: Final = {
    "meta": "name TEXT PRIMARY KEY, value BIGINT NOT NULL",
    "positions": """
        topic TEXT NOT NULL, partition INTEGER NOT NULL, topic_id TEXT NOT NULL,
        next_offset BIGINT NOT NULL, end_offset BIGINT NOT NULL, begun_ms BIGINT NOT NULL,
        caught_up_ms BIGINT NOT NULL,
        PRIMARY KEY (topic, partition)""",
    "objects": """
        context TEXT NOT NULL, noun TEXT NOT NULL, key TEXT NOT NULL, revision BIGINT NOT NULL,
        first_ms BIGINT, last_ms BIGINT, body BLOB NOT NULL, PRIMARY KEY (context, noun, key)""",
    "object_terms": """
        context TEXT NOT NULL, noun TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
        key TEXT NOT NULL, PRIMARY KEY (context, noun, kind, value, key)""",
    "events": """
        context TEXT NOT NULL, noun TEXT NOT NULL, time_ms BIGINT NOT NULL,
        partition INTEGER NOT NULL, log_offset BIGINT NOT NULL, appended_ms BIGINT NOT NULL,
        key TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (context, noun, time_ms, partition, log_offset)""",
    "event_terms": """
        context TEXT NOT NULL, noun TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
        time_ms BIGINT NOT NULL, partition INTEGER NOT NULL, log_offset BIGINT NOT NULL,
        appended_ms BIGINT NOT NULL,
        PRIMARY KEY (context, noun, kind, value, time_ms, partition, log_offset)""",
    "readings": """
        context TEXT NOT NULL, key TEXT NOT NULL, reading_type TEXT NOT NULL,
        first_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL, step_ms BIGINT NOT NULL,
        partition INTEGER NOT NULL, log_offset BIGINT NOT NULL, appended_ms BIGINT NOT NULL,
        meter TEXT NOT NULL, body BLOB NOT NULL""",
    "subjects": """
        context TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, key TEXT NOT NULL,
        day BIGINT NOT NULL, PRIMARY KEY (context, kind, value, key)""",
}  # fmt: skip

# What is asked of readings without their bodies (`Span`) is answered from the first alone.
_INDEXES: Final = {
    "readings_place": "UNIQUE INDEX {} ON readings "
    "(context, key, reading_type, first_ms, partition, log_offset, last_ms)",
    "readings_age": "INDEX {} ON readings (appended_ms)",
    "events_age": "INDEX {} ON events (appended_ms)",
    "event_terms_age": "INDEX {} ON event_terms (appended_ms)",
    "subjects_age": "INDEX {} ON subjects (day)",
    "object_terms_key": "INDEX {} ON object_terms (context, noun, key)",
}

TRIMMED: Final = ("readings", "events", "event_terms")


def prepare(database: Database) -> None:
    """Make the tables where there are none.

    Raises:
        OperatorError: `view_version`.
    """
    with database.transaction(write=True):
        if not database.has_table("meta"):
            _create(database)
    check(database)


def check(database: Database) -> None:
    """Refuse a database without a view, or with one of another version.

    Raises:
        OperatorError: `view_missing`, `view_version`.
    """
    if not database.has_table("meta"):
        raise view_missing(database.where)
    found = meta(database, "version")
    if found != VERSION:
        raise version_differs(database.where, found, VERSION)


def clear(database: Database) -> None:
    """Throw the tables away, whatever their version, and make them anew, in one transaction.

    Who follows the view is fenced by it: its token is gone.
    """
    with database.transaction(write=True):
        for table in _TABLES:
            database.execute(f"DROP TABLE IF EXISTS {table}")
        _create(database)


def meta(database: Database, name: str) -> int:
    """A number about the view as a whole; 0 where it was never said."""
    rows = database.execute("SELECT value FROM meta WHERE name = ?", [name])
    return int(rows[0][0]) if rows else 0


def set_meta(database: Database, name: str, value: int) -> None:
    """Say it."""
    database.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )


def _create(database: Database) -> None:
    for name, columns in _TABLES.items():
        typed = columns.replace("TEXT", database.text).replace("BLOB", database.blob)
        database.execute(f"CREATE TABLE {name} ({typed})")
    for name, definition in _INDEXES.items():
        database.execute(f"CREATE {definition.format(name)}")
    set_meta(database, "version", VERSION)
