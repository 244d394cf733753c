"""Objects become records and RDF/XML, and are the same objects again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.avro.codec import decode, encode_body, encode_fields, encode_provenance, frame
from schemas.rdf import CimObject, Kind, ModelHeader, read
from schemas.rdf.bodies import body_of, object_in
from schemas.rdf.records import SCHEMA, header_of, header_record_of, object_of, record_of
from schemas.rdf.writer import write
from tests.unit.rdf.documents import CIM100, MODEL, ONE, TWO, difference, document, full_model
from tests.unit.rdf.documents import depends_on as depending
from tests.unit.rdf.documents import profile as keeping

EVERYTHING = (
    full_model(
        '<md:Model.description xml:lang="en">a</md:Model.description>',
        keeping("urn:p?a=1&amp;b=2"), keeping("urn:q"), depending(TWO),
    )
    + f'<cim:Location rdf:ID="_{ONE}"><cim:Location.mainAddress><cim:StreetAddress>'
    "<cim:StreetAddress.townDetail><cim:TownDetail><cim:TownDetail.name>T</cim:TownDetail.name>"
    "<cim:TownDetail.code>1</cim:TownDetail.code></cim:TownDetail></cim:StreetAddress.townDetail>"
    "<cim:StreetAddress.postalCode>2</cim:StreetAddress.postalCode></cim:StreetAddress>"
    "</cim:Location.mainAddress>"
    '<cim:Location.status rdf:parseType="Resource"><cim:Status.value>v</cim:Status.value>'
    "<eu:Status.more><eu:More><eu:More.x>1</eu:More.x></eu:More></eu:Status.more></cim:Location.status>"
    '<cim:IdentifiedObject.name xml:lang="en">&lt;"n&amp;"&gt;&#13;\n</cim:IdentifiedObject.name>'
    '<cim:IdentifiedObject.name>m</cim:IdentifiedObject.name>'
    '<eu:x rdf:datatype="http://w3/x#int">1</eu:x><eu:y rdf:resource="http://a/b#K.v"/>'
    '<eu:z rdf:resource="http://a/b?c=1&amp;d"/></cim:Location>'
    f'<cim:Breaker rdf:about="#_{TWO}"><rdf:type rdf:resource="{CIM100}Switch"/>'
    f'<cim:T.p rdf:resource="{CIM100}PhaseCode.A"/></cim:Breaker>'
    '<eu:Own rdf:about="http://a/b"/><cim:Fuse rdf:ID="BV_1.0"/><cim:Fuse rdf:about="#local"/>'
    '<rdf:Description rdf:ID="none"/>'
)  # fmt: skip


def everything() -> tuple[ModelHeader, list[CimObject]]:
    found = read([document(EVERYTHING)])
    return found.header, list(found)


def test_what_was_written_reads_as_the_same_header_and_objects() -> None:
    header, items = everything()
    again = read(write(header, items))
    assert (again.header, list(again)) == (header, items)


def test_what_was_read_and_written_is_the_same_bytes_from_then_on() -> None:
    header, items = everything()
    once = b"".join(write(header, items))
    found = read([once])
    assert b"".join(write(found.header, found)) == once


@pytest.mark.parametrize("item", everything()[1], ids=lambda item: item.mrid)
def test_what_is_written_by_hand_is_what_the_library_writes(item: CimObject) -> None:
    item = replace(item, references={"many": tuple(map(str, range(200))), "none": ()})
    fields = encode_fields(SCHEMA, "cimNamespace", "references", record_of(item, "", CIM100))
    assert body_of(item, CIM100) == fields
    assert object_in(fields) == item


@pytest.mark.parametrize("item", everything()[1], ids=lambda item: item.mrid)
def test_an_object_is_the_same_after_a_trip_through_avro(item: CimObject) -> None:
    record = record_of(item, MODEL, CIM100)
    value = frame(SCHEMA) + encode_provenance("t", 0, 1, "m", "s", 0) + encode_body(SCHEMA, record)
    name, decoded = decode(value)
    assert name == SCHEMA
    assert (decoded["modelVersion"], decoded["cimNamespace"]) == (MODEL, CIM100)
    assert object_of(decoded) == item


def test_equal_objects_are_equal_bytes() -> None:
    one = CimObject("Fuse", ONE, {"b": ("1",), "a": ("2",)})
    other = CimObject("Fuse", ONE, {"a": ("2",), "b": ("1",)})
    assert one == other
    assert encode_body(SCHEMA, record_of(one, MODEL, CIM100)) == encode_body(
        SCHEMA, record_of(other, MODEL, CIM100)
    )


def test_a_header_is_a_record_before_its_objects() -> None:
    header, _ = everything()
    record = header_record_of(header, MODEL)
    assert record["class"].endswith("}FullModel")
    assert header_of(record) == header


def test_a_models_identity_is_one_beyond_its_document() -> None:
    header, _ = everything()
    assert f'<md:FullModel rdf:about="urn:uuid:{MODEL}">'.encode() in b"".join(write(header, []))


def test_a_model_without_header_is_written_without_one() -> None:
    found = read([document(f'<cim:Fuse rdf:ID="_{ONE}"/>')])
    assert b"FullModel" not in b"".join(write(found.header, found))


def test_a_difference_is_no_model() -> None:
    header = read([difference()]).header
    with pytest.raises(ValueError, match="difference"):
        header_record_of(header, MODEL)
    with pytest.raises(ValueError, match="full models"):
        list(write(header, []))


def test_names_of_the_cim_need_its_namespace() -> None:
    with pytest.raises(ValueError, match="no CIM namespace"):
        list(write(ModelHeader(Kind.FULL, ""), [CimObject("Fuse", ONE)]))
