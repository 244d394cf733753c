"""What a version of a network model does: to the log, to the present state, and to the next one."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.models import wrap
from schemas.envelope import Header, Kind, Message, read, write
from schemas.envelope.packing import pack
from streams.demo import messages as m
from streams.engine.record import Record
from streams.processors.registers import Registers
from tests.unit.registers.driver import CATALOGUE, EVERY, House, header
from topics import naming

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "nouns" / "i2"
NOUN = "NetworkDataSet"
LOG = "cim.i2.network-data-set"
SPACES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:cim="http://iec.ch/TC57/CIM100#" '
    'xmlns:md="http://iec.ch/TC57/61970-552/ModelDescription/1#" '
    'xmlns:dm="http://iec.ch/2002/schema/CIM_difference_model#"'
)


def example(name: str) -> bytes:
    return (EXAMPLES / f"network-data-set-{name}.xml").read_bytes()


def model(mrid: str, *objects: str, supersedes: str = "", more: str = "") -> str:
    base = f'<md:Model.Supersedes rdf:resource="#{supersedes}"/>' if supersedes else ""
    return (
        f'<rdf:RDF {SPACES}><md:FullModel rdf:about="#{mrid}">{base}{more}</md:FullModel>\n'
        + "\n".join(objects)
        + "</rdf:RDF>"
    )


def difference(mrid: str, supersedes: str, forward: str = "", reverse: str = "") -> str:
    sides = "".join(
        f'<dm:{side}Differences rdf:parseType="Statements">{what}</dm:{side}Differences>'
        for side, what in (("forward", forward), ("reverse", reverse))
    )
    return (
        f'<rdf:RDF {SPACES}><dm:DifferenceModel rdf:about="#{mrid}">'
        f'<md:Model.Supersedes rdf:resource="#{supersedes}"/>{sides}</dm:DifferenceModel></rdf:RDF>'
    )


def feeder(mrid: str, name: str = "f") -> str:
    return f'<cim:Feeder rdf:ID="{mrid}">{named(name)}</cim:Feeder>'


def named(name: str) -> str:
    return f"<cim:IdentifiedObject.name>{name}</cim:IdentifiedObject.name>"


def said(mrid: str, name: str) -> str:
    return f'<rdf:Description rdf:about="#{mrid}">{named(name)}</rdf:Description>'


def node(mrid: str, container: str) -> str:
    return (
        f'<cim:ConnectivityNode rdf:ID="{mrid}"><cim:ConnectivityNode.ConnectivityNodeContainer '
        f'rdf:resource="#{container}"/></cim:ConnectivityNode>'
    )


def message(message_id: str, verb: str, document: str, extra: str = "") -> bytes:
    body = f'<NetworkDataSet xmlns="http://iec.ch/TC57/2011/NetworkDataSet#">{document}</NetworkDataSet>'
    return m.envelope(body, message_id=message_id, verb=verb, noun=NOUN, source="GIS", extra=extra)


def packed(message_id: str, document: str, verb: str = "create", data: bytes = b"") -> bytes:
    head = Header(verb=verb, noun=NOUN, message_id=message_id, source="GIS", ack_required=True)
    content = data or pack(document.encode())
    return write(Message(Kind.REQUEST, head, format="RDF", packed=content))


@pytest.fixture
def house() -> House:
    return House()


def happened(house: House, since: int = 0) -> list[tuple[str, str]]:
    """Verb and mRID of each event."""
    log = house.logs[LOG][since:]
    return [(header(one, "ce_verb"), (one.key or b"").decode()) for one in log]


def names(house: House) -> dict[str, Any]:
    """What the present state says: key to the name of the object."""
    return {
        key.decode(): record["attributes"].get("IdentifiedObject.name")
        for key, record in house.current(NOUN).items()
    }


def test_the_examples_do_what_they_show(house: House) -> None:
    house.send(example("create"), "I2")
    assert [verb for verb, _ in happened(house)] == ["create"] * 7
    house.send(example("change"), "I2")
    assert Counter(verb for verb, _ in happened(house, 7)) == {"change": 2, "create": 1}
    house.send(example("difference"), "I2")
    assert Counter(verb for verb, _ in happened(house, 10)) == {"change": 2, "delete": 1}
    house.send(example("delete"), "I2")
    assert Counter(verb for verb, _ in happened(house, 13)) == {"delete": 7}
    assert house.current(NOUN) == {}
    assert house.codes("I2") == []
    assert [reply.reply.result for reply in house.replies("I2") if reply.reply] == ["OK"] * 4
    house.send(example("invalid"), "I2")
    assert house.codes("I2") == ["model_value_invalid"]


def test_the_example_of_a_reply_is_one() -> None:
    assert read(example("reply")).reply is not None


def test_a_difference_leads_to_the_same_objects_as_the_whole_version(house: House) -> None:
    whole = House()
    for one in (house, whole):
        one.send(
            message("1", "create", model("v1", feeder("f1"), feeder("f2"), node("n", "f1"))), "I2"
        )
    reverse = feeder("f2").replace('rdf:ID="', 'rdf:about="#')
    reverse += said("f1", "f")
    forward = said("f1", "g")
    house.send(message("2", "change", difference("v2", "v1", forward, reverse)), "I2")
    new = model("v2", feeder("f1", "g"), node("n", "f1"), supersedes="v1")
    whole.send(message("2", "change", new), "I2")
    assert house.codes("I2") == whole.codes("I2") == []
    assert names(house) == names(whole) == {"v1|v1": None, "f1|v1": ["g"], "n|v1": None}
    assert happened(house) == happened(whole)


def test_an_object_of_two_models_is_in_the_present_state_of_each(house: House) -> None:
    house.send(message("1", "create", model("eq", feeder("f"))), "I2")
    about = f'<cim:Feeder rdf:about="#f">{named("x")}</cim:Feeder>'
    other = model("ssh", about, more='<md:Model.DependentOn rdf:resource="#eq"/>')
    house.send(message("2", "create", other), "I2")
    house.send(message("3", "delete", model("ssh")), "I2")
    assert names(house) == {"eq|eq": None, "f|eq": ["f"]}


def test_what_did_not_change_gives_no_event_and_the_same_version_again_none_at_all(
    house: House,
) -> None:
    version = model("v1", feeder("f"), node("n", "f"))
    house.send(message("1", "create", version), "I2")
    house.send(message("1", "create", version), "I2")
    house.send(message("2", "change", version), "I2")
    assert len(happened(house)) == 3
    replies = [reply.reply.result for reply in house.replies("I2") if reply.reply]
    assert (replies, house.codes("I2")) == (["OK"] * 3, [])


@pytest.mark.parametrize(
    ("verb", "document", "code"),
    [
        ("create", model("v1", feeder("f")), "object_exists"),
        ("create", difference("v9", "v1"), "model_difference_mismatch"),
        ("change", model("v9", feeder("f")), "object_missing"),
        ("change", model("v3", feeder("f"), supersedes="v1"), "revision_outdated"),
        ("change", difference("v3", "v1"), "revision_outdated"),
        ("change", difference("v2", "v1"), "revision_outdated"),
        ("delete", model("v1"), "revision_outdated"),
        ("delete", model("v9"), "object_missing"),
        ("change", difference("v3", "v2", reverse='<rdf:Description rdf:about="#f">'
         "<cim:IdentifiedObject.name>x</cim:IdentifiedObject.name></rdf:Description>"),
         "model_difference_mismatch"),
        ("change", difference("v3", "v2", reverse='<cim:Feeder rdf:about="#f">'
         "<cim:IdentifiedObject.name>f</cim:IdentifiedObject.name></cim:Feeder>"),
         "model_reference_dangling"),
        ("change", difference("v3", "v2", forward=node("m", "none")), "model_reference_dangling"),
        ("change", model("v3", node("n", "none"), supersedes="v2"), "model_reference_dangling"),
        ("change", model("v3", "<cim:Feedr rdf:ID='x'/>", supersedes="v2"), "model_class_unknown"),
        ("change", "<rdf:RDF " + SPACES + ">" + feeder("f") + "</rdf:RDF>", "object_unidentified"),
    ],
)  # fmt: skip
def test_a_version_that_does_not_fit_is_refused_and_changes_nothing(
    house: House, verb: str, document: str, code: str
) -> None:
    house.send(message("1", "create", model("v1", feeder("f"), node("n", "f"))), "I2")
    second = model("v2", feeder("f"), node("n", "f"), supersedes="v1")
    house.send(message("2", "change", second), "I2")
    before = (happened(house), names(house))
    house.send(message("3", verb, document), "I2")
    assert house.codes("I2") == [code]
    assert (happened(house), names(house)) == before
    # The refusal left no mark: the same ID may come again, corrected.
    house.send(message("3", "delete", model("v2")), "I2")
    assert names(house) == {}


def test_the_rejection_names_the_first_fault_with_line_and_mrid_and_counts_all(
    house: House,
) -> None:
    faulty = model("v1", *(node(f"n{number}", "none") for number in range(150)))
    house.send(message("1", "create", faulty), "I2")
    (rejected,) = house.logs[naming.rejected("I2")]
    reason, where = header(rejected, "cimstream_why"), header(rejected, "cimstream_where")
    assert reason.endswith("(and 149 more)")
    assert "ConnectivityNode n0" in reason
    assert where.endswith("line 3")


def test_a_packed_document_is_the_same_model_and_its_faults_have_its_own_lines(
    house: House,
) -> None:
    plain = House()
    document = model("v1", feeder("f"), node("n", "f"))
    plain.send(message("1", "create", document), "I2")
    house.send(packed("1", document), "I2")
    assert house.events(NOUN) == plain.events(NOUN)
    house.send(packed("2", model("v2", node("n", "none"))), "I2")
    (rejected,) = house.logs[naming.rejected("I2")]
    assert "line 2 of the unpacked payload" in header(rejected, "cimstream_why")


def test_two_packings_of_one_document_are_a_repeat_and_another_document_is_a_conflict(
    house: House,
) -> None:
    document = model("v1", feeder("f"))
    house.send(packed("1", document), "I2")
    house.send(packed("1", document, data=gzip.compress(document.encode(), 1)), "I2")
    assert house.codes("I2") == []
    house.send(packed("1", model("v1", feeder("g"))), "I2")
    assert house.codes("I2") == ["identity_conflict"]
    assert len(happened(house)) == 2


def test_other_nouns_take_no_packed_documents(house: House) -> None:
    head = Header(verb="create", noun="Assets", message_id="1", source="GIS")
    data = write(Message(Kind.REQUEST, head, format="RDF", packed=pack(b"<x/>")))
    house.send(data, "I2")
    assert house.codes("I2") == ["payload_format_unknown"]


def test_a_model_without_a_header_is_named_by_the_message(house: House) -> None:
    named = "<Property><Name>ModelID</Name><Value>feeder-12</Value></Property>"
    bare = f"<rdf:RDF {SPACES}>{feeder('f')}</rdf:RDF>"
    house.send(message("1", "create", bare, extra=named), "I2")
    house.send(
        message(
            "2",
            "change",
            bare.replace("</cim:Feeder>", "</cim:Feeder>" + node("n", "f")),
            extra=named,
        ),
        "I2",
    )
    house.send(message("3", "create", bare, extra=named), "I2")
    assert house.codes("I2") == ["object_exists"]
    assert set(names(house)) == {"feeder-12|feeder-12", "f|feeder-12", "n|feeder-12"}


def test_a_version_with_more_objects_than_become_visible_at_once_is_refused() -> None:
    house = House(registers=Registers(CATALOGUE, EVERY, model_objects_max=2))
    house.send(message("1", "create", model("v1", feeder("f"), feeder("g"))), "I2")
    house.send(message("2", "create", model("v2", feeder("f"), feeder("g"), feeder("h"))), "I2")
    assert house.codes("I2") == ["model_too_large"]


def test_what_is_lacking_in_a_model_without_a_profile_is_told_in_the_reply(house: House) -> None:
    """Goal: the sender can mend it: class, mRID, attribute and line are there."""
    house.send(message("1", "create", model("v1", '<cim:ConnectivityNode rdf:ID="n"/>')), "I2")
    (answer,) = house.replies("I2")
    assert answer.reply is not None
    assert answer.reply.result == "OK"
    errors = [(error.level, error.reason) for error in answer.reply.errors]
    lacking = "lacking: ConnectivityNode n: ConnectivityNode.ConnectivityNodeContainer, line"
    assert errors[0] == ("INFORM", "no errors")
    assert errors[1][0] == "INFORM"
    assert errors[1][1].startswith(lacking)
    assert len(house.current(NOUN)) == 2


def test_what_is_lacking_in_a_model_with_a_profile_is_refused(house: House) -> None:
    eq = "http://iec.ch/TC57/ns/CIM/CoreEquipment-EU/3.0"
    more = f"<md:Model.profile>{eq}</md:Model.profile>"
    body = model("v1", '<cim:ConnectivityNode rdf:ID="n"/>', more=more)
    house.send(message("1", "create", body), "I2")
    assert house.codes("I2") == ["model_mandatory_missing"]


def test_a_full_model_whose_base_never_came_here_is_a_first_version_only_where_that_is_said(
    house: House,
) -> None:
    """Files name what they supersede, whoever has it."""
    document = model("v2", feeder("f"), supersedes="v1")
    base = "<Property><Name>ModelBase</Name><Value>optional</Value></Property>"
    house.send(message("1", "change", document), "I2")
    assert house.codes("I2") == ["object_missing"]
    house.send(message("2", "change", document, base), "I2")
    assert [header(one, "ce_verb") for one in house.logs[LOG]] == ["create", "create"]
    theirs = "<md:Model.modelingAuthoritySet>them</md:Model.modelingAuthoritySet>"
    others = model("o2", feeder("g"), supersedes="o1", more=theirs)
    house.send(message("3", "change", others, base), "I2")
    assert house.codes("I2") == ["object_missing"]
    between_is_missing = model("v4", feeder("f"), supersedes="v3")
    house.send(message("4", "change", between_is_missing, base), "I2")
    assert house.codes("I2") == ["object_missing", "object_missing"]


def test_a_document_in_an_operation_is_refused(house: House) -> None:
    """Whose verb would count, its own or the message's?"""
    document = model("v1", feeder("f"))
    body = (
        "<OperationSet><Operation><operationId>1</operationId><noun>NetworkDataSet</noun>"
        "<verb>create</verb><NetworkDataSet xmlns='http://iec.ch/TC57/2011/NetworkDataSet#'>"
        f"{document}</NetworkDataSet></Operation></OperationSet>"
    )
    house.send(m.envelope(body, message_id="1", verb="create", noun=NOUN, source="GIS"), "I2")
    assert house.codes("I2") == ["payload_mismatch"]
    assert house.logs[LOG] == []


