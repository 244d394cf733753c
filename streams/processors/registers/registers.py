"""Registers: what intake let through becomes the present state of objects, once.

Lives here: the order of decisions for one accepted message.

    repeat?    -> no effect; the first reply again
    conflict?  -> rejected, the first message stands
    refused?   -> rejected (it exists already, is missing, closed, changed meanwhile …)
    else       -> per object: event, present state; reply, mark; all in one transaction

Must not live here: what a verb does (see `life_cycle`), how an object changes (see `objects`), or a
network model (see `models`), building records (see `streams.processors.outputs`).

Invariant: log, present state, reply and mark say the same, because they are written together; the
messages of one noun are applied one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Final

from schemas.envelope import ObjectId
from schemas.errors import MessageError, Problem
from schemas.profiles import DOCUMENTS, declared
from schemas.xml import XmlLimits
from streams.engine.processor import COUNTERS, Context, Horizon, StoreSpec
from streams.engine.record import Output, Record
from streams.processors.addressed import SEND_RECEIVE, addressed
from streams.processors.deduplication import Deduplication
from streams.processors.marks import time_of
from streams.processors.outputs import (
    accepted_reply,
    events,
    failed_reply,
    rejection,
    reply_output,
)
from streams.processors.provenance import inbound_of, says_inbound
from streams.processors.registers.life_cycle import Life
from streams.processors.registers.models import Effect as ModelEffect
from streams.processors.registers.models import Models
from streams.processors.registers.objects import Changes, Effect, State
from streams.processors.registers.versions import Version, read_version
from streams.processors.understand import Refused, Understanding, Understood
from topics import Catalogue, naming

NAME: Final = "registers"
OBJECTS: Final = "objects"
MARKS: Final = "marks"
# Before the entries of the directory, which lie among the objects; no context is called so.
_NAMES: Final = b"names|"
MODEL_OBJECTS_MAX: Final = 250_000
# Packed 200:1, the most that is unpacked, these are 13 MB: 30,000 objects.
_HEAVY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message with where it came in; `version` is the version of a model that it brings."""

    inbound: Record
    message: Understood | Refused
    version: Version | None = None


