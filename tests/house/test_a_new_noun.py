"""A noun is added by a table entry and a profile folder, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What CONTRIBUTING.md has a newcomer write.
PROFILE_TOML = """\
noun = "VegetationPatrols"
kind = "register"
object = "VegetationPatrol"
schema = "VegetationPatrol"
required = ["plannedPeriod"]

[synonyms.PatrolKind]
helicopter = "air"
"""
PROFILE_XSD = """\
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:cimstream:VegetationPatrols:1"
           targetNamespace="urn:cimstream:VegetationPatrols:1" elementFormDefault="qualified">
  <xs:include schemaLocation="../common.xsd"/>
  <xs:element name="VegetationPatrol" type="VegetationPatrol"/>
  <xs:simpleType name="PatrolKind">
    <xs:annotation><xs:documentation>How the line is patrolled.</xs:documentation></xs:annotation>
    <xs:restriction base="xs:string">
      <xs:enumeration value="foot"/><xs:enumeration value="air"/>
    </xs:restriction>
  </xs:simpleType>
  <xs:complexType name="VegetationPatrol">
    <xs:annotation><xs:documentation>A walk or flight along a line to look for trees.</xs:documentation></xs:annotation>
    <xs:sequence>
      <xs:element name="mRID" type="xs:string" minOccurs="0">
        <xs:annotation><xs:documentation>Master resource identifier.</xs:documentation></xs:annotation>
      </xs:element>
      <xs:element name="kind" type="PatrolKind" minOccurs="0">
        <xs:annotation><xs:documentation>How it is done.</xs:documentation></xs:annotation>
      </xs:element>
      <xs:element name="length" type="Length" minOccurs="0">
        <xs:annotation><xs:documentation>Length of the line.</xs:documentation></xs:annotation>
      </xs:element>
      <xs:element name="plannedPeriod" type="DateTimeInterval" minOccurs="0">
        <xs:annotation><xs:documentation>When it is planned.</xs:documentation></xs:annotation>
      </xs:element>
    </xs:sequence>
  </xs:complexType>
</xs:schema>
"""
TABLE_ENTRY = """
[noun.VegetationPatrols]
kind = "register"
key = "mRID of the object, or authority|type|name where it has none"
namespaces = ["urn:cimstream:VegetationPatrols:1"]
profile = "vegetation_patrols"
schema = "VegetationPatrol"
verbs = ["create", "change", "delete"]
patterns = ["request-response", "publish-subscribe", "create-update-delete"]
glossary = ["line segment"]
partitions = 1
personal = false

[noun.VegetationPatrols.senders]
I4 = ["create", "change", "delete"]
"""
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
    (folder / "profile.toml").write_text(PROFILE_TOML, encoding="utf-8")
    (folder / "profile.xsd").write_text(PROFILE_XSD, encoding="utf-8")
    table = tree / "topics" / "catalogue" / "i04-maintenance-and-construction.toml"
    table.write_text(table.read_text(encoding="utf-8") + TABLE_ENTRY, encoding="utf-8")

    assert python(tree, "-m", "schemas.profiles.generate", "--check").returncode == 1
    assert python(tree, "-m", "schemas.profiles.generate").returncode == 0
    done = python(tree, "-c", SEND)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["air", 12500.5, "deleted", [], ["OK", "OK"]]
