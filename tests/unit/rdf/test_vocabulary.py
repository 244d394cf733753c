"""The tables are whole, and say of the CIM what they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.rdf.vocabulary import Form, load, vocabulary
from tests.unit.rdf.documents import EQ, SSH

KNOWN = vocabulary()


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("Breaker", "Switch"), ("Breaker", "Equipment"), ("ACLineSegment", "Conductor"),
        ("Feeder", "ConnectivityNodeContainer"), ("Meter", "Asset"), ("Fuse", "IdentifiedObject"),
        ("PowerTransformer", "ConductingEquipment"), ("BatteryUnit", "PowerSystemResource"),
        ("EnergyConsumer", "EnergyConnection"), ("ThermalGeneratingUnit", "GeneratingUnit"),
    ],
)  # fmt: skip
def test_classes_stand_below_those_of_the_cim(name: str, above: str) -> None:
    assert KNOWN.is_a(name, above)
    assert not KNOWN.is_a(above, name)


@pytest.mark.parametrize(
    ("name", "form", "kind", "primitive"),
    [
        ("Conductor.length", Form.VALUE, "Length", "Float"),
        ("Switch.normalOpen", Form.VALUE, "Boolean", "Boolean"),
        ("IdentifiedObject.name", Form.VALUE, "String", "String"),
        ("EnergyConsumer.customerCount", Form.VALUE, "Integer", "Integer"),
        ("Terminal.phases", Form.ENUMERATION, "PhaseCode", ""),
        ("Location.mainAddress", Form.COMPOUND, "StreetAddress", ""),
        ("Terminal.ConductingEquipment", Form.REFERENCE, "ConductingEquipment", ""),
        ("ReadingType.flowDirection", Form.ENUMERATION, "FlowDirectionKind", ""),
        ("UsagePoint.isVirtual", Form.VALUE, "Boolean", "Boolean"),
    ],
)
def test_attributes_have_the_type_of_the_cim(
    name: str, form: Form, kind: str, primitive: str
) -> None:
    found = KNOWN.attributes[name]
    assert (found.form, found.type, found.primitive) == (form, kind, primitive)


def test_an_association_knows_its_other_side() -> None:
    found = KNOWN.attributes["Terminal.ConductingEquipment"]
    assert found.inverse == "ConductingEquipment.Terminals"
    assert KNOWN.attributes[found.inverse].many
    assert not found.many


def test_a_class_of_two_versions_stands_below_what_either_says() -> None:
    lineage = KNOWN.classes["EnergyConsumer"].lineage
    assert {"EnergyConnection", "ConductingEquipment"} <= lineage


def test_profiles_name_attributes_that_exist() -> None:
    unknown = [
        f"{profile.name}: {owner}.{name}"
        for profile in KNOWN.profiles.values()
        for owner, names in profile.mandatory.items()
        for name in names
        if f"{owner}.{name}" not in KNOWN.attributes
    ]
    assert unknown == []


def test_what_is_mandatory_follows_from_the_profiles_and_the_classes_above() -> None:
    breaker = {"IdentifiedObject.name", "Switch.normalOpen", "Switch.retained"}
    assert KNOWN.mandatory("Breaker", (EQ,)) == breaker
    assert "Switch.open" in KNOWN.mandatory("Breaker", (SSH,))
    assert KNOWN.mandatory("Breaker", (EQ, SSH)) >= breaker | {"Switch.open"}
    assert KNOWN.mandatory("Terminal", ("urn:unknown",)) == {"Terminal.ConductingEquipment"}
    assert KNOWN.mandatory("Nothing", ()) == frozenset()


@pytest.mark.parametrize(
    "name",
    ["PhaseCode", "SinglePhaseKind", "WindingConnection", "UnitSymbol", "UnitMultiplier"],
)
def test_common_enumerations_are_listed(name: str) -> None:
    assert len(KNOWN.enumerations[name]) > 3


def tables(folder: Path, text: str) -> Path:
    (folder / "classes").mkdir()
    (folder / "profiles").mkdir()
    (folder / "classes" / "enumerations.toml").write_text("", encoding="utf-8")
    (folder / "classes" / "datatypes.toml").write_text("", encoding="utf-8")
    (folder / "classes" / "some.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[A]\nsuperclass = "B"', "superclass B"),
        ('[A]\nsuperclass = "B"\n[B]\nsuperclass = "A"', "above itself"),
        ('[A]\nb = "-> C 0..1"', "class C"),
        ('[A]\nb = "Float 2..3"', "multiplicity"),
        ('[A]\nb = "A"', "begins with ->"),
    ],
)
def test_a_mistake_in_a_table_is_told(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        load(tables(tmp_path, text))
