"""Catalogue, glossary and profiles speak of the same."""

from __future__ import annotations

import dataclasses

import pytest

from schemas.glossary import glossary
from topics import load_catalogue
from topics.catalogue.meaning import findings, main, object_term
from topics.catalogue.model import Catalogue


def with_noun(name: str, **changes: object) -> Catalogue:
    catalogue = load_catalogue()
    noun = dataclasses.replace(catalogue.nouns[name], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(catalogue, nouns={name: noun})


def test_nothing_is_wrong_with_the_catalogue_that_ships() -> None:
    assert list(findings(load_catalogue(), glossary())) == []
    assert main() == 0


def test_a_term_that_is_not_spoken_on_the_nouns_interface_is_found() -> None:
    wrong = with_noun("Crews", home="I11", glossary=("crew",))
    (text,) = [text for text in findings(wrong, glossary()) if "'crew'" in text]
    assert text.startswith("Crews has the term 'crew', which is not spoken on I11")
    assert "work.toml" in text


@pytest.mark.parametrize(
    ("noun", "slug", "interfaces"),
    [
        ("Outages", "outage", ("I1", "I4", "I7", "I11")),
        ("StudyCases", "outage", ("I1", "I4", "I6", "I7", "I11")),
        ("MeterReadings", "reading-quality", ("I8",)),
    ],
    ids=["another interface sends it", "a field links it", "a written schema links it"],
)
def test_a_term_is_spoken_wherever_a_noun_that_uses_it_is_sent(
    noun: str, slug: str, interfaces: tuple[str, ...]
) -> None:
    known = glossary()
    term = dataclasses.replace(known.terms[slug], interfaces=interfaces)
    wrong = dataclasses.replace(known, terms={**known.terms, slug: term})
    assert any(
        text.startswith(f"{noun} has the term") and f"{term.area}.toml" in text
        for text in findings(load_catalogue(), wrong)
    )


def test_a_live_noun_that_does_not_name_its_objects_term_is_found() -> None:
    wrong = with_noun("Outages", profile="outages", schema="Outage", glossary=("feeder",))
    (text,) = findings(wrong, glossary())
    assert "the objects of Outages are linked to the term 'outage'" in text


@pytest.mark.parametrize(
    ("name", "what", "changed"),
    [
        ("MeterConfig", "namespaces", {"namespaces": ("http://iec.ch/TC57/2012/MeterConfig#",)}),
        ("MeterReadings", "namespaces", {"namespaces": ("urn:x",)}),
        ("Crews", "kind", {"kind": "history"}),
        ("Crews", "schema", {"schema": "Meter"}),
        ("MeterReadings", "name", {"profile": "end_device_events", "schema": "EndDeviceEvent"}),
    ],
)
def test_an_entry_that_says_other_than_its_profile_is_found(
    name: str, what: str, changed: dict[str, object]
) -> None:
    wrong = list(findings(with_noun(name, **changed), glossary()))
    assert any(f"{name}: the {what} in topics/catalogue" in text for text in wrong)


def test_objects_of_written_profiles_have_their_term_too() -> None:
    nouns = load_catalogue().nouns
    assert object_term(nouns["MeterReadings"]) == "reading"
    assert object_term(nouns["EndDeviceEvents"]) == "end-device-event"
