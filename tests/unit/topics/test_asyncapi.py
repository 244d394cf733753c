"""What the AsyncAPI document says is what the catalogue, the schemas and the records say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from schemas.avro.registry import registered
from topics import Catalogue, load_catalogue, naming
from topics.asyncapi import document, render
from topics.catalogue import TopicSpec

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
CATALOGUE = load_catalogue()
DOCUMENT = document(CATALOGUE, "1.2.3")
CHANNELS = DOCUMENT["channels"]
OPERATIONS = DOCUMENT["operations"]
MESSAGES = DOCUMENT["components"]["messages"]


def resolve(reference: str, root: Any = DOCUMENT) -> Any:
    """What a reference within the document leads to.

    Raises:
        KeyError: nothing is there.
    """
    start, *path = reference.split("/")
    assert start == "#", reference
    for step in path:
        root = root[step]
    return root


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def held(topic: str, name: str) -> Any:
    """A message of a channel."""
    return resolve(CHANNELS[topic]["messages"][name]["$ref"])


def tags(part: Any) -> set[str]:
    return {tag["name"] for tag in part["tags"]}


def in_scope(spec: TopicSpec) -> bool:
    inner = ("changelog", "audit", "positions", "receipts", "gathered", "failed")
    return spec.context == naming.PRODUCTION and spec.purpose not in inner


# --- topics ---------------------------------------------------------------------------------------


def test_each_production_topic_of_an_interface_is_a_channel_once() -> None:
    addresses = Counter(channel["address"] for channel in CHANNELS.values())
    assert addresses == Counter(spec.name for spec in CATALOGUE.topics() if in_scope(spec))


def test_a_channel_has_the_partitions_and_settings_of_its_topic() -> None:
    for spec in filter(in_scope, CATALOGUE.topics()):
        binding = CHANNELS[spec.name]["bindings"]["kafka"]
        said = binding["topicConfiguration"]
        texts = {k: ",".join(v) if isinstance(v, list) else str(v) for k, v in said.items()}
        assert (binding["partitions"], texts) == (spec.partitions, dict(spec.config))
        assert "replicas" not in binding


def test_each_channel_has_operations_that_say_who_may_write_it() -> None:
    writers = {spec.name: sorted(spec.writers) for spec in CATALOGUE.topics() if in_scope(spec)}
    found: dict[str, list[str]] = {}
    for operation in OPERATIONS.values():
        topic = resolve(operation["channel"]["$ref"])["address"]
        assert operation["action"] == ("receive" if topic.endswith(".inbound") else "send")
        found[topic] = operation["x-writers"]
    assert found == writers


def test_the_server_is_a_variable_and_no_host() -> None:
    (server,) = DOCUMENT["servers"].values()
    assert server["host"] == "{bootstrap}"
    assert "default" not in server["variables"]["bootstrap"]


def test_every_context_is_named_and_none_is_repeated() -> None:
    for context in CATALOGUE.contexts:
        assert context in DOCUMENT["info"]["description"]
        assert not [name for name in CHANNELS if name.startswith(f"cim.{context.lower()}.")]


# --- messages -------------------------------------------------------------------------------------


def test_a_live_nouns_events_have_the_newest_schema_and_its_id() -> None:
    for noun in CATALOGUE.nouns.values():
        if noun.schema is None:
            continue
        topics = [naming.noun_log(noun.home, noun.name)]
        if noun.kind == "register":
            topics.append(naming.current_log(noun.home, noun.name))
        last = [entry for entry in registered() if entry.name == noun.schema][-1]
        for topic in topics:
            message = held(topic, noun.name)
            payload = resolve(message["payload"]["$ref"])
            assert payload["schemaFormat"] == "application/vnd.apache.avro;version=1.9.0"
            file = (REFERENCE / payload["schema"]["$ref"]).resolve()
            assert (json.loads(file.read_text(encoding="utf-8")), message["x-schema-id"]) == (
                last.raw,
                last.id,
            )
            assert message["contentType"] == "application/avro"


def test_planned_nouns_are_marked_wherever_they_are_and_no_others() -> None:
    for noun in CATALOGUE.nouns.values():
        planned = noun.profile is None
        log = naming.noun_log(noun.home, noun.name)
        parts = [CHANNELS[log], held(log, noun.name), OPERATIONS[f"send.{log}"]]
        for interface in CATALOGUE.interfaces.values():
            if noun.name in interface.accepts:
                parts.append(held(naming.inbound(interface.id), noun.name))
                parts.append(OPERATIONS[f"receive.{interface.id}.{noun.name}"])
        assert {"planned" in tags(part) for part in parts} == {planned}
        assert ("payload" in held(log, noun.name)) is not planned


def test_what_enters_is_described_by_files_that_exist() -> None:
    named = [m["x-xsd"] for m in MESSAGES.values() if "x-xsd" in m]
    named.append(DOCUMENT["components"]["schemas"]["Envelope"]["x-xsd"])
    live = [noun for noun in CATALOGUE.nouns.values() if noun.profile is not None]
    assert len(named) > len(live)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_an_interface_takes_the_nouns_and_verbs_of_the_catalogue() -> None:
    for interface in CATALOGUE.interfaces.values():
        topic = naming.inbound(interface.id)
        assert set(CHANNELS[topic]["messages"]) == set(interface.accepts)
        for name, verbs in interface.accepts.items():
            noun = CATALOGUE.nouns[name]
            today = verbs - noun.planned_verbs if noun.profile else verbs
            narrowed = held(topic, name)["headers"]["properties"]
            assert narrowed["ce_verb"]["enum"] == sorted(today)
            assert narrowed["ce_noun"]["enum"] == [name]


# --- exchange -------------------------------------------------------------------------------------


def test_a_reply_comes_on_outbound_of_the_nouns_home() -> None:
    reply = OPERATIONS["receive.I6.Outages"]["reply"]
    assert resolve(reply["channel"]["$ref"])["address"] == "cim.i1.outbound"
    correlation = [
        resolve(message["correlationId"]["$ref"])["location"]
        for message in (held("cim.i6.inbound", "Outages"), held("cim.i1.outbound", "reply"))
    ]
    assert correlation == ["$message.header#/ce_correlationid"] * 2


def test_an_operation_says_by_verb_which_pattern_follows_and_whether_it_answers() -> None:
    said = OPERATIONS["receive.I1.Outages"]["description"].splitlines()
    assert "- cancel, change, close, create: create-update-delete, answered" in said
    assert "- reply: request-response, not answered" in said
    assert (
        "- canceled, changed, closed, created: event-action, answered if the header asks for it"
        in said
    )


def test_what_is_never_answered_has_no_reply() -> None:
    outages = CATALOGUE.interfaces["I1"]
    deaf = replace(outages, accepts=MappingProxyType({"Outages": frozenset({"reply"})}))
    changed = with_interface(CATALOGUE, "I1", deaf)
    assert "reply" not in document(changed, "1")["operations"]["receive.I1.Outages"]


def test_every_reference_resolves_and_every_component_is_used() -> None:
    used = {reference for reference in references(DOCUMENT) if reference.startswith("#")}
    for reference in used:
        resolve(reference)
    files = set(references(DOCUMENT)) - used
    assert files
    assert [file for file in files if not (REFERENCE / file).is_file()] == []
    components = DOCUMENT["components"]
    made = {f"#/components/{kind}/{name}" for kind in components for name in components[kind]}
    assert made - used == set()


def test_an_operation_exchanges_only_messages_of_its_channel() -> None:
    for operation in OPERATIONS.values():
        for part in filter(None, (operation, operation.get("reply"))):
            channel = part["channel"]["$ref"]
            for message in part["messages"]:
                assert message["$ref"].startswith(f"{channel}/messages/")


# --- made from the catalogue ----------------------------------------------------------------------


def with_interface(catalogue: Catalogue, name: str, changed: Any) -> Catalogue:
    return replace(catalogue, interfaces=MappingProxyType({**catalogue.interfaces, name: changed}))


def with_noun(catalogue: Catalogue, name: str, **changes: Any) -> Catalogue:
    noun = replace(catalogue.nouns[name], **changes)
    return replace(catalogue, nouns=MappingProxyType({**catalogue.nouns, name: noun}))


def with_topic(catalogue: Catalogue, name: str, **changes: Any) -> Catalogue:
    specs = [replace(s, **changes) if s.name == name else s for s in catalogue.topic_specs]
    return replace(catalogue, topic_specs=tuple(specs))


CHANGES = {
    "partitions": with_topic(CATALOGUE, "cim.i7.inbound", partitions=12),
    "a setting": with_topic(CATALOGUE, "cim.i7.inbound", config={"retention.ms": "1"}),
    "writers": with_topic(CATALOGUE, "cim.i7.inbound", writers=frozenset({"nobody"})),
    "a topic": replace(
        CATALOGUE,
        topic_specs=tuple(s for s in CATALOGUE.topic_specs if s.name != "cim.i7.meter-readings"),
    ),
    "a verb": with_noun(CATALOGUE, "Outages", planned_verbs=frozenset({"create"})),
    "a key": with_noun(CATALOGUE, "MeterReadings", key="another"),
    "a namespace": with_noun(CATALOGUE, "MeterReadings", namespaces=("urn:x",)),
    "data about persons": with_noun(CATALOGUE, "MeterReadings", personal=False),
    "a control": with_noun(CATALOGUE, "EndDeviceControls", control=False),
    "no longer live": with_noun(CATALOGUE, "MeterReadings", profile=None, schema=None),
    "a pattern": replace(CATALOGUE, pattern_rows=CATALOGUE.pattern_rows[-1:]),
    "a context": replace(CATALOGUE, contexts=("DRILL",)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_document_changes_when_the_catalogue_does(what: str) -> None:
    assert document(CHANGES[what], "1.2.3") != DOCUMENT


def test_the_document_is_small_enough_to_be_read() -> None:
    assert len(render(DOCUMENT)) < 350_000


def test_the_same_catalogue_gives_the_same_text() -> None:
    assert render(document(load_catalogue(), "1.2.3")) == render(DOCUMENT)


def test_the_text_is_the_document_in_json_with_what_is_short_on_one_line() -> None:
    text = render(DOCUMENT)
    assert json.loads(text) == DOCUMENT
    short = {"a": {"b": ["x" * 50]}, "c": ["y" * 70, "z"]}
    assert render(short) == (f'{{\n "a": {{"b": ["{"x" * 50}"]}},\n "c": ["{"y" * 70}", "z"]\n}}\n')
    assert render({"a": 1}) == '{"a": 1}\n'
