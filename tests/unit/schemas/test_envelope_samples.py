"""Real messages, where they are: the folder named by CIMSTREAM_SAMPLES or ../shared/samples."""

import os
from pathlib import Path

import pytest
from lxml import etree

from schemas.envelope import Header, Kind, peek_header, read, write
from schemas.errors import MessageError
from schemas.identity import content_digest, identify

ROOT = Path(__file__).parents[3]
SAMPLES = Path(os.environ.get("CIMSTREAM_SAMPLES", ROOT.parent / "shared" / "samples"))

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real samples are not here")


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


MEASUREMENTS = "GrossGeneratorActivePowerOutputMeasurements"
STEAM = "SteamGenerationSystemOutputTemperatureMeasurements"


@pytest.mark.parametrize(
    ("name", "verb", "noun"),
    [
        ("create_GrossGeneratorActivePowerOutputMeasurements.xml", "create", MEASUREMENTS),
        ("get_GrossGeneratorActivePowerOutputMeasurements.xml", "get", MEASUREMENTS),
        ("create_SteamOutputTemperatureMeasurements.xml", "create", STEAM),
        ("create_NuclearGenerationUnitOutages.xml", "create", "NuclearGenerationUnitOutages"),
        ("get_NuclearGenerationUnitOutages.xml", "get", "NuclearGenerationUnitOutages"),
        ("create_MaintenanceOrders_emptypayload.xml", "create", "MaintenanceOrders"),
    ],
)
def test_typed_requests_of_a_real_project_are_read(name: str, verb: str, noun: str) -> None:
    data = sample(f"61968-100/{name}")
    found = read(data)
    assert found.kind is Kind.REQUEST
    assert found.header is not None
    assert (found.header.verb, found.header.noun) == (verb, noun)
    assert found.header.timestamp_ms is not None
    assert identify(found.header, data).key.endswith(found.header.message_id.encode())
    assert peek_header(data) == found.header
    assert (found.payload is None) == (verb == "get")
    assert (found.request is None) == (verb == "create")
    # The generic form of edition 1 says the same.
    assert content_digest(read(write(found))) == content_digest(found)


def test_a_bare_payload_is_no_message() -> None:
    data = sample("61968-100/spectroscopy_sample.xml")
    with pytest.raises(MessageError) as caught:
        read(data)
    assert caught.value.code == "root_unknown"
    assert peek_header(data) is None


def test_a_response_with_a_requests_verb_is_a_response() -> None:
    wrapper = etree.fromstring(sample("extracted/gruijter_soap12_ResponseMessage_OK.xml"))
    (body,) = wrapper
    inner = etree.tostring(body[0])
    found = read(inner)
    assert found.kind is Kind.RESPONSE
    assert (
        found.header == Header("create", "ETP-DOCUMENT", ack_required=False) == peek_header(inner)
    )
    assert found.reply is not None
    assert found.reply.result == "OK"


@pytest.mark.parametrize(
    "folder", ["61968-4", "62325", "cap", "espi", "openadr", "rdfxml", "xsd", "extracted"]
)
def test_documents_that_are_no_messages_are_refused_by_name(folder: str) -> None:
    for file in sorted((SAMPLES / folder).iterdir()):
        with pytest.raises(MessageError) as caught:
            read(file.read_bytes())
        assert caught.value.code in ("root_unknown", "xml_not_wellformed", "xml_encoding"), (
            file.name
        )
        assert peek_header(file.read_bytes()) is None, file.name
