"""The objects of registers: their present state, and one message's changes to it.

Lives here: the state of an object, and applying what a message says about objects, all of it or
nothing. Must not live here: records and replies (see `registers`).

An object is kept as the value of its last event, which says everything: its fields, its revision
and where it is in its life. A deleted object is kept no longer.

Invariant: a message that is refused has changed nothing, whichever of its objects was wrong; and it
is told of every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.avro import decode, wire
from schemas.envelope import Header, ObjectId
from schemas.errors import Problem
from schemas.profiles import DeclaredProfile, Item
from schemas.profiles.keys import Identity
from streams.processors.registers.directory import Directory
from streams.processors.registers.expectation import expected_revision
from streams.processors.registers.life_cycle import (
    Content,
    Life,
    Transition,
    refusal,
    transition,
)

_REVISION_NUMBER: Final = "revisionNumber"

Record = dict[str, Any]


def _told(record: Record) -> Record:
    return {key: value for key, value in record.items() if value is not None}


def _number(text: str | None) -> tuple[int, str] | None:
    """What sorts like the number that the text is; None where it is none.

    `int` would refuse a text of some thousand digits.
    """
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0")
    return len(digits), digits


@dataclass(frozen=True, slots=True)
class State:
    """An object as it is."""

    revision: int
    life: Life
    record: Record

    @classmethod
    def read(cls, value: bytes) -> State:
        """From the value of its last event. Raises WireFormatError: it is none."""
        _, record = decode(value)
        return cls(record["revision"], Life[record["lifeCycle"].upper()], record)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message did to one object: an event with the object's new state."""

    item: Item
    state: State
    about: ObjectId


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one object of a message is refused, and which one it is, as the message names it."""

    problem: Problem
    about: ObjectId


class _Fault(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


class Changes:
    """What one message does, object after object, each on top of the ones before it.

    `find` reads an object by its key, `names` the directory's entry of a name. `now_ms` is when the
    register heard of the message.
    """

    def __init__(
        self,
        profile: DeclaredProfile,
        header: Header,
        find: Callable[[bytes], State | None],
        names: Callable[[bytes], bytes | None],
        *,
        control: bool,
        now_ms: int,
    ) -> None:
        self._profile = profile
        self._header = header
        self._find = find
        self._control = control
        self._now_ms = now_ms
        # As they were found, or as this message has made them.
        self._known: dict[bytes, State | None] = {}
        self.directory = Directory(names, self._identity)

    def of(self, items: list[Item]) -> tuple[list[Effect], list[Fault]]:
        """Every effect, in order, and what is wrong with which objects: then nothing takes effect.

        A fault is `object_exists`, `object_missing`, `object_ambiguous`, `transition_illegal`,
        `revision_outdated`, `control_expired` or `field_required`.

        Raises:
            MessageError: `expected_revision_invalid`, `expected_revision_ambiguous`.
        """
        expected = expected_revision(self._header, len(items))
        effects: list[Effect] = []
        faults: list[Fault] = []
        for item in items:
            said = self._profile.decode(item.body)
            try:
                effects.append(self._effect(item, said, expected))
            except _Fault as fault:
                problem = Problem(fault.code, fault.detail, item.xpath, item.line)
                faults.append(Fault(problem, self._profile.id_of(said)))
        return effects, faults

    def _effect(self, item: Item, said: Record, expected: int | None) -> Effect:
        verb = item.verb or self._header.verb
        key, before = self._meant(self._profile.identity(said))
        state = self._changed(item, verb, before, said, expected)
        known = None if before is None else self._profile.identity(before.record)
        left = None if state.life is Life.DELETED else self._profile.identity(state.record)
        self.directory.move(key, known, left)
        self._known[key] = state
        prefix = wire.long(state.revision) + wire.long(state.life)
        body = prefix + self._profile.encode(state.record)
        event = replace(item, key=key, verb=verb, body=body)
        return Effect(event, state, self._profile.id_of(state.record))

    def _meant(self, said: Identity) -> tuple[bytes, State | None]:
        """The key of the object that is meant, and what is known of it; of a new one its key."""
        found = self.directory.find(said)
        key = self.directory.free(said) if found.key is None else found.key
        if found.several or key is None:
            raise _Fault("object_ambiguous")
        return key, None if found.key is None else self._present(key)

    def _identity(self, key: bytes) -> Identity | None:
        state = self._present(key)
        return None if state is None else self._profile.identity(state.record)

    def _present(self, key: bytes) -> State | None:
        if key not in self._known:
            self._known[key] = self._find(key)
        state = self._known[key]
        return None if state is None or state.life is Life.DELETED else state

    def _changed(
        self, item: Item, verb: str, before: State | None, said: Record, expected: int | None
    ) -> State:
        step = transition(verb, control=self._control)
        life = None if before is None else before.life
        if (code := refusal(step, life)) is not None:
            known = "" if life is None else f"{verb} of what is {life.name.lower()}"
            raise _Fault(code, known)
        self._check_revision(before, said, expected)
        revision = 1 if before is None else before.revision + 1
        record = self._merged(before, said, step, partial=item.partial)
        new = before is None or step.content is Content.WHOLE
        if new and (missing := self._profile.missing(record)):
            raise _Fault("field_required", ", ".join(missing))
        if self._control and verb == "execute" and self._expired(record):
            raise _Fault("control_expired")
        return State(revision, step.after(life), record)

    def _merged(
        self, before: State | None, said: Record, step: Transition, *, partial: bool
    ) -> Record:
        if before is None:
            return said
        if step.content is Content.NONE:
            return before.record
        # The first spelling stays, and who calls an object by its name does not take its mRID away.
        mrid = {"mRID": before.record["mRID"] or said["mRID"]}
        if step.content is Content.WHOLE and not partial:
            return {**said, **mrid}
        there = {key: value for key, value in said.items() if value not in (None, [])}
        for key in self._profile.periods & there.keys():
            # Who closes something says its end; that is no word on when it began.
            there[key] = {**(before.record[key] or {}), **_told(there[key])}
        if "names" in there and said["mRID"] is None:
            # Nor its other names: those that are said only tell which object is meant.
            known = before.record["names"]
            there["names"] = [*known, *(name for name in said["names"] if name not in known)]
        return {**before.record, **there, **mrid}

    def _expired(self, record: Record) -> bool:
        expiry_ms = self._profile.expiry_ms(record)
        return expiry_ms is not None and expiry_ms <= self._now_ms

    def _check_revision(self, before: State | None, said: Record, expected: int | None) -> None:
        present = 0 if before is None else before.revision
        if expected not in (None, present):
            raise _Fault("revision_outdated", f"revision {expected} is expected, it is {present}")
        known = None if before is None else _number(before.record.get(_REVISION_NUMBER))
        told = _number(said.get(_REVISION_NUMBER))
        if known and told and told < known:
            raise _Fault("revision_outdated", _REVISION_NUMBER)
