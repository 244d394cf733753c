"""Market documents: revisions that say the same, times to the minute, codes with their scheme."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from schemas import avro
from schemas.envelope import read as read_message
from schemas.errors import MessageError
from schemas.profiles import DeclaredProfile, Item, Outcome, RejectedObject, declared
from schemas.profiles.places import Findings
from schemas.profiles.revisions import Revision
from schemas.profiles.shapes import ProfileFileError

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "nouns" / "i10"
BID = "reserve-bid-market-document-created.xml"
FAMILY = "urn:iec62325.351:tc57wg16:451-7:reservebiddocument:7:"


@pytest.fixture
def bids() -> DeclaredProfile:
    return declared("reserve_bid_market_document")


def bid(**replaced: str) -> str:
    """The example in revision 7.2, with other texts for some of its elements."""
    text = (EXAMPLES / BID).read_text(encoding="utf-8")
    for tag, content in replaced.items():
        text, count = re.subn(rf"(<{tag}>)[^<]*", rf"\g<1>{content}", text, count=1)
        assert count == 1, tag
    return text


def read(profile: DeclaredProfile, text: str) -> Outcome:
    (payload,) = etree.fromstring(text.encode()).iterfind("{*}Payload/*")
    return profile.read(payload, "created")


def the_item(profile: DeclaredProfile, text: str) -> Item:
    outcome = read(profile, text)
    assert not outcome.rejected, outcome.rejected[0].problems
    (item,) = outcome.items
    return item


def the_refusal(profile: DeclaredProfile, text: str) -> RejectedObject:
    outcome = read(profile, text)
    assert not outcome.items
    (rejected,) = outcome.rejected
    return rejected


def in_revision(minor: str, text: str) -> str:
    """The example as a sender of this revision writes it."""
    text = text.replace(f"{FAMILY}2", f"{FAMILY}{minor}")
    if minor >= "3":
        text = text.replace("_Measure_Unit", "_Measurement_Unit")
    if minor >= "6":
        old = r"<registeredResource\.mRID(.*?)</registeredResource\.mRID>"
        new = r"<RegisteredResource><mRID\1</mRID></RegisteredResource>"
        text = re.sub(old, new, text)
    return text


@pytest.mark.parametrize("minor", list("013456"))
def test_every_revision_of_a_document_gives_the_same_event(
    bids: DeclaredProfile, minor: str
) -> None:
    assert the_item(bids, in_revision(minor, bid())) == the_item(bids, bid())


def test_a_document_is_written_in_the_newest_revision(bids: DeclaredProfile) -> None:
    (payload,) = etree.fromstring(bid().encode()).iterfind("{*}Payload/*")
    (item,) = bids.read(payload, "created").items
    provenance = avro.encode_provenance("t", 0, 0, "m", "s", 0)
    record = avro.decode(avro.frame(bids.schema) + provenance + item.body)[1]
    written = bids.write([record])
    assert etree.QName(written).namespace == f"{FAMILY}6"
    assert bids.read(written, "created").items == [item]


def test_what_is_refused_is_told_and_kept_in_the_words_of_its_sender(
    bids: DeclaredProfile,
) -> None:
    text = bid(**{"quantity_Measure_Unit.name": " "})
    text = text.replace(">EX-HYDRO-7<", "><")
    rejected = the_refusal(bids, text)
    above = "/EventMessage/Payload/ReserveBid_MarketDocument/Bid_TimeSeries/"
    assert [(p.code, p.xpath) for p in rejected.problems] == [
        ("profile_violation", f"{above}quantity_Measure_Unit.name"),
        ("profile_violation", f"{above}registeredResource.mRID"),
    ]
    lines = text.splitlines()
    assert [lines[(p.line or 0) - 1].strip().split()[0] for p in rejected.problems] == [
        "<quantity_Measure_Unit.name>",
        "<registeredResource.mRID",
    ]
    assert rejected.namespace == f"{FAMILY}2"
    assert b"<quantity_Measure_Unit.name> </quantity_Measure_Unit.name>" in rejected.element


def test_what_is_refused_of_an_element_that_was_put_around_another_is_told_of_that_one(
    bids: DeclaredProfile,
) -> None:
    one = '<registeredResource.mRID codingScheme="NEX">EX-HYDRO-7</registeredResource.mRID>'
    text = bid().replace(one, f"{one}\n{one}")
    (problem,) = the_refusal(bids, text).problems
    assert (problem.xpath or "").rpartition("/")[2] == "registeredResource.mRID[2]"
    assert problem.line == text[: text.rindex(one)].count("\n") + 1


def test_an_older_name_in_the_newest_revision_is_refused(bids: DeclaredProfile) -> None:
    text = in_revision("6", bid()).replace("quantity_Measurement_Unit", "quantity_Measure_Unit")
    assert the_refusal(bids, text).problems[0].code == "profile_violation"


@pytest.mark.parametrize("written_as", list("26"))
@pytest.mark.parametrize("version", ["7:9", "9:0", "10:11"])
def test_a_version_that_nobody_declared_is_read_in_the_revision_that_its_elements_fit(
    bids: DeclaredProfile, version: str, written_as: str
) -> None:
    document = in_revision(written_as, bid())
    text = document.replace(f"{FAMILY}{written_as}", f"{FAMILY[:-2]}{version}")
    assert text != document
    assert the_item(bids, text) == replace(the_item(bids, document), misspelt=True)


def test_a_version_whose_elements_fit_none_is_told_the_versions_that_are_known(
    bids: DeclaredProfile,
) -> None:
    text = bid().replace("flowDirection.direction>", "direction>")
    told = the_refusal(bids, text).problems[0]
    rejected = the_refusal(bids, text.replace(f"{FAMILY}2", f"{FAMILY}9"))
    first = rejected.problems[0]
    assert (first.code, first.xpath, first.line) == (told.code, told.xpath, told.line)
    assert all(f"{FAMILY}{minor}" in first.detail for minor in "0123456")
    assert rejected.namespace == f"{FAMILY}2"


@pytest.mark.parametrize(
    "namespace",
    [
        "urn:iec62325.351:tc57wg16:451-7:activationdocument:6:2",
        "urn:entsoe.eu:wgedi:ess:schedule:3:3",
    ],
)
def test_a_document_in_the_namespace_of_another_document_is_refused(
    bids: DeclaredProfile, namespace: str
) -> None:
    with pytest.raises(MessageError) as error:
        read(bids, bid().replace(f"{FAMILY}2", namespace))
    (problem,) = error.value.problems
    assert problem.code == "payload_namespace_unknown"
    assert f"{FAMILY}6" in problem.detail


def test_a_name_within_its_parent_goes_before_the_name_alone() -> None:
    revision = Revision(("urn:old",), {"quantity": "amount", "Point/quantity": "Q/value"})
    payload = etree.fromstring(
        '<D xmlns="urn:old"><quantity>1</quantity><Point><quantity v="x">2</quantity></Point></D>'
    )
    before = etree.tostring(payload)
    made = revision.newest(payload, "urn:new")
    assert [(str(e.tag), e.text, dict(e.attrib)) for e in made.iter(etree.Element)] == [
        ("{urn:new}D", None, {}),
        ("{urn:new}amount", "1", {}),
        ("{urn:new}Point", None, {}),
        ("{urn:new}Q", None, {}),
        ("{urn:new}value", "2", {"v": "x"}),
    ]
    assert etree.tostring(payload) == before


def test_a_revision_with_a_key_that_is_not_known_is_a_mistake_of_the_profile() -> None:
    with pytest.raises(ProfileFileError, match="element: missing or not known"):
        Revision.of({"namespaces": ["urn:old"], "elements": {}, "element": {}})


@pytest.mark.parametrize(
    "same", ["2026-10-25T02:45:00Z", "2026-10-25T02:45:00.000Z", "2026-10-25T03:45+01:00"]
)
def test_a_time_to_the_minute_is_the_instant_that_it_names(
    bids: DeclaredProfile, same: str
) -> None:
    text = bid()
    other = text.replace("2026-10-25T02:45Z", same)
    assert other != text
    assert the_item(bids, other) == the_item(bids, text)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("2026-10-25T02:45", "timestamp_without_zone"),
        ("2026-10-25T25:45Z", "timestamp_invalid"),
        ("2026-02-30T02:45Z", "timestamp_invalid"),
        ("yesterday", "timestamp_invalid"),
        ("", "profile_violation"),
        ("2026-10-26T02:45Z", "interval_reversed"),
    ],
)
def test_a_time_to_the_minute_that_names_no_instant_is_refused(
    bids: DeclaredProfile, wrong: str, code: str
) -> None:
    rejected = the_refusal(bids, bid().replace("2026-10-25T02:45Z", wrong))
    assert [problem.code for problem in rejected.problems] == [code]


@pytest.mark.parametrize("tag", ["type", "divisible", "code"])
def test_an_element_that_must_say_something_and_is_blank_is_refused(
    tag: str, bids: DeclaredProfile
) -> None:
    profile, name = (bids, BID)
    if tag == "code":
        profile = declared("acknowledgement_market_document")
        name = "acknowledgement-market-document-created.xml"
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    blank = re.sub(rf"<{tag}>[^<]*<", f"<{tag}>\n <", text, count=1)
    assert blank != text
    (problem,) = the_refusal(profile, blank).problems
    assert (problem.code, (problem.xpath or "").rpartition("/")[2]) == ("profile_violation", tag)


def test_a_code_keeps_the_scheme_that_gives_it() -> None:
    profile = declared("acknowledgement_market_document")
    text = (EXAMPLES / "acknowledgement-market-document-created.xml").read_text(encoding="utf-8")
    other = text.replace('codingScheme="A10"', 'codingScheme="A01"')
    assert the_item(profile, text).body != the_item(profile, other).body


def test_findings_of_a_document_are_not_more_than_those_that_are_kept(
    bids: DeclaredProfile,
) -> None:
    series = re.search(r"<Bid_TimeSeries>.*</Bid_TimeSeries>", bid(), re.DOTALL)
    assert series
    blank = series[0].replace(">A01<", "> <")
    rejected = the_refusal(bids, bid().replace(series[0], blank * 50))
    kept = Findings()
    for _ in range(100):
        kept.add("profile_violation", etree.Element("x"))
    assert len(rejected.problems) == len(kept.problems)


def test_a_fault_in_a_later_part_of_an_older_document_is_told_of_that_part(
    bids: DeclaredProfile,
) -> None:
    """The copy in the newest revision has other prefixes for each name, which paths go by."""
    text = bid()
    begin = text.index("<Bid_TimeSeries>")
    end = text.index("</Bid_TimeSeries>") + len("</Bid_TimeSeries>")
    series = text[begin:end]
    wrong = series.replace("<registeredResource.mRID ", '<registeredResource.mRID other="1" ')
    message = read_message(f"{text[:end]}\n{wrong}{text[end:]}".encode())
    assert message.payload is not None
    (rejected,) = bids.read(message.payload, "created").rejected
    assert rejected.problems[0].xpath == (
        "/EventMessage/Payload/ReserveBid_MarketDocument/Bid_TimeSeries[2]/registeredResource.mRID"
    )
