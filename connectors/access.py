"""Who may send what: the access file, and who is let in by it.

Lives here: the access file (sources, what they are known by, what each may send), API keys, and
rates. Must not live here: what a token or a certificate says (`connectors.tokens`,
`connectors.certificates`), HTTP, audit records (whoever refuses writes them).

A key is 256 random bits, so its plain SHA-256 cannot be guessed back and is what the file holds.
The key itself exists once, where `cimstream gateway-key` prints it.

Invariant: no error, log line or record here ever holds a key or a token; and who shows several
credentials is let in only where all of them name the same system.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from connectors.certificates import normal
from connectors.keyring import Fetch, Issuer, fetch_keys
from connectors.tokens import Named, Tokens
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
    """What one system is known by, and what it may. Without rules it may nothing.

    `certificates` are names as of `connectors.certificates`; `tokens` gives, by the name of an
    issuer of the file, what the issuer's claim says of the system.
    """

    keys: tuple[Annotated[str, StringConstraints(pattern=_HASH)], ...] = ()
    password_file: Path | None = None  # what a WS-Security digest is made with
    # What signatures of SOAP messages are made with.
    signing_certificate_files: tuple[Path, ...] = ()
    certificates: tuple[Annotated[str, AfterValidator(normal)], ...] = ()
    tokens: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    allow: tuple[Rule, ...] = ()
    requests_per_s: float = Field(default=0, ge=0)

    def allows(self, interface: str, noun: str, verb: str) -> bool:
        """Whether one of the rules lets it in."""
        return any(rule.allows(interface, noun, verb) for rule in self.allow)


class Access(_Table):
    """The access file: systems by their name, and whose tokens are believed."""

    sources: Mapping[str, SourceAccess] = Field(default_factory=dict)
    issuers: Mapping[str, Issuer] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of who sends it; each may be missing.

    `names` are those of a certificate that TLS has verified, in normal form.
    """

    key: str = ""
    token: str = ""
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who was authenticated. `source` is "" at a door that is open to whoever reaches it.

    `known_by` is what it has shown, in the words of the access file.
    """

    source: str
    access: SourceAccess
    known_by: tuple[str | Named, ...] = ()

    def check(self, source: str, interface: str, noun: str, verb: str) -> None:
        """Refuse what this system may not send.

        Raises:
            MessageError: `source_mismatch`, `not_authorised`.
        """
        if self.source and source != self.source:
            raise MessageError(Problem("source_mismatch", xpath="/*/Header/Source"))
        if not self.access.allows(interface, noun, verb):
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
        issuers: Mapping[str, Issuer] = MappingProxyType({}),
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch: Fetch = fetch_keys,
    ) -> None:
        """`sources` None: the door is open. `clock` gives seconds, `fetch` an issuer's keys."""
        self.sources = sources
        self._clock = clock
        self._tokens = Tokens(fetch, clock)
        self._paces: dict[str, tuple[float, Pace]] = {}
        self.change(Access(sources=sources or {}, issuers=issuers))

    def change(self, access: Access) -> None:
        """Let another access file hold, from the next request on.

        What a source has used of its rate stays used, unless the rate is another.
        """
        if self.sources is not None:
            self.sources = access.sources
        principals = {name: Principal(name, has) for name, has in access.sources.items()}
        owners = list(_credentials(access.sources))
        self._owners = {credential: principals[name] for credential, name in owners}
        before = self._paces
        self._paces = {}
        for name, has in access.sources.items():
            rate = has.requests_per_s
            known = before.get(name)
            if known is not None and known[0] == rate:
                self._paces[name] = known
            elif rate:
                self._paces[name] = (rate, Pace(rate, rate * _BURST_S, self._clock))
        self._tokens.change(access.issuers)

    async def tend(self) -> None:
        """Renew the keys of issuers that are due; to be called every few seconds."""
        await self._tokens.tend()

    async def identify(self, shown: Credentials) -> Principal:
        """Who it is that shows these credentials.

        A certificate that names no system is none: it may be that of a proxy.

        Raises:
            MessageError: `authentication_needed`, `authentication_failed`, `unavailable`.
        """
        if self.sources is None:
            return OPEN
        found = [self._known(name) for name in shown.names if name in self._owners]
        if shown.key:
            found.append(self.authenticate(shown.key))
        if shown.token:
            named = await self._tokens.verify(shown.token)
            if named not in self._owners:
                raise _failed("no system has what the token names")
            found.append(self._known(named))
        if not found and shown.names:
            raise _failed("no system has a name that the certificate says")
        if not found:
            raise MessageError(Problem("authentication_needed"))
        if any(principal.source != found[0].source for principal in found):
            raise _failed("the credentials are those of different systems")
        return replace(found[0], known_by=tuple(one for who in found for one in who.known_by))

    def holds(self, principal: Principal, interface: str, noun: str, verb: str) -> bool:
        """Whether who was let in once would be now: all it has shown, and the right.

        A token is not judged again: what it names is.
        """
        if self.sources is None:
            return True
        owners = [self._owners.get(credential) for credential in principal.known_by]
        return bool(owners) and all(
            owner is not None
            and owner.source == principal.source
            and owner.access.allows(interface, noun, verb)
            for owner in owners
        )

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
        known = key_hash(key) if _KEY.fullmatch(key) else ""
        if known not in self._owners:
            raise _failed("the API key is not known")
        return self._known(known)

    def _known(self, credential: str | Named) -> Principal:
        return replace(self._owners[credential], known_by=(credential,))

    def wait_s(self, principal: Principal) -> float:
        """Count a request; 0 if it may go on, else after how many seconds one may."""
        paced = self._paces.get(principal.source)
        return 0.0 if paced is None else paced[1].wait_s()


