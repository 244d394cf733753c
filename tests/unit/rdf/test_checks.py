"""Every kind of fault is found, with its object and its line, and what is right is left alone."""

from __future__ import annotations

import pytest

from schemas.errors import CODES
from schemas.rdf.findings import Notice
from tests.unit.rdf.documents import (
    CIM100,
    DL,
    EQ,
    EU,
    MODEL,
    ONE,
    OTHER,
    SSH,
    THREE,
    TWO,
    check,
    depends_on,
    difference,
    document,
    faults,
    full_model,
    profile,
)

FUSE = f'<cim:Fuse rdf:ID="_{TWO}"/>'
VOLTAGE = f'<cim:BaseVoltage rdf:ID="_{THREE}"/>'


def fuse(said: str, mrid: str = ONE) -> str:
    return f'<cim:Fuse rdf:ID="_{mrid}">{said}</cim:Fuse>'


def terminal(target: str, more: str = "") -> str:
    conducts = f'<cim:Terminal.ConductingEquipment rdf:resource="#_{target}"/>'
    return f'<cim:Terminal rdf:ID="_{ONE}">{conducts}{more}</cim:Terminal>'


def the_fault(*bodies: str) -> tuple[str, str, str, int | None]:
    """The only fault of documents with these bodies: code, detail, mRID, line."""
    (found,) = faults(*(document(body) for body in bodies))
    assert found.code in CODES
    assert found.problem().line == found.line
    return found.code, found.detail, found.mrid, found.line


# --- classes and attributes ---------------------------------------------------------------------


def test_an_unknown_class_is_found() -> None:
    body = f'\n<cim:Braeker rdf:ID="_{ONE}"/>'
    assert the_fault(body) == ("model_class_unknown", "class Braeker", ONE, 3)


def test_an_object_without_class_is_found() -> None:
    code, _, mrid, _ = the_fault(f'<rdf:Description rdf:about="urn:uuid:{ONE}"/>')
    assert (code, mrid) == ("model_class_unknown", ONE)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Switch.opne", id="misspelt"),
        pytest.param("usagepoint.checkBilling", id="in small letters"),
        pytest.param("open", id="without its class"),
    ],
)
def test_an_attribute_that_the_cim_does_not_have_is_found(name: str) -> None:
    body = fuse(f"\n<cim:{name}>1</cim:{name}>")
    assert the_fault(body) == ("model_attribute_unknown", name, ONE, 2)


def test_an_attribute_of_another_class_is_a_fault_where_the_profile_is_known() -> None:
    """Without one nobody knows which version of the CIM is meant, and the hierarchies differ."""
    body = fuse("\n<cim:ACLineSegment.r>1</cim:ACLineSegment.r>")
    (told,) = check(document(body)).findings
    assert (told.code, told.mrid, told.line) == (Notice.IRREGULAR, ONE, 2)
    assert told.detail == "ACLineSegment.r is of another class"
    (fault,) = faults(document(full_model(profile(DL)) + body))
    assert (fault.code, fault.detail) == ("model_attribute_unknown", "ACLineSegment.r")


def test_a_name_of_what_is_no_identified_object_is_told_and_no_fault() -> None:
    """Exporters name everything."""
    body = (
        f'<cim:SvSwitch rdf:ID="_{ONE}"><cim:IdentifiedObject.name>n</cim:IdentifiedObject.name>'
        "</cim:SvSwitch>"
    )
    (told,) = check(document(full_model(profile(DL)) + body)).findings
    assert (told.code, told.detail) == (
        Notice.IRREGULAR, "IdentifiedObject.name is of another class",
    )  # fmt: skip


def test_attributes_of_all_classes_above_are_allowed() -> None:
    body = fuse(
        "<cim:IdentifiedObject.name>n</cim:IdentifiedObject.name>"
        "<cim:Equipment.normallyInService>true</cim:Equipment.normallyInService>"
        "<cim:Switch.normalOpen>false</cim:Switch.normalOpen>"
    )
    assert faults(document(body)) == []


