"""Bearer tokens (RFC 6750, RFC 9068): whom a signed token of a trusted issuer names.

Lives here: what a token must say to be believed. Must not live here: keys (`connectors.keyring`),
whom a name belongs to and what they may (`connectors.access`).

Invariant: a token chooses nothing. Which algorithms, keys, audience and issuer count is the
access file's word; what the token says of them must agree with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import jwt

from connectors.keyring import Fetch, Issuer, Keyring, KeysAwayError
from schemas.errors import MessageError, Problem

# Tokens are sent with every request; those of large issuers are some 2 KiB.
_CHARS_MAX: Final = 8 * 1024
_NOT_OURS: Final = "the token is not one of an issuer that is trusted here"
_WHY: Final[Mapping[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is meant for another audience",
    jwt.InvalidSignatureError: "the signature of the token is not the issuer's",
    jwt.MissingRequiredClaimError: "the token lacks a claim that is needed",
}


class Named(NamedTuple):
    """Whom a token names: by which issuer, as the access file calls it, and as what."""

    issuer: str
    value: str


class Tokens:
    """Verifies the tokens of the issuers that it was told last. One event loop."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        """`fetch` gives an issuer's keys, `clock` seconds: see `Keyring`."""
        self._fetch = fetch
        self._clock = clock
        self._issuers: dict[str, tuple[str, Keyring]] = {}

    def change(self, issuers: Mapping[str, Issuer]) -> None:
        """Believe these, by their names; what is known of one that stays is kept."""
        before = {keyring.issuer: keyring for _, keyring in self._issuers.values()}
        self._issuers = {
            issuer.issuer: (name, before.get(issuer) or Keyring(issuer, self._fetch, self._clock))
            for name, issuer in issuers.items()
        }

    async def tend(self) -> None:
        """Renew the keys that are due."""
        for _, keyring in list(self._issuers.values()):
            await keyring.tend()

    async def verify(self, token: str) -> Named:
        """Whom the token names.

        Raises:
            MessageError: `authentication_failed`; `unavailable` where that cannot be said because
                the issuer's keys cannot be had.
        """
        header, claims = _unverified(token)
        said = claims.get("iss")
        known = self._issuers.get(said) if isinstance(said, str) else None
        if known is None:
            raise _failed(_NOT_OURS)
        name, keyring = known
        issuer = keyring.issuer
        algorithm, kid = header.get("alg"), str(header.get("kid", ""))
        if algorithm not in issuer.algorithms:
            raise _failed("the token is signed in a way that is not allowed here")
        try:
            key = await keyring.key(kid, str(algorithm))
        except KeysAwayError:
            raise MessageError(
                Problem("unavailable", "the keys of the token's issuer cannot be had")
            ) from None
        if key is None:
            raise _failed("the issuer has no such key")
        return Named(name, _verified(token, key, str(algorithm), issuer))


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the token says of itself, to find out against what it is to be verified."""
    if len(token) > _CHARS_MAX:
        raise _failed("the token is too long")
    try:
        found = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _failed("it is no token") from None
    return found["header"], found["payload"]


def _verified(token: str, key: jwt.PyJWK, algorithm: str, issuer: Issuer) -> str:
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=issuer.skew_s,
            options={
                "require": ["exp", "iss", "aud", issuer.claim],
                "enforce_minimum_key_length": True,
            },
        )
    except (jwt.PyJWTError, ValueError) as error:
        why = next((why for kind, why in _WHY.items() if isinstance(error, kind)), _NOT_OURS)
        raise _failed(why) from None
    value = claims[issuer.claim]
    if not isinstance(value, str) or not value:
        raise _failed("the claim that names the system is no text")
    return value


def _failed(why: str) -> MessageError:
    return MessageError(Problem("authentication_failed", why))
