"""What one inbound record says, judged without any state.

Lives here: the order of the checks. size -> header -> known here? -> allowed here? ->
payload -> objects. Pure, so many records can be understood at once. Must not live here:
what was said before (see `intake`), XML (see `schemas`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from lxml import etree

from schemas.envelope import (
    Header,
    HeaderFields,
    Kind,
    Message,
    Operation,
    peek_fields,
    peek_header,
    read,
)
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.errors import MessageError, Problem
from schemas.identity import Identity, identify
from schemas.profiles import (
    DOCUMENTS,
    Allowance,
    DeclaredProfile,
    Item,
    Outcome,
    Profile,
    RejectedObject,
    Rest,
    alone,
    by_message,
    profile,
    read_bulk,
)
from schemas.xml import XmlLimits
from topics import Catalogue, Noun, Pattern, naming

# A message of a register is applied in one transaction, which the broker ends after 10 s: 20,000
# small objects took 7 s on a busy machine.
REGISTER_OBJECTS_MAX: Final = 5_000
QUERY: Final = "get"
# Verbs that may say of an object no more than which one it is.
_IDENTITY_SUFFICES: Final = frozenset({
    "cancel", "canceled", "close", "closed", "delete", "deleted", "execute", "executed",
})  # fmt: skip
# Verbs of which an object is new that nobody knows.
_MAKES_ANEW: Final = frozenset({"create", "created", "execute"})
# Verbs that change something: a repeat that could not be recognised would do it twice.
_NEEDS_MESSAGE_ID: Final = frozenset({"create", "change", "cancel", "close", "delete", "execute"})


@dataclass(frozen=True, slots=True)
class Understood:
    """A message that may take effect, with what it would put on which noun's log.

    The objects that are not good are `rejected` one by one, and beyond the allowance the `rest`
    of them together. `packed` is the gzip stream of a document that came Compressed.
    """

    header: Header
    noun: Noun
    identity: Identity
    pattern: Pattern
    items: list[Item] = field(default_factory=list)
    rejected: list[RejectedObject] = field(default_factory=list)
    rest: Rest = field(default_factory=Rest)
    atomic: bool = False
    packed: bytes = b""

    @property
    def asks(self) -> bool:
        """Whether it is a query: it changes nothing, and a responder answers it."""
        return self.header.verb == QUERY


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that cannot be accepted as a whole, and why.

    `header` is there as far as it could be read; `pattern` where that told enough. `more` counts
    problems beyond those that are named.
    """

    problems: tuple[Problem, ...]
    header: Header | None = None
    pattern: Pattern | None = None
    more: int = 0


