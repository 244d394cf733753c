"""SOAP from outside: zeep on real sockets, a real Kafka, `cimstream run` behind the gateway."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import zeep
from lxml import etree
from xmlsec import constants
from zeep.wsse import utils
from zeep.wsse.compose import Compose
from zeep.wsse.signature import BinarySignature
from zeep.wsse.username import UsernameToken

from connectors.access import key_hash, new_key
from connectors.soap import wsdl
from connectors.soap.carried import operation
from schemas.envelope import Kind, Message
from tests.integration.data_rig import make_topics, message
from tests.integration.gateway.node import called, node_soap
from tests.integration.gateway.rig import GatewayRun, awaited, make_gateway, new_source, of, written
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import Run, make_run
from tests.unit.gateway.certificates import pair
from tests.unit.gateway.soap_client import CATALOGUE, SOAP_11, enveloped, fault_of, result_of
from tests.unit.gateway.test_soap_wsdl import VALID

pytestmark = pytest.mark.integration

SERVICES = wsdl.services(CATALOGUE)
LOG = "cim.i7.meter-readings"
PASSWORD = "what both know"


@pytest.fixture(scope="module")
def processing(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What answers, on all interfaces."""
    others = [word for one in CATALOGUE.interfaces if one != "I7" for word in ("--interface", one)]
    with contextmanager(make_run)(kafka, tmp_path_factory.mktemp("run")) as start_run:
        run = start_run(*others)
        run.await_event("partitions assigned")
        yield run


@pytest.fixture(scope="module")
def start(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., GatewayRun]]:
    make_topics(kafka)
    nonces = tmp_path_factory.mktemp("nonces") / "nonces.sqlite"
    with contextmanager(make_gateway)(kafka) as start_gateway:

        def started(*arguments: str) -> GatewayRun:
            return start_gateway(*arguments, CIMSTREAM__SOAP__NONCE_FILE=str(nonces))

        yield started


@pytest.fixture(scope="module")
def gateway(start: Callable[..., GatewayRun], processing: Run) -> GatewayRun:
    """One without access file."""
    return start()


def post(gateway: GatewayRun, body: bytes) -> httpx.Response:
    """One POST on a connection of its own."""
    said = {"Content-Type": SOAP_11.media}
    return httpx.post(f"{gateway.url}/soap/I7", content=body, headers=said, timeout=PATIENCE_S)


def exchanged(client: zeep.Client, proxy: Any, noun: str, example: Message, source: str) -> Any:
    """Send what an example says by a service, that of its noun or (`noun` "") the generic one."""
    header, payload = example.header, example.payload
    assert header is not None
    assert payload is not None
    fields = {
        "Verb": header.verb, "Noun": header.noun, "Source": source, "AckRequired": True,
        "MessageID": str(uuid.uuid4()),
    }  # fmt: skip
    if not noun:
        kind = "Request" if example.kind is Kind.REQUEST else "PublishEvent"
        return proxy[kind](message={"Header": fields, "Payload": {"_value_1": [payload]}})
    parsed = client.get_element(payload.tag).parse(payload, client.wsdl.types)
    return proxy[operation(header.verb, noun)](Header=fields, Payload={noun: parsed})


def suitable(interface: str, nouns: Iterable[str]) -> Message | None:
    """An example of one of the nouns that may enter there."""
    for _, example in VALID:
        header = example.header
        if header is None or header.verb == "reply" or header.noun not in nouns:
            continue
        if CATALOGUE.refusal(interface, header.noun, header.verb) is None:
            return example
    return None


def test_zeep_consumes_every_wsdl_and_exchanges_a_message_with_every_service(
    gateway: GatewayRun, kafka: str
) -> None:
    """Each port in turn, so both versions; what is valid is taken, whatever the pipeline says."""
    source = new_source()
    sent = 0
    for number, ((interface, noun), service) in enumerate(SERVICES.items()):
        client = zeep.Client(f"{gateway.url}{service.path}?wsdl")
        port = (f"{service.name}_soap", f"{service.name}_soap12")[number % 2]
        proxy = client.bind(service.name, port)
        example = suitable(interface, [noun] if noun else CATALOGUE.interfaces[interface].accepts)
        if example is None:
            continue
        reply = exchanged(client, proxy, noun, example, source).Reply
        assert reply.Result in ("OK", "PARTIAL", "FAILED"), service.path
        sent += 1
    assert sent > 45
    arrived = [of(kafka, f"cim.{i.lower()}.inbound", source) for i in CATALOGUE.interfaces]
    assert sum(map(len, arrived)) == sent


