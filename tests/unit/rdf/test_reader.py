"""A document is its header and its objects, in whatever style it is written."""

from __future__ import annotations

import pytest

from schemas.errors import MessageError
from schemas.rdf import CimObject, Kind, Part, RdfLimits, read
from schemas.rdf.names import is_cim, key_of
from tests.unit.rdf.documents import (
    CIM100,
    EU,
    MODEL,
    ONE,
    TWO,
    depends_on,
    document,
    full_model,
    objects,
    pieces,
    profile,
    read_all,
    the_object,
)


def refused(body: str) -> tuple[str, int | None]:
    with pytest.raises(MessageError) as caught:
        read_all(document(body))
    return caught.value.code, caught.value.problems[0].line


# --- identity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        f'rdf:about="urn:uuid:{ONE}"',
        f'rdf:about="urn:uuid:{ONE.upper()}"',
        f'rdf:ID="_{ONE}"',
        f'rdf:ID="_{ONE.upper()}"',
        f'rdf:ID="{ONE}"',
        f'rdf:about="#_{ONE}"',
        f'rdf:about="http://example.org/model#_{ONE}"',
        f'rdf:about="{CIM100}_{ONE}"',
        f'about="#_{ONE}"',
    ],
)
def test_every_style_of_identity_gives_one_key(written: str) -> None:
    assert the_object(f"<cim:Breaker {written}/>").mrid == ONE


@pytest.mark.parametrize(
    "written",
    [f"urn:uuid:{TWO.upper()}", f"#_{TWO}", f"#{TWO}", f"http://example.org/m#_{TWO.upper()}"],
)
def test_every_style_of_reference_gives_the_key_of_the_object(written: str) -> None:
    said = f'<cim:Terminal.ConductingEquipment rdf:resource="{written}"/>'
    assert the_object(f'<cim:Terminal rdf:ID="_{ONE}">{said}</cim:Terminal>').references == {
        "Terminal.ConductingEquipment": (TWO,)
    }


def test_an_identity_that_is_no_uuid_is_kept_and_found_by_references() -> None:
    found = objects(
        '<cim:BaseVoltage rdf:ID="_BV_12.47"/>'
        '<cim:Breaker rdf:ID="B"><cim:ConductingEquipment.BaseVoltage rdf:resource="#_BV_12.47"/>'
        "</cim:Breaker>"
    )
    assert found[0].mrid == "_BV_12.47"
    assert found[1].references["ConductingEquipment.BaseVoltage"] == ("_BV_12.47",)


def test_only_a_fragment_says_that_the_object_is_defined_elsewhere() -> None:
    found = objects(
        f'<cim:Breaker rdf:about="#_{ONE}"/><cim:Breaker rdf:ID="_{ONE}"/>'
        f'<cim:Breaker rdf:about="urn:uuid:{ONE}"/>'
    )
    assert [item.partial for item in found] == [True, False, False]


def test_an_object_without_identity_is_refused_with_its_line() -> None:
    assert refused("<cim:Breaker>\n</cim:Breaker>") == ("object_unidentified", 2)


def test_a_fragment_that_looks_like_an_iri_is_not_taken_for_one() -> None:
    assert key_of("#a:b") != key_of("a:b")


def test_a_key_of_a_key_is_the_key() -> None:
    assert key_of(key_of(f"#_{ONE.upper()}")) == ONE