class Understanding:
    """Reads messages of one interface by the catalogue."""

    def __init__(self, catalogue: Catalogue, interface: str) -> None:
        self._catalogue = catalogue
        self._interface = interface
        self._contexts = {naming.PRODUCTION, *catalogue.contexts}
        self._limits = XmlLimits(bytes_max=catalogue.bytes_max(interface))

    def understand(self, data: bytes | None) -> Understood | Refused:
        """What the message says; total: every fault becomes a `Refused`."""
        if data is None:
            return Refused((Problem("xml_not_wellformed", "the record has no value"),))
        if len(data) > self._limits.bytes_max:
            detail = f"it has {len(data)} bytes, the limit is {self._limits.bytes_max}"
            return Refused((Problem("message_too_large", detail),), peek_header(data))
        peeked = peek_fields(data)
        header = None if peeked is None else peeked.header
        try:
            return self._read(data, header, peeked)
        except MessageError as error:
            kind = None if header is None else KIND_OF_VERB.get(header.verb)
            pattern = None
            if header is not None and kind is not None:
                pattern = self._pattern(kind, header)
            return Refused(error.problems, header, pattern)

    def _read(self, data: bytes, header: Header | None, peeked: HeaderFields | None) -> Understood:
        if header is not None:
            noun = self._admit(header)  # before the payload is looked at: it may be large
            bulk = None if header.verb == QUERY else read_bulk(noun.profile or "", data)
            if bulk is not None:
                return self._understood(
                    bulk.message.kind, bulk.header, noun, data, bulk.outcome, atomic=False
                )
        message = read(data, self._limits, peeked)
        if message.header is None:
            raise MessageError(Problem("root_unknown", "a fault is an answer, never sent in"))
        noun = self._admit(message.header)
        if message.header.verb == QUERY:
            if message.kind is not Kind.REQUEST:
                raise MessageError.of("verb_not_allowed", "in an answer", xpath="/*/Header/Verb")
            # What is asked for is the responder's to judge.
            return self._understood(
                message.kind, message.header, noun, data, Outcome(), atomic=False
            )
        for operation in () if message.operation_set is None else message.operation_set.operations:
            self._admit_operation(operation, message.kind, noun)
        if message.operation_set is not None and noun.profile in DOCUMENTS:
            path = "/*/Payload/OperationSet"
            raise MessageError.of("payload_mismatch", "a document is no operation", xpath=path)
        if message.packed:
            _check_document(noun)
            outcome, atomic = Outcome(), False
        else:
            outcome, atomic = _objects(
                message,
                message.header.verb,
                profile(noun.profile or ""),
                register=noun.kind == "register",
            )
        if noun.kind == "register" and outcome.objects > REGISTER_OBJECTS_MAX:
            detail = f"it has {outcome.objects}, the limit is {REGISTER_OBJECTS_MAX}"
            raise MessageError(Problem("too_many_objects", detail, "/*/Payload"))
        understood = self._understood(
            message.kind, message.header, noun, data, outcome, atomic=atomic
        )
        return replace(understood, packed=message.packed) if message.packed else understood

    def _understood(
        self, kind: Kind, header: Header, noun: Noun, data: bytes, outcome: Outcome, *, atomic: bool
    ) -> Understood:
        return Understood(
            header,
            noun,
            identify(header, data, self._limits),
            self._pattern(kind, header),
            outcome.items,
            outcome.rejected,
            outcome.rest,
            atomic or noun.kind == "register",
        )

    def _admit(self, header: Header) -> Noun:
        """The noun, if this interface may send it with this verb and its profile exists.

        Raises:
            MessageError: noun_missing, those of `Catalogue.refusal`, message_id_missing,
                context_unknown.
        """
        if not header.noun:
            raise MessageError(Problem("noun_missing", xpath="/*/Header/Noun"))
        code = self._catalogue.refusal(self._interface, header.noun, header.verb)
        noun = self._catalogue.noun(header.noun)
        if code is not None or noun is None:
            code = code or "noun_unknown"
            place = "Verb" if code.startswith("verb") else "Noun"
            about = self._catalogue.about(self._interface, header.noun, header.verb)
            raise MessageError(Problem(code, about, f"/*/Header/{place}"))
        if not header.message_id and self._needs_message_id(header):
            detail = f"a message with verb {header.verb} must have one"
            raise MessageError(Problem("message_id_missing", detail, "/*/Header/MessageID"))
        if header.context not in self._contexts:
            raise MessageError(Problem("context_unknown", xpath="/*/Header/Context"))
        return noun

    def _needs_message_id(self, header: Header) -> bool:
        """Whether without one a repeat would change something again, or a change look like one.

        Of a register so do events: an object that is changed to and fro is told of twice alike.
        """
        if header.verb in _NEEDS_MESSAGE_ID:
            return True
        noun = self._catalogue.noun(header.noun)
        is_event = KIND_OF_VERB.get(header.verb) is Kind.EVENT
        return is_event and noun is not None and noun.kind == "register"

    def _admit_operation(self, operation: Operation, kind: Kind, noun: Noun) -> None:
        """Whether this step may be taken in a message of this kind about this noun.

        In an answer an operation repeats the verb of the request.

        Raises:
            MessageError: `operation_noun`, `operation_verb`, or those of `Catalogue.refusal`.
        """
        code: str | None = None
        if self._catalogue.noun(operation.noun) is not noun:
            code = "operation_noun"
        elif kind not in (Kind.RESPONSE, KIND_OF_VERB[operation.verb]):
            code = "operation_verb"
        else:
            code = self._catalogue.refusal(self._interface, noun.name, operation.verb)
        if code is not None:
            about = f"operation {operation.operation_id}"
            raise MessageError(Problem(code, about, operation.xpath, operation.line))

    def _pattern(self, kind: Kind, header: Header) -> Pattern:
        return self._catalogue.pattern(
            kind,
            header.verb,
            header.noun,
            header.ack_required,
            header.reply_address,
            header.destination,
        )


