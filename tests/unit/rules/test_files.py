"""What a rule's file may say, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.processors.rules import SHIPPED, RuleFileError, read_folder
from streams.processors.rules.files import changed_in_place, files_of, mistakes
from streams.processors.rules.templates import Template, TemplateError
from tests.unit.rules.driver import CATALOGUE, NEVER, rule_of, shipped
from tests.unit.rules.test_rules import PLAIN

COUNTING = shipped("last-gasp-cluster")


def test_the_shipped_rules_are_good_and_in_force_nowhere_until_they_are_copied() -> None:
    rules = read_folder(SHIPPED, CATALOGUE)
    assert sorted(rules) == [
        "last-gasp-cluster", "outage-notification", "outage-work-order", "voltage-excursion",
    ]  # fmt: skip
    for file in files_of(SHIPPED):
        assert f'since = "{NEVER}"' in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "key", "why"),
    [
        ("version = 1", "version = 0", "version", "not between"),
        ("version = 1", "", "version", "missing"),
        ("version = 1", "version = 1\nenabled = true", "enabled", "no such key"),
        ('since = "1970-01-01T00:00:00Z"', 'since = "today"', "since", "with a zone"),
        ('noun = "Outages"\nverbs', 'noun = "Outage"\nverbs', "match.noun", "did you mean Outages"),
        ('"Outages"\nverbs', '"NetworkDataSet"\nverbs', "match.noun", "no fields"),
        ('["create", "change"]', '["delete"]', "match.verbs", "not known here"),
        ("[action]", 'interfaces = ["I9"]\n[action]', "match.interfaces", "does not enter on I9"),
        ("[action]", "when = 'event.cawse == null'\n[action]", "match.when", "'event.cawse'"),
        ("[action]", "when = 'event.cause'\n[action]", "match.when", "it gives STRING, not bool"),
        ("[action]", "wen = 'true'\n[action]", "match.wen", "did you mean when"),
        ('interface = "I4"', 'interface = "I9"', "action.verb", "interface_not_allowed"),
        ('verb = "create"\n', 'verb = "delete"\n', "action.verb", "verb_not_allowed"),
        ("<kind>repair</kind>", "<kind>repair", "action.payload", "well-formed"),
        ("<kind>repair</kind>", "<kind>${event.kynd}</kind>", "action.payload", "kind: 1:6"),
        ("<kind>repair</kind>", "<kind>${event.cause</kind>", "action.payload", "without its }"),
        ("<kind>repair</kind>", "tree", "action.payload", "text beside elements"),
        ("WorkOrders:1", "WorkOrders:9", "action.payload", "its namespace is none of"),
        ("WorkOrders xmlns", "Crews xmlns", "action.payload", "well-formed"),
        ("[action]", "[window]\ncount = 1\n[action]", "window.key", "missing"),
    ],
)
def test_a_mistake_is_told_with_file_key_and_reason(
    tmp_path: Path, old: str, new: str, key: str, why: str
) -> None:
    assert old in PLAIN
    with pytest.raises(RuleFileError) as caught:
        rule_of(tmp_path, "plain", PLAIN.replace(old, new, 1))
    assert (caught.value.file, caught.value.key) == ("plain.toml", key)
    assert why in caught.value.reason


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("count = 5", "count = 0", "window.count"),
        ("within_s = 120", "within_s = 86401", "window.within_s"),
        ("quiet_s = 3600", "quiet_s = -1", "window.quiet_s"),
        ('time = "event.createdDateTime"', 'time = "event.reason"', "window.time"),
        ("${window.key}", "${window.keys}", "action.payload"),
    ],
)
def test_a_mistake_in_a_window_is_told(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in COUNTING
    with pytest.raises(RuleFileError) as caught:
        rule_of(tmp_path, "gasps", COUNTING.replace(old, new, 1))
    assert caught.value.key == key


def test_what_a_window_knows_is_known_to_rules_with_a_window_only(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"window\.key"):
        rule_of(tmp_path, "plain", PLAIN.replace("${event.mRID}", "${window.key}"))


@pytest.mark.parametrize("name", ["Upper", "1st", "with space", "a" * 64])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RuleFileError, match="no name"):
        rule_of(tmp_path, name, PLAIN)


def test_what_is_no_toml_or_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="cannot be read as TOML"):
        rule_of(tmp_path, "plain", "version = ")
    with pytest.raises(RuleFileError, match="no such folder"):
        read_folder(tmp_path / "nowhere", CATALOGUE)


def test_each_file_tells_its_own_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PLAIN.replace("version = 1", ""))
    (tmp_path / "b.toml").write_text(PLAIN)
    (tmp_path / "c.toml").write_text(PLAIN.replace("description", "descripton"))
    (tmp_path / "notes.txt").write_text("not a rule")
    assert [error.file for error in mistakes(tmp_path, CATALOGUE)] == ["a.toml", "c.toml"]


def test_a_rule_that_is_changed_needs_a_new_version(tmp_path: Path) -> None:
    def rules(text: str) -> dict:
        return {"plain": rule_of(tmp_path, "plain", text)}

    before = rules(PLAIN)
    changed = PLAIN.replace("repair", "patrol")
    assert changed_in_place(before, rules(PLAIN)) is None
    assert changed_in_place({}, rules(changed)) is None
    assert changed_in_place(before, rules(changed.replace("version = 1", "version = 2"))) is None
    error = changed_in_place(before, rules(changed))
    assert error is not None
    assert (error.file, error.key) == ("plain.toml", "version")


# --- templates --------------------------------------------------------------------------------


def test_values_enter_as_text_and_never_as_xml(tmp_path: Path) -> None:
    template = rule_of(tmp_path, "plain", PLAIN).action.payload
    payload = template.render(
        {"action.id": "1", "event.mRID": "</title><evil/>&amp;", "message.interface": "I1"}
    )
    assert [child.tag.rpartition("}")[2] for child in payload[0]] == ["mRID", "kind", "title"]
    assert payload[0][2].text == "</title><evil/>&amp; I1"


def test_what_has_no_value_is_left_out_and_so_is_what_held_only_that(tmp_path: Path) -> None:
    part = "<Feeder><mRID>${event.feeder.mRID}</mRID></Feeder>"
    template = rule_of(tmp_path, "plain", PLAIN.replace("<kind>", f"{part}<kind>")).action.payload
    values = {"action.id": "1", "event.mRID": "o1", "message.interface": "I1"}
    for mrid, count in ((None, 3), ("f1", 4)):
        assert len(template.render({**values, "event.feeder.mRID": mrid})[0]) == count


@pytest.mark.parametrize(
    "each",
    [
        "event.usagePoints",
        "p in event.nothing",
        "p in event.mRID",
        "event in event.names",
        "p of x",
    ],
)
def test_a_loop_that_is_none_is_refused(tmp_path: Path, each: str) -> None:
    loop = f'<kind xmlns:r="urn:cimstream:rules:1" r:each="{each}">repair</kind>'
    text = PLAIN.replace("<kind>repair</kind>", loop)
    if each.startswith("event in"):
        rule_of(tmp_path, "plain", text)  # `event` itself is no name: its fields are
        return
    with pytest.raises(RuleFileError, match="each"):
        rule_of(tmp_path, "plain", text)


def test_a_template_error_is_one_of_its_own() -> None:
    assert issubclass(TemplateError, Exception)
    assert Template.parse.__doc__
