"""What every message goes through on its way into Kafka."""

from __future__ import annotations

import hashlib

import pytest

from connectors.inbound import REFUSED_HEAD_BYTES, UnknownInterfaceError, admit, refuse
from schemas.envelope import peek_header
from schemas.identity import identify
from topics import Catalogue, load_catalogue

RECEIVED_MS = 1_767_225_600_000


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def message(
    *, noun: str = "MeterReadings", verb: str = "create", more: str = "", source: str = "HES-1"
) -> bytes:
    return (
        '<RequestMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header>'
        f"<Verb>{verb}</Verb><Noun>{noun}</Noun><Timestamp>2026-01-01T00:00:00Z</Timestamp>"
        f"<Source>{source}</Source>{more}</Header></RequestMessage>"
    ).encode()


ID = "<MessageID>6c1e</MessageID>"


def headers_of(found: tuple[tuple[str, bytes], ...]) -> dict[str, str]:
    return {name: value.decode() for name, value in found}


def test_a_message_enters_unchanged_and_keyed_by_its_identity(catalogue: Catalogue) -> None:
    data = message(more=ID)
    found = admit(data, "I7", catalogue, received_ms=RECEIVED_MS)
    assert (found.topic, found.value, found.code) == ("cim.i7.inbound", data, "")
    assert found.key == b"HES-1|MeterReadings|6c1e"
    assert found.identity == "HES-1|MeterReadings|6c1e"


def test_headers_carry_what_routing_needs_so_that_nobody_parses(catalogue: Catalogue) -> None:
    more = (
        "<MessageID>6c1e</MessageID><CorrelationID>c-1</CorrelationID>"
        "<Property><Name>Destination</Name><Value>MDM</Value></Property>"
    )
    found = admit(
        message(more=more), "I7", catalogue, received_ms=RECEIVED_MS, traceparent="00-a-b-01"
    )
    assert headers_of(found.headers) == {
        "content-type": "application/xml",
        "ce_specversion": "1.0",
        "ce_id": "6c1e",
        "ce_source": "HES-1",
        "ce_type": "cim.MeterReadings.create",
        "ce_time": "2026-01-01T00:00:00Z",
        "ce_interface": "I7",
        "ce_noun": "MeterReadings",
        "ce_verb": "create",
        "ce_correlationid": "c-1",
        "ce_destination": "MDM",
        "traceparent": "00-a-b-01",
    }


def test_admitting_is_pure(catalogue: Catalogue) -> None:
    data = message(more=ID)
    first = admit(data, "I7", catalogue, received_ms=RECEIVED_MS)
    assert admit(data, "I7", catalogue, received_ms=RECEIVED_MS) == first


def test_a_repeat_in_another_serialisation_gets_the_same_key(catalogue: Catalogue) -> None:
    plain = admit(message(more=ID), "I7", catalogue, received_ms=1)
    other = message(more=ID).replace(b"<", b"<m:").replace(b"<m:/", b"</m:")
    other = b"\xef\xbb\xbf" + other.replace(b"xmlns=", b"xmlns:m=")
    assert peek_header(other) is not None
    assert admit(other, "I7", catalogue, received_ms=2).key == plain.key


def test_without_a_message_id_the_content_names_the_message(catalogue: Catalogue) -> None:
    data = message()
    header = peek_header(data)
    assert header is not None
    found = admit(data, "I7", catalogue, received_ms=RECEIVED_MS)
    assert found.key == identify(header, data).key
    assert b"|sha256:" in found.key


def test_what_changes_a_register_is_keyed_by_its_noun(catalogue: Catalogue) -> None:
    noun = next(noun for noun in catalogue.nouns.values() if noun.kind == "register")
    change = admit(message(noun=noun.name, more=ID), noun.home, catalogue, received_ms=0)
    query = admit(message(noun=noun.name, verb="get", more=ID), noun.home, catalogue, received_ms=0)
    assert change.key == noun.name.encode()
    assert query.key == f"HES-1|{noun.name}|6c1e".encode()


