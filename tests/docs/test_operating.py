"""What docs/operating.md shows is accepted, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.errors import CODES
from streams.runtime.settings import load_settings
from tests.docs.generate import metric_rows
from topics.chains import CHAIN

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def test_the_settings_file_of_the_page_is_accepted(
    tmp_path: Path,
) -> None:
    block = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert block
    file = tmp_path / "cimstream.toml"
    file.write_text(block[1], encoding="utf-8")

    settings = load_settings(file)

    assert settings.kafka.bootstrap_servers == "broker-1:9092,broker-2:9092"
    assert settings.worker.workers == 2
    assert set(settings.sources) == {"hes-north"}


def test_every_metric_that_is_watched_exists() -> None:
    known = {name.strip("`") for name, *_ in metric_rows()} | {CHAIN}
    assert set(re.findall(r"\bcimstream_[a-z_]+", TEXT)) <= known


def test_every_code_that_is_watched_exists() -> None:
    row = re.findall(r"^\| code (.*?) at all", TEXT, re.MULTILINE)
    assert row
    assert {code for cell in row for code in re.findall(r"`(\w+)`", cell)} <= CODES.keys()


def test_every_repair_begins_with_what_not_to_do() -> None:
    part = TEXT.partition("## When something breaks")[2].partition("\n## ")[0]
    entries = re.findall(r"^### .*\n\n(.*)", part, re.MULTILINE)
    assert len(entries) >= 8
    assert [entry for entry in entries if not entry.startswith("**Do not** ")] == []
