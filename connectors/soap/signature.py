"""X.509 signatures of WS-Security: who signed, and exactly what.

Lives here: what a signature must cover and may use, and the check of it. Must not live here: XML
signatures as such (signxml does them), the window of time (`security`).

A signature names what it signs by an Id, and wrapping attacks put another element where the Id is
looked for. So an Id that is signed stands once in the whole envelope, on the Body and on the
Timestamp that are read; and what is read afterwards is the signed octets, parsed again, never the
envelope they came in.

Invariant: the element that was verified is the element that is used.
"""

from __future__ import annotations

import binascii
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidCertificate, InvalidInput, InvalidSignature
from signxml.verifier import SignatureConfiguration, XMLVerifier

from connectors.access import Principal
from connectors.soap.credentials import Certified
from connectors.soap.envelope import Envelope, id_of
from connectors.soap.namespaces import DS, KEY_IDENTIFIER, THUMBPRINT, WSSE, WSU
from schemas.envelope.payload import text_of
from schemas.errors import MessageError

# What signxml calls an Id: an attribute of this local name in any namespace, or in none.
_ID_NAME: Final = "Id"
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
# Takes the signature out of what is signed. It stands in neither Body nor Timestamp, so this
# changes nothing; Node's client says it all the same.
_ENVELOPED: Final = f"{DS}enveloped-signature"
_TRANSFORMS: Final = ([_EXCLUSIVE], [_ENVELOPED, _EXCLUSIVE])
_METHODS: Final = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS: Final = frozenset(
    {DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512}
)
# Body, Timestamp, a token, a few addressing blocks; each costs another reading of the envelope.
_REFERENCES_MAX: Final = 10

# It writes what was signed into its log.
logging.getLogger("signxml").disabled = True
logging.getLogger("signxml.processor").disabled = True


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed, and what was: the Body and the Timestamp, as the signature has them.

    `ids` are those of all elements that were signed.
    """

    principal: Principal
    body: etree._Element
    timestamp: etree._Element
    ids: frozenset[str]


def verify(envelope: Envelope, known: Sequence[Certified]) -> Signed:
    """Check the signature in the Security header of an envelope.

    Args:
        envelope: With one ds:Signature in its Security header.
        known: Certificates that are trusted, each by itself: no authority vouches for others.

    Raises:
        MessageError: security_invalid, security_too_weak, authentication_failed, signature_invalid.
    """
    security = envelope.security
    assert security is not None  # noqa: S101 - the caller found the signature in it
    signature = security.find(f"{{{DS}}}Signature")
    timestamp = security.find(f"{{{WSU}}}Timestamp")
    assert signature is not None  # noqa: S101
    if timestamp is None:
        raise MessageError.of("security_too_weak", "there is no Timestamp")
    wanted = [id_of(element) for element in (envelope.body, timestamp)]
    references = _references(signature)
    if not all(wanted) or not set(wanted) <= set(references):
        raise MessageError.of("security_too_weak", "Body or Timestamp is not signed")
    _check_unique(envelope.root, references)
    candidates = [one for one in known if _is_meant(one, signature, security)]
    if not candidates:
        raise MessageError.of("authentication_failed", "the certificate is of no known system")
    octets = _verified(envelope, candidates[0], len(references))
    body, dated = (octets[references.index(name)] for name in wanted)
    if body is None or dated is None or (body.tag, dated.tag) != (envelope.body.tag, timestamp.tag):
        raise MessageError.of("signature_invalid", "what is signed is not Body and Timestamp")
    return Signed(candidates[0].principal, body, dated, frozenset(references))


def _references(signature: etree._Element) -> list[str]:
    """The Ids that are signed, in order.

    Raises:
        MessageError: something else is signed than elements of the envelope, or in another form
            than the exclusive one, which does not depend on what stands around an element.
    """
    found = signature.findall(f"{{{DS}}}SignedInfo/{{{DS}}}Reference")
    if not 0 < len(found) <= _REFERENCES_MAX:
        raise MessageError.of("security_invalid", "the number of references")
    names = []
    for reference in found:
        forms = reference.findall(f"{{{DS}}}Transforms/{{{DS}}}Transform")
        if [form.get("Algorithm") for form in forms] not in _TRANSFORMS:
            raise MessageError.of("security_too_weak", "a transform that is not exclusive c14n")
        uri = reference.get("URI", "")
        if not uri.startswith("#") or len(uri) < 2:
            raise MessageError.of("security_invalid", "a reference that names no Id")
        names.append(uri[1:])
    return names


def _check_unique(root: etree._Element, references: list[str]) -> None:
    """Refuse an envelope in which a signed Id could mean two elements."""
    ids = Counter(
        value
        for element in root.iter()
        for name, value in element.items()
        if str(name).rpartition("}")[2].lower() == _ID_NAME.lower()
    )
    if any(ids[name] != 1 for name in references) or len(set(references)) < len(references):
        raise MessageError.of("security_invalid", "an Id that is signed does not stand there once")


def _is_meant(one: Certified, signature: etree._Element, security: etree._Element) -> bool:
    """Whether the signature's KeyInfo names this certificate, in any of the usual ways."""
    info = signature.find(f"{{{DS}}}KeyInfo")
    if info is None:
        return False
    for element in info.iter():
        text = text_of(element)
        match element.tag.rpartition("}")[2]:
            case "X509Certificate":
                return _decoded(text) == one.der
            case "Reference":
                name = element.get("URI", "").removeprefix("#")
                tokens = security.findall(f"{{{WSSE}}}BinarySecurityToken")
                return [_decoded(text_of(t)) for t in tokens if id_of(t) == name] == [one.der]
            case "KeyIdentifier":
                kinds = {THUMBPRINT: one.thumbprint, KEY_IDENTIFIER: one.key_identifier}
                wanted = kinds.get(element.get("ValueType", ""), b"")
                return bool(wanted) and _decoded(text) == wanted
            case "X509SerialNumber" if info.find(f".//{{{DS}}}X509Certificate") is None:
                return text == str(one.serial)
    return False


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        return b""


def _verified(envelope: Envelope, by: Certified, count: int) -> list[etree._Element | None]:
    """What the references of a good signature hold, in their order."""
    space = envelope.version.namespace
    config = SignatureConfiguration(
        location=f"./{{{space}}}Header/{{{WSSE}}}Security/",
        # A number, because with one alone the answer would be no list.
        expect_references=True,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
    )
    try:
        results = XMLVerifier().verify(
            envelope.root, x509_cert=by.certificate, expect_config=config, id_attribute=_ID_NAME
        )
    except InvalidCertificate:
        raise MessageError.of("signature_invalid", "the certificate is not valid now") from None
    except InvalidInput as error:
        weak = "forbidden" in str(error)
        raise MessageError.of("security_too_weak" if weak else "security_invalid") from None
    except (InvalidSignature, ValueError, TypeError, KeyError, etree.LxmlError):
        raise MessageError.of("signature_invalid") from None
    assert isinstance(results, list)  # noqa: S101 - what `expect_references` asks for
    if len(results) != count:
        raise MessageError.of("security_invalid", "the number of references")
    return [result.signed_xml for result in results]