def test_another_context_is_another_identity(catalogue: Catalogue) -> None:
    found = admit(message(more="<Context>TRAINING</Context>" + ID), "I7", catalogue, received_ms=0)
    assert found.key == b"TRAINING|HES-1|MeterReadings|6c1e"
    assert found.topic == "cim.i7.inbound"


@pytest.mark.parametrize(
    "data",
    [b"", b"not XML", b"\xff\xfe\x00", b"<a/>", message(more=ID)[:60], message(source="x" * 2000)],
)
def test_what_cannot_be_read_enters_keyed_by_its_digest(catalogue: Catalogue, data: bytes) -> None:
    found = admit(data, "I7", catalogue, received_ms=RECEIVED_MS)
    digest = hashlib.sha256(data).hexdigest()
    assert (found.topic, found.value, found.code) == ("cim.i7.inbound", data, "")
    assert found.key == f"sha256|{digest}".encode()
    told = headers_of(found.headers)
    assert told["content-type"] == "application/octet-stream"
    assert {"ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion"} <= told.keys()


def test_the_largest_message_enters_and_one_byte_more_does_not(catalogue: Catalogue) -> None:
    limit = catalogue.bytes_max("I7")
    assert admit(b"x" * limit, "I7", catalogue, received_ms=0).topic == "cim.i7.inbound"
    refused = admit(b"x" * (limit + 1), "I7", catalogue, received_ms=0)
    assert (refused.topic, refused.code) == ("cim.i7.rejected", "message_too_large")


def test_of_an_oversize_its_start_size_and_digest_are_kept(catalogue: Catalogue) -> None:
    data = message(more=ID).ljust(10_000_000)
    refused = admit(data, "I7", catalogue, received_ms=0, origin="drop/day.xml")
    told = headers_of(refused.headers)
    assert refused.value == data[:REFUSED_HEAD_BYTES]
    assert told["cimstream_size"] == "10000000"
    assert told["cimstream_sha256"] == hashlib.sha256(data).hexdigest()
    assert told["cimstream_where"] == "drop/day.xml"
    assert told["__connect.errors.topic"] == "cim.i7.inbound"
    assert "10000000" in told["cimstream_why"]
    assert told["cimstream_fix"]
    assert (told["ce_source"], refused.key) == ("HES-1", b"HES-1|MeterReadings|6c1e")


def test_an_oversize_of_a_training_message_is_not_in_the_production_log(
    catalogue: Catalogue,
) -> None:
    data = message(more="<Context>TRAINING</Context>" + ID).ljust(10_000_000)
    assert admit(data, "I7", catalogue, received_ms=0).topic == "cim.training.i7.rejected"


def test_a_refusal_always_goes_to_a_topic_that_exists(catalogue: Catalogue) -> None:
    """Parallel contexts have topics only where an interface has nouns that are handled."""
    existing = {spec.name for spec in catalogue.topics()}
    for interface in catalogue.interfaces:
        for context in (*catalogue.contexts, "PRODUCTION", "NONSENSE"):
            data = message(more=f"<Context>{context}</Context>" + ID)
            assert admit(data, interface, catalogue, received_ms=0).refusals in existing


def test_a_refusal_of_an_admitted_message_fits_and_says_why(catalogue: Catalogue) -> None:
    data = message(more=ID).ljust(1_000_000)
    refused = refuse(
        admit(data, "I7", catalogue, received_ms=0), "produce_refused", "too big", origin="a.xml"
    )
    told = headers_of(refused.headers)
    assert refused.topic == "cim.i7.rejected"
    assert len(refused.value) == REFUSED_HEAD_BYTES
    assert (told["cimstream_code"], told["cimstream_why"]) == ("produce_refused", "too big")
    assert told["cimstream_size"] == "1000000"
    assert [name for name, _ in refused.headers].count("content-type") == 1


def test_an_unknown_interface_is_the_callers_error(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownInterfaceError, match="'I12'") as error:
        admit(message(more=ID), "I12", catalogue, received_ms=0)
    assert "I1, I2" in error.value.fix
