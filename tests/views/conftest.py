"""The databases that a view can lie in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from streams.runtime.settings import Views
from streams.runtime.views import open_database
from streams.views.sqlite import SqliteDatabase
from streams.views.tables import Database
from tests.views.rig import Bench

Open = Callable[..., Database]


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, as the setting names it."""
    if request.param == "sqlite":
        return str(tmp_path / "view.sqlite")
    server = f"postgresql://cimstream@/postgres?host={request.getfixturevalue('postgres')}"
    with psycopg.connect(server, autocommit=True) as connection:  # a new database takes longer
        connection.execute("DROP SCHEMA IF EXISTS cimstream CASCADE")
    return server


def new_postgres(folder: str) -> str:
    """A database of its own on the server."""
    name = f"view_{uuid.uuid4().hex[:12]}"
    server = f"postgresql://cimstream@/postgres?host={folder}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql://cimstream@/{name}?host={folder}"


@pytest.fixture
def connect(database_url: str) -> Iterator[Open]:
    """Opens connections to the same database; closed at the end."""
    opened: list[Database] = []

    def open_(*, write: bool = True) -> Database:
        opened.append(open_database(Views(database=database_url), write=write))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def file_bench(tmp_path: Path) -> Iterator[Bench]:
    """A view to ask where the database does not matter."""
    file = tmp_path / "view.sqlite"
    subject = Bench(SqliteDatabase(file, write=True), SqliteDatabase(file, write=True))
    with closing(subject.writer), closing(subject.reader):
        yield subject


@pytest.fixture
def bench(connect: Open) -> Iterator[Bench]:
    """A view to fill and to ask."""
    subject = Bench(connect(), connect(write=False))
    with closing(subject.writer), closing(subject.reader):
        yield subject
