"""The glossary's files: what a word leads to, and which mistakes are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from schemas.glossary import FOLDER, GlossaryError, glossary, read_glossary
from schemas.glossary.plain import read_plain


def titles(word: str) -> list[str]:
    return [term.title for term in glossary().find(word)]


@pytest.mark.parametrize(
    ("word", "title"),
    [
        ("metering point", "service point"), ("ETR", "estimated restoration time"),
        ("circuit", "feeder"), ("permit to work", "safety document"), ("VPP", "DER group"),
        ("dead  letter queue", "rejected"), ("saidi", "SAIDI"),
        ("remote-connect-disconnect", "remote connect/disconnect"),
    ],
)  # fmt: skip
def test_a_synonym_a_slug_and_a_title_in_any_case_lead_to_the_term(word: str, title: str) -> None:
    assert titles(word) == [title]


def test_every_synonym_leads_to_its_term_alone_or_is_listed_as_ambiguous() -> None:
    known = glossary()
    for term in known.terms.values():
        for word in (term.title, *term.words):
            found = known.find(word)
            assert term in found
            assert (len(found) > 1) == bool(known.difference(word)), word


def test_interruption_and_outage_are_different_terms_that_say_so() -> None:
    outage, interruption = (glossary().terms[slug] for slug in ("outage", "interruption"))
    assert "not an interruption" in outage.excludes.lower()
    assert "not an outage" in interruption.excludes.lower()
    assert interruption.slug in outage.see
    assert outage.slug in interruption.see
    # The customer's word means both, and the glossary tells which is which.
    assert sorted(titles("power cut")) == ["interruption", "outage"]
    assert "customer without supply" in glossary().difference("Power Cut")


def test_an_outage_is_one_term_in_the_control_room_and_in_customer_support() -> None:
    assert {"I1", "I6"} <= set(glossary().terms["outage"].interfaces)


def test_a_search_finds_by_title_synonym_class_and_definition_and_titles_come_first() -> None:
    assert glossary().search("saif")[0].slug == "saifi"
    assert "service-point" in [term.slug for term in glossary().search("UsagePoint")]
    assert "fuse" in [term.slug for term in glossary().search("melted")]
    assert glossary().search("no such text anywhere") == ()


def test_a_word_that_is_nearly_a_term_brings_it_to_mind() -> None:
    assert "outage" in glossary().near("outag")
    assert glossary().near("qqqq") == []


TERM = """
[{slug}]
title = "{title}"
definition = "Something."
not = "Not something else."
cim = []
interfaces = ["I1"]
source = "a test"
"""


def one(slug: str = "thing", title: str = "thing", more: str = "") -> str:
    return TERM.format(slug=slug, title=title) + more


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (one(title="thingy"), "the slug of 'thingy' is thingy"),
        (one().replace('not = "Not something else."', ""), "not: missing or not known"),
        (one(more='cim_class = "X"'), "cim_class: missing or not known"),
        (one().replace("Something.", " "), "definition is empty"),
        (one().replace("I1", "I12"), "there is no interface I12"),
        (one().replace('["I1"]', "[]"), "it is spoken on no interface"),
        (one(more='synonyms = {boss = ["x"]}'), "there is no role boss"),
        (one(more='type = "float"'), "there is no type float"),
        (one(more='unit = "W"'), "a unit or code list needs a type"),
        (one(more='see = ["nothing"]'), "see 'nothing': there is no such term"),
        (one("outage", "outage"), "operation.toml has it already"),
        (one(more='synonyms = {field = ["feeder"]}'), "'feeder' means feeder, thing"),
        (one(more='synonyms = {field = ["Power Cut"]}'), "'power cut' means interruption,"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_of_terms_is_refused_with_its_place(
    text: str, mistake: str, tmp_path: Path
) -> None:
    folder = tmp_path / "glossary"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "zzz.toml").write_text(text, encoding="utf-8")
    with pytest.raises(GlossaryError) as caught:
        read_glossary(folder)
    (said,) = caught.value.mistakes
    assert mistake in said


def test_a_word_that_is_listed_as_ambiguous_and_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "area.toml").write_text(one(), encoding="utf-8")
    (tmp_path / "ambiguous.toml").write_text(
        '["thing"]\nterms = ["thing"]\nsay = "x"\n', encoding="utf-8"
    )
    with pytest.raises(GlossaryError, match="it does not mean more than one term"):
        read_glossary(tmp_path)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('[a]\nfields = ["x"]\n', "a: a reason, and fields or types"),
        ('[a]\nreason = "r"\nfield = ["x"]\n', "a: a reason, and fields or types"),
        (
            '[a]\nreason = "r"\nfields = ["x"]\n[b]\nreason = "r"\nfields = ["x"]\n',
            "x stands twice",
        ),
    ],
)
def test_a_field_is_plain_for_a_reason_and_once(text: str, mistake: str, tmp_path: Path) -> None:
    file = tmp_path / "plain.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(GlossaryError, match=mistake):
        read_plain(file)
