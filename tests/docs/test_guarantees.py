"""Each test that the documentation names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.scenarios import ALL

ROOT = Path(__file__).resolve().parents[2]
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}
PAGES = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")))
    assert named - DEFINED == set()


def test_the_guarantees_name_their_tests() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    assert len(re.findall(r"`test_\w+`", text)) > 40


def test_the_guarantees_name_every_scenario_and_which_of_them_make_test_plays() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    table = text.partition("## Under chaos")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("|")]
    named = re.findall(r"[a-z]+(?:-[a-z]+)+|\bpoison\b", " ".join(rows))
    assert sorted(named) == sorted(scenario.name for scenario in ALL)
    bold = re.findall(r"\*\*([a-z-]+)\*\*", " ".join(rows))
    assert set(bold) == {scenario.name for scenario in ALL if scenario.selected}
