"""What systems prove themselves with in SOAP: shared passwords and certificates, from files.

Lives here: reading the files that the access file names, and finding a certificate by what a
signature says of it. Must not live here: checking a password or a signature (`security`,
`signature`), what a system may send (`connectors.access`).

Invariant: a password is in no error, log line or record, and its file is nobody else's to read.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.access import Principal, SourceAccess
from topics.errors import EXIT_CONFIG, OperatorError


class CredentialFileError(OperatorError):
    """A file that the access file names cannot be used."""

    def __init__(self, file: Path, why: str, fix: str) -> None:
        super().__init__(
            "credential_file_invalid",
            what="a password or certificate of the access file cannot be used",
            where=str(file),
            why=why,
            fix=fix,
            exit_code=EXIT_CONFIG,
        )


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate and whose it is, with what signatures name it by."""

    principal: Principal
    certificate: x509.Certificate
    der: bytes
    serial: int
    thumbprint: bytes
    key_identifier: bytes


class Credentials:
    """Of all systems of one access file, as the files were when it was made."""

    def __init__(self, sources: Mapping[str, SourceAccess]) -> None:
        """Read the files.

        Raises:
            CredentialFileError: one is not there, is for others to read, or is not in PEM.
        """
        self._passwords: dict[str, tuple[Principal, bytes]] = {}
        self.certified: list[Certified] = []
        for name, access in sources.items():
            principal = Principal(name, access)
            if access.password_file is not None:
                self._passwords[name] = (principal, _password(access.password_file))
            self.certified += [
                _certified(principal, file) for file in access.signing_certificate_files
            ]

    @property
    def has_passwords(self) -> bool:
        """Whether anybody can send a digest."""
        return bool(self._passwords)

    def password(self, source: str) -> tuple[Principal, bytes] | None:
        """Who has this name, and the password shared with it; None where none is."""
        return self._passwords.get(source)


def _password(file: Path) -> bytes:
    content = _read(file)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialFileError(file, "others can read or write it", f"chmod 600 {file}")
    password = content.rstrip(b"\r\n")
    if not password:
        raise CredentialFileError(file, "it is empty", "put the password in it, and no more")
    return password


def _certified(principal: Principal, file: Path) -> Certified:
    try:
        certificate = x509.load_pem_x509_certificate(_read(file))
    except ValueError as error:
        raise CredentialFileError(file, "it is no certificate in PEM", "convert it") from error
    der = certificate.public_bytes(Encoding.DER)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        key_identifier = found.value.digest
    except x509.ExtensionNotFound:
        key_identifier = b""
    # The digest that WS-Security calls a certificate by, not one that anything rests on.
    thumbprint = hashlib.sha1(der, usedforsecurity=False).digest()
    number = certificate.serial_number
    return Certified(principal, certificate, der, number, thumbprint, key_identifier)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise CredentialFileError(file, why, "name a file that the gateway can read") from error