# --- namespaces ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cim",
    [
        "http://iec.ch/TC57/CIM100#",
        "http://iec.ch/TC57/2013/CIM-schema-cim16#",
        "http://iec.ch/TC57/2014/CIM-schema-cim16#",
        "http://iec.ch/TC57/2010/CIM-schema-cim15#",
        "http://iec.ch/TC57/2016/CIM-schema-cim17#",
        "http://cim.ucaiug.io/ns#",
        "http://cim.ucaiug.io/CIM101/draft#",
        "http://ucaiug.org/61970cim18v02_61968cim14v00#",
    ],
)
def test_every_version_of_the_cim_gives_the_same_object(cim: str) -> None:
    body = (
        f'<cim:Terminal rdf:ID="_{ONE}"><cim:ACDCTerminal.sequenceNumber>1'
        f'</cim:ACDCTerminal.sequenceNumber><cim:Terminal.phases rdf:resource="{cim}PhaseCode.A"/>'
        "</cim:Terminal>"
    )
    assert is_cim(cim)
    assert the_object(body, cim=cim) == CimObject(
        "Terminal", ONE, {"ACDCTerminal.sequenceNumber": ("1",)},
        {"Terminal.phases": ("PhaseCode.A",)},
    )  # fmt: skip
    assert read([document(body, cim=cim)]).header.cim_namespace == cim


@pytest.mark.parametrize("space", [EU, "http://entsoe.eu/CIM/SchemaExtension/3/1#"])
def test_names_of_extensions_keep_their_namespace(space: str) -> None:
    found = the_object(
        f'<x:Point rdf:ID="_{ONE}"><x:Point.name>n</x:Point.name>'
        f"<cim:IdentifiedObject.name>m</cim:IdentifiedObject.name>"
        f'<x:Point.kind rdf:resource="{space}PointKind.border"/></x:Point>',
        more=f' xmlns:x="{space}"',
    )
    assert not is_cim(space)
    assert found.cls == f"{{{space}}}Point"
    assert found.attributes == {f"{{{space}}}Point.name": ("n",), "IdentifiedObject.name": ("m",)}
    assert found.enumerations == {f"{{{space}}}Point.kind": (f"{{{space}}}PointKind.border",)}


def test_a_namespace_that_is_declared_where_it_is_used_is_the_cims() -> None:
    data = (
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<Breaker xmlns="{CIM100}" r:ID="_{ONE}"><Switch.open>true</Switch.open></Breaker></r:RDF>'
    ).encode()
    found, items = read_all(data)
    assert found.header.cim_namespace == CIM100
    assert items == [CimObject("Breaker", ONE, {"Switch.open": ("true",)})]


def test_of_two_versions_of_the_cim_the_one_with_the_usual_prefix_is_the_documents() -> None:
    data = (
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        f' xmlns:a="http://iec.ch/TC57/2013/CIM-schema-cim16#" xmlns:cim="{CIM100}">'
        f'<cim:Fuse r:ID="_{ONE}"/></r:RDF>'
    ).encode()
    found, items = read_all(data)
    assert found.header.cim_namespace == CIM100
    assert [item.cls for item in items] == ["Fuse"]


# --- what is said -------------------------------------------------------------------------------


def test_literals_are_kept_as_written_with_their_language() -> None:
    found = the_object(
        f'<cim:Substation rdf:ID="_{ONE}">'
        '<cim:IdentifiedObject.name xml:lang="en">East &amp; Co</cim:IdentifiedObject.name>'
        '<cim:IdentifiedObject.name xml:lang="de">Ost</cim:IdentifiedObject.name>'
        "<cim:IdentifiedObject.aliasName> 7 </cim:IdentifiedObject.aliasName>"
        '<cim:X.y rdf:datatype="urn:t">1</cim:X.y><cim:X.none/></cim:Substation>'
    )
    assert found.attributes == {
        "IdentifiedObject.name@en": ("East & Co",),
        "IdentifiedObject.name@de": ("Ost",),
        "IdentifiedObject.aliasName": (" 7 ",),
        "X.y^^urn:t": ("1",),
        "X.none": ("",),
    }


def test_what_is_said_several_times_is_several_values_in_order() -> None:
    found = the_object(
        f'<cim:I rdf:ID="_{ONE}"><cim:I.N rdf:resource="#b"/><cim:I.N rdf:resource="#a"/></cim:I>'
    )
    assert found.references == {"I.N": ("b", "a")}


