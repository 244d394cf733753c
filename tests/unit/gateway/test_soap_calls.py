"""Calls to SOAP servers over sockets: what is sent, and what each answer means."""

from __future__ import annotations

import asyncio
import http.server
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from connectors.access import Rule, SourceAccess
from connectors.soap import wsdl
from connectors.soap.client import (
    Declined,
    Endpoint,
    Faulted,
    NotSentError,
    Outcome,
    Replied,
    SoapClient,
    UncertainError,
)
from connectors.soap.namespaces import ABSTRACT, WSSE
from schemas.envelope import peek_header, read
from schemas.errors import MessageError
from tests.integration.data_rig import message
from tests.integration.gateway.node import HERE, node_soap
from tests.unit.gateway.certificates import pair
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.soap_client import CATALOGUE, MSG, SOAP_11, SOAP_12, Client, enveloped

READINGS = wsdl.services(CATALOGUE)["I7", "MeterReadings"]
TYPED = "http://iec.ch/TC57/2011/MeterReadingsMessage"
Answering = Callable[[bytes, dict[str, str]], tuple[int, bytes, dict[str, str]]]


@contextmanager
def server(answering: Answering, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """An HTTP server; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = {name.lower(): value for name, value in self.headers.items()}
            status, data, headers = answering(body, names)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    serving = threading.Thread(target=listening.serve_forever, args=(0.01,))
    serving.start()
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://localhost:{listening.server_address[1]}/soap/I7"
    finally:
        listening.shutdown()
        serving.join()
        listening.server_close()


def call(endpoint: Endpoint, data: bytes | None = None) -> Outcome:
    async def calling() -> Outcome:
        client = SoapClient()
        try:
            return await client.call(endpoint, message("m-1") if data is None else data)
        finally:
            await client.close()

    return asyncio.run(calling())


@contextmanager
def gateway(client: Client) -> Iterator[str]:
    """Our own door as the other system: what it accepts from itself it accepts from others."""

    def answering(body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        kept = {n: v for n, v in headers.items() if n in ("content-type", "soapaction")}
        response = client("POST", "/soap/I7", content=body, headers=kept)
        return response.status_code, response.content, {}

    with server(answering) as url:
        yield url


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12], ids=["1.1", "1.2"])
@pytest.mark.parametrize(("form", "namespace", "root"), [
    ("bare", "", "ResponseMessage"),
    ("wrapped", ABSTRACT, "Message"),
    ("typed", TYPED, "MeterReadingsResponseMessage"),
])  # fmt: skip
def test_a_message_goes_out_in_the_form_of_the_server_and_its_reply_comes_back(
    version: object, form: str, namespace: str, root: str
) -> None:
    exchange = FakeExchange()
    with gateway(Client(exchange)) as url:
        endpoint = Endpoint(url, version, form, namespace)  # type: ignore[arg-type]
        outcome = call(endpoint)
    assert isinstance(outcome, Replied)
    assert etree.QName(etree.fromstring(outcome.data)).localname == root
    answer = read(outcome.data)
    assert (answer.reply and answer.reply.result) == "OK"
    header = peek_header(exchange.log[0].message.value)
    assert header == peek_header(message("m-1"))


def test_a_digest_goes_with_the_call_and_is_new_each_time(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_bytes(b"shared")
    secret.chmod(0o600)
    rule = Rule(interface="I7", nouns=("MeterReadings",), verbs=("create",))
    client = Client(FakeExchange(), {"HES-1": SourceAccess(password_file=secret, allow=(rule,))})
    with gateway(client) as url:
        endpoint = Endpoint(url, username="HES-1", password=b"shared")
        for number in range(3):
            assert isinstance(call(endpoint, message(f"m-{number}")), Replied)
        wrong = call(replace(endpoint, password=b"guessed"))
    assert isinstance(wrong, Faulted)
    assert (wrong.code, wrong.at_sender) == ("wsse:FailedAuthentication", False)
    assert b"shared" not in repr(endpoint).encode()


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12], ids=["1.1", "1.2"])
def test_a_fault_is_told_apart_by_whose_it_is_and_has_its_detail(version: object) -> None:
    exchange = FakeExchange()
    with gateway(Client(exchange)) as url:
        endpoint = Endpoint(url, version)  # type: ignore[arg-type]
        bad = call(endpoint, message("m-1").replace(b"MeterReadings", b"Readings"))
        exchange.away = True
        away = call(endpoint)
    assert isinstance(bad, Faulted)
    assert isinstance(away, Faulted)
    assert (bad.at_sender, away.at_sender) == (True, False)
    assert "noun_unknown" in bad.text
    reply = read(away.detail).reply
    assert reply is not None
    assert reply.errors[0].code == "5.2"


ANSWERS = {
    "nothing": (202, b"", {}, Replied(b"")),
    "an empty Body": (200, enveloped(b" "), {}, Replied(b"")),
    "no SOAP": (200, b"<html/>", {}, Declined(200, None)),
    "no XML": (502, b"bad gateway", {}, Declined(502, None)),
    "busy": (503, b"", {"Retry-After": "7"}, Declined(503, 7)),
    "elsewhere": (307, b"", {"Location": "http://localhost:1/"}, Declined(307, None)),
    "a bomb": (200, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', {}, Declined(200, None)),
    "too much": (200, b"<a>" + b" " * 3000 + b"</a>", {}, Declined(200, None)),
}


@pytest.mark.parametrize(("status", "data", "headers", "outcome"), ANSWERS.values(), ids=ANSWERS)
def test_whatever_a_server_answers_is_an_outcome(
    status: int, data: bytes, headers: dict[str, str], outcome: Outcome
) -> None:
    with server(lambda *_: (status, data, headers)) as url:
        assert call(Endpoint(url, answer_bytes_max=2000)) == outcome


def test_a_server_that_is_not_there_got_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NotSentError):
        call(Endpoint(f"http://127.0.0.1:{port}/"))


def test_a_server_that_does_not_answer_may_have_got_it() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = Endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.2)
        with pytest.raises(UncertainError):
            call(endpoint)


def test_a_server_is_believed_by_its_certificate_only(tmp_path: Path) -> None:
    made = pair(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with server(lambda *_: (202, b"", {}), context) as url:
        assert call(Endpoint(url, ca_file=made.certificate)) == Replied(b"")
        with pytest.raises(NotSentError):
            call(Endpoint(url))


@contextmanager
def server_of_node(folder: Path) -> Iterator[str]:
    """A SOAP server of another make, from our WSDL of MeterReadings; its URL."""
    (folder / "service.wsdl").write_bytes(wsdl.document(READINGS, "http://localhost/crews"))
    for name, make in READINGS.documents.items():
        (folder / f"?xsd={name}").write_bytes(make())  # as the WSDL names them
    modules = node_soap() / "node_modules"
    with subprocess.Popen(
        ["node", str(HERE / "server.js"), str(folder / "service.wsdl"), "shared"],
        cwd=folder, env={**os.environ, "NODE_PATH": str(modules)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/crews"
        process.communicate()


def test_a_server_of_another_make_understands_the_call_and_its_answers_are_understood(
    tmp_path: Path,
) -> None:
    with server_of_node(tmp_path) as url:
        endpoint = Endpoint(
            url, SOAP_11, "typed", READINGS.messages, username="HES", password=b"shared"
        )
        for version in (SOAP_11, SOAP_12):
            outcome = call(replace(endpoint, version=version))
            assert isinstance(outcome, Replied)
            answer = read(outcome.data)
            assert answer.header is not None
            assert answer.reply is not None
            assert (answer.reply.result, answer.header.correlation_id) == ("OK", "m-1")
        wrong = call(replace(endpoint, password=b"guessed"))
        assert isinstance(wrong, Faulted)
        bare = message("m-1")
        without = bare[: bare.index(b"<Payload>")] + b"</RequestMessage>"
        refused = call(endpoint, without)
        assert isinstance(refused, Faulted)
        assert (refused.at_sender, refused.text) == (True, "no payload")


def test_what_is_no_message_is_not_sent() -> None:
    with pytest.raises(MessageError):
        call(Endpoint("http://127.0.0.1:1/"), b"<a/>")


def test_the_security_header_must_be_understood() -> None:
    seen: list[bytes] = []

    def answering(body: bytes, _: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        seen.append(body)
        return 202, b"", {}

    with server(answering) as url:
        call(Endpoint(url, username="A&B", password=b"p"))
    root = etree.fromstring(seen[0])
    block = root.find(f".//{{{WSSE}}}Security")
    assert block is not None
    assert block.get(f"{{{SOAP_11.namespace}}}mustUnderstand") == "1"
    assert root.findtext(f".//{{{WSSE}}}Username") == "A&B"
    assert root.find(f".//{{{MSG}}}RequestMessage") is not None
