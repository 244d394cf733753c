"""The AsyncAPI document is one by the official schema, and true of the records that are written.

The official schema is not part of this repository: npm brings it, once per virtual environment.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from connectors.inbound import admit, admit_oversize
from streams import cli
from streams.engine.record import Headers, Output
from tests.commands import examples
from tests.docs.official import schema_from_npm
from tests.unit.registers.driver import CATALOGUE, START_MS, TRACE, House
from topics.asyncapi.headers import KINDS, header_schema

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "docs" / "reference" / "asyncapi.json"
DOCUMENT: dict[str, Any] = json.loads(WRITTEN.read_text(encoding="utf-8"))

PACKAGE = "@asyncapi/specs@6.11.1"
MEMBER = "package/schemas/3.0.0.json"
SHA256 = "d4571a420e6ffb7fcc7066c95a6db1202f299a3c51daa103d0706bf30f95e626"


# --- the official schema --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Draft7Validator:
    return Draft7Validator(schema_from_npm(PACKAGE, MEMBER, SHA256, tmp_path_factory))


def test_the_document_is_valid_against_the_official_schema(official: Draft7Validator) -> None:
    found = [f"{list(e.absolute_path)}: {e.message}" for e in official.iter_errors(DOCUMENT)]
    assert found == []


BROKEN = {
    "an unknown action": ("operations", "send.cim.i7.outbound", "action"),
    "an unknown key": ("channels", "cim.i7.inbound", "adress"),
    "partitions that are no number": (
        "channels", "cim.i7.inbound", "bindings", "kafka", "partitions",
    ),
    "a binding of a version that is none": (
        "channels", "cim.i7.inbound", "bindings", "kafka", "bindingVersion",
    ),
    "a schema that is none": ("components", "schemas", "Envelope", "type"),
    "a correlation that is none": ("components", "correlationIds", "correlation", "location"),
}  # fmt: skip


@pytest.mark.parametrize("path", BROKEN.values(), ids=list(BROKEN))
def test_the_official_schema_refuses_what_is_wrong(
    official: Draft7Validator, path: tuple[str, ...]
) -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    *steps, last = path
    part = broken
    for step in steps:
        part = part[step]
    part[last] = "nonsense"
    assert not official.is_valid(broken)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["topics", "asyncapi"]) == 0
    assert capsys.readouterr().out == WRITTEN.read_text(encoding="utf-8")


def test_the_example_of_the_help_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (arguments,) = examples(("topics", "asyncapi"))
    assert cli.execute(arguments) == 0
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == WRITTEN.read_bytes()


def test_a_file_that_cannot_be_written_is_an_error_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "no" / "folder.json"
    assert cli.execute(["topics", "asyncapi", "-o", str(nowhere)]) == 1
    printed = capsys.readouterr().err
    assert str(nowhere) in printed
    assert "file_not_written" in printed


# --- headers --------------------------------------------------------------------------------------


def complaints(topic: str, headers: Headers) -> list[str]:
    """What the document does not allow about the headers of a record in a topic."""
    told = {name: value.decode() for name, value in headers}
    messages = DOCUMENT["channels"][topic]["messages"]
    name = told["ce_noun"] if len(messages) > 1 else next(iter(messages))
    if topic.endswith(".outbound"):
        name = "reply" if told["ce_verb"] == "reply" else "addressed"
    message = messages[name]
    name = message["$ref"].rpartition("/")[2]
    known = header_schema(DOCUMENT_KIND[name.partition(".")[0]])["properties"]
    schema = {
        "$ref": f"#/components/messages/{name}/headers",
        "components": DOCUMENT["components"],
    }
    wrong = [error.message for error in Draft7Validator(schema).iter_errors(told)]
    return wrong + [f"not named: {header}" for header in told.keys() - known.keys()]


DOCUMENT_KIND = {**{kind: kind for kind in KINDS}, "current": "event"}
EXAMPLES = sorted(
    (path, folder.name.upper())
    for folder in (ROOT / "examples" / "i7", *(ROOT / "examples" / "nouns").iterdir())
    for path in folder.glob("*.xml")
)


def outputs_of(data: bytes, interface: str, house: House) -> list[Output]:
    admitted = admit(data, interface, CATALOGUE, received_ms=START_MS, traceparent=TRACE)
    inbound = Output(admitted.topic, admitted.key, admitted.value, admitted.headers)
    return [inbound, *house.send(data, interface)]


def test_what_connectors_and_processors_write_has_the_headers_that_the_document_names() -> None:
    house, seen = House(), set()
    for path, interface in EXAMPLES:
        outputs = outputs_of(path.read_bytes(), interface, house)
        refused = any(output.topic.endswith(".rejected") for output in outputs)
        for output in outputs:
            # Of what is rejected, inbound may hold anything.
            if output.topic in DOCUMENT["channels"] and not (output is outputs[0] and refused):
                assert complaints(output.topic, output.headers) == [], (path.name, output.topic)
                seen.add(output.topic.rpartition(".")[2])
    assert seen >= {"inbound", "accepted", "outbound", "rejected", "current", "meter-readings"}


def test_what_cannot_be_read_or_is_too_large_has_the_headers_of_a_rejection() -> None:
    (_, unreadable) = outputs_of(b"no XML", "I7", House())
    large = admit_oversize(
        b"<", "I7", CATALOGUE, size=1, sha256="0", received_ms=START_MS, traceparent=TRACE
    )
    assert complaints(unreadable.topic, unreadable.headers) == []
    assert complaints(large.topic, large.headers) == []


def test_a_record_without_what_it_must_have_is_found() -> None:
    house = House()
    (path, interface) = next(e for e in EXAMPLES if e[0].name == "readings-day.xml")
    event = outputs_of(path.read_bytes(), interface, house)[-1]
    assert event.topic == "cim.i7.meter-readings"
    assert complaints(event.topic, event.headers[1:]) != []
    assert complaints(event.topic, (*event.headers, ("ce_unheard", b"x"))) != []


@pytest.mark.parametrize(
    ("column", "kinds"),
    [(1, ("received",)), (2, ("event",)), (3, ("reply", "addressed", "fate"))],
    ids=["inbound", "event log", "outbound"],
)
def test_the_records_of_a_topic_have_the_headers_of_the_table_in_formats(
    column: int, kinds: tuple[str, ...]
) -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    part = text.partition("\n## Headers\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    named = {
        name for row in rows if row[column].strip() for name in re.findall(r"`([\w-]+)`", row[0])
    }
    assert named == {name for kind in kinds for name in header_schema(kind)["properties"]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_header_of_the_document_is_explained_in_formats(kind: str) -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([\w-]+)`", text))
    named = set(header_schema(kind)["properties"])
    assert {n for n in named if not n.startswith("__connect.errors.")} - explained == set()
