"""Intake: what a system sent becomes canonical events, once.

Lives here: the order of state-dependent decisions for one inbound record.

    refused?  -> rejected (and a FAILED reply where the pattern has one)
    elsewhere -> forwarded to the partition its identity belongs to
    register? -> accepted, for the registers of its home to apply
    query?    -> requests, for a responder to answer; a repeat too, which gets the first reply
    repeat?   -> no effect; the first reply again
    conflict? -> rejected, the first message stands
    else      -> events, rejections of single bad objects, reply, mark

Must not live here: reading messages (see `understand`), building records (see `outputs`),
whether a register takes a change (see `streams.processors.registers`).

Invariant: a mark is written in the same transaction as the effect it stands for, and a
message that had no effect leaves none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from schemas.envelope import Header
from schemas.errors import MessageError, Problem
from schemas.xml import XmlLimits
from streams.engine.processor import COUNTERS, Context, Horizon, StoreSpec
from streams.engine.record import Output, Record
from streams.processors.addressed import SEND_RECEIVE, addressed
from streams.processors.deduplication import Deduplication
from streams.processors.marks import time_of
from streams.processors.outputs import (
    accepted,
    accepted_reply,
    events,
    failed_reply,
    object_rejections,
    rejection,
    reply_output,
    rest_problem,
)
from streams.processors.queries import expiry_ms, query
from streams.processors.understand import Refused, Understanding, Understood
from topics import Catalogue, naming
from topics.partitioning import murmur2_partition

NAME: Final = "intake"
DEDUP: Final = "dedup"
REROUTED: Final = "cimstream_reroutedfrom"
_CONTEXTS_REMEMBERED: Final = 256


class Intake:
    """The intake processor for some or all interfaces of the catalogue."""

    name = NAME

    def __init__(self, catalogue: Catalogue, interfaces: Sequence[str]) -> None:
        self._catalogue = catalogue
        limits = XmlLimits(bytes_max=catalogue.message_bytes_max)
        self._deduplication = Deduplication(DEDUP, catalogue.dedup_horizon_ms, limits)
        # Asked several times per message, with few different answers.
        self._context_of = lru_cache(_CONTEXTS_REMEMBERED)(catalogue.context_of)
        self._partitions: dict[str, int] = {}
        self._understanding: dict[str, Understanding] = {}
        self._interfaces: dict[str, str] = {}
        kept = Horizon(catalogue.dedup_horizon_ms, catalogue.dedup_slack_ms, time_of)
        inputs: dict[str, tuple[StoreSpec, ...]] = {}
        for interface_id in interfaces:
            topic = naming.inbound(interface_id)
            number = interface_id.lower()
            inputs[topic] = (
                StoreSpec(DEDUP, naming.changelog(NAME, f"dedup-{number}"), kept),
                StoreSpec(COUNTERS, naming.changelog(NAME, f"counters-{number}")),
            )
            self._interfaces[topic] = interface_id
            self._understanding[topic] = Understanding(catalogue, interface_id)
            self._partitions[topic] = catalogue.interfaces[interface_id].partitions["inbound"]
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = inputs

    def heavy(self, record: Record) -> bool:  # noqa: ARG002 - none is
        """What is understood here is bounded by the size of a message."""
        return False

    def prepare(self, records: Sequence[Record]) -> Sequence[Understood | Refused]:
        """Understand each message; no state, no order."""
        return [self._understanding[r.topic].understand(r.value) for r in records]

    def process(self, record: Record, prepared: Understood | Refused, context: Context) -> None:
        """Decide about one message and emit what follows."""
        if isinstance(prepared, Refused):
            self._count(context, "received", record, prepared.header)
            self._refuse(record, prepared, context)
            return
        if self._forwarded(record, prepared, context):
            return
        self._count(context, "received", record, prepared.header)
        if any(item.misspelt for item in prepared.items):
            self._count(context, "misspelt", record, prepared.header)
        if prepared.noun.kind == "register" and not prepared.asks:
            self._pass_on(record, prepared, context)
            return
        if prepared.asks and not prepared.header.message_id:
            # By its content it would be a repeat, and get the answer of days ago.
            self._ask(record, prepared, context)
            return
        key = prepared.identity.store_key
        mark = self._deduplication.recall(record, key, context)
        if mark is None and prepared.asks:
            if self._ask(record, prepared, context):
                self._deduplication.remember(record, key, b"", context)
        elif mark is None:
            self._accept(record, prepared, key, context)
        elif (problem := self._deduplication.conflict(record, mark, context)) is None:
            self._count(context, "duplicates", record, prepared.header)
            if prepared.asks:
                self._ask(record, prepared, context)
            elif mark.reply:
                self._reply(record, prepared.header, mark.reply, context)
        else:
            self._refuse(record, Refused((problem,), prepared.header, prepared.pattern), context)

    def reject(
        self, record: Record, code: str, reason: str, context: Context, *, with_value: bool
    ) -> None:
        """What the engine asks for when a record broke us or the broker."""
        self._count(context, "received", record, None)
        self._count(context, "rejected", record, None, code)
        problem = Problem(code, reason)
        topic = naming.rejected(self._interfaces[record.topic])
        context.emit(rejection(record, topic, None, problem, with_value=with_value))

    # ------------------------------------------------------------- decisions

    def _forwarded(self, record: Record, message: Understood, context: Context) -> bool:
        """Send a message that lies on a foreign partition to the one where its repeats meet.

        Producers that know our keys never cause this; one that does not (another key,
        another partitioner) would otherwise escape deduplication.
        """
        key = self._inbound_key(message)
        home = murmur2_partition(key, self._partitions[record.topic])
        if home == record.partition:
            return False
        came_from = [value for name, value in record.headers if name == REROUTED]
        if came_from:
            self._count(context, "received", record, message.header)
            detail = f"it was forwarded from {came_from[0].decode()} and belongs to {home}"
            problem = Problem("misrouted", detail)
            self._refuse(record, Refused((problem,), message.header, message.pattern), context)
            return True
        self._count(context, "rerouted", record, message.header)
        headers = (*record.headers, (REROUTED, str(record).encode()))
        context.emit(Output(record.topic, key, record.value, headers, home))
        return True

    def _inbound_key(self, message: Understood) -> bytes:
        if message.noun.kind == "register" and not message.asks:
            return message.noun.name.encode()
        return message.identity.key

    # --------------------------------------------------------------- effects

    def _pass_on(self, record: Record, message: Understood, context: Context) -> None:
        """To the registers: they know what there is, and whether this was said before."""
        if message.rejected:
            self._refuse_objects(record, message, context)
        else:
            context.emit(accepted(record, message))

    def _ask(self, record: Record, message: Understood, context: Context) -> bool:
        """To whoever answers queries; False where it says of its expiry what nobody can read."""
        try:
            until_ms = expiry_ms(message.header, record, self._catalogue.query_expiry_ms)
        except MessageError as error:
            self._refuse(record, Refused(error.problems, message.header, message.pattern), context)
            return False
        context.emit(query(record, message, self._interfaces[record.topic], until_ms))
        return True

    def _accept(self, record: Record, message: Understood, key: bytes, context: Context) -> None:
        header = message.header
        if message.rejected and (message.atomic or not message.items):
            self._refuse_objects(record, message, context)
            return
        self._reject_objects(record, message, context)
        for output in events(record, message, message.items, self._catalogue):
            context.emit(output)
        for item in message.items:
            self._count(context, "produced", record, header, noun=item.noun)
        reply = accepted_reply(record, message) if message.pattern.replies else b""
        if reply:
            self._reply(record, header, reply, context)
        if message.pattern.name == SEND_RECEIVE:
            keys = {item.key for item in message.items}
            subject = keys.pop() if len(keys) == 1 else b""
            context.emit(
                addressed(record, message, self._catalogue, subject=subject, expires_ms=None)
            )
        self._deduplication.remember(record, key, reply, context)

    def _reject_objects(self, record: Record, message: Understood, context: Context) -> None:
        topic = self._rejected_topic(record, message.header)
        for output in object_rejections(record, message, topic):
            context.emit(output)
        codes = [rejected.problems[0].code for rejected in message.rejected]
        if message.rest.indexes:
            codes.append(rest_problem(message.rest).code)
        for code in codes:
            self._count(context, "rejected", record, message.header, code)

    def _refuse_objects(self, record: Record, message: Understood, context: Context) -> None:
        """No object takes effect: because all are bad, or because one bad one spoils all."""
        if message.atomic:
            self._refuse_whole(record, message, context)
            return
        self._reject_objects(record, message, context)
        if message.pattern.replies:
            reply = failed_reply(record, message.header, (), message.rejected)
            self._reply(record, message.header, reply, context)

    def _refuse_whole(self, record: Record, message: Understood, context: Context) -> None:
        """What takes effect as a whole is rejected as a whole, to be sent again as it is."""
        header, told = message.header, [p for one in message.rejected for p in one.problems]
        first = told[0]
        aborted: tuple[Problem, ...] = ()
        if message.items:
            detail = f"object {message.rejected[0].index}: {first}"
            first = Problem("transaction_aborted", detail, first.xpath, first.line)
            aborted = (first,)
        self._count(context, "rejected", record, header, first.code)
        topic = self._rejected_topic(record, header)
        others = len(told) - 1 + len(message.rest.indexes)
        context.emit(rejection(record, topic, header, first, others=others))
        if message.pattern.replies:
            reply = failed_reply(record, header, aborted, message.rejected)
            self._reply(record, header, reply, context)

    def _refuse(self, record: Record, refused: Refused, context: Context) -> None:
        header, problems = refused.header, refused.problems
        self._count(context, "rejected", record, header, problems[0].code)
        topic = self._rejected_topic(record, header)
        context.emit(rejection(record, topic, header, problems[0], others=len(problems) - 1))
        if header is not None and refused.pattern is not None and refused.pattern.replies:
            self._reply(record, header, failed_reply(record, header, problems), context)

    def _reply(self, record: Record, header: Header, reply: bytes, context: Context) -> None:
        noun = self._catalogue.noun(header.noun)
        home = noun.home if noun is not None else self._interfaces[record.topic]
        context.emit(reply_output(record, header, home, self._context(home, header), reply))
        self._count(context, "replied", record, header)

    # ----------------------------------------------------------------- names

    def _rejected_topic(self, record: Record, header: Header | None) -> str:
        interface = self._interfaces[record.topic]
        return naming.rejected(interface, self._context(interface, header))

    def _context(self, interface: str, header: Header | None) -> str:
        if header is None:
            return naming.PRODUCTION
        return self._context_of(interface, header.context)

    def _count(
        self,
        context: Context,
        what: str,
        record: Record,
        header: Header | None,
        code: str = "",
        *,
        noun: str = "",
    ) -> None:
        # An unknown noun is a sender's invention: not a label.
        known = None if header is None else self._catalogue.noun(header.noun)
        noun = noun or (known.name if known is not None else "")
        interface = self._interfaces[record.topic]
        context.count(what, interface, self._context(interface, header), noun, code)
