"""What processors write: canonical events, replies and rejections, with their headers.

Lives here: topic, key, headers and value of each output. Must not live here: whether it is
written (see `intake` and `registers`). Everything is a function of the inbound record and the
message, so that the same input gives the same bytes again.

CloudEvents 1.0, binary mode: https://github.com/cloudevents/spec (Kafka protocol binding).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Final

from lxml import etree

from schemas.avro import encode_provenance, frame
from schemas.envelope import (
    Header,
    Kind,
    Message,
    ObjectId,
    Reply,
    ReplyError,
    excerpt,
    reply_error,
    reply_to,
    write,
)
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.errors import CODES, Problem
from schemas.identity import Identity
from schemas.profiles import Item, RejectedObject, Rest, profile
from schemas.times import from_epoch_ms
from schemas.xml import XmlLimits, parse
from streams.engine.record import Headers, Output, Record
from streams.processors.provenance import inbound_headers
from streams.processors.understand import Understood
from topics import Catalogue, naming
from topics.chains import CHAIN
from topics.rejection import REDRIVEN_FROM, UNKNOWN_SOURCE, rejection_headers
from topics.replies import ANSWERS

KEPT: Final = ("traceparent", REDRIVEN_FROM, CHAIN)
"""Headers that are none of CloudEvents and go with a message from topic to topic."""
# How much of a refused oversize is kept (DESIGN: digest, size and the first 64 KiB).
OVERSIZE_HEAD_BYTES: Final = 64 * 1024
# A reply names at most so many bad objects; the rest are in `rejected`, each by itself.
REPLY_ERRORS_MAX: Final = 100
# Nor more objects than that by their identity.
REPLY_IDS_MAX: Final = 1000
# Name space of reply message IDs: uuid5 of it and the request's identity key.
SENDER: Final = "cimstream"
_REPLY_IDS: Final = uuid.UUID("6b1f7c1e-6a55-5d0e-9c9b-2f2d3f0f7a10")


def events(
    record: Record, message: Understood, items: Iterable[Item], catalogue: Catalogue
) -> Iterator[Output]:
    """The canonical events of a message, in order of `items`, each with where it came from."""
    header, identity = message.header, message.identity
    common: Headers = (
        ("content-type", b"application/avro"),
        ("ce_specversion", b"1.0"),
        ("ce_source", (header.source or UNKNOWN_SOURCE).encode()),
        ("ce_time", from_epoch_ms(_time_ms(header, record)).encode()),
        ("ce_messageid", identity.message_id.encode()),
        *_optional("ce_correlationid", header.correlation_id),
        *_optional("ce_revision", header.revision),
        ("traceparent", traceparent(record, identity.key)),
        *((name, value) for name, value in record.headers if name == CHAIN),
    )
    kinds: dict[tuple[str, str], tuple[str, bytes, Headers]] = {}
    for index, item in enumerate(items):
        verb = item.verb or header.verb
        kind = kinds.get((item.noun, verb))
        if kind is None:
            noun = catalogue.nouns[item.noun]
            headers = (
                *common,
                ("ce_verb", verb.encode()),
                ("ce_type", f"cim.{item.noun}.{verb}".encode()),
                ("ce_interface", noun.home.encode()),
                ("ce_noun", item.noun.encode()),
            )
            topic = naming.noun_log(noun.home, item.noun, identity.context)
            kind = kinds[item.noun, verb] = (topic, frame(noun.schema or ""), headers)
        topic, prefix, headers = kind
        provenance = encode_provenance(
            record.topic, record.partition, record.offset, identity.message_id, header.source, index
        )
        unique = ("ce_id", f"{identity.message_id}#{index}".encode())
        yield Output(topic, item.key, prefix + provenance + item.body, (*headers, unique))


def accepted(record: Record, message: Understood) -> Output:
    """The message as it came, for the registers of its noun's home."""
    return Output(
        naming.accepted(message.noun.home),
        message.noun.name.encode(),
        record.value,
        (*_inbound_context(record, message.header), *inbound_headers(record)),
    )


def accepted_reply(
    record: Record,
    message: Understood,
    objects: Sequence[ObjectId] = (),
    told: Sequence[str] = (),
) -> bytes:
    """The ResponseMessage for a message that took effect, in whole or in part.

    `objects` are those that it has made or changed; `told` is what its sender should know.
    """
    if message.rejected:
        result, first = "PARTIAL", ReplyError("0.2", "INFORM", "partial, nothing more follows")
    else:
        result, first = "OK", ReplyError("0.0", "INFORM", "no errors")
    key = message.identity.key
    more = (ReplyError("0.0", "INFORM", one) for one in told[: REPLY_ERRORS_MAX - 1])
    errors = (first, *more)
    return _reply(message.header, record, key, result, errors, message.rejected, objects)


