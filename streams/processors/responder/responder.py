"""Queries become replies, each once.

Lives here: the order of decisions for one query.

    nobody's?  -> left to other responders
    answered?  -> the place of the reply that was given; no second one
    expired?   -> nothing: nobody waits
    else       -> the function is asked; its answer, or why there is none, is the reply

Must not live here: what is answered (see `connectors.respond`), how long a function may take and
what is told of one that fails (whoever runs this passes `ask`).

Invariant: of a query that has a reply in the function's own words there is no second reply: who
repeats it is told where the first one is. A reply that says that the responder failed is none in
its own words: then the repeat is asked anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.respond import Answer, NoAnswerError, Request, Respond, Responder, UnableError
from schemas.envelope import Header, Message, Reply, ReplyError, peek_header, read, reply_to, write
from schemas.errors import MessageError, Problem
from schemas.xml import XmlLimits
from streams.engine.errors import EngineError
from streams.engine.processor import COUNTERS, Context, Horizon, StoreSpec
from streams.engine.record import Output, Record
from streams.processors.marks import time_of
from streams.processors.outputs import SENDER, failed_reply, reply_id, reply_output
from streams.processors.provenance import inbound_of, says_inbound
from streams.processors.queries import told_expiry_ms
from streams.processors.responder.answered import Answered
from topics import Catalogue, naming
from topics.replies import SAME_AS

NAME: Final = "responder"
ANSWERED: Final = "answered"
_REASONS: Final = {
    "0.0": "no errors",
    "0.1": "partial, more follows",
    "0.2": "partial, nothing more follows",
}

Ask = Callable[[Respond, Request], Answer]
"""Calls the function. Raises what it raises, or TimeoutError."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that is ours to answer. `request` is None where it cannot be read (`problems`).

    `interface` is where it came in, `context` that of the topics that its reply goes to.
    """

    inbound: Record
    header: Header
    interface: str
    noun: str
    context: str
    respond: Respond
    expires_ms: int | None
    request: Request | None = None
    problems: tuple[Problem, ...] = ()


class Responding:
    """The responder processor for some or all interfaces, by the homes of the nouns."""

    name = NAME

    def __init__(
        self,
        catalogue: Catalogue,
        interfaces: Sequence[str],
        responder: Responder,
        ask: Ask,
        clock_ms: Callable[[], int],
    ) -> None:
        """`clock_ms` gives epoch milliseconds: whether anybody still waits is a matter of now."""
        self._catalogue = catalogue
        self._responder = responder
        self._ask = ask
        self._clock_ms = clock_ms
        self._limits = XmlLimits(bytes_max=catalogue.message_bytes_max)
        self._homes = {naming.requests(home): home for home in interfaces}
        kept = Horizon(catalogue.dedup_horizon_ms, catalogue.dedup_slack_ms, time_of)
        self.inputs: Mapping[str, tuple[StoreSpec, ...]] = {
            topic: (
                StoreSpec(ANSWERED, naming.changelog(NAME, f"{ANSWERED}-{home.lower()}"), kept),
                StoreSpec(COUNTERS, naming.changelog(NAME, f"{COUNTERS}-{home.lower()}")),
            )
            for topic, home in self._homes.items()
        }

    def heavy(self, record: Record) -> bool:  # noqa: ARG002 - none is
        """How long a function may take is bounded by whoever runs this."""
        return False

    def prepare(self, records: Sequence[Record]) -> Sequence[Asked | None]:
        """Read each query; None for what nobody here answers."""
        return [self._asked(record) for record in records]

    def process(self, record: Record, prepared: Asked | None, context: Context) -> None:
        """Decide about one query and emit its reply."""
        if prepared is None:
            return
        key = hashlib.blake2b(record.key or b"", digest_size=16).digest()
        # Without an ID of its own it is no repeat of anything: each time it is a new question.
        known = bool(prepared.header.message_id)
        before = self._before(prepared.inbound, key, context) if known else None
        if before is not None:
            context.emit(self._same(record, prepared, before))
            self._count(context, "repeated", prepared)
        elif prepared.expires_ms is not None and prepared.expires_ms <= self._clock_ms():
            self._count(context, "expired", prepared)
        elif self._reply(record, prepared, context) and known:
            answered = Answered(prepared.inbound.timestamp_ms, str(prepared.inbound))
            context.put(ANSWERED, key, answered.pack())

    def reject(
        self,
        record: Record,
        code: str,
        reason: str,
        context: Context,
        *,
        with_value: bool,  # noqa: ARG002 - a refusal never holds the query
    ) -> None:
        """What the engine asks for when a query broke us, or the broker refused its reply."""
        header = peek_header(record.value or b"")
        if header is None or not says_inbound(record):
            return  # nothing that intake wrote: there is nobody to tell
        inbound = inbound_of(record)
        reply = failed_reply(inbound, header, (Problem(code, reason),))
        context.emit(self._addressed(record, inbound, header, reply))

    # --------------------------------------------------------------- reading

    def _asked(self, record: Record) -> Asked | None:
        said = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        interface, noun = said.get("ce_interface", ""), said.get("ce_noun", "")
        respond = self._responder.of(interface, noun)
        header = None if respond is None else peek_header(record.value or b"")
        if respond is None or header is None or not says_inbound(record):
            return None
        asked = Asked(
            inbound_of(record),
            header,
            interface,
            noun,
            self._catalogue.context_of(self._homes[record.topic], header.context),
            respond,
            told_expiry_ms(record),
        )
        try:
            message = read(record.value or b"", self._limits)
            request = Request.of(
                message,
                interface=interface,
                noun=noun,
                place=str(asked.inbound),
                expires_ms=asked.expires_ms,
            )
        except MessageError as error:
            return replace(asked, problems=error.problems)
        return replace(asked, request=request)

    def _before(self, inbound: Record, key: bytes, context: Context) -> Answered | None:
        """Which sending was answered, unless the horizon has passed by inbound's own time."""
        packed = context.get(ANSWERED, key)
        before = None if packed is None else Answered.unpack(packed)
        if before is None:
            return None
        age_ms = inbound.timestamp_ms - before.time_ms
        return None if age_ms > self._catalogue.dedup_horizon_ms else before

    # -------------------------------------------------------------- replying

    def _reply(self, record: Record, asked: Asked, context: Context) -> bool:
        """Ask and reply; whether the reply stands for every repeat."""
        stands, problems, reply, code = True, asked.problems, b"", ""
        if asked.request is not None:
            try:
                answer = self._ask(asked.respond, asked.request)
                reply, code = self._replied(record, asked, answer), answer.code
            except NoAnswerError as error:
                problems, stands = (error.problem,), not isinstance(error, UnableError)
            except EngineError:
                raise
            except TimeoutError:
                problems, stands = (Problem("responder_slow"),), False
            except Exception as error:  # noqa: BLE001 - a poison query must not stop the line
                problems, stands = (Problem("responder_failed", type(error).__name__),), False
        if problems:
            reply = failed_reply(asked.inbound, asked.header, problems)
            self._count(context, "unanswered", asked, problems[0].code)
        else:
            self._count(context, "answered", asked, code)
        context.emit(self._addressed(record, asked.inbound, asked.header, reply))
        return stands

    def _replied(self, record: Record, asked: Asked, answer: Answer) -> bytes:
        """The bytes of a reply.

        Raises:
            NoAnswerError: `answer_too_large`.
            ValueError: the answer is one that an envelope cannot hold.
        """
        told = (_REASONS[answer.code], *answer.told)
        made = reply_to(
            asked.header,
            Reply(
                "OK" if answer.code == "0.0" else "PARTIAL",
                tuple(ReplyError(answer.code, "INFORM", reason) for reason in told),
            ),
            message_id=reply_id(record.key or b""),
            timestamp_ms=self._clock_ms(),
            source=SENDER,
            payload=answer.payload,
        )
        written = write(_with_properties(made, answer.properties))
        limit = self._catalogue.bytes_max(self._homes[record.topic])
        if len(written) > limit:
            detail = f"it has {len(written)} bytes, the limit is {limit}"
            raise NoAnswerError("answer_too_large", detail)
        return written

    def _same(self, record: Record, asked: Asked, before: Answered) -> Output:
        """In place of a reply: where the first one is."""
        output = self._addressed(record, asked.inbound, asked.header, b"")
        return output._replace(headers=(*output.headers, (SAME_AS, before.place.encode())))

    def _addressed(self, record: Record, inbound: Record, header: Header, reply: bytes) -> Output:
        home = self._homes[record.topic]
        there = self._catalogue.context_of(home, header.context)
        return reply_output(inbound, header, home, there, reply)

    def _count(self, context: Context, what: str, asked: Asked, code: str = "") -> None:
        context.count(what, asked.interface, asked.context, asked.noun, code)


def _with_properties(message: Message, properties: tuple[tuple[str, str], ...]) -> Message:
    if message.header is None or not properties:
        return message
    return replace(message, header=replace(message.header, properties=properties))
