"""Every WSDL of the door, read by a client of another make, and messages made from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import zeep
from lxml import etree
from zeep.transports import Transport

from connectors.soap import wsdl
from connectors.soap.carried import operation
from schemas.envelope import Message, read
from schemas.errors import MessageError
from schemas.profiles import DOCUMENTS, profile
from schemas.profiles.published import published
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.soap_client import CATALOGUE, MSG, Client
from topics import Catalogue

EXAMPLES = Path(__file__).parents[3] / "examples"
SERVICES = wsdl.services(CATALOGUE)
NOUNS = [noun for noun in CATALOGUE.nouns.values() if noun.profile is not None]


class ByDoor(Transport):
    """Brings zeep's requests to a door without a socket."""

    def __init__(self, catalogue: Catalogue = CATALOGUE) -> None:
        super().__init__()
        self.exchange = FakeExchange()
        self._client = Client(self.exchange, catalogue=catalogue)

    def load(self, url: str) -> bytes:
        parts = urlsplit(url)
        response = self._client("GET", f"{parts.path}?{parts.query}")
        assert response.status_code == 200, url
        return response.content

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> Any:
        return self._client("POST", urlsplit(address).path, content=message, headers=headers)


BY_DOOR = ByDoor()


@cache
def client_of(interface: str, noun: str) -> zeep.Client:
    path = SERVICES[interface, noun].path
    return zeep.Client(f"http://door{path}?wsdl", transport=BY_DOOR)


@cache
def schema_of(noun: str) -> etree.XMLSchema:
    entry = CATALOGUE.nouns[noun]
    assert entry.profile is not None
    return etree.XMLSchema(etree.fromstring(published(entry.profile, noun)))


def examples() -> list[tuple[str, Message]]:
    """The examples whose payload is valid as a whole against the schema that is published."""
    found = []
    for file in sorted(EXAMPLES.rglob("*.xml")):
        try:
            message = read(file.read_bytes())
        except MessageError:
            continue
        noun = None if message.header is None else CATALOGUE.noun(message.header.noun)
        if noun is None or message.header is None or message.payload is None:
            continue
        if noun.profile in DOCUMENTS:  # zeep reads no RDF
            continue
        refusal = CATALOGUE.refusal(noun.home, noun.name, message.header.verb)
        if refusal is None and schema_of(noun.name).validate(message.payload):
            found.append((file.name, message))
    return found


# zeep writes PT60M as PT1H; a duration is kept as it was written.
REWRITTEN = {"publication-market-document-reply.xml"}
VALID = [(name, message) for name, message in examples() if name not in REWRITTEN]


def test_there_is_a_service_for_every_interface_and_for_every_noun_that_enters() -> None:
    offered = {
        (interface, noun, operation.name)
        for (interface, noun), service in SERVICES.items()
        if noun
        for operation in service.operations
    }
    allowed = {
        (interface.id, noun, operation(verb, noun))
        for interface in CATALOGUE.interfaces.values()
        for noun, verbs in interface.accepts.items()
        for verb in verbs
        if CATALOGUE.refusal(interface.id, noun, verb) is None
    }
    assert offered == allowed
    assert {interface for interface, noun in SERVICES if not noun} == set(CATALOGUE.interfaces)


@pytest.mark.parametrize(("interface", "noun"), SERVICES)
def test_zeep_understands_every_wsdl(interface: str, noun: str) -> None:
    client = client_of(interface, noun)
    service = SERVICES[interface, noun]
    (found,) = client.wsdl.services.values()
    assert len(found.ports) == 2
    for port in found.ports.values():
        assert set(port.binding._operations) == {one.name for one in service.operations}
        assert port.binding_options["address"] == f"http://door{service.path}"


def test_enough_examples_are_valid_to_say_something() -> None:
    assert len(VALID) > 70
    assert len({message.header.noun for _, message in VALID if message.header}) > 30


