"""`cimstream model check`: tables and lines for people, JSON for programs, the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams import cli
from tests.commands import examples

ROOT = Path(__file__).resolve().parents[3]
FEEDER = "examples/i2/feeder-eq.xml"
BAD = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:cim="http://iec.ch/TC57/CIM100#">\n'
    '<cim:Braeker rdf:ID="B"/>\n<cim:Fuse rdf:ID="F" xmlns:x="urn:x#"><x:a/></cim:Fuse></rdf:RDF>'
)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_example_of_the_help_has_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    (arguments,) = examples(("model", "check"))
    assert cli.execute(arguments) == 0
    printed = capsys.readouterr().out
    assert "ACLineSegment" in printed
    assert printed.rstrip().endswith("17 objects, 0 faults")


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples/i2").glob("*.xml")))
def test_every_example_model_has_no_fault(name: str) -> None:
    assert cli.execute(["model", "check", f"examples/i2/{name}"]) == 0


def test_a_fault_is_a_line_with_its_place_and_exit_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.xml"
    file.write_text(BAD, encoding="utf-8")
    assert cli.execute(["model", "check", str(file)]) == 1
    printed = capsys.readouterr().out
    assert f"{file}:2: model_class_unknown: Braeker B: class Braeker" in printed
    assert "2 objects, 1 faults" in printed


def test_a_line_number_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`:100:` is one in the markup of the library that prints."""
    file = tmp_path / "bad.xml"
    file.write_text(BAD.replace("\n", "\n" * 99, 1), encoding="utf-8")
    assert cli.execute(["model", "check", str(file)]) == 1
    assert f"{file}:100: model_class_unknown" in capsys.readouterr().out


def test_json_has_counts_and_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.xml"
    file.write_text(BAD, encoding="utf-8")
    assert cli.execute(["model", "check", FEEDER, str(file), "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == [FEEDER, str(file)]
    assert (found["objects"], found["faults"]) == (19, 1)
    assert found["totals"] == {"model_class_unknown": 1, "extension": 1}
    assert found["classes"]["Terminal"] == 4
    assert found["findings"][0] == {
        "code": "model_class_unknown",
        "file": str(file),
        "line": 2,
        "class": "Braeker",
        "mRID": "B",
        "detail": "class Braeker",
    }


def test_a_file_that_is_no_model_is_told_and_the_others_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cut.xml"
    file.write_text(BAD[:-10], encoding="utf-8")
    assert cli.execute(["model", "check", str(file), FEEDER]) == 1
    printed = capsys.readouterr().out
    assert f"{file}:3: xml_not_wellformed: " in printed
    assert "BatteryUnit" in printed


def test_a_file_that_is_not_there_is_one_message_and_exit_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.execute(["model", "check", "nowhere.xml"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nowhere.xml cannot be read" in printed.err
