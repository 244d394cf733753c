"""A certificate authority of a test's own: real certificates, good for an hour or already over."""

from __future__ import annotations

import datetime as dt
import ipaddress
import uuid
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Certified:
    """Files in PEM: a certificate and its key, and both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; `file` is its own."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), expired=False)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.file = self._write(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, subject: str, *alternatives: x509.GeneralName, expired: bool = False
    ) -> Certified:
        """A certificate for a subject (RFC 4514; "" for none)."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name.from_rfc4514_string(subject) if subject else x509.Name([])
        builder = _builder(name, self._name, key.public_key(), expired=expired)
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=not subject
            )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            critical=False,
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip
        return Certified(self._write(pem), self._write(private), self._write(private + pem))

    def server(self) -> Certified:
        """For a server on loopback."""
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return self.issue("CN=server", loopback, x509.DNSName("localhost"))

    def _write(self, data: bytes) -> Path:
        file = self._folder / f"{uuid.uuid4().hex}.pem"
        file.touch(mode=0o600)
        file.write_bytes(data)
        return file


def der(file: Path) -> bytes:
    """The certificate of a PEM file as TLS gives it."""
    found = x509.load_pem_x509_certificate(file.read_bytes())
    return found.public_bytes(serialization.Encoding.DER)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, expired: bool
) -> x509.CertificateBuilder:
    end = dt.datetime.now(dt.UTC) + (-HOUR if expired else HOUR)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 3 * HOUR)
        .not_valid_after(end)
    )
