"""A noun is added by a table entry and a profile folder, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What a newcomer writes who follows CONTRIBUTING.md.
WRITTEN = Path(__file__).with_name("new_noun")
SEND = '''
import json
from streams.demo import messages as m
from tests.unit.registers.driver import House
body = """<VegetationPatrols xmlns="urn:cimstream:VegetationPatrols:1"><VegetationPatrol>
  <mRID>p1</mRID><kind>helicopter</kind><length>12500.5</length>
  <plannedPeriod><end>2026-06-01T16:00:00Z</end><start>2026-06-01T08:00:00Z</start></plannedPeriod>
</VegetationPatrol></VegetationPatrols>"""
house = House()
for verb in ("create", "delete"):
    data = m.envelope(body, message_id=verb, verb=verb, noun="VegetationPatrols", source="WMS")
    house.send(data, "I4")
event, end = house.events("VegetationPatrols")
print(json.dumps([event["kind"], float(event["length"]), end["lifeCycle"], house.codes("I4"),
                  [reply.reply.result for reply in house.replies("I4")]]))
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages, to be changed."""
    for package in ("schemas", "topics", "connectors", "streams", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=tree, capture_output=True, text=True, check=False
    )


def test_a_noun_is_added_by_a_table_entry_and_a_profile_folder(tree: Path) -> None:
    folder = tree / "schemas" / "profiles" / "vegetation_patrols"
    folder.mkdir()
    for name in ("profile.toml", "profile.xsd"):
        shutil.copy(WRITTEN / name, folder)
    table = tree / "topics" / "catalogue" / "i04-maintenance-and-construction.toml"
    entry = (WRITTEN / "entry.toml").read_text(encoding="utf-8")
    table.write_text(table.read_text(encoding="utf-8") + entry, encoding="utf-8")

    assert python(tree, "-m", "schemas.profiles.generate", "--check").returncode == 1
    assert python(tree, "-m", "schemas.profiles.generate").returncode == 0
    done = python(tree, "-c", SEND)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["air", 12500.5, "deleted", [], ["OK", "OK"]]
