"""The objects of registers: their present state, and one message's changes to it.

Lives here: the state of an object, and applying what a message says about objects, all of it or
nothing. Must not live here: records and replies (see `registers`).

An object is kept as the value of its last event, which says everything: its fields, its revision
and where it is in its life. A deleted object is kept no longer.

Invariant: a message that is refused has changed nothing, whichever of its objects was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.avro import decode, wire
from schemas.envelope import Header
from schemas.errors import MessageError, Problem
from schemas.profiles import DeclaredProfile, Item
from streams.processors.registers.life_cycle import Content, Life, refusal, transition

EXPECTED_REVISION: Final = "ExpectedRevision"
"""The Property of a Header that says which revision of the object its sender has seen."""
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


class Changes:
    """What one message does, object after object, each on top of the ones before it."""

    def __init__(
        self,
        profile: DeclaredProfile,
        header: Header,
        find: Callable[[bytes], State | None],
        *,
        control: bool,
    ) -> None:
        self._profile = profile
        self._header = header
        self._find = find
        self._control = control
        self._made: dict[bytes, State] = {}

    def of(self, items: list[Item]) -> list[Effect]:
        """Every effect, in order.

        Raises:
            MessageError: `object_exists`, `object_missing`, `transition_illegal`,
                `revision_outdated`, `field_required`: of the first object that is wrong.
        """
        return list(self._effects(items))

    def _effects(self, items: list[Item]) -> Iterator[Effect]:
        for item in items:
            state = self._changed(item, self._present(item.key))
            self._made[item.key] = state
            body = self._profile.encode(state.record)
            prefix = wire.long(state.revision) + wire.long(state.life)
            verb = item.verb or self._header.verb
            yield Effect(replace(item, verb=verb, body=prefix + body), state)

    def _present(self, key: bytes) -> State | None:
        state = self._made.get(key)
        if state is None:
            return self._find(key)
        return None if state.life is Life.DELETED else state

    def _changed(self, item: Item, before: State | None) -> State:
        step = transition(item.verb or self._header.verb, control=self._control)
        code = refusal(step, None if before is None else before.life)
        said = self._profile.decode(item.body)
        if before is not None:
            code = code or self._outdated(before, said)
        if code is not None:
            raise self._error(code, item)
        revision = 1 if before is None else before.revision + 1
        record = self._merged(before, said, step.content, partial=item.partial)
        new = before is None or step.content is Content.WHOLE
        if new and (missing := self._profile.missing(record)):
            raise self._error("field_required", item, ", ".join(missing))
        return State(revision, step.target, record)

    def _merged(
        self, before: State | None, said: Record, content: Content, *, partial: bool
    ) -> Record:
        if before is None or (content is Content.WHOLE and not partial):
            return said
        if content is Content.NONE:
            return before.record
        there = {key: value for key, value in said.items() if value not in (None, [])}
        for key in self._profile.periods & there.keys():
            # Who closes something says its end; that is no word on when it began.
            there[key] = {**(before.record[key] or {}), **_told(there[key])}
        return {**before.record, **there}

    def _outdated(self, before: State, said: Record) -> str | None:
        for name, expected in self._header.properties:
            if name.lower() == EXPECTED_REVISION.lower() and expected != str(before.revision):
                return "revision_outdated"
        known = _number(before.record.get(_REVISION_NUMBER))
        told = _number(said.get(_REVISION_NUMBER))
        return "revision_outdated" if known and told and told < known else None

    def _error(self, code: str, item: Item, detail: str = "") -> MessageError:
        about = f"object {item.index}" + (f": {detail}" if detail else "")
        return MessageError(Problem(code, about))
