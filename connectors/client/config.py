"""What a client is told once: where the gateway is, who it is itself, how patient.

Lives here: the values and their checks. Must not live here: HTTP.

Invariant: the key is in no text that is made of these values.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from connectors.client.errors import ClientError


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """`url` is the gateway's, `source` the Source of messages that the client makes.

    `patience_s` is how long it sends one message again, or connects again, without an answer.
    """

    url: str
    source: str = ""
    key: str = field(default="", repr=False)
    patience_s: float = 60.0

    @property
    def headers(self) -> dict[str, str]:
        """What every request has."""
        return {"X-API-Key": self.key} if self.key else {}


def configure(
    url: str,
    *,
    source: str = "",
    key: str = "",
    key_file: Path | str | None = None,
    tls_elsewhere: bool = False,
    patience_s: float = 60.0,
) -> ClientConfig:
    """Check what a client is told.

    Args:
        url: http or https, host and port of the gateway.
        source: Source of messages that the client makes.
        key: The API key itself, or
        key_file: a file with nothing else in it.
        tls_elsewhere: A key may be sent over http to another machine: a proxy has TLS.
        patience_s: See `ClientConfig`.

    Raises:
        ClientError: url_invalid, key_unreadable, key_unencrypted.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError(
            "url_invalid", "this is no address of a gateway", fix="name it as https://host:port"
        )
    if key_file is not None:
        try:
            key = Path(key_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ClientError(
                "key_unreadable", "the file of the key cannot be read", why=type(error).__name__,
                fix="name a file that holds the key and nothing else",
            ) from None  # fmt: skip
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ClientError(
            "key_unreadable", "the key is not one", fix="use what `cimstream gateway-key` printed"
        )
    if key and parts.scheme == "http" and not tls_elsewhere and not _is_loopback(parts.hostname):
        raise ClientError(
            "key_unencrypted", "the key would travel unencrypted",
            fix="use https, or say tls_elsewhere where a proxy on this machine has it",
        )  # fmt: skip
    return ClientConfig(url.rstrip("/"), source, key, patience_s)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
