"""What docs/rules.md shows are rules, and what it has one type works."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from streams.processors.rules.files import SHIPPED, files_of
from streams.processors.rules.rehearsal import Rehearsal
from streams.runtime.settings import Settings
from tests.unit.rules.driver import CATALOGUE, START_MS, outage, rule_of
from tests.unit.rules.test_rules import gasps

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
RULES = [block for block in BLOCKS if block.startswith("version")]
COUNTING = [block for block in RULES if "[window]" in block]


def test_the_settings_of_the_page_are_settings() -> None:
    (block,) = [block for block in BLOCKS if block not in RULES]
    assert Settings.model_validate(tomllib.loads(block)).rules.folder == Path("rules")


def test_the_rule_of_the_page_sends_what_intake_accepts(tmp_path: Path) -> None:
    (text,) = [block for block in RULES if block not in COUNTING]
    rehearsal = Rehearsal(CATALOGUE, {"page": rule_of(tmp_path, "page", text)})
    more = "<metersAffected>501</metersAffected><UsagePoints><mRID>u1</mRID></UsagePoints>"
    (found,) = rehearsal.message(outage("1", more=more), "I1", START_MS)
    assert (found.outcome, found.problems) == ("fired", ())
    assert b"501 meters without supply" in ((found.output and found.output.value) or b"")


def test_the_window_of_the_page_fires_with_a_message_that_is_accepted(tmp_path: Path) -> None:
    (text,) = COUNTING
    rehearsal = Rehearsal(CATALOGUE, {"page": rule_of(tmp_path, "page", text)})
    data = gasps(1, range(11)).replace(b"3.26.0.85", b"3.12.0.257")
    found = list(rehearsal.message(data, "I7", START_MS))
    assert [one.outcome for one in found] == ["counted"] * 9 + ["fired", "quiet"]
    assert found[9].problems == ()


def test_the_page_names_the_shipped_rules() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", TEXT, re.MULTILINE)[:4] == sorted(
        [file.stem for file in files_of(SHIPPED)], key=TEXT.index
    )


@pytest.mark.parametrize("number", range(len(re.findall("```sh\n", TEXT))))
def test_what_the_page_has_one_type_works(tmp_path: Path, number: int) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "outage.xml").write_bytes(outage("1"))
    for block in blocks[: number + 1]:
        for line in block.splitlines():
            command = line.replace("cimstream", f"{sys.executable} -m streams.cli")
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True,
                check=False, env={"PYTHONPATH": str(ROOT), "PATH": "/bin:/usr/bin"},
            )  # fmt: skip
            assert done.returncode == 0, f"{line}: {done.stderr}"
            if " test " in line:
                assert "outage-work-order  fired" in done.stdout