class Registers:
    """The registers of some or all interfaces of the catalogue, by their homes."""

    name = NAME

    def __init__(
        self,
        catalogue: Catalogue,
        interfaces: Sequence[str],
        model_objects_max: int = MODEL_OBJECTS_MAX,
    ) -> None:
        """`model_objects_max` bounds what becomes visible at once: one version of a model."""
        self._catalogue = catalogue
        self._limits = XmlLimits(bytes_max=catalogue.message_bytes_max)
        self._model_objects_max = model_objects_max
        self._deduplication = Deduplication(MARKS, catalogue.dedup_horizon_ms, self._limits)
        self._homes = {naming.accepted(home): home for home in interfaces}
        self._entered = {naming.inbound(interface): interface for interface in catalogue.interfaces}
        self._understanding = {
            topic: Understanding(catalogue, interface) for topic, interface in self._entered.items()
        }
        kept = Horizon(catalogue.dedup_horizon_ms, catalogue.dedup_slack_ms, time_of)
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = {
            topic: (
                StoreSpec(OBJECTS, naming.changelog(NAME, f"objects-{home.lower()}")),
                StoreSpec(MARKS, naming.changelog(NAME, f"marks-{home.lower()}"), kept),
                StoreSpec(COUNTERS, naming.changelog(NAME, f"counters-{home.lower()}")),
            )
            for topic, home in self._homes.items()
        }

    def heavy(self, record: Record) -> bool:
        """Whether it is a network model of more than a few objects."""
        key = (record.key or b"").decode(errors="replace")
        noun = self._catalogue.nouns.get(key)
        size = len(record.value or b"")
        return noun is not None and noun.profile in DOCUMENTS and size > _HEAVY_BYTES

    def prepare(self, records: Sequence[Record]) -> Sequence[Accepted]:
        """Understand each message as intake did; no state, no order."""
        return [self._accepted(record) for record in records]

    def process(self, record: Record, prepared: Accepted, context: Context) -> None:
        """Decide about one message and emit what follows."""
        inbound, message = prepared.inbound, prepared.message
        if isinstance(message, Refused):
            self._refuse(record, inbound, message, context)
            return
        key = message.identity.store_key
        mark = self._deduplication.recall(record, key, context)
        if mark is None and prepared.version is not None:
            self._renew(record, inbound, message, prepared.version, context)
        elif mark is None:
            self._apply(record, inbound, message, key, context)
        elif (problem := self._deduplication.conflict(record, mark, context)) is None:
            self._count(context, "duplicates", inbound, message)
            if mark.reply:
                self._reply(record, inbound, message, mark.reply, context)
        else:
            refused = Refused((problem,), message.header, message.pattern)
            self._refuse(record, inbound, refused, context)

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        """What the engine asks for when a record broke us or the broker."""
        inbound = inbound_of(record) if says_inbound(record) else record
        interface = self._entered.get(inbound.topic, self._homes[record.topic])
        context.count("rejected", interface, naming.PRODUCTION, "", code)
        topic = naming.rejected(interface)
        problem = Problem(code, reason)
        context.emit(rejection(inbound, topic, None, problem, with_value=with_value))

    def _accepted(self, record: Record) -> Accepted:
        inbound = inbound_of(record)
        message = self._understanding[inbound.topic].understand(record.value)
        if isinstance(message, Refused) or message.noun.profile not in DOCUMENTS:
            return Accepted(inbound, message)
        version = read_version(record.value or b"", message, self._limits, self._model_objects_max)
        if isinstance(version, Refused):
            return Accepted(inbound, version)
        return Accepted(inbound, message, version)

    # --------------------------------------------------------------- effects

    def _apply(
        self, record: Record, inbound: Record, message: Understood, key: bytes, context: Context
    ) -> None:
        changes = self._changes(record, message, context)
        try:
            effects, faults = changes.of(message.items)
        except MessageError as error:
            refused = Refused(error.problems, message.header, message.pattern)
            self._refuse(record, inbound, refused, context)
            return
        if faults:
            problems = tuple(fault.problem for fault in faults)
            refused = Refused(problems, message.header, message.pattern)
            about = [fault.about for fault in faults]
            self._refuse(record, inbound, refused, context, about)
            return
        for output in self._written(inbound, message, effects, context):
            context.emit(output)
        for name, entry in changes.directory.writes.items():
            self._keep(_NAMES + _space(message) + name, entry, context)
        for _ in effects:
            self._count(context, "produced", inbound, message)
        reply = b""
        if message.pattern.replies:
            reply = accepted_reply(inbound, message, [effect.about for effect in effects])
            self._reply(record, inbound, message, reply, context)
        if message.pattern.name == SEND_RECEIVE:
            context.emit(self._addressed(inbound, message, effects))
        self._deduplication.remember(record, key, reply, context)

    def _addressed(self, inbound: Record, message: Understood, effects: list[Effect]) -> Output:
        """To its destination; until the first of its controls expires."""
        profile = declared(message.noun.profile or "")
        expiries = (profile.expiry_ms(effect.state.record) for effect in effects)
        return addressed(
            inbound,
            message,
            self._catalogue,
            subject=effects[0].item.key if len(effects) == 1 else b"",
            expires_ms=min((time for time in expiries if time is not None), default=None),
        )

    def _renew(
        self,
        record: Record,
        inbound: Record,
        message: Understood,
        version: Version,
        context: Context,
    ) -> None:
        models = Models(OBJECTS, message, context)
        try:
            effect = models.effect(message, version)
        except MessageError as error:
            refused = Refused(error.problems, message.header, message.pattern)
            self._refuse(record, inbound, refused, context)
            return
        models.keep(effect)
        context.emit_later(self._renewed(inbound, message, effect))
        self._count(context, "produced", inbound, message, times=effect.events)
        reply = b""
        if message.pattern.replies:
            model = ObjectId(effect.model, "uuid")
            reply = accepted_reply(inbound, message, [model], version.told)
            # Behind the events, so that other replies wait for this transaction no longer than
            # they must.
            context.emit_later([self._answer(record, inbound, message, reply)])
            self._count(context, "replied", inbound, message)
        self._deduplication.remember(record, message.identity.store_key, reply, context)

    def _renewed(
        self, inbound: Record, message: Understood, effect: ModelEffect
    ) -> Iterator[Output]:
        """The event of each object that a version changes, and the present state that follows."""
        noun = message.noun
        current = naming.current_log(noun.home, noun.name, message.identity.context)
        items, same = tee(effect.items(message))
        for item, event in zip(items, events(inbound, message, same, self._catalogue), strict=True):
            yield event
            value = None if item.verb in ("delete", "deleted") else event.value
            yield event._replace(topic=current, key=effect.current_key(item.key), value=value)

    def _changes(self, record: Record, message: Understood, context: Context) -> Changes:
        space = _space(message)

        def find(key: bytes) -> State | None:
            value = context.get(OBJECTS, space + key)
            return None if value is None else State.read(value)

        def names(name: bytes) -> bytes | None:
            return context.get(OBJECTS, _NAMES + space + name)

        return Changes(
            declared(message.noun.profile or ""),
            message.header,
            find,
            names,
            control=message.noun.control,
            now_ms=record.timestamp_ms,
        )

    def _keep(self, key: bytes, value: bytes | None, context: Context) -> None:
        if value is None:
            context.delete(OBJECTS, key)
        else:
            context.put(OBJECTS, key, value)

    def _written(
        self, inbound: Record, message: Understood, effects: list[Effect], context: Context
    ) -> Iterator[Output]:
        """The event of each effect, and the present state that follows; also kept in the store."""
        noun, space = message.noun, _space(message)
        current = naming.current_log(noun.home, noun.name, message.identity.context)
        items = [effect.item for effect in effects]
        logged = events(inbound, message, items, self._catalogue)
        for effect, event in zip(effects, logged, strict=True):
            yield event
            left = None if effect.state.life is Life.DELETED else event.value
            yield event._replace(topic=current, value=left)
            self._keep(space + effect.item.key, left, context)

    def _refuse(
        self,
        record: Record,
        inbound: Record,
        refused: Refused,
        context: Context,
        about: Sequence[ObjectId] = (),
    ) -> None:
        """To where the message entered: there its sender looks, and there it is redriven to.

        `about` are the objects that the problems are about, where they are about one each.
        """
        header, problems = refused.header, refused.problems
        interface, home = self._entered[inbound.topic], self._homes[record.topic]
        space = self._context(interface, header.context if header else "")
        known = self._catalogue.noun(header.noun if header else "")
        noun = known.name if known is not None else ""
        context.count("rejected", interface, space, noun, problems[0].code)
        topic = naming.rejected(interface, space)
        others = len(problems) - 1 + refused.more
        context.emit(rejection(inbound, topic, header, problems[0], others=others))
        if header is not None and refused.pattern is not None and refused.pattern.replies:
            reply = failed_reply(inbound, header, problems, about=about)
            there = self._context(home, header.context)
            context.emit(reply_output(inbound, header, home, there, reply))
            context.count("replied", interface, space, noun, "")

    def _reply(
        self, record: Record, inbound: Record, message: Understood, reply: bytes, context: Context
    ) -> None:
        context.emit(self._answer(record, inbound, message, reply))
        self._count(context, "replied", inbound, message)

    def _answer(self, record: Record, inbound: Record, message: Understood, reply: bytes) -> Output:
        home = self._homes[record.topic]
        space = self._context(home, message.header.context)
        return reply_output(inbound, message.header, home, space, reply)

    def _count(
        self, context: Context, what: str, inbound: Record, message: Understood, times: int = 1
    ) -> None:
        interface = self._entered[inbound.topic]
        space = self._context(interface, message.header.context)
        context.count(what, interface, space, message.noun.name, "", times=times)

    def _context(self, interface: str, context: str) -> str:
        return self._catalogue.context_of(interface, context)


def _space(message: Understood) -> bytes:
    """Before the keys of a register: objects of several contexts and nouns are in one store."""
    return f"{message.identity.context}|{message.noun.name}|".encode()
