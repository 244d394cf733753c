"""Messages a client makes, and what it is told: keys are in no text."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.client import Client, ClientError
from connectors.client.config import configure
from connectors.client.mapping import compose
from schemas.envelope import Kind, ObjectId, read

OUTAGES = b'<Outages xmlns="urn:cimstream:Outages:1"><Outage><mRID>a</mRID></Outage></Outages>'
KEY = "cimstream_" + "k" * 43


def test_a_message_is_an_envelope_with_an_identity_and_a_time() -> None:
    said = compose("create", "Outages", OUTAGES, source="OMS-1")
    message = read(said)
    assert message.kind is Kind.REQUEST
    assert message.header is not None
    assert (message.header.source, message.header.noun) == ("OMS-1", "Outages")
    assert message.header.timestamp_ms
    assert message.payload is not None
    again = read(compose("create", "Outages", OUTAGES, source="OMS-1")).header
    assert again is not None
    assert again.message_id != message.header.message_id


def test_an_object_may_be_named_instead_of_sent_with_the_revision_it_must_have() -> None:
    said = compose(
        "close", "Outages", "a", source="OMS-1", message_id="m-1", expected_revision=3,
        context="TRAINING",
    )  # fmt: skip
    message = read(said)
    assert message.header is not None
    assert message.payload_ids == (ObjectId("a"),)
    assert message.header.message_id == "m-1"
    assert message.header.context == "TRAINING"
    assert ("ExpectedRevision", "3") in message.header.properties


def test_an_event_is_sent_as_one() -> None:
    assert read(compose("created", "Outages", OUTAGES, source="OMS-1")).kind is Kind.EVENT


@pytest.mark.parametrize(
    ("verb", "payload", "code"),
    [
        ("make", OUTAGES, "verb_unknown"),
        ("create", b"<Outages", "payload_invalid"),
        ("create", b"<!DOCTYPE a><a/>", "payload_invalid"),
        ("create", b"<Outages/>", "message_invalid"),
    ],
)
def test_what_is_no_message_is_refused_before_it_is_sent(
    verb: str, payload: bytes, code: str
) -> None:
    with pytest.raises(ClientError) as error:
        compose(verb, "Outages", payload, source="OMS-1")
    assert error.value.code == code


def test_the_key_comes_from_a_file_and_is_in_no_text(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n", encoding="utf-8")
    config = configure("https://gateway", key_file=file)
    assert config.headers == {"X-API-Key": KEY}
    with Client("https://gateway", key_file=file) as client:
        assert KEY not in f"{config} {config!r} {client!r} {vars(client)}"


@pytest.mark.parametrize(
    ("url", "told", "code"),
    [
        ("gateway:8080", {}, "url_invalid"),
        ("ftp://gateway", {}, "url_invalid"),
        ("https://", {}, "url_invalid"),
        ("http://gateway", {"key": KEY}, "key_unencrypted"),
        ("https://gateway", {"key": f"{KEY}\r\nX: y"}, "key_unreadable"),
        ("https://gateway", {"key": "two keys"}, "key_unreadable"),
        ("https://gateway", {"key_file": "/nowhere/key"}, "key_unreadable"),
    ],
)
def test_what_could_give_the_key_away_or_not_work_is_refused_at_once(
    url: str, told: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        configure(url, **told)  # type: ignore[arg-type]
    assert error.value.code == code
    assert KEY not in str(error.value)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"])
def test_on_this_machine_a_key_may_travel_as_it_is(url: str) -> None:
    assert configure(url, key=KEY).headers


def test_a_proxy_may_have_tls_instead() -> None:
    assert configure("http://proxy", key=KEY, tls_elsewhere=True).headers