def test_names_of_extensions_are_told_and_are_no_fault() -> None:
    report = check(document(
        f'<eu:Point rdf:ID="_{ONE}"/>' + fuse("<eu:Fuse.x>1</eu:Fuse.x>", TWO)
    ))  # fmt: skip
    assert report.faults == 0
    assert report.totals == {Notice.EXTENSION: 2}
    assert [found.detail for found in report.findings] == [
        f"class {{{EU}}}Point",
        f"{{{EU}}}Fuse.x",
    ]


@pytest.mark.parametrize(
    "space",
    [
        pytest.param("http://iec.ch/TC57/CIM100", id="without its mark"),
        pytest.param("http://iec.ch/TC57/2013/CIM-schema-cim16", id="without its mark, CIM16"),
        pytest.param("http://iec.ch/TC57/2013/CIM-Schema-cim16#", id="in other capitals"),
        pytest.param("", id="none"),
    ],
)
def test_a_namespace_that_is_nearly_the_cims_is_no_extension(space: str) -> None:
    body = f'<Fuse xmlns="{space}" rdf:ID="_{ONE}"><Switch.open>true</Switch.open></Fuse>'
    assert [found.code for found in faults(document(body))] == [
        "model_class_unknown",
        "model_attribute_unknown",
    ]


def test_what_cimhub_adds_to_the_namespace_of_the_cim_is_checked_and_told() -> None:
    said = "<cim:WeccREGCA.tg>{}</cim:WeccREGCA.tg>"
    body = f'<cim:WeccREGCA rdf:ID="_{ONE}">{said}</cim:WeccREGCA>'
    assert check(document(body.format("0.02"))).totals == {Notice.EXTENSION: 2}
    assert the_fault(body.format("x"))[0] == "model_value_invalid"


def test_the_wires_of_a_draft_of_gmdm_are_checked_and_told() -> None:
    line = f'<cim:ACLineSegment.WireAssembly rdf:resource="#_{TWO}"/>'
    body = (
        f'<cim:ACLineSegment rdf:ID="_{ONE}">{line}</cim:ACLineSegment>'
        f'<cim:WireAssembly rdf:ID="_{TWO}"/>'
    )
    assert check(document(body)).totals == {Notice.EXTENSION: 2}


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("Switch.normalOpen", ("true", "false", "0", "1", " true\n", "True"), ("yes", "")),
        ("Switch.ratedCurrent", ("1", "963.", "-.5", "1e-3", "INF", "NaN"), ("1,5", "a", "", "1e")),
        ("Switch.switchOnCount", ("0", "-3"), ("1.0", "x")),
        ("Switch.switchOnDate", ("2026-01-31", "2026-01-31T00:00:00Z"), ("31.1.2026",)),
        ("IdentifiedObject.name", ("", "anything"), ()),
    ],
)  # fmt: skip
def test_a_literal_must_be_one_of_its_type(
    name: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    for value in good:
        assert faults(document(fuse(f"<cim:{name}>{value}</cim:{name}>"))) == [], value
    for value in bad:
        code, detail, mrid, line = the_fault(fuse(f"<cim:{name}>{value}</cim:{name}>"))
        assert (code, mrid, line) == ("model_value_invalid", ONE, 2)
        assert name in detail


def phases(said: str) -> str:
    return terminal(TWO, said) + FUSE


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(f'<cim:Terminal.phases rdf:resource="{CIM100}PhaseCode.ABX"/>', id="literal"),
        pytest.param(f'<cim:Terminal.phases rdf:resource="{CIM100}PhaseKode.A"/>', id="kind"),
        pytest.param("<cim:Terminal.phases>A</cim:Terminal.phases>", id="text"),
        pytest.param(f'<cim:Terminal.phases rdf:resource="#_{TWO}"/>', id="object"),
    ],
)
def test_an_enumeration_value_must_be_one_of_its_literals(said: str) -> None:
    assert the_fault(phases(said))[0] == "model_value_invalid"


