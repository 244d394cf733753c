"""What is asked of a view, in SQL.

Lives here: statements that change nothing. Must not live here: what a question means (`query`),
what is written (`writing`), which driver it is.

Invariant: every statement gives rows in the order of their places and none before `after`, so
that a page goes on where the last one ended, whatever was written meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from streams.engine.record import TopicPartition
from streams.views.model import READINGS
from streams.views.store import Found, Place, Position, Span, Status, Wanted
from streams.views.tables import Database, Value, check, meta
from streams.views.writing import read_positions

# Below what SQLite takes of parameters in one statement (32,766), with room for the others.
_KEYS_MAX: Final = 10_000


class SqlReader:
    """See `streams.views.store.Reader`."""

    def __init__(self, database: Database) -> None:
        """Look whether there is a view; the database is closed where there is none.

        Raises:
            OperatorError: `view_missing`, `view_version`.
        """
        self._database = database
        try:
            check(database)
        except BaseException:
            database.close()
            raise

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything that is read inside is of one moment."""
        return self._database.transaction(write=False)

    def positions(self, topics: Collection[str] | None = None) -> Mapping[TopicPartition, Position]:
        """How far the view is, with these topics; None: with all."""
        if topics is None:
            return read_positions(self._database)
        where = _Where(f"topic IN ({_marks(topics)})", list(topics))
        return read_positions(self._database, f"WHERE {where}", where.values)

    def floor_ms(self) -> int:
        """Histories are whole from this append time on."""
        return meta(self._database, "floor_ms")

    def heartbeat_ms(self) -> int:
        """When a follower last looked at the ends of the logs."""
        return meta(self._database, "heartbeat_ms")

    def objects(self, wanted: Wanted, after: Place, limit: int) -> list[Found]:
        """Objects of a register by key."""
        where = _Where("context = ? AND noun = ?", [wanted.context, wanted.noun])
        if after:
            where.add("key > ?", after)
        for kind, values in wanted.terms.items():
            where.add(
                "key IN (SELECT key FROM object_terms WHERE context = ? AND noun = ?"
                f" AND kind = ? AND value IN ({_marks(values)}))",
                [wanted.context, wanted.noun, kind, *values],
            )
        if wanted.after_ms is not None:
            where.add(
                "first_ms IS NOT NULL AND (last_ms IS NULL OR last_ms > ?)", [wanted.after_ms]
            )
        if wanted.until_ms is not None:
            where.add(
                "(first_ms <= ? OR (first_ms IS NULL AND last_ms IS NOT NULL))", [wanted.until_ms]
            )
        rows = self._database.execute(
            f"SELECT key, body, revision FROM objects WHERE {where} ORDER BY key LIMIT {limit}",
            where.values,
        )
        return [Found((key,), key, bytes(body), revision) for key, body, revision in rows]

    def events(self, wanted: Wanted, after: Place, limit: int) -> list[Found]:
        """Events of a history by time."""
        place = "time_ms, partition, log_offset"
        where = _Where("context = ? AND noun = ?", [wanted.context, wanted.noun])
        where.add("appended_ms >= ?", [self.floor_ms()])
        if after:
            where.add(f"({place}) > (?, ?, ?)", after)
        where.period("time_ms", "time_ms", wanted)
        for kind, values in wanted.terms.items():
            inner = _Where("context = ? AND noun = ? AND kind = ?", [*where.values[:2], kind])
            inner.add(f"value IN ({_marks(values)})", values)
            inner.period("time_ms", "time_ms", wanted)
            where.add(f"({place}) IN (SELECT {place} FROM event_terms WHERE {inner})", inner.values)
        rows = self._database.execute(
            f"SELECT {place}, key, body FROM events WHERE {where} ORDER BY {place} LIMIT {limit}",
            where.values,
        )
        return [Found(tuple(row[:3]), row[3], bytes(row[4])) for row in rows]

    def series(
        self,
        wanted: Wanted,
        keys: Mapping[str, frozenset[str]],
        after: Place,
        limit: int,
    ) -> list[Found]:
        """Series of these subjects by key, type and time."""
        place = "key, reading_type, first_ms, partition, log_offset"
        where = _Where("context = ?", [wanted.context])
        where.add(f"key IN ({_marks(keys)})", list(keys))
        for key, meters in keys.items():
            if meters:
                where.add(f"(key <> ? OR meter IN ({_marks(meters)}))", [key, *sorted(meters)])
        where.add("appended_ms >= ?", [self.floor_ms()])
        if after:
            where.add(f"({place}) > (?, ?, ?, ?, ?)", after)
        where.period("first_ms", "last_ms", wanted)
        if types := wanted.terms.get("type"):
            where.add(f"reading_type IN ({_marks(types)})", types)
        rows = self._database.execute(
            f"SELECT {place}, body FROM readings WHERE {where} ORDER BY {place} LIMIT {limit}",
            where.values,
        )
        return [Found(tuple(row[:5]), row[0], bytes(row[5])) for row in rows]

    def spans(self, context: str, keys: Sequence[str], first_ms: int, last_ms: int) -> list[Span]:
        """All series of these subjects that touch the period, both ends included."""
        rows = self._database.execute(
            "SELECT key, reading_type, first_ms, last_ms, log_offset FROM readings"
            f" WHERE context = ? AND key IN ({_marks(keys)}) AND first_ms <= ? AND last_ms >= ?",
            [context, *keys, last_ms, first_ms],
        )
        return [Span(*row) for row in rows]

    def subject_keys(self, context: str, kind: str, values: Sequence[str]) -> list[tuple[str, str]]:
        """Value and key of the subjects of readings that have such a name or meter."""
        found: list[tuple[str, str]] = []
        for start in range(0, len(values), _KEYS_MAX):
            chosen = values[start : start + _KEYS_MAX]
            found += (
                (value, key)
                for value, key in self._database.execute(
                    "SELECT value, key FROM subjects WHERE context = ? AND kind = ?"
                    f" AND value IN ({_marks(chosen)})",
                    [context, kind, *chosen],
                )
            )
        return found

    def status(self) -> Status:
        """What is there; counts rows, which takes a while."""
        counts = self._database.execute(
            "SELECT context, noun, count(*) FROM objects GROUP BY context, noun"
            " UNION ALL SELECT context, noun, count(*) FROM events GROUP BY context, noun"
            f" UNION ALL SELECT context, '{READINGS}', count(*) FROM readings GROUP BY context"
        )
        rows = {(context, noun): count for context, noun, count in counts}
        size_bytes = self._database.size_bytes()
        return Status(self.floor_ms(), self.heartbeat_ms(), rows, size_bytes)

    def close(self) -> None:
        """Idempotent."""
        self._database.close()


class _Where:
    """Conditions that must all hold, with their values in order."""

    def __init__(self, condition: str, values: Sequence[Value]) -> None:
        self._conditions = [condition]
        self.values = list(values)

    def add(self, condition: str, values: Sequence[Value]) -> None:
        self._conditions.append(condition)
        self.values += values

    def period(self, first: str, last: str, wanted: Wanted) -> None:
        """What touches the period: after its start, up to and including its end."""
        if wanted.after_ms is not None:
            self.add(f"{last} > ?", [wanted.after_ms])
        if wanted.until_ms is not None:
            self.add(f"{first} <= ?", [wanted.until_ms])

    def __str__(self) -> str:
        return " AND ".join(self._conditions)


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
