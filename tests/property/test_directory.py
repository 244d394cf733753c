"""Objects of a register and their names, in any order and number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.profiles.keys import Identity
from streams.processors.registers.directory import Directory

NAMES = st.lists(
    st.sampled_from([f"{kind}|{text}".encode() for kind in ("|", "a|k", "b|k") for text in "12"]),
    max_size=3,
    unique=True,
)
MRIDS = st.none() | st.sampled_from([b"m1", b"m2", b"m3"])
IDENTITIES = st.builds(Identity, MRIDS, NAMES.map(tuple)).filter(
    lambda identity: identity.mrid is not None or bool(identity.names)
)


class Register:
    """Takes what it does not find, and lets an object that it finds have the names it is given."""

    def __init__(self) -> None:
        self.objects: dict[bytes, Identity] = {}
        self.entries: dict[bytes, bytes] = {}

    def directory(self) -> Directory:
        """For one message."""
        return Directory(self.entries.get, self.objects.get)

    def take(self, said: Identity) -> None:
        """One message."""
        directory = self.directory()
        found = directory.find(said)
        if found.several:
            return
        key = found.key
        if key is None:
            key = directory.free(said)
            if key is None:
                return
            assert key not in self.objects
        before = self.objects.get(key)
        kept = None if before is None else before.mrid
        after = Identity(kept or said.mrid, said.names)
        directory.move(key, before, after)
        self.objects[key] = after
        for name, entry in directory.writes.items():
            if entry is None:
                self.entries.pop(name, None)
            else:
                self.entries[name] = entry


@given(st.lists(IDENTITIES, max_size=30))
def test_whoever_says_all_that_an_object_is_called_means_it_and_no_other(
    messages: list[Identity],
) -> None:
    register = Register()
    for said in messages:
        register.take(said)
        for key, identity in register.objects.items():
            found = register.directory().find(identity)
            if identity.mrid is not None:
                assert found.key == key
            elif identity.names:
                assert found.key == key or found.several


@given(st.lists(IDENTITIES, max_size=30))
def test_no_two_objects_have_one_mrid_and_no_entry_leads_to_what_is_not_called_so(
    messages: list[Identity],
) -> None:
    register = Register()
    for said in messages:
        register.take(said)
    mrids = [one.mrid for one in register.objects.values() if one.mrid is not None]
    assert len(mrids) == len(set(mrids))
    for name, entry in register.entries.items():
        for key, identity in register.objects.items():
            if entry == b"[]":
                continue
            called = name in identity.names or (name == identity.mrid and name != key)
            assert (f'"{key.decode()}"'.encode() in entry) == called
