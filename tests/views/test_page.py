"""The questions of docs/views.md, asked as they are written there."""

from __future__ import annotations

import re
import shlex
import time
from contextlib import closing
from pathlib import Path

import pytest

from streams.views.model import DAY_MS
from streams.views.sqlite import SqliteDatabase
from tests.docs.test_readme import pattern
from tests.integration.data_rig import cimstream
from tests.unit.registers.driver import House
from tests.views.rig import LOGS, Bench

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "views.md").read_text(encoding="utf-8")
TOUR = PAGE.partition("## A tour")[2].partition("\n## ")[0]


def sent() -> list[tuple[str, str]]:
    """The files that the tour sends, and through which interface."""
    return re.findall(r"cimstream send (\S+) --interface (\S+)", TOUR)


def questions() -> list[tuple[str, str]]:
    """Each question, and what it prints."""
    return re.findall(r"```sh\n(cimstream view query .*?)```\n```text\n(.*?)```", TOUR, re.DOTALL)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The view of the tour: its messages through intake and registers in memory, their events in.

    The settings name it.
    """
    now_ms = time.time_ns() // 1_000_000
    path = tmp_path / "view.sqlite"
    house = House()
    for message, interface in sent():
        house.send((ROOT / message).read_bytes(), interface)
    bench = Bench(SqliteDatabase(path, write=True), SqliteDatabase(path, write=True), now_ms)
    with closing(bench.writer), closing(bench.reader):
        for topic, outputs in house.logs.items():
            for output in outputs if topic in LOGS else ():
                bench.add(topic, (output.key or b"").decode(), output.value, at=now_ms)
        bench.writer.trim(now_ms - 35 * DAY_MS, 1)
    monkeypatch.setenv("CIMSTREAM__VIEWS__DATABASE", str(path))
    return path


@pytest.mark.usefixtures("file")
def test_every_question_of_the_page_prints_what_is_written_there() -> None:
    assert len(questions()) >= 4
    for command, printed in questions():
        done = cimstream("127.0.0.1:9", *shlex.split(command)[1:])
        output = done.stdout.decode()
        assert done.returncode == 0, done.stderr.decode()
        missing = [one for one in printed.splitlines() if not pattern(one).search(output)]
        assert missing == [], f"{command}\n{output}"


@pytest.mark.usefixtures("file")
def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "views.md", "exec"), {})  # noqa: S102
    row, told = capsys.readouterr().out.splitlines()
    assert row == "2 Tree on the line"
    assert told.startswith("0.0 None ()")
