"""What an XSD of a profile may say, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.profiles.derive import UNKNOWN, avro_schema
from schemas.profiles.shapes import ProfileFileError, Shape, key_of, read_shape, source

_OPEN = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t">'


def shape_of(folder: Path, body: str, name: str = "Thing") -> Shape:
    file = folder / "profile.xsd"
    file.write_text(f"{_OPEN}{body}</xs:schema>", encoding="utf-8")
    return read_shape(source(file), name)


def thing(content: str) -> str:
    return f'<xs:complexType name="Thing">{content}</xs:complexType>'


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        ("mRID", "mRID"),
        ("UsagePoint", "usagePoint"),
        ("DERFunction", "derFunction"),
        ("ID", "id"),
        ("EndDeviceEventType", "endDeviceEventType"),
        ("quantity_Measurement_Unit.name", "quantity_Measurement_Unit_name"),
    ],
)
def test_a_record_names_a_field_by_its_element_with_a_small_first_word(tag: str, key: str) -> None:
    assert key_of(tag) == key


@pytest.mark.parametrize(
    "body",
    [
        thing('<xs:choice><xs:element name="a" type="xs:string"/></xs:choice>'),
        thing("<xs:sequence><xs:any/></xs:sequence>"),
        thing('<xs:sequence><xs:element name="a" type="Other"/></xs:sequence>'),
        thing('<xs:sequence><xs:element name="a" type="Thing"/></xs:sequence>'),
        thing('<xs:sequence><xs:element name="a" type="xs:string" maxOccurs="3"/></xs:sequence>'),
        thing('<xs:sequence><xs:element name="a" type="xs:hexBinary"/></xs:sequence>'),
        '<xs:complexType name="Another"/>',
    ],
)
def test_what_not_all_of_xml_record_and_docs_can_follow_is_refused(
    tmp_path: Path, body: str
) -> None:
    with pytest.raises(ProfileFileError):
        shape_of(tmp_path, body)


def test_an_include_must_not_have_a_namespace_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "part.xsd").write_text(f"{_OPEN}</xs:schema>", encoding="utf-8")
    with pytest.raises(ProfileFileError, match="namespace"):
        shape_of(tmp_path, '<xs:include schemaLocation="part.xsd"/>' + thing(""))


def test_a_schema_has_unit_code_list_and_cardinality_of_the_shape(tmp_path: Path) -> None:
    shape = shape_of(
        tmp_path,
        """
        <xs:simpleType name="Power"><xs:annotation><xs:appinfo><unit>kW</unit></xs:appinfo>
          </xs:annotation><xs:restriction base="xs:decimal"/></xs:simpleType>
        <xs:simpleType name="Kind"><xs:restriction base="xs:string"><xs:enumeration value="one"/>
          <xs:enumeration value="two"/></xs:restriction></xs:simpleType>
        """
        + thing(
            """<xs:sequence><xs:element name="power" type="Power"/>
            <xs:element name="kind" type="Kind" minOccurs="0"/>
            <xs:element name="kinds" type="Kind" minOccurs="0" maxOccurs="unbounded"/>
            </xs:sequence>"""
        ),
    )
    made = avro_schema(shape, "Thing", "org.test", register=True)
    fields = {field["name"]: field for field in made["fields"]}
    assert list(fields) == ["provenance", "revision", "lifeCycle", "power", "kind", "kinds"]
    assert fields["power"]["type"]["unit"] == "kW"
    assert fields["power"]["type"]["logicalType"] == "decimal"
    nothing, kind = fields["kind"]["type"]
    assert nothing == "null"
    assert (kind["symbols"], kind["default"]) == (["one", "two", UNKNOWN], UNKNOWN)
    assert fields["kinds"]["type"] == {"type": "array", "items": "Kind"}


def test_a_code_that_avro_cannot_name_is_refused(tmp_path: Path) -> None:
    kind = """<xs:simpleType name="Kind"><xs:restriction base="xs:string">
        <xs:enumeration value="1 to n"/></xs:restriction></xs:simpleType>"""
    body = kind + thing('<xs:sequence><xs:element name="kind" type="Kind"/></xs:sequence>')
    with pytest.raises(ProfileFileError, match="1 to n"):
        avro_schema(shape_of(tmp_path, body), "Thing", "org.test", register=False)