def _failed(why: str) -> MessageError:
    return MessageError(Problem("authentication_failed", why))


def _credentials(sources: Mapping[str, SourceAccess]) -> Iterator[tuple[str | Named, str]]:
    """What each source is known by. Hashes, names and claims cannot be taken for one another."""
    for name, has in sources.items():
        known: list[str | Named] = [*has.keys, *has.certificates]
        known += [Named(at, value) for at, values in has.tokens.items() for value in values]
        yield from ((credential, name) for credential in known)


def new_key() -> str:
    """A key that nobody had before."""
    return _PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def key_hash(key: str) -> str:
    """What the access file holds of it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def load_access(file: Path, catalogue: Catalogue) -> Access:
    """Read the access file.

    Raises:
        AccessFileError: it cannot be read, has a mistake, names what the catalogue or the file
            does not have, or says the same of two sources.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it cannot be read"
        raise AccessFileError(file, why, "name a file of text that can be read") from error
    try:
        found = Access.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise AccessFileError(file, f"it is not TOML: {error}", "correct the file") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise AccessFileError(file, f"{key}: {first['msg']}", f"correct {key}") from error
    _check_known_by(file, found)
    _check_rules(file, found.sources, catalogue)
    return found


def _check_known_by(file: Path, access: Access) -> None:
    """What two sources are known by names neither; an issuer that is not there names nobody."""
    if "" in access.sources:
        raise AccessFileError(file, "a source has no name", "name it as its Header does")
    owners: dict[str | Named, str] = {}
    for credential, name in _credentials(access.sources):
        if owners.setdefault(credential, name) != name:
            why = f"{owners[credential]} and {name} have the same key, certificate or token"
            raise AccessFileError(file, why, "give each one of its own")
        if isinstance(credential, Named) and credential.issuer not in access.issuers:
            why = f"sources.{name}.tokens: there is no issuer {credential.issuer}"
            raise AccessFileError(file, why, "add it under [issuers], or correct the spelling")
    said = [issuer.issuer for issuer in access.issuers.values()]
    if len(set(said)) < len(said):
        raise AccessFileError(file, "two issuers are the same", "leave one of them out")


def _check_rules(file: Path, sources: Mapping[str, SourceAccess], catalogue: Catalogue) -> None:
    """A rule that can never allow anything is a spelling mistake."""
    for name, access in sources.items():
        for rule in access.allow:
            unknown = [noun for noun in rule.nouns if noun not in (ANY, *catalogue.nouns)]
            if rule.interface not in (ANY, *catalogue.interfaces):
                unknown.append(rule.interface)
            if unknown:
                why = f"sources.{name}.allow: the catalogue has no {', '.join(unknown)}"
                raise AccessFileError(file, why, "correct the spelling")
