"""Refusing to listen where strangers could hear or ask.

Lives here: what a listener off loopback needs, for the doors of systems and of probes alike. Must
not live here: listening.

Invariant: nothing listens off loopback without TLS, unless a setting says in so many words that it
shall.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from connectors.secret_files import check_private
from streams.runtime.settings import Http
from topics.errors import EXIT_CONFIG, OperatorError


def check_probes(wanted: Http) -> None:
    """Refuse /metrics and /health where they could be reached unencrypted.

    Raises:
        OperatorError: `probes_unencrypted`, or as `check_certificate`.
    """
    check_certificate("http", wanted.certificate_file, wanted.key_file)
    if wanted.certificate_file or wanted.unencrypted or is_loopback(wanted.host):
        return
    raise OperatorError(
        "probes_unencrypted",
        what="off loopback /metrics and /health would be served unencrypted, to anybody",
        where=wanted.host,
        fix="set http.certificate_file and http.key_file, or http.unencrypted = true in a network"
        " of probes",
        exit_code=EXIT_CONFIG,
    )


def check_certificate(section: str, certificate: Path | None, key: Path | None) -> None:
    """Refuse half a certificate, one that is not there, and a key that others could read.

    Raises:
        OperatorError: `certificate_missing`, `secret_unsafe`.
    """
    if (certificate is None) != (key is None):
        raise OperatorError(
            "certificate_missing",
            what="TLS needs a certificate and its key, and only one of them is named",
            fix=f"set both {section}.certificate_file and {section}.key_file",
            exit_code=EXIT_CONFIG,
        )
    for file in filter(None, (certificate, key)):
        check_there(file)
    if key is not None:
        check_private(key, f"{section}.key_file")


def check_there(file: Path) -> None:
    """Refuse a file of certificates that does not exist.

    Raises:
        OperatorError: `certificate_missing`.
    """
    if not file.is_file():
        raise OperatorError(
            "certificate_missing",
            what="a file of the certificate is not there",
            where=str(file),
            fix="name existing files in PEM",
            exit_code=EXIT_CONFIG,
        )


def is_loopback(host: str) -> bool:
    """Whether nobody from outside reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