def failed_reply(
    record: Record,
    header: Header,
    problems: Sequence[Problem],
    rejected: Sequence[RejectedObject] = (),
    *,
    about: Sequence[ObjectId] = (),
) -> bytes:
    """The ResponseMessage for a message that had no effect.

    `about` are the objects that the problems are about, where they are about one each.
    """
    told = zip_longest(problems[:REPLY_ERRORS_MAX], about[:REPLY_ERRORS_MAX])
    errors = tuple(reply_error(problem, object_id=which) for problem, which in told)
    return _reply(header, record, _reply_key(record, header), "FAILED", errors, rejected)


def reply_output(record: Record, header: Header, home: str, context: str, reply: bytes) -> Output:
    """Address a reply to the sender, on the outbound topic of the noun's home.

    `record` is the one on inbound: who sent it finds by its place the reply to just this sending.
    """
    source = header.source or UNKNOWN_SOURCE
    correlation = header.correlation_id or header.message_id
    return Output(
        naming.outbound(home, context),
        source.encode(),
        reply,
        (
            ("content-type", b"application/xml"),
            ("ce_specversion", b"1.0"),
            ("ce_id", f"{header.message_id or record}#reply".encode()),
            ("ce_source", b"urn:cimstream:intake"),
            ("ce_type", f"cim.{header.noun}.reply".encode()),
            ("ce_time", from_epoch_ms(record.timestamp_ms).encode()),
            ("ce_interface", home.encode()),
            ("ce_noun", header.noun.encode()),
            ("ce_verb", b"reply"),
            ("ce_destination", source.encode()),
            *_optional("ce_correlationid", correlation),
            *_optional("cimstream_replyaddress", header.reply_address),
            (ANSWERS, str(record).encode()),
            ("traceparent", traceparent(record, correlation.encode())),
        ),
    )


def rejection(
    record: Record,
    topic: str,
    header: Header | None,
    problem: Problem,
    *,
    others: int = 0,
    with_value: bool = True,
) -> Output:
    """The record of a whole message that was not accepted, with its bytes as they came.

    `others` is how many more problems it has. What is too large to keep is cut to its
    head; size and digest then say what it was.
    """
    value = record.value or b""
    extra: Headers = ()
    if problem.code == "message_too_large" or not with_value:
        extra = (
            ("cimstream_size", str(len(value)).encode()),
            ("cimstream_sha256", hashlib.sha256(value).hexdigest().encode()),
        )
        value = value[:OVERSIZE_HEAD_BYTES] if with_value else b""
    return Output(
        topic,
        record.key,
        value,
        (*_inbound_context(record, header), *_told(record, problem, others=others), *extra),
    )


def object_rejections(record: Record, message: Understood, topic: str) -> Iterator[Output]:
    """One record per object that was not accepted: a message of its own, with just that object.

    It has the header of the message it came in, but an ID of its own (`<message ID>#<index>`),
    so that it can be corrected and sent again beside the objects that took effect. The rest
    beyond the message's allowance is one message more (`<message ID>#<first index>+`).
    """
    objects = profile(message.noun.profile or "").objects
    for rejected in message.rejected:
        header = replace(
            message.header, message_id=f"{message.identity.message_id}#{rejected.index}"
        )
        extra: Headers = (("cimstream_object", str(rejected.index).encode()),)
        told = _told(record, rejected.problems[0], others=len(rejected.problems) - 1)
        yield Output(
            topic,
            record.key,
            _alone(header, rejected, objects),
            (*_inbound_context(record, message.header), *told, *extra),
        )
    if message.rest.indexes:
        yield _rest_rejection(record, message, topic)


def rest_problem(rest: Rest) -> Problem:
    """How many objects were rejected together, and what is wrong with the first of them."""
    first = rest.problems[0]
    detail = f"{len(rest.indexes)} objects; the first, number {rest.indexes[0]}: {first}"
    return Problem("objects_rejected", detail, first.xpath, first.line)


def _rest_rejection(record: Record, message: Understood, topic: str) -> Output:
    """The message as it came with just the rest of its bad objects."""
    rest, value = message.rest, record.value or b""
    message_id = f"{message.identity.message_id}#{rest.indexes[0]}+"
    limits = XmlLimits(bytes_max=len(value))
    objects = profile(message.noun.profile or "").objects
    extra: Headers = (("cimstream_objects", str(len(rest.indexes)).encode()),)
    told = _told(record, rest_problem(rest), others=0)
    return Output(
        topic,
        record.key,
        excerpt(value, frozenset(rest.indexes), message_id, limits, objects),
        (*_inbound_context(record, message.header), *told, *extra),
    )