def test_a_description_with_a_type_is_a_typed_element() -> None:
    typed = f'<cim:Breaker rdf:about="urn:uuid:{ONE}"/>'
    described = (
        f'<rdf:Description rdf:about="urn:uuid:{ONE}"><rdf:type rdf:resource="{CIM100}Breaker"/>'
        "</rdf:Description>"
    )
    assert objects(described) == objects(typed)


def test_a_description_without_a_type_has_no_class() -> None:
    assert the_object(f'<rdf:Description rdf:about="#_{ONE}"/>').cls == ""


def test_a_property_written_as_an_attribute_is_a_literal() -> None:
    found = the_object(f'<cim:Fuse rdf:ID="_{ONE}" cim:Switch.open="true"/>')
    assert found.attributes == {"Switch.open": ("true",)}


def test_a_compound_is_kept_under_its_path() -> None:
    found = the_object(
        f'<cim:Location rdf:ID="_{ONE}"><cim:Location.mainAddress><cim:StreetAddress>'
        "<cim:StreetAddress.townDetail><cim:TownDetail><cim:TownDetail.name>T</cim:TownDetail.name>"
        "</cim:TownDetail></cim:StreetAddress.townDetail></cim:StreetAddress>"
        "</cim:Location.mainAddress>"
        '<cim:Location.status rdf:parseType="Resource"><cim:Status.value>v</cim:Status.value>'
        "</cim:Location.status></cim:Location>"
    )
    town = "StreetAddress.townDetail/TownDetail/TownDetail.name"
    assert found.attributes == {
        f"Location.mainAddress/StreetAddress/{town}": ("T",),
        "Location.status//Status.value": ("v",),
    }


def test_a_nested_object_with_identity_is_an_object_and_a_reference() -> None:
    inner, outer = objects(
        f'<cim:Terminal rdf:ID="_{ONE}"><cim:Terminal.ConductingEquipment>'
        f'<cim:Fuse rdf:ID="_{TWO}"/></cim:Terminal.ConductingEquipment></cim:Terminal>'
    )
    assert (inner.cls, inner.mrid) == ("Fuse", TWO)
    assert outer.references == {"Terminal.ConductingEquipment": (TWO,)}


