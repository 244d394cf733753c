"""WS-Security of a request: who sends it, and that it is no old one.

Lives here: the Security header: Timestamp, UsernameToken, and what else must be there. Must not
live here: signatures (`signature`), what the system may send (`connectors.access`).

    UsernameToken, digest   the shared password, with a Nonce and a time of its own
    UsernameToken, text     the API key, over TLS or on this machine only
    X.509 signature         over Body and Timestamp

Invariant: credentials that are given are right, all of them and of one system, or nothing is let
in; a time that is over is refused before anything is noted.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from connectors.access import OPEN, Gatekeeper, Principal
from connectors.exchange import Call
from connectors.soap.config import SoapLimits
from connectors.soap.credentials import Credentials
from connectors.soap.envelope import Envelope
from connectors.soap.namespaces import DS, PASSWORD_DIGEST, PASSWORD_TEXT, WSSE, WSU
from connectors.soap.nonces import Nonces
from connectors.soap.signature import verify
from schemas.envelope import read
from schemas.envelope.payload import text_of
from schemas.errors import MessageError
from schemas.identity import content_digest, raw_digest
from schemas.times import TimestampError, to_epoch_ms
from schemas.xml import XmlLimits

# OASIS asks for 16 random bytes; what is longer than this is none.
_NONCE_BYTES_MAX: Final = 128
_NOBODY: Final = b"a password that nobody has, so that an unknown name takes as long as a known one"


@dataclass(frozen=True, slots=True)
class Token:
    """A digest's nonce, and until when its time lets it in (epoch milliseconds)."""

    nonce: bytes
    until_ms: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What a Security header proved. `body` is what was signed, where something was."""

    principal: Principal
    body: etree._Element | None = None
    token: Token | None = None


class Security:
    """Checks Security headers. `clock` gives epoch milliseconds."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        nonces: Nonces,
        limits: SoapLimits,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Read what the access file names.

        Raises:
            CredentialFileError: a file of it cannot be used.
            NonceFileError: somebody has a password, and nonces cannot be remembered.
        """
        self._gatekeeper = gatekeeper
        self._nonces = nonces
        self._window_ms = int(limits.window_s * 1000)
        self._clock = clock
        self._sources = gatekeeper.sources
        self._credentials = Credentials(self._sources or {})
        if self._credentials.has_passwords:
            nonces.open()

    def prove(self, envelope: Envelope, *, private: bool) -> Proof | None:
        """Check what the envelope says of its sender; None where it says nothing.

        `private`: nobody could overhear it.

        Raises:
            MessageError: security_invalid, security_expired, security_too_weak,
                encryption_needed, authentication_failed, signature_invalid.
        """
        security = envelope.security
        if security is None:
            return None
        if self._gatekeeper.sources is None:
            return Proof(OPEN)
        self._renew()
        tokens = security.findall(f"{{{WSSE}}}UsernameToken")
        signatures = security.findall(f"{{{DS}}}Signature")
        timestamps = security.findall(f"{{{WSU}}}Timestamp")
        if max(map(len, (tokens, signatures, timestamps))) > 1:
            raise MessageError.of("security_invalid", "something stands twice in it")
        if timestamps:
            self._check_timestamp(timestamps[0])
        proofs = []
        if signatures:
            signed = verify(envelope, self._credentials.certified)
            self._check_timestamp(signed.timestamp)
            to = envelope.addressing
            if to.destination and to.to_id not in signed.ids:
                raise MessageError.of("security_too_weak", "wsa:To names a system, unsigned")
            proofs.append(Proof(signed.principal, body=signed.body))
        if tokens:
            proofs.append(self._by_token(tokens[0], private=private))
        if not proofs:
            return None
        if len({proof.principal.source for proof in proofs}) > 1:
            raise MessageError.of("authentication_failed", "two systems in one header")
        return replace(proofs[0], token=proofs[-1].token)

    def check_nonce(self, proof: Proof, call: Call) -> None:
        """Note the nonce of a digest with its message.

        Raises:
            MessageError: security_replayed.
        """
        if proof.token is None:
            return
        belongs = self._nonces.belongs(
            proof.principal.source,
            proof.token.nonce,
            call.message.identity.encode() + b"\0" + _content(call.message.value),
            until_ms=proof.token.until_ms,
            now_ms=self._clock(),
        )
        if not belongs:
            raise MessageError.of("security_replayed")

    def _renew(self) -> None:
        """Follow the gatekeeper, should it have read its file again."""
        sources = self._gatekeeper.sources
        if sources is not self._sources:
            self._credentials = Credentials(sources or {})
            self._sources = sources

    def _by_token(self, token: etree._Element, *, private: bool) -> Proof:
        parts: dict[str, etree._Element] = {}
        for part in token:
            name = part.tag.rpartition("}")[2]
            if name in parts:
                raise MessageError.of("security_invalid", f"{name} twice in UsernameToken")
            parts[name] = part
        texts = {name: text_of(part) for name, part in parts.items()}
        source, password = texts.get("Username", ""), texts.get("Password", "")
        if not source or not password:
            raise MessageError.of("security_invalid", "UsernameToken without name or password")
        kind = parts["Password"].get("Type", PASSWORD_TEXT)
        if kind == PASSWORD_DIGEST:
            return self._by_digest(
                source, password, texts.get("Nonce", ""), texts.get("Created", "")
            )
        if kind != PASSWORD_TEXT:
            raise MessageError.of("security_invalid", "the Type of Password")
        if not private:
            raise MessageError.of("encryption_needed")
        principal = self._gatekeeper.authenticate(password)
        if principal.source != source:
            raise MessageError.of("authentication_failed", "another system's key")
        return Proof(principal)

    def _by_digest(self, source: str, digest: str, nonce_text: str, created: str) -> Proof:
        try:
            nonce = binascii.a2b_base64(nonce_text, strict_mode=True)
        except ValueError:
            nonce = b""
        if not 0 < len(nonce) <= _NONCE_BYTES_MAX or not created:
            raise MessageError.of("security_invalid", "a digest needs Nonce and Created")
        found = self._credentials.password(source)
        password = _NOBODY if found is None else found[1]
        # SHA-1 is what the profile has; nothing here rests on collisions.
        made = hashlib.sha1(nonce + created.encode() + password, usedforsecurity=False).digest()
        right = hmac.compare_digest(binascii.b2a_base64(made, newline=False), digest.encode())
        if found is None or not right:
            raise MessageError.of("authentication_failed")
        created_ms = self._check_created(created)
        return Proof(found[0], token=Token(nonce, created_ms + self._window_ms))

    def _check_timestamp(self, timestamp: etree._Element) -> None:
        created = timestamp.find(f"{{{WSU}}}Created")
        expires = timestamp.find(f"{{{WSU}}}Expires")
        if created is None:
            raise MessageError.of("security_invalid", "a Timestamp without Created")
        self._check_created(text_of(created))
        if expires is not None and _epoch_ms(text_of(expires)) <= self._clock():
            raise MessageError.of("security_expired", "Expires")

    def _check_created(self, text: str) -> int:
        created_ms = _epoch_ms(text)
        if abs(self._clock() - created_ms) > self._window_ms:
            raise MessageError.of("security_expired", "Created")
        return created_ms


def _epoch_ms(text: str) -> int:
    try:
        return to_epoch_ms(text)
    except TimestampError:
        raise MessageError.of("security_invalid", "a time that cannot be read") from None


def _content(data: bytes) -> bytes:
    """What makes two messages the same one; of what cannot be read, its bytes."""
    try:
        return content_digest(read(data, XmlLimits(bytes_max=len(data))))
    except MessageError:
        return raw_digest(data)
