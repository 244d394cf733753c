"""What an HTTP request shows of who sends it.

Lives here: which headers and which certificate count. Must not live here: whether they are good
(`connectors.access`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.access import Credentials

CERTIFICATE: Final = "cimstream.certificate"
"""Extension of the ASGI scope: `names` in the client's certificate, which TLS has verified."""


def shown(headers: Mapping[str, str], scope: Mapping[str, Any]) -> Credentials:
    """The credentials of a request. `headers`: by name in lower case, repeated ones as a list."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return Credentials(
        key=headers.get("x-api-key", ""),
        token=token.strip() if scheme.lower() == "bearer" else "",
        names=scope.get("extensions", {}).get(CERTIFICATE, {}).get("names", frozenset()),
    )
