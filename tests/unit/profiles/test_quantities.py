"""Quantities with a multiplier before their unit: one value in one unit, however it was written."""

from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from schemas.profiles import declared, mapping, parts
from schemas.profiles.places import Findings
from schemas.profiles.shapes import DataType, ProfileFileError, Shape, read_shape, source

COMMON = Path(mapping.__file__).parent / "common.xsd"
SPACE = "urn:test"

XSD = """\
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:test"
           targetNamespace="urn:test" elementFormDefault="qualified">
  <xs:include schemaLocation="{common}"/>
  <xs:element name="Line" type="Line"/>
  <xs:complexType name="Line">
    <xs:sequence><xs:element name="ratedVoltage" type="Voltage"/></xs:sequence>
  </xs:complexType>
  {more}
</xs:schema>
"""


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+007", 7),
        ("-0", 0),
        ("-" + "0" * 5000 + "12", -12),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
    ids=["sign", "zero", "long", "greatest", "smallest"],
)
def test_a_whole_number_is_read_whatever_zeros_stand_before_it(text: str, number: int) -> None:
    assert parts.integer(text) == number


def test_a_whole_number_of_any_length_is_known_to_be_too_large() -> None:
    assert parts.integer("9" * 5000) >= 2**63


def schema(tmp_path: Path, more: str = "") -> etree._Element:
    file = tmp_path / "profile.xsd"
    file.write_text(XSD.format(common=COMMON, more=more), encoding="utf-8")
    return source(file)


def line(text: str, attributes: str = "") -> etree._Element:
    xml = f'<Line xmlns="{SPACE}"><ratedVoltage {attributes}>{text}</ratedVoltage></Line>'
    return etree.fromstring(xml)


def read(shape: Shape, element: etree._Element) -> tuple[Decimal, list[str]]:
    findings = Findings(element, lambda: "/Line")
    record = mapping.reader(shape, SPACE)(element, findings)
    return record["ratedVoltage"], [problem.code for problem in findings.problems]


@pytest.mark.parametrize(
    ("text", "attributes", "volts"),
    [
        ("22000", "", "22000"),
        ("22", 'unit="V" multiplier="k"', "22000"),
        ("22", 'multiplier="k"', "22000"),
        ("+.5", 'unit="V" multiplier="M"', "500000"),
        ("5.", 'unit="V" multiplier="micro"', "0.000005"),
        ("12345678901234567890.123456", 'multiplier="micro"', "12345678901234.567890123456"),
    ],
)
def test_a_quantity_is_kept_in_the_unit_of_its_type(
    tmp_path: Path, text: str, attributes: str, volts: str
) -> None:
    xsd = schema(tmp_path)
    element = line(text, attributes)
    assert etree.XMLSchema(xsd).validate(element)
    assert read(read_shape(xsd, "Line"), element) == (Decimal(volts), [])


@pytest.mark.parametrize(
    ("text", "multiplier"),
    [("0.000000000001", "m"), ("1", "y"), ("99999999999999999999999999", "k"),
     ("12345678901234567890123456.123456789012", "m")],
)  # fmt: skip
def test_a_quantity_that_is_not_exact_in_its_unit_is_refused(
    tmp_path: Path, text: str, multiplier: str
) -> None:
    shape = read_shape(schema(tmp_path), "Line")
    assert read(shape, line(text, f'multiplier="{multiplier}"'))[1] == ["value_not_number"]


@pytest.mark.parametrize("attributes", ['unit="A"', 'multiplier="kilo"', 'scale="3"'])
def test_another_unit_or_multiplier_is_not_valid(tmp_path: Path, attributes: str) -> None:
    assert not etree.XMLSchema(schema(tmp_path)).validate(line("1", attributes))


def test_a_quantity_is_written_without_a_multiplier(tmp_path: Path) -> None:
    shape = read_shape(schema(tmp_path), "Line")
    record = mapping.reader(shape, SPACE)(
        line("22", 'multiplier="k"'), Findings(line("0"), lambda: "/Line")
    )
    (written,) = mapping.write(record, shape, "Line", SPACE)
    assert (written.text, len(written.attrib)) == ("22000", 0)


def test_the_unit_of_a_quantity_is_part_of_its_type(tmp_path: Path) -> None:
    (field,) = read_shape(schema(tmp_path), "Line").fields
    assert isinstance(field.type, DataType)
    assert (field.type.unit, field.type.scaled) == ("V", True)


def test_a_quantity_without_a_unit_is_a_mistake_of_the_profile(tmp_path: Path) -> None:
    more = """\
  <xs:complexType name="Lot"><xs:sequence><xs:element name="n" type="Heap"/></xs:sequence>
  </xs:complexType>
  <xs:complexType name="Heap"><xs:simpleContent><xs:extension base="Decimal">
    <xs:attribute name="unit" type="xs:string"/><xs:attribute name="multiplier" type="xs:string"/>
  </xs:extension></xs:simpleContent></xs:complexType>"""
    with pytest.raises(ProfileFileError, match="Heap"):
        read_shape(schema(tmp_path, more), "Lot")


def test_a_unit_is_written_like_that_of_the_quantity(tmp_path: Path) -> None:
    text = COMMON.read_text(encoding="utf-8").replace('fixed="VAr"', 'fixed="kVAr"')
    (tmp_path / "common.xsd").write_text(text, encoding="utf-8")
    more = """\
  <xs:complexType name="Lot"><xs:sequence><xs:element name="n" type="ReactivePower"/></xs:sequence>
  </xs:complexType>"""
    file = tmp_path / "profile.xsd"
    file.write_text(XSD.format(common="common.xsd", more=more), encoding="utf-8")
    with pytest.raises(ProfileFileError, match="ReactivePower: its attribute unit"):
        read_shape(source(file), "Lot")


def test_a_record_without_what_it_must_have_is_no_bytes() -> None:
    """A decoder would take the missing field for the next one."""
    with pytest.raises((AttributeError, TypeError)):
        declared("publication_market_document").encode({})
