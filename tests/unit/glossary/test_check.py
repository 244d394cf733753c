"""The schemas are bound to the glossary: each kind of mistake is found, and none is there."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from lxml import etree

from schemas.avro import registered
from schemas.glossary import Glossary, check, glossary
from schemas.glossary.check import PLAIN, findings, guess, report, unlinked
from schemas.glossary.links import Form, Slot, read_written, slots, stale
from schemas.glossary.plain import Plain, read_plain
from schemas.profiles import declared, declared_names
from schemas.profiles.shapes import XS

ROOT = Path(__file__).resolve().parents[3]
NOTHING_PLAIN = Plain(frozenset(), frozenset())
TEXT = Form("string")


def leaf(owner: str, name: str, own: str = "", form: Form = TEXT, **more: str) -> Slot:
    return Slot(more.pop("file", "a.xsd"), owner, name, own, form=form, **more)


def said(*found: Slot, plain: Plain = NOTHING_PLAIN) -> list[str]:
    return [str(finding) for finding in findings(glossary(), plain, found)]


def test_nothing_is_wrong_with_what_ships(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check"])
    assert check.main() == 0, capsys.readouterr().err


def test_every_field_of_the_schemas_without_profile_is_a_slot() -> None:
    derived = {declared(name).schema for name in declared_names()}
    for known in registered():
        if known.name not in derived:
            here = {(s.owner, s.name) for s in slots() if s.file == f"schemas/avro, {known.name}"}
            for record in records(known.raw):
                assert {(record["name"], field["name"]) for field in record["fields"]} <= here


def test_every_element_of_a_type_of_a_profile_is_a_slot() -> None:
    for file in (ROOT / "schemas/profiles").rglob("*.xsd"):
        place = file.relative_to(ROOT).as_posix()
        here = {(slot.owner, slot.name) for slot in slots() if slot.file == place}
        for kind in etree.parse(str(file)).iterfind(f"{XS}complexType"):
            owner = kind.get("name", "")
            if (owner, "") in here:  # others are used by no object
                named = [e.get("name") for e in kind.iterfind(f"{XS}sequence/{XS}element")]
                assert {(owner, name) for name in named} <= here


def records(node: object) -> list[dict]:
    if isinstance(node, list):
        return [record for one in node for record in records(one)]
    if not isinstance(node, dict):
        return []
    inner = [record for value in node.values() for record in records(value)]
    return [node, *inner] if node.get("type") == "record" else inner


def test_the_objects_of_every_declared_profile_are_linked() -> None:
    assert {name for name in declared_names() if not declared(name).shape.term} == set()


def test_a_field_without_a_term_is_found_with_a_way_out() -> None:
    (text,) = said(leaf("Outage", "EstimatedRestorationTime"))
    assert "a.xsd: Outage.EstimatedRestorationTime: the field links no term" in text
    assert 'source="term:estimated-restoration-time"' in text
    assert "plain.toml" in text


def test_a_type_without_a_term_is_found() -> None:
    (text,) = said(Slot("a.xsd", "Crew", ""))
    assert "a.xsd: Crew: the type links no term" in text
    assert 'source="term:crew"' in text


@pytest.mark.parametrize("fields", ["remark", "Outage.remark", "Outage.*"])
def test_a_field_that_is_listed_as_plain_needs_no_term(fields: str) -> None:
    plain = Plain(frozenset({fields}), frozenset())
    (wrong,) = said(leaf("Outage", "remark"), leaf("Fault", "remarks"), plain=plain)
    assert wrong.startswith("a.xsd: Fault.remarks: the field links no term")


@pytest.mark.parametrize(
    "plain",
    [
        Plain(frozenset({"colour"}), frozenset()),
        Plain(frozenset({"Lamp.colour"}), frozenset()),
        Plain(frozenset({"Lamp.*"}), frozenset()),
        Plain(frozenset(), frozenset({"Lamp"})),
    ],
)
def test_a_name_that_is_plain_and_covers_nothing_is_found(plain: Plain) -> None:
    (wrong,) = said(leaf("Meter", "serialNumber", "serial-number"), plain=plain)
    assert wrong.startswith("schemas/glossary/plain.toml: nothing without a term is called ")


def test_what_is_plain_in_one_type_is_not_in_another() -> None:
    plain = Plain(frozenset({"Status.value"}), frozenset())
    (wrong,) = said(leaf("Status", "value"), leaf("Reading", "value"), plain=plain)
    assert wrong.startswith("a.xsd: Reading.value: the field links no term")


def test_a_field_inherits_the_term_of_its_type() -> None:
    assert said(leaf("Outage", "outageKind", inherited="feeder")) == []


def test_a_term_that_does_not_exist_is_found_with_those_that_were_perhaps_meant() -> None:
    (text,) = said(leaf("Outage", "place", "usage-point"))
    assert "there is no term usage-point" in text
    assert "write term:service-point" in text


def test_one_term_with_two_types_names_both_places() -> None:
    (text,) = said(
        leaf("Outage", "cause", "cause"),
        leaf("Fault", "cause", "cause", Form("long"), file="b.xsd"),
    )
    assert "b.xsd: Fault.cause" in text
    assert "cause is long here, string in a.xsd: Outage.cause" in text


def test_one_term_with_two_units_is_found() -> None:
    (text,) = said(
        leaf("A", "x", "capacity", Form("decimal", "W")),
        leaf("B", "x", "capacity", Form("decimal", "VA")),
    )
    assert "decimal in VA here, decimal in W in a.xsd: A.x" in text


def test_one_term_with_two_code_lists_is_found() -> None:
    (text,) = said(
        leaf("A", "x", "confidence", Form("string", "", ("high", "low"))),
        leaf("B", "x", "confidence", Form("string", "", ("sure",))),
    )
    assert "string of sure here, string of high, low in a.xsd: A.x" in text


def test_a_field_differs_from_what_its_term_declares() -> None:
    (text,) = said(leaf("A", "p", "active-power", Form("decimal", "kW")))
    assert "decimal in kW here, decimal in W in schemas/glossary/quantities.toml" in text


def test_a_type_of_one_name_that_means_two_terms_is_found() -> None:
    (text,) = said(Slot("a.xsd", "Crew", "", "crew"), Slot("b.xsd", "Crew", "", "crew-member"))
    assert "b.xsd: Crew: the type means crew-member here, crew in a.xsd: Crew" in text


def test_a_code_list_of_one_name_with_two_contents_is_found() -> None:
    (text,) = said(
        leaf("A", "x", "cause", Form("string", "", ("a",)), kind="XKind"),
        leaf("B", "y", "phase", Form("string", "", ("b",)), kind="XKind"),
    )
    assert "XKind is string of b here, string of a in a.xsd: A.x" in text


def test_a_term_that_is_renamed_in_one_place_only_is_found() -> None:
    """Each link of what ships in turn, and each term that something is linked to."""
    plain = read_plain(PLAIN)
    linked = [slot for slot in slots() if slot.own]
    for slot in linked:
        changed = dataclasses.replace(slot, own=f"{slot.own}-renamed")
        assert "there is no term" in " ".join(said(changed, plain=plain))
    used = {slot.own for slot in linked}
    for slug in used:
        without = {name: term for name, term in glossary().terms.items() if name != slug}
        found = [slot for slot in linked if slot.own == slug]
        assert len(findings(Glossary(without, {}), plain, found)) >= len(found)


def test_a_row_for_what_no_schema_has_is_found() -> None:
    links = {**read_written(), "Meter": {"fields": {"colour": "meter"}}, "Gone": {"term": "meter"}}
    assert stale(links, slots()) == ["Meter colour", "Gone"]


def test_what_is_unlinked_is_listed_by_name_with_its_number() -> None:
    found: Sequence[Slot] = (
        leaf("A", "feeder"), leaf("B", "feeder"), leaf("A", "zeta"), Slot("a.xsd", "Crew", ""),
    )  # fmt: skip
    lines = report(glossary(), unlinked(NOTHING_PLAIN, found))
    assert [line.split()[:3] for line in lines] == [
        ["2", "feeder", "feeder"], ["1", "type", "Crew"], ["1", "zeta", "?"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("UsagePoint", "service-point"), ("UsagePoints", "service-point"), ("Feeder", "feeder"),
        ("serialNumber", "serial-number"), ("revisionNumber", "sender-revision"),
        ("DERGroups", "der-group"), ("crewStatus", "crew-status"), ("kind", ""),
    ],
)  # fmt: skip
def test_a_name_brings_a_term_to_mind_only_where_it_is_one(name: str, slug: str) -> None:
    assert guess(glossary(), name) == slug


def test_the_slots_of_the_written_schemas_hold_what_avro_says() -> None:
    by_place = {slot.place: slot for slot in slots()}
    values = by_place["schemas/avro, MeterReadingSeries: MeterReadingSeries.values"]
    reason = by_place["schemas/avro, MeterReadingSeries: ReadingAnnotation.reason"]
    assert values.form == Form("double")
    assert reason.form is not None
    assert json.dumps(reason.form.codes).startswith('["billing"')
