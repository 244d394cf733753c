"""Client certificates and tokens at a real door: TLS sockets, the gateway's own server settings."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from connectors.access import (
    Access,
    Gatekeeper,
    Rule,
    SourceAccess,
    key_hash,
    load_access,
    new_key,
)
from connectors.rest.config import RestLimits
from connectors.rest.server import RestDoor
from streams.cli.gateway import check_safe
from streams.runtime.gateway.process import listen, server_config
from streams.runtime.settings import Gateway
from tests.authority import Authority, Certified
from tests.integration.data_rig import message
from tests.unit.gateway.fake import FakeExchange
from topics import load_catalogue
from topics.errors import OperatorError

PATIENCE_S = 20.0
CATALOGUE = load_catalogue()
KEY, OTHER_KEY = new_key(), new_key()
SIGNING = ec.generate_private_key(ec.SECP256R1())
METERS = (Rule(interface="I7", nouns=("MeterReadings",), verbs=("create",)),)
XML = {"Content-Type": "application/xml"}
ISS = "https://login.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def keys_file(folder: Path) -> Path:
    file = folder / "keys.json"
    public = {**json.loads(ECAlgorithm.to_jwk(SIGNING.public_key())), "kid": "e1"}
    file.write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def access(keys_file: Path) -> Access:
    issuer = {"issuer": ISS, "audience": "cimstream", "keys_file": keys_file}
    sources = {
        "HES-1": SourceAccess(
            keys=(key_hash(KEY),), certificates=("CN=hes-1,O=Utility",),
            tokens={"corp": ("hes-1",)}, allow=METERS,
        ),
        "HES-2": SourceAccess(
            keys=(key_hash(OTHER_KEY),), certificates=("DNS:hes-2.example",), allow=METERS
        ),
    }  # fmt: skip
    return Access.model_validate({"sources": sources, "issuers": {"corp": issuer}})


class Door:
    def __init__(self, port: int, authority: Authority, exchange: FakeExchange) -> None:
        self._url = f"https://127.0.0.1:{port}/v1/I7/messages"
        self._authority = authority
        self.exchange = exchange

    def post(
        self, certificate: Certified | None = None, source: str = "HES-1", **headers: str
    ) -> httpx.Response:
        trusting = ssl.create_default_context(cafile=str(self._authority.file))
        if certificate:
            trusting.load_cert_chain(certificate.certificate, certificate.key)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(verify=trusting, timeout=PATIENCE_S) as client:
            return client.post(self._url, content=message(source=source), headers={**XML, **named})

    def refused(self, *given: Any, **more: Any) -> str:
        """Why nobody comes in so."""
        response = self.post(*given, **more)
        assert response.status_code == 401, response.text
        return str(response.json()["detail"])


@contextmanager
def opened(authority: Authority, access: Access, **settings: Any) -> Iterator[Door]:
    made = authority.server()
    wanted = Gateway(
        certificate_file=made.certificate, key_file=made.key, client_ca_file=authority.file,
        **settings,
    )  # fmt: skip
    check_safe(wanted)
    exchange = FakeExchange()
    gatekeeper = Gatekeeper(access.sources, access.issuers)
    door = RestDoor(CATALOGUE, exchange, gatekeeper, RestLimits(), lambda *_: None)
    listening = listen("127.0.0.1", 0)
    listening.listen()
    server = uvicorn.Server(server_config(door.application(), wanted))
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
    thread.start()
    try:
        yield Door(listening.getsockname()[1], authority, exchange)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def door(authority: Authority, access: Access) -> Iterator[Door]:
    with opened(authority, access) as made:
        yield made


def token(subject: str = "hes-1") -> str:
    said = {"iss": ISS, "aud": "cimstream", "sub": subject, "exp": int(time.time()) + 60}
    return "Bearer " + jwt.encode(said, SIGNING, "ES256", {"kid": "e1"})


def test_the_subject_of_a_certificate_is_the_system(door: Door, authority: Authority) -> None:
    hes = authority.issue("CN=hes-1,O=Utility")
    assert door.post(hes).status_code == 200
    response = door.post(hes, source="HES-2")
    assert (response.status_code, response.json()["code"]) == (403, "source_mismatch")


def test_an_alternative_name_is_the_system_too(door: Door, authority: Authority) -> None:
    hes = authority.issue("", x509.DNSName("hes-2.example"))
    assert door.post(hes, source="HES-2").status_code == 200


def test_a_certificate_of_another_subject_is_nobody(door: Door, authority: Authority) -> None:
    assert "certificate" in door.refused(authority.issue("CN=hes-1,O=Utility,C=CH"))
    assert "certificate" in door.refused(authority.issue("CN=hes-1"))


@pytest.mark.parametrize("which", ["another authority's", "an expired one"])
def test_a_certificate_that_is_not_good_ends_the_connection(
    door: Door, authority: Authority, tmp_path: Path, which: str
) -> None:
    before = len(door.exchange.log)
    signing = authority if which == "an expired one" else Authority(tmp_path)
    bad = signing.issue("CN=hes-1,O=Utility", expired=which == "an expired one")
    with pytest.raises(httpx.TransportError):
        door.post(bad)
    with pytest.raises(httpx.TransportError):
        door.post(bad, X_API_Key=KEY)
    assert len(door.exchange.log) == before


def test_where_certificates_are_optional_a_key_or_a_token_will_do(door: Door) -> None:
    assert door.post(X_API_Key=KEY).status_code == 200
    assert door.post(Authorization=token()).status_code == 200
    assert door.post(Authorization=token().replace("Bearer", "bearer ")).status_code == 200
    response = door.post()
    assert (response.status_code, response.json()["code"]) == (401, "authentication_needed")
    assert "Bearer" in response.headers["www-authenticate"]
    assert "no system" in door.refused(Authorization=token("hes-9"))


def test_a_certificate_that_names_nobody_may_be_that_of_a_proxy(
    door: Door, authority: Authority
) -> None:
    assert door.post(authority.issue("CN=proxy"), X_API_Key=KEY).status_code == 200


def test_credentials_of_two_systems_are_those_of_none(door: Door, authority: Authority) -> None:
    hes = authority.issue("CN=hes-1,O=Utility")
    assert "different systems" in door.refused(hes, X_API_Key=OTHER_KEY)
    assert "different systems" in door.refused(Authorization=token(), X_API_Key=OTHER_KEY)
    both = authority.issue("CN=hes-1,O=Utility", x509.DNSName("hes-2.example"))
    assert "different systems" in door.refused(both)


def test_a_bad_credential_is_not_made_good_by_another(door: Door, authority: Authority) -> None:
    hes = authority.issue("CN=hes-1,O=Utility")
    assert "not known" in door.refused(hes, X_API_Key=new_key())
    assert "no token" in door.refused(hes, Authorization="Bearer x")


def test_where_certificates_are_required_nobody_connects_without(
    authority: Authority, access: Access
) -> None:
    with opened(authority, access, client_certificates="required") as strict:
        with pytest.raises(httpx.TransportError):
            strict.post(X_API_Key=KEY)
        assert strict.post(authority.issue("CN=hes-1,O=Utility")).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"client_certificates": "required"},
        {"client_ca_file": "ca.pem"},
        {"client_ca_file": "nowhere.pem", "certificate_file": "ca.pem", "key_file": "ca.pem"},
    ],
)
def test_settings_that_would_ask_nobody_for_a_certificate_are_refused(
    settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").touch(mode=0o600)
    files = {k: tmp_path / v if k.endswith("_file") else v for k, v in settings.items()}
    with pytest.raises(OperatorError) as refusal:
        check_safe(Gateway.model_validate(files))
    assert refusal.value.code == "certificate_missing"


FILE = """
[issuers.corp]
issuer = "https://login.example"
audience = "cimstream"
keys_url = "https://login.example/keys"

