"""WS-Security at the SOAP door: who is let in, who is not, and why."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from xmlsec import constants
from zeep.wsse import utils
from zeep.wsse.signature import BinarySignature, Signature
from zeep.wsse.username import UsernameToken

from connectors.access import Rule, SourceAccess, key_hash, new_key
from connectors.soap.config import SoapLimits
from connectors.soap.credentials import CredentialFileError, Credentials
from connectors.soap.namespaces import BASE64, DS, PASSWORD_DIGEST, SOAP_11, WSA, WSSE, WSU
from connectors.soap.nonces import NonceFileError, Nonces
from tests.integration.data_rig import message
from tests.unit.gateway.certificates import Pair, pair
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.soap_client import Client, enveloped, fault_of, result_of

SHA256 = {
    "signature_method": constants.TransformRsaSha256,
    "digest_method": constants.TransformSha256,
}
METERS = Rule(interface="I7", nouns=("MeterReadings",), verbs=("create",))
KEY = new_key()
PASSWORD = b"what HES-1 and the gateway know"
NOW = dt.datetime.now(dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "own": pair(folder, "HES-1"),
        "other": pair(folder, "HES-2"),
        "strange": pair(folder, "nobody"),
        "over": pair(folder, "over", days=-1),
    }


@pytest.fixture
def access(pairs: dict[str, Pair], tmp_path: Path) -> dict[str, SourceAccess]:
    secret = tmp_path / "password"
    secret.write_bytes(PASSWORD + b"\n")
    secret.chmod(0o600)
    own = (pairs["own"].certificate, pairs["over"].certificate)
    return {
        "HES-1": SourceAccess(
            keys=(key_hash(KEY),),
            password_file=secret,
            signing_certificate_files=own,
            allow=(METERS,),
        ),
        "HES-2": SourceAccess(
            signing_certificate_files=(pairs["other"].certificate,), allow=(METERS,)
        ),
    }


@pytest.fixture
def client(access: dict[str, SourceAccess]) -> Client:
    return door(access)


def door(access: dict[str, SourceAccess], **given: Any) -> Client:
    """A door on which it stays the time at which these tests were read."""
    return Client(FakeExchange(), access, now_ms=lambda: int(NOW.timestamp() * 1000), **given)


def digest_token(
    nonce: bytes = b"0123456789abcdef",
    created: dt.datetime = NOW,
    *,
    name: str = "HES-1",
    password: bytes = PASSWORD,
) -> str:
    """A UsernameToken made by the letter of the profile."""
    time = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    made = hashlib.sha1(nonce + time.encode() + password, usedforsecurity=False).digest()
    return (
        f'<w:Security xmlns:w="{WSSE}" xmlns:u="{WSU}"><w:UsernameToken>'
        f"<w:Username>{name}</w:Username>"
        f'<w:Password Type="{PASSWORD_DIGEST}">{base64.b64encode(made).decode()}</w:Password>'
        f'<w:Nonce EncodingType="{BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f"<u:Created>{time}</u:Created></w:UsernameToken></w:Security>"
    )


def stamped(created: dt.datetime = NOW, minutes: int = 5) -> Any:
    stamp = utils.WSU.Timestamp()
    stamp.append(utils.WSU.Created(utils.get_timestamp(created)))
    stamp.append(utils.WSU.Expires(utils.get_timestamp(created + minutes * MINUTE)))
    return stamp


def signed(
    by: Pair,
    how: Any = BinarySignature,
    stamp: Any = True,
    **algorithms: Any,
) -> etree._Element:
    """An envelope that zeep signed, with a library of another make than the one that checks."""
    envelope = etree.fromstring(enveloped(header=" "))
    security = utils.get_security_header(envelope)
    if stamp is not None:
        security.append(stamped() if stamp is True else stamp)
    how(str(by.key), str(by.certificate), **(algorithms or SHA256)).apply(envelope, {})
    # Read again: lxml does not find all that xmlsec put into its tree.
    return etree.fromstring(etree.tostring(envelope))


def refused(client: Client, body: bytes | etree._Element, code: str) -> str:
    """Refused with this code, nothing of it let in, and noted; the fault code."""
    data = body if isinstance(body, bytes) else etree.tostring(body)
    fault, found = fault_of(client.post(data))
    assert found == code
    assert not client.exchange.log
    assert client.exchange.audited[-1]["code"] == code
    return fault


def test_who_says_nothing_is_asked_who_it_is(client: Client) -> None:
    assert refused(client, enveloped(), "authentication_needed") == "wsse:InvalidSecurity"


def test_a_key_in_a_header_of_http_lets_in_as_it_does_at_rest(client: Client) -> None:
    assert result_of(client.post(enveloped(), X_API_Key=KEY)) == "OK"


def test_a_digest_of_the_shared_password_lets_in(client: Client) -> None:
    assert result_of(client.post(enveloped(header=digest_token()))) == "OK"


def test_zeeps_digest_lets_in(client: Client) -> None:
    envelope = etree.fromstring(enveloped(header=" "))
    UsernameToken("HES-1", PASSWORD.decode(), use_digest=True, created=NOW).apply(envelope, {})
    assert result_of(client.post(etree.tostring(envelope))) == "OK"


@pytest.mark.parametrize("token", [
    digest_token(password=b"guessed"), digest_token(name="HES-2"), digest_token(name="nobody"),
])  # fmt: skip
def test_a_wrong_password_and_an_unknown_name_are_told_alike(client: Client, token: str) -> None:
    fault = refused(client, enveloped(header=token), "authentication_failed")
    assert fault == "wsse:FailedAuthentication"


def test_a_nonce_that_comes_again_with_its_message_gets_the_answer_again(client: Client) -> None:
    body = enveloped(header=digest_token())
    answers = {result_of(client.post(body)) for _ in range(3)}
    assert answers == {"OK"}
    assert len({call.message.identity for call in client.exchange.log}) == 1


def test_a_nonce_that_comes_with_another_message_is_refused(client: Client) -> None:
    token = digest_token()
    client.post(enveloped(header=token))
    client.exchange.log.clear()
    fault = refused(client, enveloped(message("m-2"), header=token), "security_replayed")
    assert fault == "wsse:InvalidSecurityToken"
    changed = message("m-1").replace(b">1.5<", b">9.9<")
    refused(client, enveloped(changed, header=token), "security_replayed")


def test_a_nonce_is_remembered_by_the_other_processes_and_after_a_restart(
    access: dict[str, SourceAccess], tmp_path: Path
) -> None:
    file = tmp_path / "state" / "nonces.sqlite"
    token = digest_token()
    first, second = (door(access, nonces=file) for _ in range(2))
    assert result_of(first.post(enveloped(header=token))) == "OK"
    refused(second, enveloped(message("m-2"), header=token), "security_replayed")
    assert result_of(second.post(enveloped(header=token))) == "OK"


def test_nonces_that_are_over_are_forgotten_and_others_are_not(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path / "nonces.sqlite")
    assert nonces.belongs("A", b"1", b"message", until_ms=10, now_ms=5)
    assert not nonces.belongs("A", b"1", b"another", until_ms=10, now_ms=6)
    assert nonces.belongs("B", b"1", b"another", until_ms=10, now_ms=6)
    again = Nonces(tmp_path / "nonces.sqlite")
    assert again.belongs("A", b"2", b"third", until_ms=30, now_ms=20)
    (count,) = again.open().execute("SELECT count(*) FROM nonce").fetchone()
    assert count == 1
    nonces.close()
    again.close()


def test_where_nonces_cannot_be_remembered_the_door_does_not_open_for_digests(
    access: dict[str, SourceAccess], tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(NonceFileError, match="cannot remember"):
        door(access, nonces=blocked / "nonces.sqlite")
    without = {"HES-2": access["HES-2"]}
    client = door(without, nonces=blocked / "nonces.sqlite")
    assert fault_of(client.post(enveloped()))[1] == "authentication_needed"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_digest_outside_the_window_is_refused(client: Client, minutes: int) -> None:
    token = digest_token(created=NOW + minutes * MINUTE)
    assert refused(client, enveloped(header=token), "security_expired") == "wsu:MessageExpired"


def text_token(key: str, name: str = "HES-1") -> str:
    return (
        f'<w:Security xmlns:w="{WSSE}"><w:UsernameToken><w:Username>{name}</w:Username>'
        f"<w:Password>{key}</w:Password></w:UsernameToken></w:Security>"
    )


def test_a_password_as_text_is_the_key_and_nobody_may_overhear_it(
    access: dict[str, SourceAccess],
) -> None:
    client = door(access)
    assert result_of(client.post(enveloped(header=text_token(KEY)))) == "OK"
    client.exchange.log.clear()
    refused(client, enveloped(header=text_token(new_key())), "authentication_failed")
    refused(client, enveloped(header=text_token(KEY, "HES-2")), "authentication_failed")
    client.peer = "192.0.2.7"
    refused(client, enveloped(header=text_token(KEY)), "encryption_needed")
    client.scheme = "https"
    assert result_of(client.post(enveloped(header=text_token(KEY)))) == "OK"
    behind = door(access, limits=SoapLimits(tls_elsewhere=True))
    behind.peer = "192.0.2.7"
    assert result_of(behind.post(enveloped(header=text_token(KEY)))) == "OK"


def test_two_systems_in_one_request_are_refused(client: Client, pairs: dict[str, Pair]) -> None:
    data = etree.tostring(signed(pairs["other"]))
    assert fault_of(client.post(data, X_API_Key=KEY))[1] == "authentication_failed"
    assert not client.exchange.log


@pytest.mark.parametrize("how", [BinarySignature, Signature])
def test_a_signature_over_body_and_timestamp_lets_in(
    client: Client, pairs: dict[str, Pair], how: Any
) -> None:
    assert result_of(client.post(etree.tostring(signed(pairs["own"], how)))) == "OK"
    assert client.exchange.log[0].header.message_id == "m-1"


def test_a_signature_is_for_the_source_whose_certificate_it_is(
    client: Client, pairs: dict[str, Pair]
) -> None:
    refused(client, signed(pairs["other"]), "source_mismatch")
    refused(client, signed(pairs["strange"]), "authentication_failed")


def test_a_certificate_that_is_over_signs_nothing(client: Client, pairs: dict[str, Pair]) -> None:
    assert refused(client, signed(pairs["over"]), "signature_invalid") == "wsse:FailedCheck"


def test_a_signature_with_sha_1_is_too_weak(client: Client, pairs: dict[str, Pair]) -> None:
    weak = {
        "signature_method": constants.TransformRsaSha1,
        "digest_method": constants.TransformSha1,
    }
    refused(client, signed(pairs["own"], **weak), "security_too_weak")


def test_a_signature_without_timestamp_is_too_weak(client: Client, pairs: dict[str, Pair]) -> None:
    refused(client, signed(pairs["own"], stamp=None), "security_too_weak")


@pytest.mark.parametrize(("age", "minutes"), [(6, 60), (4, 3), (-6, 60)])
def test_a_signature_whose_time_is_over_is_refused(
    client: Client, pairs: dict[str, Pair], age: int, minutes: int
) -> None:
    old = stamped(NOW - age * MINUTE, minutes)
    assert refused(client, signed(pairs["own"], stamp=old), "security_expired")


def test_a_message_that_was_changed_behind_its_signature_is_refused(
    client: Client, pairs: dict[str, Pair]
) -> None:
    data = etree.tostring(signed(pairs["own"])).replace(b">1.5<", b">9.9<")
    refused(client, data, "signature_invalid")


def _moved(
    envelope: etree._Element, put: Callable[[etree._Element, etree._Element], None]
) -> bytes:
    """The envelope with another message in its Body; `put` hides the signed Body elsewhere."""
    space = SOAP_11.namespace
    good = envelope.find(f"{{{space}}}Body")
    assert good is not None
    evil = etree.fromstring(etree.tostring(good).replace(b"m-1", b"m-evil"))
    envelope.replace(good, evil)
    put(envelope, good)
    return etree.tostring(envelope)


def _into_header(envelope: etree._Element, good: etree._Element) -> None:
    wrapper = etree.SubElement(envelope[0], "{urn:x}Wrapper")
    wrapper.append(good)


def _into_header_alone(envelope: etree._Element, good: etree._Element) -> None:
    _into_header(envelope, good)
    del envelope[-1].attrib[f"{{{WSU}}}Id"]


def _with_another_id(envelope: etree._Element, good: etree._Element) -> None:
    _into_header(envelope, good)
    envelope[-1].set(f"{{{WSU}}}Id", "id-of-another")


def _behind_the_body(envelope: etree._Element, good: etree._Element) -> None:
    envelope.append(good)


def _into_the_signature(envelope: etree._Element, good: etree._Element) -> None:
    signature = envelope.find(f".//{{{DS}}}Signature")
    assert signature is not None
    etree.SubElement(signature, f"{{{DS}}}Object").append(good)


def _with_an_id_of_another_spelling(envelope: etree._Element, good: etree._Element) -> None:
    _into_header(envelope, good)
    name = envelope[-1].attrib.pop(f"{{{WSU}}}Id")
    envelope[-1].set("ID", name)


def _into_header_under_an_id_without_namespace(
    envelope: etree._Element, good: etree._Element
) -> None:
    _into_header(envelope, good)
    envelope[-1].set("Id", envelope[-1].attrib.pop(f"{{{WSU}}}Id"))


WRAPPINGS = [
    _into_header, _into_header_alone, _with_another_id, _behind_the_body, _into_the_signature,
    _with_an_id_of_another_spelling, _into_header_under_an_id_without_namespace,
]  # fmt: skip


@pytest.mark.parametrize("put", WRAPPINGS)
def test_a_signed_body_that_was_moved_lets_no_other_in(
    client: Client,
    pairs: dict[str, Pair],
    put: Callable[[etree._Element, etree._Element], None],
) -> None:
    response = client.post(_moved(signed(pairs["own"]), put))
    assert response.status_code == 500
    assert not client.exchange.log


def test_an_id_that_is_signed_and_stands_twice_is_told_before_the_signature_is_looked_at(
    client: Client, pairs: dict[str, Pair]
) -> None:
    response = client.post(_moved(signed(pairs["own"]), _into_header))
    assert b"an Id that is signed does not stand there once" in response.content
    other = signed(pairs["own"])
    other[0].set("ID", str(other[-1].get(f"{{{WSU}}}Id")))
    response = client.post(etree.tostring(other))
    assert b"an Id that is signed does not stand there once" in response.content


def test_what_is_not_signed_has_no_part_in_the_message(
    client: Client, pairs: dict[str, Pair]
) -> None:
    """A prefix that only a value uses is not signed where it is declared outside the Body."""
    scope = 'xmlns:c="http://iec.ch/TC57/2011/MeterReadings#"'
    kind = b'<MeterReading xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="c:A">'
    data = message("m-1").replace(b"<MeterReading>", kind)
    envelope = etree.fromstring(enveloped(data, header=" ", around=scope))
    utils.get_security_header(envelope).append(stamped())
    BinarySignature(str(pairs["own"].key), str(pairs["own"].certificate), **SHA256).apply(
        envelope, {}
    )
    own = etree.tostring(envelope)
    rebound = own.replace(b'xmlns:c="http://iec.ch/TC57/2011/MeterReadings#"', b'xmlns:c="urn:x"')
    assert rebound != own
    assert {result_of(client.post(one)) for one in (own, rebound)} == {"OK"}
    assert len({call.message.value for call in client.exchange.log}) == 1


def test_a_destination_beside_a_signed_message_is_signed_too(
    client: Client, pairs: dict[str, Pair]
) -> None:
    envelope = signed(pairs["own"])
    to = etree.SubElement(envelope[0], f"{{{WSA}}}To")
    to.text = "http://localhost/soap/I7"
    assert result_of(client.post(etree.tostring(envelope))) == "OK"
    client.exchange.log.clear()
    to.text = "CREWS-WEST"
    refused(client, envelope, "security_too_weak")


def test_a_signed_timestamp_that_was_moved_does_not_make_an_old_message_new(
    client: Client, pairs: dict[str, Pair]
) -> None:
    envelope = signed(pairs["own"], stamp=stamped(NOW - 60 * MINUTE))
    old = envelope.find(f".//{{{WSU}}}Timestamp")
    assert old is not None
    security = old.getparent()
    assert security is not None
    fresh = stamped()
    security.replace(old, fresh)
    etree.SubElement(envelope[0], "{urn:x}Wrapper").append(old)
    refused(client, etree.tostring(envelope), "security_too_weak")
    fresh.set(f"{{{WSU}}}Id", str(old.get(f"{{{WSU}}}Id")))
    refused(client, etree.tostring(envelope), "security_invalid")


def test_a_second_signature_or_security_header_is_refused(
    client: Client, pairs: dict[str, Pair]
) -> None:
    envelope = signed(pairs["own"])
    security = envelope.find(f".//{{{WSSE}}}Security")
    assert security is not None
    twice = etree.fromstring(etree.tostring(envelope))
    twice[0].append(etree.fromstring(etree.tostring(security)))
    assert fault_of(client.post(etree.tostring(twice)))[1] == "envelope_invalid"
    signature = security.find(f"{{{DS}}}Signature")
    assert signature is not None
    security.append(etree.fromstring(etree.tostring(signature)))
    refused(client, envelope, "security_invalid")


def test_a_signature_with_references_without_end_is_not_worked_on(
    client: Client, pairs: dict[str, Pair]
) -> None:
    envelope = signed(pairs["own"])
    reference = envelope.find(f".//{{{DS}}}Reference")
    assert reference is not None
    for _ in range(20):
        reference.addnext(etree.fromstring(etree.tostring(reference)))
    refused(client, envelope, "security_invalid")


@pytest.mark.parametrize("algorithm", [
    "http://www.w3.org/2000/09/xmldsig#base64", "http://www.w3.org/TR/1999/REC-xslt-19991116",
    "http://www.w3.org/TR/1999/REC-xpath-19991116", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
])  # fmt: skip
def test_a_transform_that_could_sign_something_else_is_refused(
    client: Client, pairs: dict[str, Pair], algorithm: str
) -> None:
    envelope = signed(pairs["own"])
    transform = envelope.find(f".//{{{DS}}}Transform")
    assert transform is not None
    transform.set("Algorithm", algorithm)
    refused(client, envelope, "security_too_weak")


def test_a_key_that_the_message_brings_itself_signs_nothing(
    client: Client, pairs: dict[str, Pair]
) -> None:
    """HMAC with a public key, or KeyValue in place of a certificate."""
    envelope = signed(pairs["strange"], Signature)
    info = envelope.find(f".//{{{DS}}}KeyInfo")
    assert info is not None
    own = signed(pairs["own"], Signature).find(f".//{{{DS}}}KeyInfo")
    parent = info.getparent()
    assert own is not None
    assert parent is not None
    parent.replace(info, own)
    refused(client, envelope, "signature_invalid")
    method = envelope.find(f".//{{{DS}}}SignatureMethod")
    assert method is not None
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    refused(client, envelope, "security_too_weak")


def test_a_door_without_access_file_asks_nobody(pairs: dict[str, Pair]) -> None:
    client = Client(FakeExchange())
    assert result_of(client.post(enveloped(header=digest_token()))) == "OK"


def test_what_a_system_may_not_send_is_refused_whatever_it_proves(client: Client) -> None:
    forbidden = message("m-1").replace(b"MeterReadings", b"EndDeviceControls")
    body = enveloped(forbidden, header=digest_token())
    assert fault_of(client.post(body))[1] in ("not_authorised", "payload_mismatch")
    assert not client.exchange.log


def test_a_password_file_for_others_to_read_is_refused(access: dict[str, SourceAccess]) -> None:
    file = access["HES-1"].password_file
    assert file is not None
    file.chmod(0o640)
    with pytest.raises(CredentialFileError, match="others can read"):
        Credentials(access)


def test_a_file_that_holds_no_certificate_or_password_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    with pytest.raises(CredentialFileError):
        Credentials({"A": SourceAccess(signing_certificate_files=(file,))})
    file.write_text("")
    file.chmod(0o600)
    with pytest.raises(CredentialFileError, match="no certificate"):
        Credentials({"A": SourceAccess(signing_certificate_files=(file,))})
    with pytest.raises(CredentialFileError, match="empty"):
        Credentials({"A": SourceAccess(password_file=file)})
