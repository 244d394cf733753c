"""Real models, where they are: the folder named by CIMSTREAM_SAMPLES or ../shared/samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import MessageError
from schemas.rdf import CimObject, ModelHeader, Part, read
from schemas.rdf.findings import Notice
from schemas.rdf.records import header_of, header_record_of, object_of, record_of
from schemas.rdf.writer import write
from tests.unit.rdf.documents import check, pieces

ROOT = Path(__file__).parents[3]
SAMPLES = Path(os.environ.get("CIMSTREAM_SAMPLES", ROOT.parent / "shared" / "samples"))

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real samples are not here")

# By file: objects; faults by code. They are real: names of enumerations that the CIM does not
# have, objects that were left out.
MODELS = {
    "rdfxml/IEEE13.xml": (500, {}),
    "rdfxml/IEEE37.xml": (808, {}),
    "rdfxml/IEEE123.xml": (2051, {}),
    "rdfxml/IEEE118_CIM.xml": (1983, {}),
    "rdfxml/GMDM_transmission_merge.xml": (371, {}),
    "rdfxml/cimpy_sample_NB_EQ.xml": (134, {"model_reference_dangling": 38}),
    "rdfxml/cimpy_sample_NB_SSH.xml": (48, {}),
    "rdfxml/endDevicesAndUsagePoints.xml": (684, {}),
    "rdfxml/Manifest.xml": (1, {"model_reference_dangling": 1}),
    "rdfxml_ccbysa/Telemark-120-LV1_EQ.xml": (375, {}),
    "rdfxml_ccbysa/Telemark-120-LV1_AS.xml": (
        3, {"model_value_invalid": 3, "model_reference_dangling": 3},
    ),
    "rdfxml_ccbysa/Telemark-120-LV1_CU.xml": (
        13, {"model_value_invalid": 26, "model_attribute_unknown": 26},
    ),
    "rdfxml_ccbysa/Telemark-120-ReadingType_RD.xml": (
        183,
        {"model_value_invalid": 3, "model_attribute_unknown": 1404, "model_identity_duplicate": 2},
    ),
}  # fmt: skip


def sample(name: str) -> tuple[ModelHeader, list[CimObject]]:
    found = read(pieces((SAMPLES / name).read_bytes(), 65_536))
    return found.header, list(found)


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_has_the_faults_that_it_really_has(name: str) -> None:
    objects, faults = MODELS[name]
    report = check((SAMPLES / name).read_bytes())
    assert report.objects == objects
    assert {
        code: count for code, count in report.totals.items() if not isinstance(code, Notice)
    } == faults
    assert all(found.line for found in report.findings)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rdfxml/IEEE13.xml", {Notice.LACKING: 4}),
        ("rdfxml/IEEE118_CIM.xml", {Notice.EXTENSION: 4973, Notice.IRREGULAR: 457}),
        (
            "rdfxml/GMDM_transmission_merge.xml",
            {Notice.EXTENSION: 191, Notice.IRREGULAR: 235, Notice.LACKING: 73},
        ),
    ],
)
def test_what_is_odd_in_a_real_model_without_a_profile_is_told(
    name: str, told: dict[str, int]
) -> None:
    assert check((SAMPLES / name).read_bytes()).totals == told


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_is_the_same_after_writing_and_after_a_trip_through_records(name: str) -> None:
    header, items = sample(name)
    again = read(write(header, items))
    assert (again.header, list(again)) == (header, items)
    records = [record_of(item, "v", header.cim_namespace) for item in items]
    assert [object_of(record) for record in records] == items
    assert header_of(header_record_of(header, "v")) == header


def test_equipment_and_hypothesis_of_one_model_are_checked_together() -> None:
    names = ("rdfxml/cimpy_sample_NB_EQ.xml", "rdfxml/cimpy_sample_NB_SSH.xml")
    report = check(*((SAMPLES / name).read_bytes() for name in names))
    assert report.objects == 134
    assert report.totals.get(Notice.EXTERNAL) is None


def test_a_real_model_that_is_cut_short_is_refused_with_its_line() -> None:
    with pytest.raises(MessageError) as caught:
        sample("rdfxml_ccbysa/Telemark-120-LV1_SSH.xml")
    assert caught.value.code == "xml_not_wellformed"
    assert caught.value.problems[0].line == 129


def test_a_real_difference_with_a_parse_type_without_prefix_is_read() -> None:
    header, items = sample("extracted/jena_DifferenceModel.xml")
    assert header.mrid == "248c809d-1d7b-397c-830f-6928007ae6d9"
    assert [(item.cls, item.part) for item in items] == [
        ("A", Part.FORWARD), ("B", Part.FORWARD), ("D", Part.FORWARD),
    ]  # fmt: skip
