"""An operator's properties for librdkafka, said to kafka-python, or not at all."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from threading import Event

import pytest
from kafka.admin import KafkaAdminClient

from streams.engine.errors import TransientError
from streams.engine.kafka import KafkaSettings, leaving
from streams.engine.kafka.leaving import UnmappedError, client_properties, leave_group

SERVERS = "broker-1:9093,broker-2:9093"
# What every client of this kind needs, and nothing of which is about security.
COMMON = {"bootstrap_servers", "bootstrap_timeout_ms", "request_timeout_ms", "security_protocol"}


def said(**properties: str | bool) -> dict[str, object]:
    extra = {name.replace("_", "."): value for name, value in properties.items()}
    return client_properties(KafkaSettings(SERVERS, extra=extra))


def context(**properties: str | bool) -> ssl.SSLContext:
    found = said(security_protocol="ssl", **properties)["ssl_context"]
    assert isinstance(found, ssl.SSLContext)
    return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that signs itself, and its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=test", "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "ca.pem"


def test_without_security_only_the_servers_are_said() -> None:
    assert said() == {
        "bootstrap_servers": SERVERS,
        "bootstrap_timeout_ms": 1000,
        "request_timeout_ms": 1000,
        "security_protocol": "PLAINTEXT",
    }


def test_properties_that_are_not_about_security_need_no_counterpart() -> None:
    assert said(debug="cgrp", socket_keepalive_enable=True, client_id="me").keys() == COMMON


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "scram-sha-512"])
@pytest.mark.parametrize("name", ["sasl_mechanism", "sasl_mechanisms"])
def test_a_name_and_a_password_are_said(name: str, mechanism: str) -> None:
    properties = said(
        security_protocol="sasl_plaintext",
        sasl_username="intake",
        sasl_password="secret",
        **{name: mechanism},
    )
    assert properties["security_protocol"] == "SASL_PLAINTEXT"
    assert properties["sasl_mechanism"] == mechanism.upper()
    assert properties["sasl_plain_username"] == "intake"
    assert properties["sasl_plain_password"] == "secret"


def test_tls_checks_the_brokers_name_and_certificate_unless_told_not_to() -> None:
    assert context().verify_mode is ssl.CERT_REQUIRED
    assert context().check_hostname is True
    unnamed = context(ssl_endpoint_identification_algorithm="none")
    assert (unnamed.check_hostname, unnamed.verify_mode) == (False, ssl.CERT_REQUIRED)
    assert context(enable_ssl_certificate_verification=False).verify_mode is ssl.CERT_NONE


def test_tls_trusts_the_named_authority_and_nobody_else(authority: Path) -> None:
    for found in (
        context(ssl_ca_location=str(authority)),
        context(ssl_ca_pem=authority.read_text()),
    ):
        assert [c["subject"] for c in found.get_ca_certs()] == [((("commonName", "test"),),)]


def test_a_client_certificate_is_shown(authority: Path) -> None:
    """Method: a key that does not belong to it is noticed when it is loaded."""
    key = authority.with_name("key.pem")
    context(ssl_certificate_location=str(authority), ssl_key_location=str(key))
    with pytest.raises(ssl.SSLError):
        context(ssl_certificate_location=str(authority), ssl_key_location=str(authority))


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({"security.protocol": "sasl_ssl", "sasl.mechanism": "GSSAPI"}, "GSSAPI"),
        ({"security.protocol": "sasl_ssl"}, "GSSAPI"),
        ({"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"}, "OAUTHBEARER"),
        ({"security.protocol": "ssl", "ssl.keystore.location": "/k.p12"}, "ssl.keystore.location"),
        ({"security.protocol": "ssl", "ssl.certificate.pem": "x"}, "ssl.certificate.pem"),
        ({"security.protocol": "ssl", "ssl.sigalgs.list": "x"}, "ssl.sigalgs.list"),
        ({"security.protocol": "carrier_pigeon"}, "CARRIER_PIGEON"),
        ({"sasl.username": "me"}, "sasl.username"),
    ],
)
def test_what_cannot_be_said_is_named_and_not_left_out(
    properties: dict[str, str], word: str
) -> None:
    with pytest.raises(UnmappedError, match=word):
        client_properties(KafkaSettings(SERVERS, extra=properties))


def test_a_certificate_that_cannot_be_read_is_a_reason_not_to_leave() -> None:
    extra = {"security.protocol": "ssl", "ssl.ca.location": "/nowhere/ca.pem"}
    with pytest.raises(TransientError, match="leave group"):
        leave_group(KafkaSettings(SERVERS, extra=extra), "group", "slot-0", "member")


def test_whatever_goes_wrong_is_the_one_error_that_a_stop_expects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ConnectionResetError("with the password in its text")

    monkeypatch.setattr(leaving, "_remove", broken)
    with pytest.raises(TransientError, match="ConnectionResetError") as refused:
        leave_group(KafkaSettings(SERVERS), "group", "slot-0", "member")
    assert "password" not in str(refused.value)


def test_a_stop_does_not_wait_for_a_broker_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Event()
    monkeypatch.setattr(leaving, "_remove", lambda *_: answer.wait())
    monkeypatch.setattr(leaving, "_LEAVE_S", 0.05)
    with pytest.raises(TransientError, match="no answer"):
        leave_group(KafkaSettings(SERVERS), "group", "slot-0", "member")
    answer.set()


def test_the_library_knows_every_property_and_no_password_is_in_its_reason() -> None:
    properties = said(security_protocol="sasl_ssl", sasl_mechanism="PLAIN", sasl_password="secret")
    assert properties.keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys()
    extra = {"security.protocol": "ssl", "ssl.key.password": "secret"}
    with pytest.raises(UnmappedError) as refused:
        client_properties(KafkaSettings(SERVERS, extra=extra))
    assert "secret" not in str(refused.value)