[sources.HES-1]
certificates = ["CN=hes-1,O=Utility"]
tokens = { corp = ["hes-1"] }

[sources.HES-2]
certificates = ["DNS:hes-2.example"]
tokens = { corp = ["hes-2"] }
"""
MISTAKES: dict[str, tuple[Callable[[str], str], str]] = {
    "two systems with one certificate": (
        lambda t: t.replace("DNS:hes-2.example", "CN=hes-1,O=Utility"), "the same"
    ),
    "two systems with one claim": (
        lambda t: t.replace('["hes-2"]', '["hes-1"]'), "the same"
    ),
    "an issuer that is not there": (lambda t: t.replace("{ corp", "{ corb", 1), "no issuer corb"),
    "a name that is none": (lambda t: t.replace("CN=hes-1,O=Utility", "hes-1"), "neither"),
    "an issuer twice": (
        lambda t: t + t[1:t.index("[sources")].replace("issuers.corp", "issuers.two"), "the same"
    ),
    "an algorithm with a secret": (
        lambda t: t.replace("audience", 'algorithms = ["HS256"]\naudience'), "algorithms"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_access_file_that_names_nobody_clearly_is_refused(mistake: str, tmp_path: Path) -> None:
    change, why = MISTAKES[mistake]
    file = tmp_path / "access.toml"
    file.write_text(FILE, encoding="utf-8")
    load_access(file, CATALOGUE)
    file.write_text(change(FILE), encoding="utf-8")
    with pytest.raises(OperatorError) as refusal:
        load_access(file, CATALOGUE)
    assert refusal.value.code == "access_file_invalid"
    assert why in refusal.value.why
