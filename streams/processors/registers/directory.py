"""By which key an object of a register is kept, whatever a message calls it.

Lives here: names and mRIDs to keys. Must not live here: what is kept (see `objects`).

An object is kept, and its events are keyed, by the mRID that it had when it came, else by its
first name that is no other object's key; that key stays for its life. An mRID means one object,
whatever its names. A message without mRID means the object that has one of its names: the same
name, kind of name and authority, and no other name of a kind that both have. So two objects that
share a label are told apart by the names that they do not share; where several are left, nobody is
meant. A message with an mRID that nobody has means an object that came without one and has its
name; it has an mRID from then on.

Invariant: a key is given once: whoever has a name that is a key finds that object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from schemas.profiles.keys import Identity, is_of_mrid

NAMESAKES_MAX: Final = 8
"""More objects of one name are not kept: it is a label then, and finds nobody any more."""
_TOO_MANY: Final = b"[]"


@dataclass(frozen=True, slots=True)
class Found:
    """`key` is None where there is no such object, or `several` are meant."""

    key: bytes | None
    several: bool = False


class Directory:
    """The names of all objects of one register and context, with what one message does to them.

    `get` reads the entry of a name; `identity_of` gives the present identity of an object by its
    key, None where there is none.
    """

    def __init__(
        self,
        get: Callable[[bytes], bytes | None],
        identity_of: Callable[[bytes], Identity | None],
    ) -> None:
        self._get = get
        self._identity_of = identity_of
        self.writes: dict[bytes, bytes | None] = {}
        """What follows for the store: an entry by name, None where it goes."""

    def find(self, said: Identity) -> Found:
        """The object that is meant."""
        if said.mrid is not None:
            if self._identity_of(said.mrid) is not None:
                return Found(said.mrid)
            for key in self._holders(said.mrid):
                return Found(key)
        telling = [name for name in said.names if self._entry(name) != _TOO_MANY]
        found = {key for name in telling for key in self._candidates(name, said)}
        if len(found) == 1:
            return Found(found.pop())
        return Found(None, several=bool(found) or (said.mrid is None and not telling))

    def free(self, said: Identity) -> bytes | None:
        """The key of a new object; None where each of its names is the key of another."""
        names = said.names if said.mrid is None else (said.mrid,)
        return next((name for name in names if self._identity_of(name) is None), None)

    def move(self, key: bytes, before: Identity | None, after: Identity | None) -> None:
        """Note that the object has these names now; None where there was or is no object."""
        were, are = _entries(key, before), _entries(key, after)
        for name in sorted(were - are):  # the order of a set differs between processes
            self._write(name, [holder for holder in self._holders(name) if holder != key])
        for name in sorted(are - were):
            self._write(name, [*self._holders(name), key])

    def _candidates(self, name: bytes, said: Identity) -> Iterable[bytes]:
        """The objects of this name that may be meant."""
        for key in {name, *self._holders(name)}:
            if said.mrid is not None and is_of_mrid(key):
                continue  # it has another mRID
            known = self._identity_of(key)
            if known is None or (said.mrid is not None and known.mrid is not None):
                continue
            given_up = key == name and name not in known.names
            if given_up or not _differ(said.names, known.names):
                yield key

    def _holders(self, name: bytes) -> list[bytes]:
        entry = self._entry(name)
        return [] if entry is None else [key.encode() for key in json.loads(entry)]

    def _entry(self, name: bytes) -> bytes | None:
        return self.writes[name] if name in self.writes else self._get(name)

    def _write(self, name: bytes, holders: list[bytes]) -> None:
        if len(holders) > NAMESAKES_MAX:
            self.writes[name] = _TOO_MANY
        elif self._entry(name) != _TOO_MANY:
            told = json.dumps([key.decode() for key in holders], ensure_ascii=False)
            self.writes[name] = told.encode() if holders else None


def _entries(key: bytes, identity: Identity | None) -> set[bytes]:
    """Under what an object is entered: its names, and its mRID where that is not its key."""
    if identity is None:
        return set()
    entries = set(identity.names)
    if identity.mrid is not None and identity.mrid != key:
        entries.add(identity.mrid)
    return entries


def _differ(said: Iterable[bytes], known: Iterable[bytes]) -> bool:
    """Whether the names say that these are two: of one kind and authority, and none the same."""
    ours, theirs = _by_kind(said), _by_kind(known)
    return any(ours[kind].isdisjoint(theirs[kind]) for kind in ours.keys() & theirs.keys())


def _by_kind(names: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for name in names:
        kind, _, text = name.rpartition(b"|")
        found.setdefault(kind, set()).add(text)
    return found