def test_lines_are_those_of_the_elements() -> None:
    found = objects(
        f'<cim:Fuse rdf:ID="_{ONE}">\n\n</cim:Fuse>\n<!-- \n -->\n<cim:Fuse rdf:ID="a"/>'
    )
    assert [item.line for item in found] == [2, 7]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        pytest.param("\ntext", None, id="text between objects"),
        pytest.param(
            f'\n<cim:Fuse rdf:ID="_{ONE}"><cim:A.b>x<cim:C/></cim:A.b></cim:Fuse>', 3,
            id="an element inside of a value",
        ),
        pytest.param(
            f'\n<cim:Fuse rdf:ID="_{ONE}"><cim:A.b rdf:parseType="Collection"/></cim:Fuse>', 3,
            id="a collection",
        ),
        pytest.param(
            f'\n<cim:L rdf:ID="_{ONE}"><cim:L.a><cim:S/></cim:L.a>\n'
            "<cim:L.a><cim:S/></cim:L.a></cim:L>",
            4, id="two compounds of one attribute",
        ),
        pytest.param('\n<cim:Fuse rdf:nodeID="x"/>', 3, id="a blank node"),
        pytest.param(
            f'<cim:Fuse rdf:ID="_{ONE}"/>\n{full_model()}', 3, id="a header behind an object"
        ),
        pytest.param(f"{full_model()}{full_model()}", 3, id="two headers"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused_with_its_line(body: str, line: int | None) -> None:
    assert refused(body) == ("rdf_invalid", line)


def test_another_root_is_refused() -> None:
    with pytest.raises(MessageError) as caught:
        read([b"<a/>"])
    assert caught.value.code == "rdf_invalid"


# --- headers and differences --------------------------------------------------------------------


def test_the_header_says_what_it_says() -> None:
    header = read([document(full_model(
        "<md:Model.version>7</md:Model.version>", profile("urn:p"), profile("urn:q"),
        "<md:Model.modelingAuthoritySet>urn:a</md:Model.modelingAuthoritySet>",
        depends_on(ONE), f'<md:Model.Supersedes rdf:resource="urn:uuid:{TWO}"/>',
    ))]).header  # fmt: skip
    assert (header.kind, header.mrid, header.line) == (Kind.FULL, MODEL, 2)
    assert (header.version, header.authority) == ("7", "urn:a")
    assert header.profiles == ("urn:p", "urn:q")
    assert header.depends_on == (ONE,)
    assert header.supersedes == (TWO,)


def test_a_document_without_a_header_has_an_empty_one() -> None:
    header = read([document(f'<cim:Fuse rdf:ID="_{ONE}"/>')]).header
    assert (header.kind, header.mrid, header.line) == (Kind.FULL, None, None)


@pytest.mark.parametrize(
    "parse_type",
    ["", 'rdf:parseType="Statements"', 'rdf:parseType="Literal"', 'parseType="Literal"'],
)
@pytest.mark.parametrize(
    "dm",
    [
        "http://iec.ch/2002/schema/CIM_difference_model#",
        "http://iec.ch/TC57/61970-552/DifferenceModel/1#",
    ],
)
def test_a_difference_is_read_whatever_parse_type_it_has(parse_type: str, dm: str) -> None:
    data = document(
        f'<dm:DifferenceModel rdf:about="urn:uuid:{MODEL}"><md:Model.version>2</md:Model.version>'
        f"<dm:preconditions {parse_type}><cim:Fuse rdf:ID='_{ONE}'/></dm:preconditions>"
        f"<dm:forwardDifferences {parse_type}><rdf:Description rdf:about='#_{ONE}'>"
        "<cim:Switch.open>true</cim:Switch.open></rdf:Description></dm:forwardDifferences>"
        f"<dm:reverseDifferences {parse_type}/></dm:DifferenceModel>",
        dm=dm,
    )
    found, items = read_all(data)
    assert (found.header.kind, found.header.mrid) == (Kind.DIFFERENCE, MODEL)
    assert found.header.version == "2"
    assert [(item.part, item.cls) for item in items] == [
        (Part.PRECONDITION, "Fuse"),
        (Part.FORWARD, ""),
    ]


# --- a stream -----------------------------------------------------------------------------------


def test_objects_come_while_the_document_is_still_being_read() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        yield document("").rpartition(b"</rdf:RDF>")[0]
        while True:
            taken += 1
            yield f'<cim:Fuse rdf:ID="F{taken}"/>'.encode() * 10

    found = iter(read(endless()))  # type: ignore[arg-type]
    for _ in range(1000):
        next(found)
    assert taken <= 101


@pytest.mark.parametrize("size", [1, 2, 3, 50, 100_000])
def test_how_the_bytes_are_cut_changes_nothing(size: int) -> None:
    data = document(
        full_model(profile("urn:é"))
        + f'<cim:Fuse rdf:ID="_{ONE}"><cim:A.b>ä\nö</cim:A.b></cim:Fuse>'
    )
    whole, objects_ = read_all(data, len(data))
    found, items = read_all(data, size)
    assert (found.header, items) == (whole.header, objects_)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("<cim:A.b>x</cim:A.b>" * 100, id="many values"),
        pytest.param("<cim:A.b>" + "x" * 2000, id="a long value"),
        pytest.param(f'<cim:A.b rdf:resource="#{"x" * 2000}"/>', id="a long reference"),
    ],
)
def test_an_object_larger_than_the_limit_is_refused_before_it_ends(said: str) -> None:
    data = document(f'<cim:Fuse rdf:ID="_{ONE}">' + said)
    with pytest.raises(MessageError) as caught:
        list(read(pieces(data), RdfLimits(object_chars_max=1000)))
    assert caught.value.code == "message_too_large"
    assert caught.value.problems[0].line == 2