def test_a_message_is_heavy_only_where_it_may_be_a_large_model() -> None:
    registers = Registers(CATALOGUE, EVERY)

    def accepted(noun: str, size: int) -> Record:
        return Record(naming.accepted("I2"), 0, 0, 0, noun.encode(), b"x" * size, ())

    assert registers.heavy(accepted(NOUN, 65_537))
    assert not registers.heavy(accepted(NOUN, 65_536))
    assert not registers.heavy(accepted("Assets", 65_537))


SAMPLES = Path(os.environ.get("CIMSTREAM_SAMPLES", ROOT.parent / "shared" / "samples"))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real samples are not here")
@pytest.mark.parametrize(
    ("file", "objects", "codes"),
    [
        ("rdfxml/cimpy_sample_NB_SSH.xml", 48, []),
        ("rdfxml_ccbysa/Telemark-120-LV1_EQ.xml", 375, []),
        ("rdfxml/IEEE13.xml", 500, []),
        ("rdfxml/GMDM_transmission_merge.xml", 371, []),
        ("rdfxml/cimpy_sample_NB_EQ.xml", 0, ["model_reference_dangling"]),
        ("rdfxml/IEEE118_CIM.xml", 1983, []),
    ],
)
def test_a_real_model_is_taken_in_object_by_object_or_refused_as_the_check_says(
    house: House, file: str, objects: int, codes: list[str]
) -> None:
    message = wrap((SAMPLES / file).read_bytes(), Path(file).stem)
    house.send(message or b"", "I2")
    assert house.codes("I2") == codes
    assert len(house.current(NOUN)) == objects + (objects > 0)
