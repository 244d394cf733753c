"""Who may do what follows from the catalogue."""

from __future__ import annotations

from typing import get_args

from topics import load_catalogue, naming
from topics.acls import PREFIX, Binding, Role, bindings, writers_played

CATALOGUE = load_catalogue()
ROLES: tuple[Role, ...] = get_args(Role)
EVERYBODY = bindings(CATALOGUE, {role: [f"User:{role}"] for role in ROLES}, {"User:team": ["I7"]})


def may(operation: str, kind: str, name: str) -> set[str]:
    """Who may, by a binding of just this name or of its beginning."""
    return {
        b.principal.removeprefix("User:")
        for b in EVERYBODY
        if (b.operation, b.kind) == (operation, kind)
        and (b.name == name or (b.prefixed and name.startswith(b.name)))
    }


def test_only_gateways_connectors_and_rules_write_inbound() -> None:
    for interface in CATALOGUE.interfaces:
        assert may("write", "topic", naming.inbound(interface)) == {"gateway", "connector", "rules"}


def test_a_topic_is_written_by_the_writers_of_the_catalogue_and_by_nobody_else() -> None:
    played = {"intake": "processor", "registers": "processor"}
    for spec in CATALOGUE.topics():
        expected = {played.get(writer, writer) for writer in spec.writers}
        assert may("write", "topic", spec.name) == expected, spec.name


def test_every_writer_of_the_catalogue_is_a_role() -> None:
    writers = {writer for spec in CATALOGUE.topics() for writer in spec.writers}
    assert writers == writers_played()


def test_an_analytics_team_reads_the_logs_of_its_interfaces_and_nothing_else() -> None:
    mine = {b for b in EVERYBODY if b.principal == "User:team"}
    specs = {spec.name: spec for spec in CATALOGUE.topics()}
    topics = {b.name for b in mine if b.kind == "topic"}
    assert {specs[name].interface for name in topics} == {"I7"}
    assert {specs[name].purpose for name in topics} == {"log", "current"}
    assert {b.operation for b in mine} == {"read", "describe"}
    assert {b for b in mine if b.kind == "group"} == {
        Binding("User:team", "read", "group", "team", prefixed=True)
    }


def test_what_is_said_in_payloads_is_read_by_those_only_who_need_it() -> None:
    assert may("read", "topic", naming.inbound("I6")) == {
        "gateway", "operator", "processor", "responder",
    }  # fmt: skip
    assert may("read", "topic", naming.rejected("I6")) == {"operator"}
    assert may("read", "topic", naming.AUDIT) == {"operator"}
    assert may("read", "topic", "cim.intake.dedup-i7.changelog") == {"operator", "processor"}
    assert may("read", "topic", naming.FILE_POSITIONS) == {"connector", "operator"}
    assert not {"connector", "delivery"} & may("read", "topic", "cim.i7.meter-readings")


def test_nothing_is_granted_to_everybody_or_on_everything() -> None:
    for binding in EVERYBODY:
        assert "*" not in (binding.name, binding.principal.partition(":")[2])
        assert binding.kind != "topic" or binding.name.startswith(PREFIX)
        assert binding.operation not in ("all", "alter", "delete", "cluster-action")


def test_transactions_and_groups_of_one_part_are_not_another_s() -> None:
    assert may("write", "transactional-id", "intake-0") == {"processor"}
    assert may("write", "transactional-id", "source-files") == {"connector"}
    assert may("write", "transactional-id", "rules-0") == {"rules"}
    assert may("write", "transactional-id", "delivery-0") == {"delivery"}
    assert may("write", "transactional-id", "redrive") == {"operator"}
    assert may("read", "group", "intake") == {"processor"}
    assert may("describe", "group", "intake") == {"operator"}