def test_an_enumeration_value_of_the_list_is_right() -> None:
    said = f'<cim:Terminal.phases rdf:resource="{CIM100}PhaseCode.ABC"/>'
    assert faults(document(phases(said))) == []


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(
            "<cim:Terminal.ConnectivityNode>a node</cim:Terminal.ConnectivityNode>",
            id="a reference as text that is no identity",
        ),
        pytest.param(
            '<cim:ACDCTerminal.connected rdf:resource="#a"/><cim:Fuse rdf:ID="a"/>',
            id="a truth value as a reference",
        ),
        pytest.param(
            f'<cim:ACDCTerminal.connected rdf:resource="{CIM100}Truth.yes"/>',
            id="a truth value as an enumeration value",
        ),
    ],
)
def test_a_value_in_the_wrong_form_is_found(said: str) -> None:
    inside, _, outside = said.partition("<cim:Fuse")
    outside = outside and f"<cim:Fuse{outside}"
    assert the_fault(phases(inside) + outside)[0] == "model_value_invalid"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"<cim:Equipment.EquipmentContainer>{TWO}</cim:Equipment.EquipmentContainer>",
         "Equipment.EquipmentContainer is written as a literal and not as a reference"),
        ("<cim:Switch.normalOpen>True</cim:Switch.normalOpen>", "Switch.normalOpen is no Boolean"),
        (f"<cim:IdentifiedObject.mRID>{TWO}</cim:IdentifiedObject.mRID>",
         "IdentifiedObject.mRID is not the element's identity"),
    ],
)  # fmt: skip
def test_what_is_written_wrong_and_plain_in_its_meaning_is_told_and_no_fault(
    said: str, why: str
) -> None:
    (found,) = check(document(fuse(f"\n{said}"))).findings
    assert (found.code, found.detail, found.mrid) == (Notice.IRREGULAR, why, ONE)


def test_an_mrid_that_is_the_identity_in_another_style_is_right() -> None:
    said = f"<cim:IdentifiedObject.mRID>_{ONE.upper()}</cim:IdentifiedObject.mRID>"
    assert check(document(fuse(said))).findings == ()


def test_a_finding_tells_no_value() -> None:
    body = fuse("<cim:Switch.normalOpen>secret</cim:Switch.normalOpen>")
    (found,) = faults(document(body))
    assert "secret" not in str(found)
    assert "secret" not in str(found.problem())


def address(said: str) -> bytes:
    return document(
        f'<cim:Location rdf:ID="_{ONE}"><cim:Location.mainAddress><cim:StreetAddress>{said}'
        "</cim:StreetAddress></cim:Location.mainAddress></cim:Location>"
    )


def test_what_a_compound_says_is_checked_like_all_else() -> None:
    town = (
        "<cim:StreetAddress.townDetail><cim:TownDetail><cim:TownDetail.{0}>n</cim:TownDetail.{0}>"
        "</cim:TownDetail></cim:StreetAddress.townDetail>"
    )
    assert faults(address(town.format("name"))) == []
    assert [found.code for found in faults(address(town.format("nmae")))] == [
        "model_attribute_unknown"
    ]


# --- identities and references ------------------------------------------------------------------


def test_a_duplicate_identity_is_found_in_whatever_style_it_is_written() -> None:
    body = f'<cim:Fuse rdf:ID="_{ONE}"/>\n<cim:Fuse rdf:about="urn:uuid:{ONE.upper()}"/>'
    assert the_fault(body) == ("model_identity_duplicate", "defined twice", ONE, 3)


def test_one_identity_in_two_classes_is_a_duplicate_in_two_documents_too() -> None:
    code, detail, _, _ = the_fault(fuse(""), f'<cim:Breaker rdf:about="#_{ONE}"/>')
    assert (code, detail) == ("model_identity_duplicate", "of class Fuse before")


def test_two_documents_of_one_profile_may_not_both_define_an_object() -> None:
    one = full_model(profile("urn:p")) + fuse("")
    other = full_model(profile("urn:p"), mrid=OTHER) + fuse("")
    third = full_model(profile("urn:q"), mrid=OTHER) + fuse("")
    assert the_fault(one, other)[0] == "model_identity_duplicate"
    assert faults(document(one), document(third)) == []


