"""Who may send what: API keys and the access file.

Lives here: the access file (sources, the hashes of their keys, what each may send), keys, and
rates. Must not live here: HTTP, audit records (whoever refuses writes them).

A key is 256 random bits, so its plain SHA-256 cannot be guessed back and is what the file holds.
The key itself exists once, where `cimstream gateway-key` prints it.

Invariant: no error, log line or record here ever holds a key.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from schemas.errors import MessageError, Problem
from topics import Catalogue
from topics.errors import EXIT_CONFIG, OperatorError

ANY: Final = "*"
_PREFIX: Final = "cimstream_"
_KEY: Final = re.compile(r"cimstream_[A-Za-z0-9_-]{43}", re.ASCII)
_KEY_BYTES: Final = 32
_HASH: Final = r"^sha256:[0-9a-f]{64}$"
# A second's worth may come at once: systems send in bursts, on the minute and the hour.
_BURST_S: Final = 1.0


class AccessFileError(OperatorError):
    """The access file cannot be used; nothing is let in by a file that is half understood."""

    def __init__(self, file: Path, why: str, fix: str) -> None:
        super().__init__(
            "access_file_invalid",
            what="the access file of the gateway cannot be used",
            where=str(file),
            why=why,
            fix=fix,
            exit_code=EXIT_CONFIG,
        )


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Table):
    """On one interface, these nouns with these verbs; "*" stands for all of them."""

    interface: str
    nouns: tuple[str, ...] = Field(min_length=1)
    verbs: tuple[str, ...] = Field(min_length=1)

    def allows(self, interface: str, noun: str, verb: str) -> bool:
        """Whether the rule lets it in."""
        return (
            self.interface in (ANY, interface)
            and (ANY in self.nouns or noun in self.nouns)
            and (ANY in self.verbs or verb in self.verbs)
        )


class SourceAccess(_Table):
    """What one system has and may. Without rules it may nothing."""

    keys: tuple[Annotated[str, StringConstraints(pattern=_HASH)], ...] = ()
    password_file: Path | None = None  # what a WS-Security digest is made with
    signing_certificate_files: tuple[
        Path, ...
    ] = ()  # what signatures of SOAP messages are made with
    allow: tuple[Rule, ...] = ()
    requests_per_s: float = Field(default=0, ge=0)


class _AccessFile(_Table):
    sources: Mapping[str, SourceAccess] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who was authenticated. `source` is "" at a door that is open to whoever reaches it."""

    source: str
    access: SourceAccess

    def check(self, source: str, interface: str, noun: str, verb: str) -> None:
        """Refuse what this system may not send.

        Raises:
            MessageError: `source_mismatch`, `not_authorised`.
        """
        if self.source and source != self.source:
            raise MessageError(Problem("source_mismatch", xpath="/*/Header/Source"))
        if not any(rule.allows(interface, noun, verb) for rule in self.access.allow):
            raise MessageError(Problem("not_authorised", f"{verb} {noun} on {interface}"))


OPEN: Final = Principal("", SourceAccess(allow=(Rule(interface=ANY, nouns=(ANY,), verbs=(ANY,)),)))
"""Whoever reaches a door without an access file; such a door is on loopback only."""


class Pace:
    """So many a second, with a burst; what was not used is kept up to that."""

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate_per_s
        self._burst = max(1.0, burst)
        self._clock = clock
        self._credit, self._since = self._burst, clock()

    def wait_s(self) -> float:
        """Count one; 0 if it may go on, else after how many seconds it may (it is not counted)."""
        now = self._clock()
        self._credit = min(self._burst, self._credit + (now - self._since) * self._rate)
        self._since = now
        if self._credit < 1:
            return (1 - self._credit) / self._rate
        self._credit -= 1
        return 0.0


class Gatekeeper:
    """Authenticates and paces. One event loop; rates hold per process."""

    def __init__(
        self,
        sources: Mapping[str, SourceAccess] | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sources` None: the door is open. `clock` gives seconds."""
        self.sources = sources
        self._by_hash = {
            digest: Principal(name, access)
            for name, access in (sources or {}).items()
            for digest in access.keys
        }
        self._paces = {
            name: Pace(access.requests_per_s, access.requests_per_s * _BURST_S, clock)
            for name, access in (sources or {}).items()
            if access.requests_per_s
        }

    def authenticate(self, key: str) -> Principal:
        """Who holds this key.

        Looked up by its digest, so how long it takes says nothing of the keys that exist.

        Raises:
            MessageError: `authentication_needed`, `authentication_failed`.
        """
        if self.sources is None:
            return OPEN
        if not key:
            raise MessageError(Problem("authentication_needed"))
        principal = self._by_hash.get(key_hash(key)) if _KEY.fullmatch(key) else None
        if principal is None:
            raise MessageError(Problem("authentication_failed"))
        return principal

    def wait_s(self, principal: Principal) -> float:
        """Count a request; 0 if it may go on, else after how many seconds one may."""
        pace = self._paces.get(principal.source)
        return 0.0 if pace is None else pace.wait_s()


def new_key() -> str:
    """A key that nobody had before."""
    return _PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def key_hash(key: str) -> str:
    """What the access file holds of it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def load_access(file: Path, catalogue: Catalogue) -> Mapping[str, SourceAccess]:
    """Read the access file: source to what it has and may.

    Raises:
        AccessFileError: it cannot be read, has a mistake, names what the catalogue does not have,
            or gives two sources the same key.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise AccessFileError(file, error.strerror or "it cannot be read", "name one") from error
    try:
        found = _AccessFile.model_validate(tomllib.loads(text)).sources
    except tomllib.TOMLDecodeError as error:
        raise AccessFileError(file, f"it is not TOML: {error}", "correct the file") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise AccessFileError(file, f"{key}: {first['msg']}", f"correct {key}") from error
    _check(file, found, catalogue)
    return found


def _check(file: Path, sources: Mapping[str, SourceAccess], catalogue: Catalogue) -> None:
    """A rule that can never allow anything is a spelling mistake; a shared key names nobody."""
    owners: dict[str, str] = {}
    for name, access in sources.items():
        if not name:
            raise AccessFileError(file, "a source has no name", "name it as its Header does")
        for digest in access.keys:
            if owners.setdefault(digest, name) != name:
                why = f"{owners[digest]} and {name} have the same key"
                raise AccessFileError(file, why, "give each a key of its own")
        for rule in access.allow:
            unknown = [noun for noun in rule.nouns if noun not in (ANY, *catalogue.nouns)]
            if rule.interface not in (ANY, *catalogue.interfaces):
                unknown.append(rule.interface)
            if unknown:
                why = f"sources.{name}.allow: the catalogue has no {', '.join(unknown)}"
                raise AccessFileError(file, why, "correct the spelling")
