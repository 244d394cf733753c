"""Files that are network models, and the messages they become."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from connectors.files.client import Meter
from connectors.models import room, wrap
from schemas.envelope import Message, read
from schemas.envelope.packing import unpacked
from schemas.xml import DEFAULT
from tests.unit.registers.driver import House, header

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "i2"


def wrapped(data: bytes, name: str = "n", verb: str = "") -> Message:
    message = wrap(data, name, verb)
    assert message is not None
    return read(message)


@pytest.mark.parametrize(
    ("file", "verb"),
    [("feeder-eq", "create"), ("feeder-ssh", "create"), ("feeder-difference", "change")],
)
def test_a_model_is_created_and_one_that_supersedes_another_is_a_change(
    file: str, verb: str
) -> None:
    message = wrapped((EXAMPLES / f"{file}.xml").read_bytes())
    assert message.header is not None
    assert (message.header.noun, message.header.verb) == ("NetworkDataSet", verb)
    assert message.header.source == "https://utility.example/network"


def test_the_verb_can_be_said() -> None:
    data = (EXAMPLES / "feeder-eq.xml").read_bytes()
    said, kind = wrapped(data, verb="created"), wrapped(data)
    assert said.header is not None
    assert kind.header is not None
    assert said.header.verb == "created"
    assert said.header.message_id != kind.header.message_id


def test_the_same_version_is_the_same_message_and_another_one_is_not() -> None:
    data = (EXAMPLES / "feeder-eq.xml").read_bytes()
    assert wrap(data, "a") == wrap(data, "b")
    other = data.replace(b"<md:Model.version>1<", b"<md:Model.version>2<")
    ids = {m.header.message_id for m in (wrapped(data), wrapped(other)) if m.header is not None}
    assert len(ids) == 2
    assert all(uuid.UUID(one).version == 5 for one in ids)


def test_a_model_is_packed_byte_for_byte() -> None:
    data = (EXAMPLES / "feeder-eq.xml").read_bytes()
    message = wrapped(data)
    assert (message.payload, message.format) == (None, "RDF")
    assert b"".join(unpacked(message.packed, DEFAULT)) == data
    assert wrap(data, "n") == wrap(data, "n")


def test_a_fault_is_reported_with_the_line_of_the_file_and_the_mrid() -> None:
    data = (EXAMPLES / "feeder-eq.xml").read_bytes()
    wrong = b'<!-- two\nlines -->\n<cim:Braeker rdf:ID="b"/></rdf:RDF>'
    broken = data.replace(b"</rdf:RDF>", wrong)
    line = broken[: broken.index(b"<cim:Braeker")].count(b"\n") + 1
    house = House()
    house.send(wrap(broken, "n") or b"", "I2")
    (rejected,) = house.logs["cim.i2.rejected"]
    why = header(rejected, "__connect.errors.exception.message")
    assert f"Braeker b: class Braeker, line {line} of the unpacked payload" in why


def test_a_model_that_is_broken_behind_its_header_is_rejected_with_its_line() -> None:
    data = (EXAMPLES / "feeder-eq.xml").read_bytes()
    house = House()
    house.send(wrap(data.replace(b"</cim:", b"</cym:", 1), "n") or b"", "I2")
    (rejected,) = house.logs["cim.i2.rejected"]
    assert house.codes("I2") == ["xml_not_wellformed"]
    assert "line " in header(rejected, "__connect.errors.exception.message")


def test_what_is_wrapped_is_taken_in() -> None:
    house = House()
    for file in ("feeder-eq", "feeder-ssh", "feeder-difference"):
        message = wrap((EXAMPLES / f"{file}.xml").read_bytes(), file)
        house.send(message or b"", "I2")
    assert house.codes("I2") == []
    assert len(house.current("NetworkDataSet")) == 21


def test_a_model_without_a_header_is_named_after_its_file() -> None:
    bare = (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        b'xmlns:cim="http://iec.ch/TC57/CIM100#"><cim:Feeder rdf:ID="f"/></rdf:RDF>'
    )
    message = wrapped(bare, "IEEE13")
    assert message.header is not None
    assert message.header.properties == (("ModelID", "IEEE13"),)


@pytest.mark.parametrize(
    "data", [b"", b"<x/>", b"\x00\xff", b"<rdf:RDF xmlns:rdf='x22-rdf-syntax-ns#'/>"]
)
def test_what_is_no_model_is_left_as_it_is(data: bytes) -> None:
    assert wrap(data, "n") is None


def test_a_model_may_be_larger_than_a_message_and_nothing_else_may() -> None:
    model = (EXAMPLES / "feeder-eq.xml").read_bytes()
    for data, whole in ((model, model), (b"x" * len(model), None)):
        meter = Meter(1000, 100, room)
        meter.feed(data)
        assert meter.content().whole == whole