def _check_document(noun: Noun) -> None:
    """Raises MessageError: `payload_format_unknown`: the noun's payload is no document."""
    if noun.profile not in DOCUMENTS:
        path = "/*/Payload/Format"
        raise MessageError.of("payload_format_unknown", "the noun is no document", xpath=path)


def _objects(
    message: Message, verb: str, reader: Profile, *, register: bool
) -> tuple[Outcome, bool]:
    """The objects of the payload or of every operation, and whether all must be good.

    Each object of an operation has that operation's verb. A change of a `register` that names
    no object would be answered as if it had changed something.

    Raises:
        MessageError: payload_missing.
    """
    answers = message.kind is Kind.RESPONSE
    if message.operation_set is not None:
        together, allowance = Outcome(), Allowance()
        seen = 0  # objects are counted through all operations
        operations = message.operation_set.operations
        if not operations and not answers:
            raise MessageError(Problem("payload_missing", "no operation", "/*/Payload"))
        for operation in operations:
            at = f"operation {operation.operation_id}"
            if operation.payload is None:
                if answers:
                    continue
                raise MessageError(Problem("payload_missing", at, "/*/Payload"))
            partial = operation.element_operation
            said = "" if partial else operation.verb
            objects = alone.count(reader, operation.payload)
            first = len(together.items)
            _name_new(reader, operation.payload, said, message, first)
            part = alone.read(reader, operation.payload, said, allowance)
            if register and not part.objects:
                raise MessageError(Problem("payload_missing", f"{at}: no object", "/*/Payload"))
            together.items += [
                replace(item, index=first + n, verb=operation.verb, partial=partial)
                for n, item in enumerate(part.items)
            ]
            together.rejected += [
                replace(r, index=r.index + seen, verb=operation.verb) for r in part.rejected
            ]
            for index in part.rest.indexes:
                together.rest.add(index + seen, part.rest.problems)
            together.objects += part.objects
            seen += objects
        return together, message.operation_set.enforce_integrity
    if message.payload is None:
        if answers:
            return Outcome(), False
        return _named_objects(message, verb, reader), False
    _name_new(reader, message.payload, verb, message)
    outcome = alone.read(reader, message.payload, verb)
    if register and not outcome.objects:
        raise MessageError(Problem("payload_missing", "no object", "/*/Payload"))
    return outcome, False


def _name_new(
    reader: Profile, payload: etree._Element, verb: str, message: Message, first: int = 0
) -> None:
    """Let the message name objects that it makes and does not name, where their noun allows it."""
    if verb in _MAKES_ANEW and isinstance(reader, DeclaredProfile) and reader.named_by_message:
        assert message.header is not None  # noqa: S101 - a message with a payload has one
        by_message.name_objects(payload, reader.objects, message.header, first)


def _named_objects(message: Message, verb: str, reader: Profile) -> Outcome:
    """The objects that the IDs of Payload or Request name, where the verb asks for no more.

    Raises:
        MessageError: payload_missing, object_id_invalid.
    """
    ids = [i for i in message.payload_ids or message.request_ids if i.kind != "transaction"]
    if not isinstance(reader, DeclaredProfile) or not reader.register or not ids:
        raise MessageError(Problem("payload_missing", xpath="/*/Payload"))
    if verb not in _IDENTITY_SUFFICES:
        detail = f"an ID says which object is meant, and {verb} needs to hear more of it"
        raise MessageError(Problem("payload_missing", detail, ids[0].xpath, ids[0].line))
    outcome = reader.read(reader.named(ids), verb)
    outcome.items = [
        replace(item, xpath=ids[item.index].xpath, line=ids[item.index].line)
        for item in outcome.items
    ]
    return outcome