@pytest.mark.parametrize(("name", "message"), VALID, ids=[name for name, _ in VALID])
def test_what_zeep_makes_of_a_typed_wsdl_means_what_the_message_meant(
    name: str, message: Message
) -> None:
    header = message.header
    assert header is not None
    assert message.payload is not None
    noun = CATALOGUE.noun(header.noun)
    assert noun is not None
    assert noun.profile is not None
    client = client_of(noun.home, noun.name)
    payload = client.get_element(message.payload.tag).parse(message.payload, client.wsdl.types)
    fields: dict[str, Any] = {"Verb": header.verb, "Noun": noun.name, "Source": header.source}
    if header.message_id:
        fields["MessageID"] = header.message_id
    parts: dict[str, Any] = {"Header": fields, "Payload": {noun.name: payload}}
    if header.verb == "reply":
        parts["Reply"] = {"Result": "OK"}
    answer = client.service[operation(header.verb, noun.name)](**parts)
    assert answer.Reply.Result == "OK"
    arrived = read(BY_DOOR.exchange.log[-1].message.value).payload
    assert arrived is not None
    reader = profile(noun.profile)
    before, after = (reader.read(one, header.verb) for one in (message.payload, arrived))
    assert [(one.key, one.body) for one in before.items] == [
        (one.key, one.body) for one in after.items
    ]


def test_zeep_sends_the_generic_form_and_reads_its_answer() -> None:
    _, message = next(one for one in VALID if one[0] == "outages-create.xml")
    client = client_of("I1", "")
    fields = {"Verb": "create", "Noun": "Outages", "Source": "EMS", "MessageID": "z-1"}
    answer = client.service.Request(
        message={"Header": fields, "Payload": {"_value_1": [message.payload]}}
    )
    assert answer.Reply.Result == "OK"
    event = {**fields, "Verb": "created", "MessageID": "z-2"}
    answer = client.service.PublishEvent(
        message={"Header": event, "Payload": {"_value_1": [message.payload]}}
    )
    assert (answer.Reply.Result, answer.Reply.Error[0].code) == ("OK", "0.3")


def test_zeep_asks_a_query_with_criteria_and_reads_its_answer() -> None:
    noun = CATALOGUE.nouns["Outages"]
    asked = replace(noun, verbs=noun.verbs | {"get"}, planned_verbs=frozenset())
    catalogue = replace(CATALOGUE, nouns={**CATALOGUE.nouns, "Outages": asked})
    transport = ByDoor(catalogue)
    client = zeep.Client("http://door/soap/I1/Outages?wsdl", transport=transport)
    answer = client.service.GetOutages(
        Header={"Verb": "get", "Noun": "Outages", "Source": "OMS", "MessageID": "q-1"},
        Request={"StartTime": "2026-01-01T00:00:00Z", "ID": [{"_value_1": "o-1", "kind": "name"}]},
    )
    assert answer.Reply.Result == "OK"
    message = read(transport.exchange.log[0].message.value)
    assert [one.value for one in message.request_ids] == ["o-1"]


def test_zeep_reads_a_fault_and_the_error_in_it() -> None:
    client = client_of("I7", "MeterReadings")
    fields = {"Verb": "create", "Noun": "EndDeviceEvents", "Source": "HES"}
    with pytest.raises(zeep.exceptions.Fault) as caught:
        client.service.CreateMeterReadings(Header=fields)
    assert caught.value.detail.findtext(f".//{{{MSG}}}code") == "5.2"


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.name)
def test_the_published_schema_of_a_noun_is_one_of_its_namespace(noun: Any) -> None:
    root = etree.fromstring(published(noun.profile, noun.name))
    assert etree.XMLSchema(root) is not None
    assert root.get("targetNamespace") == noun.namespaces[0]
    roots = [element.get("name") for element in root if etree.QName(element).localname == "element"]
    assert noun.name in roots


def test_what_there_is_not_is_not_described() -> None:
    client = Client(FakeExchange())
    for path in ("/soap/I7", "/soap/I7?xsd=nothing", "/soap/I7/Nothing?wsdl", "/soap/I99?wsdl"):
        response = client("GET", path)
        assert (response.status_code, b"Ask for ?wsdl" in response.content) == (404, True)


def test_the_address_is_how_the_asker_came_and_never_markup() -> None:
    client = Client(FakeExchange())
    odd = client("GET", "/soap/I7?WSDL", headers={"Host": 'a"/><b'})
    assert b'<soap:address location="/soap/I7"/>' in odd.content
