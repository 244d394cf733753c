"""Payloads whose namespace is misspelt or left out say what they would say in the right one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from schemas.errors import MessageError
from schemas.profiles import DOCUMENTS, Outcome, profile
from schemas.profiles.namespaces import means
from topics import load_catalogue

NOUNS = {name: noun for name, noun in load_catalogue().nouns.items() if noun.profile}
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
STANDARD = "http://iec.ch/TC57/2011/MeterReadings#"
DIGIN = "http://digin.no/DIGIN/CIM100Extension/1/0#"
BIDS = "urn:iec62325.351:tc57wg16:451-7:reservebiddocument:7:6"


@pytest.mark.parametrize(
    ("namespace", "known"),
    [
        ("", STANDARD),
        ("http://iec.ch/TC57/2007/MeterReadings#", STANDARD),
        ("http://iec.ch/TC57/2030/MeterReadings#", STANDARD),
        ("https://iec.ch/TC57/2011/MeterReadings#", STANDARD),
        ("http://www.iec.ch/TC57/2011/MeterReadings", STANDARD),
        ("http://iec.ch/TC57/2011/MeterReadings##", STANDARD),
        ("http://iec.ch/TC57/2011/MeterReadings/", STANDARD),
        ("http://iec.ch/TC57/61968-9/2011/MeterReadings#", STANDARD),
        ("http://iec.ch/tc57/2011/meterreadings#", STANDARD),
        ("http://iec.ch/TC57/CIM-c4e#", STANDARD),
        ("http://iec.ch/TC57/2011/schema/message", STANDARD),
        ("http://iec.hc/TC57/2011/MeterReadings#", STANDARD),
        ("http://iec.ch/TC-57/2011/MeterReadings#", STANDARD),
        (" http://iec.ch/TC57/2011/MeterReadings# ", STANDARD),
        ("http://ucaiug.org/2022/MeterReadings#", STANDARD),
        ("http://digin.no/DIGIN/CIM100Extenstion/1/0#", DIGIN),
        ("http://digin.no/DIGIN/CIM100Extension/1/1", DIGIN),
        ("urn:iec62325.351:tc57wg16:451-7:reservebiddocument:8:0", BIDS),
        ("urn:iec62325.351:tc57wg16:451-3:reservebiddocument:7:6", BIDS),
        ("urn:iec62325:ediel:nbm:reservebiddocument:7:4", BIDS),
        ("urn:ediel.org:general:reservebid:0:1", BIDS),
        ("urn:cimstream:Crew:1", "urn:cimstream:Crews:1"),
    ],
)
def test_a_namespace_of_the_cim_or_nearly_a_known_one_is_meant(namespace: str, known: str) -> None:
    assert means(namespace, [known])


@pytest.mark.parametrize(
    ("namespace", "known"),
    [
        ("http://naesb.org/espi", STANDARD),
        ("http://www.encourage-project.eu/MeterReadings#", STANDARD),
        ("http://www.multispeak.org/Version_5.0_Release", STANDARD),
        ("http://iec.ch/61850/2011/MeterReadings#", STANDARD),
        ("http://example.com/iec.ch/TC57/2011/MeterReadings#", STANDARD),
        ("http://iec.ch/TC570/2011/Readings#", STANDARD),
        ("urn:iec62325.351:tc57wg16:451-7:activationdocument:6:2", BIDS),
        ("urn:entsoe.eu:wgedi:ess:schedule:3:3", BIDS),
    ],
)
def test_a_namespace_of_somebody_else_is_not_meant(namespace: str, known: str) -> None:
    assert not means(namespace, [known])


def example(name: str) -> etree._Element:
    """The payload of a good example of the noun."""
    for file in sorted(EXAMPLES.rglob("*.xml")):
        if "invalid" not in file.name and "reply" not in file.name:
            for payload in etree.parse(file).getroot().iterfind(f"{{*}}Payload/{{*}}{name}"):
                return payload
    raise LookupError(name)


def read(name: str, payload: etree._Element) -> Outcome:
    return profile(NOUNS[name].profile or "").read(payload)


def moved(payload: etree._Element, namespace: str, *, whole: bool = True) -> etree._Element:
    """The payload with its elements, or with its root alone, in another namespace."""
    made = etree.fromstring(etree.tostring(payload))
    old = etree.QName(made).namespace
    for element in made.iter(f"{{{old}}}*"):
        inside = element is not made
        space = namespace if whole or not inside else ""
        local = etree.QName(element).localname
        element.tag = f"{{{space}}}{local}" if space else local
    return made


def test_a_document_may_stand_in_a_misspelt_namespace_too() -> None:
    payload = etree.Element("{http://iec.ch/TC57/2014/networkdataset}NetworkDataSet")
    etree.SubElement(payload, "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF")
    assert read("NetworkDataSet", payload).objects == 1
    payload.tag = "{urn:other}NetworkDataSet"
    with pytest.raises(MessageError) as refused:
        read("NetworkDataSet", payload)
    assert [p.code for p in refused.value.problems] == ["payload_namespace_unknown"]


def test_a_misspelt_payload_may_stand_far_down_in_a_long_file() -> None:
    """Beyond line 65,535, where libxml2's two bytes for lines end."""
    payload = moved(example("MeterReadings"), "http://iec.hc/TC57/2011/MeterReadings#")
    text = b"<Payload>" + b"\n" * 70_000 + etree.tostring(payload)
    outcome = read("MeterReadings", etree.fromstring(text + b"</Payload>")[0])
    assert outcome.items
    assert not outcome.rejected


@pytest.mark.parametrize("name", [n for n in NOUNS if NOUNS[n].profile not in DOCUMENTS])
def test_every_noun_is_read_without_its_namespace(name: str) -> None:
    payload = example(name)
    said = read(name, payload)
    assert said.items
    expected = [replace(item, misspelt=True) for item in said.items]
    assert read(name, moved(payload, "")).items == expected
    own = str(etree.QName(payload).namespace)
    found = read(name, moved(payload, own, whole=False)).items
    assert [replace(item, misspelt=True) for item in found] == expected


@pytest.mark.parametrize("name", NOUNS)
def test_no_noun_is_read_in_a_namespace_of_somebody_else(name: str) -> None:
    for namespace in ("http://www.example.com/2026/x", f"http://iec.ch/TC57/{'x' * 200}"):
        with pytest.raises(MessageError, match="payload_namespace_unknown"):
            read(name, moved(example(name), namespace))


def test_a_payload_that_was_built_and_not_parsed_is_read_too() -> None:
    payload = etree.Element("Crews")
    etree.SubElement(etree.SubElement(payload, "Crew"), "mRID").text = "c-1"
    assert [item.key for item in read("Crews", payload).items] == [b"c-1"]


@pytest.mark.parametrize("namespace", ["", "http://iec.ch/TC57/2011/schema/message"])
def test_what_is_wrong_in_a_misspelt_payload_is_kept_so_that_it_can_be_sent_again(
    namespace: str,
) -> None:
    readings = moved(example("MeterReadings"), namespace)
    for meter in list(readings.iter("{*}Meter", "{*}UsagePoint")):
        parent = meter.getparent()
        assert parent is not None
        parent.remove(meter)
    rejected = read("MeterReadings", readings).rejected[0]
    assert rejected.problems[0].code == "meter_missing"
    assert STANDARD in rejected.problems[0].detail
    assert rejected.namespace == STANDARD
    assert etree.QName(etree.fromstring(rejected.element)).namespace == STANDARD
