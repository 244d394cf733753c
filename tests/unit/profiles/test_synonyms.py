"""Words that others use for those of a code list: shared ones, and what they may be given for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from lxml import etree

from schemas.profiles import declared, shapes
from schemas.profiles.shapes import XS, ProfileFileError
from schemas.profiles.validation import ObjectSchema

FOLDER = Path(shapes.__file__).parent
SHARED = tomllib.loads((FOLDER / "common.toml").read_text(encoding="utf-8"))["synonyms"]


def growth(kind: str) -> etree._Element:
    return etree.fromstring(
        f"""<LoadGrowths xmlns="urn:cimstream:LoadGrowths:1"><LoadGrowth>
        <createdDateTime>2026-02-16T12:00:00Z</createdDateTime><baseYear>2026</baseYear>
        <Area><mRID>f12</mRID><kind>{kind}</kind></Area>
        <LoadGrowthYears><peakActivePower>1</peakActivePower><year>2027</year></LoadGrowthYears>
        </LoadGrowth></LoadGrowths>"""
    )


def test_shared_words_are_given_for_code_lists_that_are_shared() -> None:
    common = etree.fromstring((FOLDER / "common.xsd").read_bytes())
    assert SHARED.keys() <= {kind.get("name") for kind in common.iterfind(f"{XS}simpleType")}


def test_a_shared_word_means_the_code_of_the_list_for_a_noun_that_says_nothing_of_it() -> None:
    profile = declared("load_growths")
    said, meant = (profile.read(growth(kind), "created").items for kind in ("Circuit", "feeder"))
    assert [item.body for item in said] == [item.body for item in meant] != []


def test_a_word_that_nobody_gave_is_refused() -> None:
    (refused,) = declared("load_growths").read(growth("parish"), "created").rejected
    assert [problem.code for problem in refused.problems] == ["profile_violation"]


def test_codes_that_differ_in_capitals_only_can_have_no_synonyms() -> None:
    """A synonym is found in any capitals: milli and mega would be one."""
    file = FOLDER / "der_group_forecasts" / "profile.xsd"
    with pytest.raises(ProfileFileError, match="differ in capitals only"):
        ObjectSchema(file, "DERGroupForecasts", {}, {"UnitMultiplier": {"kilo": "k"}})


def test_a_code_of_the_list_is_no_synonym_for_another() -> None:
    """It would be read as the other where something else had to be put right, too."""
    file = FOLDER / "load_growths" / "profile.xsd"
    with pytest.raises(ProfileFileError, match="codes themselves"):
        ObjectSchema(file, "LoadGrowths", {}, {"PlanningAreaKind": {"Feeder": "substation"}})


def test_what_came_before_does_not_change_what_is_read() -> None:
    """After an object in other words the next is put right first: it is read the same."""
    profile = declared("load_growths")
    fresh = [profile.read(growth(kind), "created") for kind in ("feeder", "parish")]
    for before in ("Circuit", "feeder", "parish"):
        for kind, first in zip(("feeder", "parish"), fresh, strict=True):
            profile.read(growth(before), "created")
            again = profile.read(growth(kind), "created")
            assert again.items == first.items
            assert again.rejected == first.rejected