@pytest.mark.parametrize("before", [True, False], ids=["target first", "target last"])
def test_a_reference_is_found_wherever_its_target_stands(before: bool) -> None:
    parts = [FUSE, terminal(TWO)]
    assert faults(document("".join(parts if before else reversed(parts)))) == []


def test_a_dangling_reference_is_found_with_object_and_line() -> None:
    found = the_fault(f"\n{terminal(TWO)}")
    assert found == (
        "model_reference_dangling", f"Terminal.ConductingEquipment to {TWO}", ONE, 3,
    )  # fmt: skip


@pytest.mark.parametrize("before", [True, False], ids=["target first", "target last"])
def test_a_reference_to_an_object_of_another_class_is_found(before: bool) -> None:
    parts = [VOLTAGE, terminal(THREE)]
    body = "".join(parts if before else reversed(parts))
    why = "Terminal.ConductingEquipment to a BaseVoltage, not a ConductingEquipment"
    (loose,) = check(document(body)).findings
    assert (loose.code, loose.mrid, loose.detail) == (Notice.IRREGULAR, ONE, why)
    found = [
        (one.code, one.mrid, one.detail) for one in faults(document(full_model(profile(DL)) + body))
    ]
    assert found == [("model_reference_class", ONE, why)]


def test_a_reference_into_a_model_that_the_document_depends_on_is_external() -> None:
    report = check(document(full_model(depends_on(OTHER)) + terminal(TWO)))
    assert (report.faults, report.totals) == (0, {Notice.EXTERNAL: 1})


def test_a_reference_is_dangling_where_the_model_it_depends_on_is_there_and_lacks_it() -> None:
    mine = full_model(depends_on(OTHER)) + terminal(TWO)
    other = full_model(mrid=OTHER) + VOLTAGE
    assert the_fault(mine, other)[0] == "model_reference_dangling"
    assert faults(document(mine), document(full_model(mrid=OTHER) + FUSE)) == []


def test_models_that_are_depended_on_through_others_are_external_too() -> None:
    mine = full_model(depends_on(OTHER)) + terminal(TWO)
    other = full_model(depends_on(THREE), mrid=OTHER) + VOLTAGE
    assert check(document(mine), document(other)).totals == {Notice.EXTERNAL: 1}


def test_an_object_that_a_document_adds_to_is_external_until_its_model_is_there() -> None:
    added = full_model(depends_on(OTHER)) + (
        f'<cim:Fuse rdf:about="#_{TWO}"><cim:Switch.open>true</cim:Switch.open></cim:Fuse>'
    )
    assert check(document(added)).totals == {Notice.EXTERNAL: 1}
    assert check(document(added), document(full_model(mrid=OTHER) + FUSE)).totals == {}
    (found,) = faults(document(added), document(full_model(mrid=OTHER) + VOLTAGE))
    assert (found.code, found.mrid) == ("model_reference_dangling", TWO)


def test_without_a_header_too_what_a_fragment_names_is_external_and_may_leave_things_out() -> None:
    added = f'<cim:Terminal rdf:about="#_{ONE}"/>'
    assert check(document(added)).totals == {Notice.EXTERNAL: 1}
    more = fuse(f'<cim:PowerSystemResource.Location rdf:resource="#_{THREE}"/>', TWO)
    assert check(document(added + more)).totals == {Notice.EXTERNAL: 2}


def test_models_that_depend_on_each_other_are_no_endless_search() -> None:
    mine = full_model(depends_on(OTHER)) + terminal(TWO)
    other = full_model(depends_on(MODEL), mrid=OTHER) + VOLTAGE
    assert the_fault(mine, other)[0] == "model_reference_dangling"


def test_a_reference_to_something_outside_of_all_models_is_external() -> None:
    body = fuse('<cim:PowerSystemResource.Location rdf:resource="http://example.org/x"/>')
    assert check(document(body)).totals == {Notice.EXTERNAL: 1}


# --- mandatory attributes -----------------------------------------------------------------------


