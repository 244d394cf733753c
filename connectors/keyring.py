"""The public keys of who issues tokens: a JWKS from a file or over HTTPS, kept and renewed.

Lives here: an issuer as the access file names it, fetching, and when to fetch again. Must not
live here: what a token must say (`connectors.tokens`).

Renewed every five minutes. A key that is not known may be new, so it is looked for at once, but
whoever sends such tokens makes us fetch no more than once in `PAUSE_S`. Where the issuer does not
answer, what is known holds for `keys_kept_s`, and then nothing.

Invariant: no answer of an issuer, and none that fails to come, blocks the event loop.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import math
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import jwt
from pydantic import BaseModel, ConfigDict, Field, model_validator

# Signatures that are made with one key and verified with another. With the HS family whoever can
# verify can forge, and a public key is known to everybody.
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
Fetch = Callable[["Issuer"], bytes]

FRESH_S: Final = 300.0
PAUSE_S: Final = 30.0
# One who waits for a key waits so long; the fetch itself may go on beside.
WAIT_S: Final = 5.0
_BYTES_MAX: Final = 1024 * 1024
_KEYS_MAX: Final = 100
_LOGGER: Final = logging.getLogger("cimstream.access")


class KeysAwayError(Exception):
    """The issuer's keys cannot be had, so nothing can be said of its tokens."""


class Issuer(BaseModel):
    """Whose tokens are believed, and what they must say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    claim: str = Field(default="sub", min_length=1)
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    keys_file: Path | None = None
    keys_url: str | None = Field(default=None, pattern=r"^https://[^/?#]+(/[^?#]*)?(\?[^#]*)?$")
    ca_file: Path | None = None
    skew_s: float = Field(default=30, ge=0, le=300)
    keys_kept_s: float = Field(default=86_400, ge=FRESH_S, le=7 * 86_400)

    @model_validator(mode="after")
    def _one_place(self) -> Issuer:
        if (self.keys_file is None) == (self.keys_url is None):
            raise ValueError("name either keys_file or keys_url")
        return self


class Keyring:
    """The keys of one issuer. One event loop."""

    def __init__(
        self, issuer: Issuer, fetch: Fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`fetch` may block: it runs in a thread. `clock` gives seconds."""
        self.issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[tuple[str, str], jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._failed = False

    async def key(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """The key of this name for this algorithm; None where the issuer has none.

        Raises:
            KeysAwayError: they were not had for longer than they are kept.
        """
        found = self._known(kid, algorithm)
        if found is None:
            await self._renew_within(PAUSE_S)
            found = self._known(kid, algorithm)
        if found is None and self._clock() - self._fetched_at > self.issuer.keys_kept_s:
            raise KeysAwayError
        return found

    async def tend(self) -> None:
        """Renew what is due; to be called now and then."""
        age_s = self._clock() - self._fetched_at
        if age_s >= FRESH_S:
            await self._renew_within(PAUSE_S)

    def _known(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        if self._clock() - self._fetched_at > self.issuer.keys_kept_s:
            return None
        return self._keys.get((kid, algorithm))

    async def _renew_within(self, pause_s: float) -> None:
        """Fetch, unless that was tried within the pause; wait for it, but not long."""
        if self._fetching is None and self._clock() - self._tried_at >= pause_s:
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._renew())
        if self._fetching is not None:
            await asyncio.wait({self._fetching}, timeout=WAIT_S)

    async def _renew(self) -> None:
        try:
            data = await asyncio.to_thread(self._fetch, self.issuer)
            self._keys = read_keys(data, self.issuer.algorithms)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._tell(failed=True, why=f"{type(error).__name__}: {error}")
        else:
            self._fetched_at = self._clock()
            self._tell(failed=False)
        finally:
            self._fetching = None

    def _tell(self, *, failed: bool, why: str = "") -> None:
        """One line for each change between good and bad."""
        if failed == self._failed:
            return
        self._failed = failed
        fields = {"issuer": self.issuer.issuer, **({"why": why[:200]} if failed else {})}
        if failed:
            _LOGGER.error("keys of the issuer cannot be had", extra={"fields": fields})
        else:
            _LOGGER.info("keys of the issuer are there again", extra={"fields": fields})


def read_keys(
    data: bytes, algorithms: tuple[Algorithm, ...]
) -> Mapping[tuple[str, str], jwt.PyJWK]:
    """The keys of a JWKS by their name and what they may be used with; others are passed over.

    Raises:
        ValueError: it is no JWKS, or has no key that can be used.
    """
    document = json.loads(data)
    listed: Any = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no JWKS")  # noqa: TRY004 - to the caller all bad ones are alike
    found: dict[tuple[str, str], jwt.PyJWK] = {}
    for entry in listed[:_KEYS_MAX]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        for algorithm in algorithms:
            if entry.get("alg", algorithm) != algorithm:
                continue
            try:
                found[str(entry.get("kid", "")), algorithm] = jwt.PyJWK(entry, algorithm)
            except jwt.PyJWTError:
                continue  # of another kind than the algorithm, or broken
    if not found:
        raise ValueError("the JWKS has no key for any of the algorithms")
    return found


def fetch_keys(issuer: Issuer) -> bytes:
    """Read the file or ask the issuer; blocks. No redirect is followed and no proxy asked.

    Raises:
        OSError: it cannot be reached or read, or its certificate is not good.
        ValueError: it answers with something else than 200, or with too much.
        http.client.HTTPException: it does not speak HTTP.
    """
    if issuer.keys_file is not None:
        return issuer.keys_file.read_bytes()[: _BYTES_MAX + 1]
    where = urlsplit(issuer.keys_url or "")
    context = ssl.create_default_context(cafile=issuer.ca_file)
    connection = http.client.HTTPSConnection(
        where.hostname or "", where.port, timeout=WAIT_S, context=context
    )
    try:
        path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise ValueError(f"it answers {response.status}")
        data = response.read(_BYTES_MAX + 1)
    finally:
        connection.close()
    if len(data) > _BYTES_MAX:
        raise ValueError("it answers with more than a megabyte")
    return data
