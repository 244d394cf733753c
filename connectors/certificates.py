"""What a certificate calls its holder, as one kind of text.

Lives here: reading names from a certificate, and the normal form of a name that somebody wrote
down. Must not live here: whether a certificate is to be trusted (TLS, or whoever verifies a
signature, has decided that), who may what (`connectors.access`).

A name is the subject (`CN=hes-north,O=Example Utility,C=CH`, RFC 4514) or an alternative name of
RFC 5280 with its kind before it: `DNS:`, `URI:`, `email:`, `IP:`.

Invariant: two names are the same exactly when their normal forms are equal; no part of a name is
ever searched for in another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

from cryptography import x509

_KINDS: Final[Mapping[str, Callable[[str], str]]] = {
    "DNS": str.lower,
    "URI": str,
    "email": str,
    "IP": lambda text: str(ipaddress.ip_address(text)),
}


def normal(name: str) -> str:
    """The form in which names are compared.

    Raises:
        ValueError: it is neither a distinguished name nor an alternative name.
    """
    kind, _, text = name.partition(":")
    try:
        if kind in _KINDS and text:
            return f"{kind}:{_KINDS[kind](text)}"
        subject = x509.Name.from_rfc4514_string(name).rfc4514_string()
    except ValueError:
        subject = ""
    if not subject:
        raise ValueError("it is neither like CN=hes,O=Utility nor DNS:, URI:, email: or IP:")
    return subject


def names(der: bytes) -> frozenset[str]:
    """All names of the holder, in normal form; none where the certificate cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        found = [certificate.subject.rfc4514_string()] if certificate.subject.rdns else []
        found += map(_said, _alternatives(certificate))
    except ValueError:  # also x509.DuplicateExtension and its like
        return frozenset()
    return frozenset(filter(None, found))


def _alternatives(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(extension.value)


def _said(name: x509.GeneralName) -> str:
    """The alternative name in normal form; "" for a kind that is not used here."""
    match name:
        case x509.DNSName():
            return f"DNS:{name.value.lower()}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case x509.RFC822Name():
            return f"email:{name.value}"
        case x509.IPAddress():
            return f"IP:{name.value}"
        case _:
            return ""
