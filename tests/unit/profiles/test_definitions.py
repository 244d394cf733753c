"""Definitions beside the objects of a payload: put where they are referred to, never lost."""

from __future__ import annotations

import pytest
from lxml import etree

from schemas import avro
from schemas.avro import wire
from schemas.profiles import DeclaredProfile, Outcome, declared
from schemas.profiles.parts import Record

SPACE = "http://iec.ch/TC57/2011/MeterConfig#"
KWH = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


@pytest.fixture
def meters() -> DeclaredProfile:
    return declared("meter_config")


def read(meters: DeclaredProfile, *elements: str) -> Outcome:
    text = f'<MeterConfig xmlns="{SPACE}">{"".join(elements)}</MeterConfig>'
    return meters.read(etree.fromstring(text.encode()), "create")


def records(meters: DeclaredProfile, outcome: Outcome) -> list[Record]:
    assert not outcome.rejected, outcome.rejected[0].problems
    provenance = avro.encode_provenance("t", 0, 0, "m", "s", 0) + wire.long(1) + wire.long(0)
    return [
        avro.decode(avro.frame(meters.schema) + provenance + item.body)[1] for item in outcome.items
    ]


def meter(inside: str, mrid: str = "m-1") -> str:
    return f"<Meter><mRID>{mrid}</mRID>{inside}</Meter>"


def com(inside: str) -> str:
    return f"<ComFunction>{inside}</ComFunction>"


@pytest.mark.parametrize("before", [True, False])
def test_what_a_definition_says_is_in_every_object_that_refers_to_it(
    meters: DeclaredProfile, before: bool
) -> None:
    definition = com("<mRID>c-1</mRID><technology>plc</technology>")
    refer = [meter('<ComFunction ref="c-1"/>'), meter('<ComFunction ref="c-1"/>', "m-2")]
    found = records(
        meters, read(meters, *([definition, *refer] if before else [*refer, definition]))
    )
    assert [record["comFunction"][0]["technology"] for record in found] == ["plc", "plc"]
    assert [record["comFunction"][0]["ref"] for record in found] == ["c-1", "c-1"]


def test_a_definition_may_refer_to_another(meters: DeclaredProfile) -> None:
    function = (
        "<SimpleEndDeviceFunction><Names><name>load profile</name></Names><Registers><Channels>"
        f'<ReadingType ref="{KWH}"/></Channels></Registers></SimpleEndDeviceFunction>'
    )
    kind = f"<ReadingType><mRID>{KWH}</mRID><Names><name>energy</name></Names></ReadingType>"
    refer = meter('<SimpleEndDeviceFunction ref="load profile"/>')
    (record,) = records(meters, read(meters, refer, function, kind))
    (channel,) = record["simpleEndDeviceFunction"][0]["registers"][0]["channels"]
    assert channel["readingType"]["names"][0]["name"] == "energy"


def test_what_an_element_says_itself_goes_before_its_definition(meters: DeclaredProfile) -> None:
    definition = com("<mRID>c-1</mRID><amrAddress>7</amrAddress><technology>plc</technology>")
    own = meter('<ComFunction ref="c-1"><technology>rf</technology></ComFunction>')
    (record,) = records(meters, read(meters, own, definition))
    (function,) = record["comFunction"]
    assert (function["technology"], function["amrAddress"]) == ("rf", "7")


def test_an_mrid_goes_before_a_name_and_the_first_before_the_second(
    meters: DeclaredProfile,
) -> None:
    named = com("<amrAddress>name</amrAddress><Names><name>c-1</name></Names>")
    first = com("<mRID>c-1</mRID><amrAddress>first</amrAddress>")
    outcome = read(meters, named, meter('<ComFunction ref="c-1"/>'), first)
    assert [item.key for item in outcome.items] == [b"m-1"]
    assert [(r.index, r.problems[0].code) for r in outcome.rejected] == [(0, "definition_unused")]


def test_a_definition_that_nobody_refers_to_is_refused_and_not_lost(
    meters: DeclaredProfile,
) -> None:
    outcome = read(meters, meter('<ComFunction ref="c-2"/>'), com("<mRID>c-1</mRID>"))
    (rejected,) = outcome.rejected
    assert (rejected.index, rejected.problems[0].xpath) == (1, "/MeterConfig/ComFunction")
    assert rejected.problems[0].code == "definition_unused"
    assert outcome.objects == 2


def test_what_a_rejected_object_refers_to_is_not_rejected_for_that(
    meters: DeclaredProfile,
) -> None:
    function = (
        "<SimpleEndDeviceFunction><mRID>f-1</mRID><Registers><Channels>"
        f'<ReadingType ref="{KWH}"/></Channels></Registers></SimpleEndDeviceFunction>'
    )
    kind = f"<ReadingType><mRID>{KWH}</mRID></ReadingType>"
    bad = meter('<isVirtual>perhaps</isVirtual><SimpleEndDeviceFunction ref="f-1"/>')
    outcome = read(meters, bad, function, kind, com("<mRID>c-1</mRID>"))
    assert [(r.index, r.problems[0].code) for r in outcome.rejected] == [
        (0, "profile_violation"),
        (3, "definition_unused"),
    ]


def test_a_reference_without_a_definition_stays_one(meters: DeclaredProfile) -> None:
    (record,) = records(meters, read(meters, meter('<ComFunction ref="c-9"/>')))
    (function,) = record["comFunction"]
    assert {key: value for key, value in function.items() if value} == {"ref": "c-9"}


def test_an_invalid_definition_is_refused_once_and_gives_nothing(meters: DeclaredProfile) -> None:
    definition = com("<mRID>c-1</mRID><enabled>perhaps</enabled>")
    outcome = read(meters, meter('<ComFunction ref="c-1"/>'), definition)
    assert [(r.index, [p.code for p in r.problems]) for r in outcome.rejected] == [
        (1, ["profile_violation"])
    ]


def test_few_bytes_cannot_make_many_by_referring(meters: DeclaredProfile) -> None:
    large = com(f"<mRID>c-1</mRID><technology>{'x' * 100_000}</technology>")
    refer = meter('<ComFunction ref="c-1"/>' * 200)
    outcome = read(meters, refer, large)
    assert not outcome.items
    assert outcome.rejected[0].problems[0].code == "message_too_large"


def test_a_record_is_read_again_from_what_is_written_of_it(meters: DeclaredProfile) -> None:
    definition = com("<mRID>c-1</mRID><technology>plc</technology>")
    outcome = read(meters, meter('<ComFunction ref="c-1"/>'), definition)
    written = meters.write(records(meters, outcome))
    assert [etree.QName(child).localname for child in written] == ["Meter"]
    assert meters.read(written, "create").items == outcome.items


def test_a_definition_with_an_empty_name_is_not_that_of_all_who_refer_to_none(
    meters: DeclaredProfile,
) -> None:
    definition = com(
        "<mRID>c-1</mRID><technology>plc</technology><Names><name/></Names><Names><name> </name>"
        "</Names>"
    )
    other = com("<amrAddress>7</amrAddress>")
    refer = meter(f'<ComFunction ref="c-1"/>{other}')
    (record,) = records(meters, read(meters, refer, definition))
    assert [part["technology"] for part in record["comFunction"]] == ["plc", None]