def _alone(header: Header, rejected: RejectedObject, objects: Collection[str]) -> bytes:
    """A message with one object of the payload that `header` names, and what it refers to.

    `header` may name it in the singular, by one of the noun's `objects`.
    """
    element = parse(rejected.element, XmlLimits(bytes_max=len(rejected.element)))
    space, payload = rejected.namespace, element
    itself = etree.QName(element).localname == header.noun  # a document, or an object alone
    if not itself or rejected.definitions:
        called = f"{header.noun}s" if header.noun in objects else header.noun
        payload = etree.Element(f"{{{space}}}{called}", nsmap={None: space})  # type: ignore[dict-item]
        payload.extend([element, *map(parse, rejected.definitions)])
    header = replace(header, verb=rejected.verb or header.verb)
    kind = KIND_OF_VERB[header.verb]
    # A reply must say how it came out; what is kept of this one did not.
    reply = Reply("FAILED") if kind is Kind.RESPONSE else None
    return write(Message(kind, header, reply=reply, payload=payload))


def _told(record: Record, problem: Problem, *, others: int) -> Headers:
    why = problem.detail or CODES[problem.code].what
    if others:
        why = f"{why} (and {others} more)"
    where = str(record)
    if problem.xpath:
        where += f" {problem.xpath}"
    if problem.line is not None:
        where += f" line {problem.line}"
    return rejection_headers(
        CODES[problem.code],
        why=why,
        where=where,
        topic=record.topic,
        stage="PROCESSING",
        partition=record.partition,
        offset=record.offset,
    )


def _inbound_context(record: Record, header: Header | None) -> Headers:
    """What the inbound record's headers said, or where it had none, what its header says."""
    kept = tuple(h for h in record.headers if h[0].startswith("ce_") or h[0] in KEPT)
    if kept or header is None:
        return (("content-type", b"application/xml"), *kept)
    time = from_epoch_ms(_time_ms(header, record))
    return (
        ("content-type", b"application/xml"),
        ("ce_specversion", b"1.0"),
        ("ce_id", (header.message_id or str(record)).encode()),
        ("ce_source", (header.source or UNKNOWN_SOURCE).encode()),
        ("ce_type", f"cim.{header.noun or 'unknown'}.{header.verb or 'unknown'}".encode()),
        ("ce_time", time.encode()),
        *_optional("ce_noun", header.noun),
        *_optional("ce_verb", header.verb),
        *_optional("ce_correlationid", header.correlation_id),
    )


def _reply(
    header: Header,
    record: Record,
    key: bytes,
    result: str,
    errors: tuple[ReplyError, ...],
    rejected: Sequence[RejectedObject],
    objects: Sequence[ObjectId] = (),
) -> bytes:
    room = REPLY_ERRORS_MAX - len(errors)
    errors += tuple(
        reply_error(r.problems[0], object_id=ObjectId(str(r.index), "other"))
        for r in rejected[: max(0, room)]
    )
    answer = reply_to(
        header,
        Reply(result, errors, tuple(objects[:REPLY_IDS_MAX])),
        message_id=reply_id(key),
        timestamp_ms=record.timestamp_ms,
        source=SENDER,
    )
    return write(answer)


def reply_id(key: bytes) -> str:
    """The message ID of the reply to the request with this key."""
    return str(uuid.uuid5(_REPLY_IDS, key.hex()))


def _reply_key(record: Record, header: Header) -> bytes:
    """What the reply's ID is made of: who asks again is answered under the same one."""
    if header.message_id:
        return Identity(header.context, header.source, header.noun, header.message_id).key
    return str(record).encode()


def _time_ms(header: Header, record: Record) -> int:
    return record.timestamp_ms if header.timestamp_ms is None else header.timestamp_ms


def _optional(name: str, text: str) -> Headers:
    return ((name, text.encode()),) if text else ()


def traceparent(record: Record, seed: bytes) -> bytes:
    """Our span within the sender's trace; without one, a trace that the identity names."""
    digest = hashlib.blake2b(seed, digest_size=24).hexdigest()
    for name, value in record.headers:
        if name == "traceparent":
            parts = value.split(b"-")
            if len(parts) == 4:
                return b"-".join((parts[0], parts[1], digest[32:].encode(), parts[3]))
    return f"00-{digest[:32]}-{digest[32:]}-01".encode()