def test_what_the_profile_of_the_document_demands_must_be_said() -> None:
    body = full_model(profile(EQ)) + fuse(
        "<cim:IdentifiedObject.name>n</cim:IdentifiedObject.name>"
        "<cim:Switch.normalOpen>false</cim:Switch.normalOpen>"
    )
    assert the_fault(body) == ("model_mandatory_missing", "Switch.retained", ONE, 3)


def test_each_document_is_judged_by_its_own_profile() -> None:
    body = full_model(profile(SSH), depends_on(OTHER)) + (
        f'<cim:Terminal rdf:about="#_{ONE}"></cim:Terminal>'
    )
    assert the_fault(body)[1] == "ACDCTerminal.connected"


def lacking(*documents: bytes) -> list[tuple[str, str, int | None]]:
    found = check(*documents).findings
    return [(one.detail, one.mrid, one.line) for one in found if one.code is Notice.LACKING]


def test_without_a_profile_what_the_cim_itself_demands_is_told_and_no_fault() -> None:
    body = document(f'<cim:Terminal rdf:ID="_{ONE}"/>')
    assert lacking(body) == [("Terminal.ConductingEquipment", ONE, 2)]
    assert faults(body) == []


@pytest.mark.parametrize("first", [0, 1])
def test_without_a_profile_another_document_may_say_what_is_missing(first: int) -> None:
    parts = [
        document(f'<cim:Terminal rdf:about="urn:uuid:{ONE}"/>'),
        document(FUSE + terminal(TWO)),
    ]
    assert lacking(parts[first], parts[1 - first]) == []


def test_an_association_may_be_said_from_its_other_side() -> None:
    unit = f'<cim:BatteryUnit rdf:ID="_{ONE}"/>'
    inverter = (
        f'<cim:PowerElectronicsConnection rdf:ID="_{TWO}">'
        f'<cim:PowerElectronicsConnection.PowerElectronicsUnit rdf:resource="#_{ONE}"/>'
        "</cim:PowerElectronicsConnection>"
    )
    assert lacking(document(unit + inverter)) == lacking(document(inverter + unit)) == []
    assert lacking(document(unit))[0][0] == "PowerElectronicsUnit.PowerElectronicsConnection"


# --- the report ---------------------------------------------------------------------------------


def test_all_are_counted_and_the_first_are_kept() -> None:
    body = "".join(f'<cim:Braeker rdf:ID="B{number}"/>' for number in range(30))
    report = check(document(body), kept_max=7)
    assert (report.faults, report.objects) == (30, 30)
    assert [found.mrid for found in report.findings] == [f"B{number}" for number in range(7)]


def test_objects_are_counted_by_class_and_once_however_many_documents_speak_of_them() -> None:
    report = check(document(FUSE + VOLTAGE), document(f'<cim:Fuse rdf:about="#_{TWO}"/>'))
    assert report.classes == {"Fuse": 1, "BaseVoltage": 1}


def test_a_difference_is_checked_for_names_and_values_but_not_for_what_it_leaves_out() -> None:
    good = difference(forward=terminal(TWO), reverse='<rdf:Description rdf:about="#_a"/>')
    bad = difference(
        forward=f'<rdf:Description rdf:about="#_{ONE}"><cim:Switch.open>x</cim:Switch.open>'
        "<cim:Switch.opne>x</cim:Switch.opne></rdf:Description>"
    )
    assert faults(good) == []
    assert [found.code for found in faults(bad)] == [
        "model_value_invalid",
        "model_attribute_unknown",
    ]


def test_the_order_of_the_objects_does_not_change_what_is_found() -> None:
    parts = [
        terminal(TWO),
        VOLTAGE,
        fuse("<cim:Switch.opne/>", THREE),
        f'<cim:X rdf:ID="{MODEL}"/>',
    ]
    totals = check(document("".join(parts))).totals
    assert check(document("".join(reversed(parts)))).totals == totals
    assert totals == {
        "model_reference_dangling": 1,
        "model_identity_duplicate": 1,
        "model_attribute_unknown": 1,
        "model_class_unknown": 1,
    }
