"""What a follower writes, in SQL.

Lives here: statements that change a view, and the fence before each of them. Must not live
here: what is asked (`reading`), which driver it is (`sqlite`, `postgres`).

Invariant: rows and the positions behind them are one transaction, and a transaction of a
follower that is no longer the view's one writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Final

from streams.engine.errors import FencedError
from streams.engine.record import TopicPartition
from streams.views.model import DAY_MS, ObjectId, ObjectRow, ReadingRow, Subject
from streams.views.store import Batch, Position
from streams.views.tables import TRIMMED, Database, Value, clear, meta, prepare, set_meta

_FOLLOWER: Final = "follower"
_FLOOR: Final = "floor_ms"
_HEARTBEAT: Final = "heartbeat_ms"

_BEGIN: Final = (
    "INSERT INTO positions (topic_id, next_offset, end_offset, begun_ms, caught_up_ms, topic,"
    " partition) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_OBJECT: Final = (
    "INSERT INTO objects"
    " (context, noun, key, revision, first_ms, last_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (context, noun, key) DO UPDATE SET revision = excluded.revision,"
    " first_ms = excluded.first_ms, last_ms = excluded.last_ms, body = excluded.body"
)
_SUBJECT: Final = (
    "INSERT INTO subjects (context, kind, value, key, day) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (context, kind, value, key) DO UPDATE SET day = excluded.day"
    " WHERE subjects.day < excluded.day"
)


class SqlWriter:
    """See `streams.views.store.Writer`."""

    def __init__(self, database: Database, *, anew: bool = False) -> None:
        """Make the tables where there are none; `anew`: throw away those that are there.

        Raises:
            OperatorError: `view_version`.
        """
        self._database = database
        self._token = 0
        try:
            if anew:
                clear(database)
            else:
                prepare(database)
        except BaseException:
            database.close()
            raise

    def take(self) -> None:
        """Become the view's one follower."""
        self._token = secrets.randbits(62)
        with self._database.transaction(write=True):
            set_meta(self._database, _FOLLOWER, self._token)

    def positions(self) -> Mapping[TopicPartition, Position]:
        """Where each partition goes on."""
        return read_positions(self._database)

    def floor_ms(self) -> int:
        """Histories are kept from this append time on."""
        return meta(self._database, _FLOOR)

    def begin(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Add partitions that are not in the view yet."""
        with self._fenced():
            self._database.execute_many(
                _BEGIN,
                [
                    (p.topic_id, p.next, p.end, p.begun_ms, p.caught_up_ms, *at)
                    for at, p in positions.items()
                ],
            )

    def apply(self, batch: Batch) -> None:
        """Rows and positions, in one transaction."""
        with self._fenced():
            self._put_objects(batch.objects)
            self._put_events(batch)
            self._put_readings(list(batch.readings.values()))
            self._put_subjects(batch.subjects)
            self._database.execute_many(
                "UPDATE positions SET next_offset = ? WHERE topic = ? AND partition = ?",
                [(next_offset, *at) for at, next_offset in sorted(batch.positions.items())],
            )

    def note(self, ends: Mapping[TopicPartition, int], now_ms: int) -> None:
        """What the ends of the logs were; who has reached them was caught up then."""
        with self._fenced():
            known = self.positions()
            self._database.execute_many(
                "UPDATE positions SET end_offset = ? WHERE topic = ? AND partition = ?",
                [(end, *at) for at, end in ends.items() if at in known and known[at].end != end],
            )
            topics = sorted({at.topic for at in ends})
            self._database.execute(
                "UPDATE positions SET caught_up_ms = ? WHERE next_offset >= end_offset"
                f" AND topic IN ({', '.join('?' * len(topics))})",
                [now_ms, *topics],
            )
            set_meta(self._database, _HEARTBEAT, now_ms)

    def forget_register(self, topic: str, context: str, noun: str) -> None:
        """Drop the objects of a register, and where its log was read to."""
        with self._fenced():
            for table in ("objects", "object_terms"):
                self._database.execute(
                    f"DELETE FROM {table} WHERE context = ? AND noun = ?",
                    [context, noun],
                )
            self._database.execute("DELETE FROM positions WHERE topic = ?", [topic])

    def trim(self, floor_ms: int, rows_max: int) -> int:
        """Move the floor, and remove at most so many rows of each table below it."""
        row_id, removed = self._database.row_id, 0
        below = dict.fromkeys(TRIMMED, ("appended_ms", floor_ms))
        below["subjects"] = ("day", floor_ms // DAY_MS)
        with self._fenced():
            set_meta(self._database, _FLOOR, floor_ms)
            for table, (column, limit) in below.items():
                ((count,),) = self._database.execute(
                    f"DELETE FROM {table} WHERE {row_id} IN"
                    f" (SELECT {row_id} FROM {table} WHERE {column} < ? LIMIT {rows_max})",
                    [limit],
                )
                removed += count
        return removed

    def size_bytes(self) -> int:
        """Of the whole database on its disk."""
        return self._database.size_bytes()

    def close(self) -> None:
        """Idempotent."""
        self._database.close()

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        """A transaction of the view's one follower.

        The update locks the token's row, so that one who takes the view meanwhile waits for the
        end of the transaction, and then reads the positions that it left.
        """
        with self._database.transaction(write=True):
            ((mine,),) = self._database.execute(
                "UPDATE meta SET value = value WHERE name = ? AND value = ?",
                [_FOLLOWER, self._token],
            )
            if not mine:
                raise FencedError("another follower has taken this view, or it was built anew")
            yield

    def _put_objects(self, objects: Mapping[ObjectId, ObjectRow | None]) -> None:
        self._database.execute_many(
            "DELETE FROM object_terms WHERE context = ? AND noun = ? AND key = ?", objects
        )
        self._database.execute_many(
            "DELETE FROM objects WHERE context = ? AND noun = ? AND key = ?",
            [at for at, row in objects.items() if row is None],
        )
        there = [(at, row) for at, row in objects.items() if row is not None]
        self._database.execute_many(
            _OBJECT,
            [(*at, row.revision, row.first_ms, row.last_ms, row.body) for at, row in there],
        )
        self._database.execute_many(
            "INSERT INTO object_terms (context, noun, key, kind, value) VALUES (?, ?, ?, ?, ?)",
            [(*at, *term) for at, row in there for term in row.terms],
        )

    def _put_events(self, batch: Batch) -> None:
        self._database.execute_many(
            "INSERT INTO events (context, noun, key, time_ms, partition, log_offset, appended_ms,"
            " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (e.context, e.noun, e.key, e.time_ms, e.partition, e.offset, e.appended_ms, e.body)
                for e in batch.events
            ],
        )
        self._database.execute_many(
            "INSERT INTO event_terms (context, noun, kind, value, time_ms, partition, log_offset,"
            " appended_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (e.context, e.noun, *term, e.time_ms, e.partition, e.offset, e.appended_ms)
                for e in batch.events
                for term in e.terms
            ],
        )

    def _put_readings(self, readings: list[ReadingRow]) -> None:
        """Of those that have the same times the newest: who sends again, does not fill the disk."""
        self._database.execute_many(
            "DELETE FROM readings WHERE context = ? AND key = ? AND reading_type = ?"
            " AND first_ms = ? AND last_ms = ? AND step_ms = ? AND log_offset < ?",
            [
                (r.context, r.key, r.reading_type, r.first_ms, r.last_ms, r.step_ms, r.offset)
                for r in readings
                if r.step_ms >= 0
            ],
        )
        self._database.execute_many(
            "INSERT INTO readings (context, key, reading_type, first_ms, last_ms, step_ms,"
            " partition, log_offset, appended_ms, meter, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            readings,
        )

    def _put_subjects(self, subjects: set[Subject]) -> None:
        """Of several days the last: PostgreSQL takes each row once a statement, in one order."""
        newest = [
            list(group)[-1]
            for _, group in groupby(sorted(subjects), key=lambda subject: subject[:4])
        ]
        self._database.execute_many(_SUBJECT, newest)


def read_positions(
    database: Database, where: str = "", values: Sequence[Value] = ()
) -> dict[TopicPartition, Position]:
    """How far the view is."""
    rows = database.execute(
        "SELECT topic, partition, topic_id, next_offset, end_offset, begun_ms, caught_up_ms"
        f" FROM positions {where}",
        values,
    )
    return {TopicPartition(row[0], row[1]): Position(*row[2:]) for row in rows}