def test_a_message_that_is_sent_again_gets_the_same_answer_and_another_content_a_refusal(
    gateway: GatewayRun, kafka: str
) -> None:
    source = new_source()
    body = message("s-1", source=source)
    first, again = post(gateway, enveloped(body)), post(gateway, enveloped(body))
    assert result_of(first) == result_of(again) == "OK"
    assert first.content == again.content
    other = post(gateway, enveloped(body.replace(b"1.5", b"2.5")))
    assert result_of(other) == "FAILED"
    assert b"identity_conflict" in other.content
    rest = httpx.post(
        f"{gateway.url}/v1/I7/messages", content=body, headers={"Content-Type": "application/xml"},
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert rest.status_code == 200
    assert b"<msg:CorrelationID>s-1" in rest.content
    assert len(of(kafka, LOG, source)) == 1


def test_a_gateway_killed_with_a_call_open_answers_when_the_message_is_sent_again(
    start: Callable[..., GatewayRun], processing: Run, kafka: str
) -> None:
    subject, source = start(), new_source()
    for number in range(20):
        body = enveloped(message(f"k-{number}", source=source))
        if number % 5 == 4:
            subject.kill()
        (answer,) = awaited(lambda body=body: _answers(subject, body), 1)  # type: ignore[misc]
        assert result_of(answer) == "OK"
    assert len(of(kafka, LOG, source)) == 20
    assert subject.end() == 0


def _answers(gateway: GatewayRun, body: bytes) -> list[httpx.Response]:
    try:
        response = post(gateway, body)
    except httpx.TransportError:
        return []
    return [response] if response.status_code == 200 else []


class Unsigned(BinarySignature):
    """Signs what is sent, and does not ask the answer to be signed."""

    def verify(self, envelope: etree._Element) -> etree._Element:
        return envelope


@pytest.fixture(scope="module")
def guarded(
    start: Callable[..., GatewayRun], processing: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """A gateway of two processes with an access file, and what HES-SOAP proves itself with."""
    folder = tmp_path_factory.mktemp("access")
    made, key, source = pair(folder, "hes"), new_key(), new_source()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    access = written(
        folder,
        f"""
[sources.{source}]
keys = ["{key_hash(key)}"]
password_file = "{secret}"
signing_certificate_files = ["{made.certificate}"]

[[sources.{source}.allow]]
interface = "I7"
nouns = ["MeterReadings"]
verbs = ["create"]
""",
    )
    gateway = start("--processes", "2", "--access-file", str(access))
    yield {"gateway": gateway, "pair": made, "key": key, "source": source}
    log = "".join(map(str, gateway.lines))
    assert PASSWORD not in log
    assert key not in log


def test_every_way_to_prove_who_one_is_lets_in_and_none_is_asked_for(
    guarded: dict[str, Any],
) -> None:
    gateway, source = guarded["gateway"], guarded["source"]
    assert fault_of(post(gateway, enveloped(message(source=source))))[1] == "authentication_needed"
    url = f"{gateway.url}/soap/I7/MeterReadings?wsdl"
    signing = Unsigned(
        str(guarded["pair"].key), str(guarded["pair"].certificate),
        signature_method=constants.TransformRsaSha256, digest_method=constants.TransformSha256,
    )  # fmt: skip
    stamp = utils.WSU.Timestamp()
    stamp.append(utils.WSU.Created(utils.get_timestamp(dt.datetime.now(dt.UTC))))
    for proof in (
        UsernameToken(source, PASSWORD, use_digest=True),
        UsernameToken(source, guarded["key"]),
        Compose([UsernameToken(source, guarded["key"], timestamp_token=stamp), signing]),
    ):
        client = zeep.Client(url, wsse=proof)
        _, example = next(one for one in VALID if one[0] == "create-with-receipt.xml")
        answer = exchanged(client, client.service, "MeterReadings", example, source)
        assert answer.Reply.Result == "OK"


def test_a_nonce_that_was_overheard_is_of_no_use_at_any_process_nor_after_a_restart(
    guarded: dict[str, Any],
) -> None:
    gateway, source = guarded["gateway"], guarded["source"]
    envelope = etree.fromstring(enveloped(message("n-1", source=source), header=" "))
    UsernameToken(source, PASSWORD, use_digest=True).apply(envelope, {})
    own = etree.tostring(envelope)
    other = own.replace(b"n-1", b"n-2")
    assert result_of(post(gateway, own)) == "OK"
    for body, number in itertools.product((own, other), range(8)):
        response = post(gateway, body)  # a connection of its own: either process
        if body is own:
            assert result_of(response) == "OK", number
        else:
            assert fault_of(response)[1] == "security_replayed", number
    gateway.kill()
    for _ in range(4):
        (response,) = awaited(lambda: _any(gateway, other), 1)
        assert fault_of(response)[1] == "security_replayed"


def _any(gateway: GatewayRun, body: bytes) -> list[httpx.Response]:
    try:
        return [post(gateway, body)]
    except httpx.TransportError:
        return []


def test_a_wsdl_is_for_everybody_who_reaches_the_door(guarded: dict[str, Any]) -> None:
    response = httpx.get(f"{guarded['gateway'].url}/soap/I7?wsdl")
    assert response.status_code == 200
    assert f'location="{guarded["gateway"].url}/soap/I7"' in response.text


def readings(source: str) -> dict[str, Any]:
    """One reading as a client of Node says it."""
    reading = {
        "timeStamp": "2026-01-01T00:00:00Z",
        "value": "1.5",
        "ReadingType": {"attributes": {"ref": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"}},
    }
    header = {
        "Verb": "create", "Noun": "MeterReadings", "Source": source,
        "MessageID": str(uuid.uuid4()),
    }  # fmt: skip
    meter = {"Meter": {"mRID": "0000aaaa-1111-4222-8333-44445555bbbb"}, "Readings": [reading]}
    return {"Header": header, "Payload": {"MeterReadings": {"MeterReading": [meter]}}}


@pytest.mark.parametrize("soap12", [False, True], ids=["1.1", "1.2"])
def test_the_client_of_node_exchanges_typed_messages_and_reads_faults(
    gateway: GatewayRun, kafka: str, soap12: bool
) -> None:
    folder, source = node_soap(), new_source()
    asked: dict[str, Any] = {
        "wsdl": f"{gateway.url}/soap/I7/MeterReadings?wsdl", "soap12": soap12,
        "operation": "CreateMeterReadings", "args": readings(source),
    }  # fmt: skip
    outcome = called(folder, **asked)
    assert outcome.get("result", outcome)["Reply"]["Result"] == "OK"
    assert len(of(kafka, LOG, source)) == 1
    asked["args"]["Header"]["Noun"] = "EndDeviceEvents"
    fault = called(folder, **asked)["fault"]
    detail = fault.get("detail") or fault["Detail"]
    assert "noun_mismatch" in json.dumps(detail)


def test_the_client_of_node_proves_who_it_is_by_digest_and_by_signature(
    guarded: dict[str, Any],
) -> None:
    folder, source = node_soap(), guarded["source"]
    proofs = (
        {"password": {"name": source, "password": PASSWORD}},
        {"certificate": {"key": str(guarded["pair"].key),
                         "certificate": str(guarded["pair"].certificate)}},
    )  # fmt: skip
    for proof in proofs:
        outcome = called(
            folder,
            wsdl=f"{guarded['gateway'].url}/soap/I7/MeterReadings?wsdl",
            operation="CreateMeterReadings", args=readings(source), **proof,
        )  # fmt: skip
        assert outcome.get("result", outcome)["Reply"]["Result"] == "OK"
    outcome = called(
        folder,
        wsdl=f"{guarded['gateway'].url}/soap/I7/MeterReadings?wsdl",
        operation="CreateMeterReadings", args=readings(source),
        password={"name": source, "password": "guessed"},
    )  # fmt: skip
    assert "authentication_failed" in json.dumps(outcome["fault"])
