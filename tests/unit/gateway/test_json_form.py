"""Messages in JSON: what they mean in XML, and replies in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.http import RequestError
from connectors.rest.json_form import message_of, reply_document
from schemas.envelope import Message, ObjectId, Reply, ReplyError, read, reply_to, write
from schemas.envelope.model import Header
from schemas.errors import MessageError
from schemas.profiles.payloads import payload_of
from topics import load_catalogue

CATALOGUE = load_catalogue()
HEADER: dict[str, Any] = {"verb": "create", "noun": "Outages", "messageID": "m-1"}


def meant(document: object, interface: str = "I1") -> Message:
    return read(message_of(json.dumps(document).encode(), interface, CATALOGUE))


def test_every_part_of_a_header_arrives() -> None:
    said = {
        "verb": "CREATE", "noun": "Outages", "revision": "2.0", "context": "training",
        "timestamp": "2026-01-01T01:00:00+01:00", "source": "OMS", "destination": "DMS",
        "asyncReplyFlag": False, "replyAddress": "topic", "ackRequired": True,
        "user": {"userID": "u", "organization": "o"}, "messageID": "m-1", "correlationID": "c",
        "comment": "why", "properties": [{"name": "ExpectedRevision", "value": "0"}],
    }  # fmt: skip
    header = meant({"header": said, "payload": {"mRID": "o-1"}}).header
    assert header == Header(
        verb="create", noun="Outages", revision="2.0", context="TRAINING",
        timestamp_ms=1_767_225_600_000, source="OMS", destination="DMS", async_reply=False,
        reply_address="topic", ack_required=True, user_id="u", organization="o", message_id="m-1",
        correlation_id="c", comment="why", properties=(("ExpectedRevision", "0"),),
    )  # fmt: skip


def test_a_payload_is_a_record_or_several() -> None:
    for payload, count in (({"mRID": "o-1"}, 1), ([{"mRID": "o-1"}, {"mRID": "o-2"}], 2)):
        message = meant({"header": HEADER, "payload": payload})
        assert message.payload is not None
        assert len(message.payload) == count


def test_objects_may_be_named_instead() -> None:
    header = {**HEADER, "verb": "close"}
    message = meant({"header": header, "ids": [{"value": "o-1", "kind": "uuid"}]})
    assert message.payload_ids == (ObjectId("o-1", "uuid"),)


def test_a_request_has_times_options_and_ids() -> None:
    request = {
        "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z",
        "options": [{"name": "limit", "value": "5"}],
        "ids": [{"value": "o-1", "kind": "uuid", "objectType": "Outage"}],
    }  # fmt: skip
    found = meant({"header": HEADER, "request": request}).request
    assert found is not None
    assert found.findtext("{*}StartTime") == "2026-01-01T00:00:00Z"
    assert found.findtext("{*}Option/{*}value") == "5"
    one = found.find("{*}ID")
    assert one is not None
    assert (one.text, one.get("kind"), one.get("objectType")) == ("o-1", "uuid", "Outage")


def test_an_alias_of_a_noun_is_the_noun() -> None:
    header = {"verb": "create", "noun": "MaintenanceOrders", "messageID": "m-1"}
    message = meant({"header": header, "payload": {"mRID": "w-1"}}, "I4")
    assert message.header is not None
    assert message.header.noun == "WorkOrders"


BAD: dict[str, tuple[Any, str]] = {
    "no object": ([], "json_unfit"),
    "no header": ({}, "verb_missing"),
    "no noun": ({"header": {"verb": "create"}}, "noun_missing"),
    "another verb": ({"header": {**HEADER, "verb": "make"}}, "verb_unknown"),
    "another noun": ({"header": {**HEADER, "noun": "Meteors"}}, "noun_unknown"),
    "a word too many": ({"header": {**HEADER, "Verb": "create"}}, "json_unfit"),
    "a part too many": ({"header": HEADER, "body": {}}, "json_unfit"),
    "both payload and ids": (
        {"header": HEADER, "payload": {"mRID": "a"}, "ids": [{"value": "a"}]}, "json_unfit",
    ),
    "no record": ({"header": HEADER, "payload": []}, "json_unfit"),
    "what edition 1 cannot say": ({"header": {**HEADER, "properties": [{}]}}, "json_unfit"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "code"), BAD.values(), ids=BAD)
def test_what_is_no_message_is_refused(document: Any, code: str) -> None:
    with pytest.raises((RequestError, MessageError)) as caught:
        meant(document)
    error: Any = caught.value
    assert error.code == code


def test_a_network_model_has_no_json() -> None:
    header = {"verb": "create", "noun": "NetworkDataSet", "messageID": "m-1"}
    with pytest.raises(RequestError, match="json_unfit"):
        meant({"header": header, "payload": {}}, "I2")


def test_a_reply_says_in_json_what_it_says_in_xml() -> None:
    error = ReplyError("2.4", "FATAL", "why", "details", "mRID", ObjectId("o-1", "uuid"))
    reply = Reply("PARTIAL", (error,), (ObjectId("o-2", "uuid"),))
    header = Header(verb="create", noun="Outages", source="OMS", message_id="m-1")
    payload = payload_of("outages", [{"mRID": "o-2", "cause": "tree"}])
    answer = reply_to(
        header, reply, message_id="r", timestamp_ms=0, source="cimstream", payload=payload
    )
    document = reply_document(read(write(answer)), CATALOGUE)
    assert document["header"]["destination"] == "OMS"
    assert document["result"] == "PARTIAL"
    (told,) = document["errors"]
    assert (told["code"], told["xpath"], told["id"]["value"]) == ("2.4", "mRID", "o-1")
    assert document["ids"][0]["value"] == "o-2"
    assert [(one["mRID"], one["cause"]) for one in document["payload"]] == [("o-2", "tree")]
