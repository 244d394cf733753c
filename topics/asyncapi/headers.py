"""The headers of records, as JSON schemas.

Lives here: which header a kind of record has, and what it says. Must not live here: writing them
(connectors and processors do), which topic holds which kind (see `topics.asyncapi`).

Invariant: what is written has the headers that are said here and no others; a test compares with
what connectors and processors write, and with the table in docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from topics.addressing import EXPIRES, FATE, SUBJECT
from topics.catalogue import VERBS
from topics.chains import CHAIN
from topics.queries import EXPIRY
from topics.rejection import REDRIVEN_FROM, UNKNOWN_SOURCE
from topics.replies import ANSWERS, SAME_AS

Schema = dict[str, Any]

XML: Final = "application/xml"
AVRO: Final = "application/avro"
# Where nothing could be read.
BYTES: Final = "application/octet-stream"

_SAID: Final[Mapping[str, str]] = {
    "content-type": "Media type of the value.",
    "ce_specversion": "Version of CloudEvents.",
    "ce_id": "Unique per source and topic: the message ID, in a log with # and the event's index.",
    "ce_messageid": "The message's ID, without index.",
    "ce_source": f"Header Source; {UNKNOWN_SOURCE} where there is none.",
    "ce_type": "cim.<noun>.<verb>.",
    "ce_time": "Header Timestamp in UTC; where it is missing, the append time.",
    "ce_interface": "Where the message entered; of events and replies the noun's home.",
    "ce_noun": "As in the catalogue.",
    "ce_verb": "In lower case.",
    "ce_correlationid": "Header CorrelationID; of a reply else the request's message ID.",
    "ce_revision": "Header Revision.",
    "ce_destination": "The system addressed.",
    "cimstream_replyaddress": "Header ReplyAddress.",
    ANSWERS: "Which record on inbound it answers: topic/partition@offset.",
    SUBJECT: "Key of the object that it is about; without it, of all of its noun.",
    EXPIRES: "From then on it is not delivered, milliseconds since 1970 UTC.",
    FATE: "What became of the delivery: delivered, or a stable code.",
    SAME_AS: "Without value: the record on inbound whose reply answers this one, too.",
    EXPIRY: "From then on nobody waits for an answer any more.",
    "cimstream_reroutedfrom": "Where the record lay before it was forwarded to its partition.",
    REDRIVEN_FROM: "Where the message lay in rejected before it entered again.",
    CHAIN: "Which events and rules led to it, the oldest first: place>rule@version, …",
    "cimstream_replayid": "Which replay wrote it.",
    "cimstream_inbound": "Where it lies on inbound: topic/partition@offset.",
    "cimstream_inboundtime": "Append time on inbound, milliseconds since 1970 UTC.",
    "cimstream_code": "Stable code of the error.",
    "cimstream_iec_code": "Reply.Error.code of IEC 61968-100.",
    "cimstream_what": "What the code means.",
    "cimstream_why": "What is wrong with this one.",
    "cimstream_fix": "What to do.",
    "cimstream_where": "topic/partition@offset, XPath and line.",
    "cimstream_object": "Number of the bad object in its message, from 0.",
    "cimstream_objects": "How many bad objects are rejected together.",
    "cimstream_size": "Bytes of the whole message, where the value is only its head.",
    "cimstream_sha256": "Digest (hex) of the whole message, where the value is only its head.",
    "__connect.errors.topic": "The inbound topic.",
    "__connect.errors.partition": "Partition of the inbound record.",
    "__connect.errors.offset": "Offset of the inbound record.",
    "__connect.errors.stage": "ADMISSION (before Kafka) or PROCESSING.",
    "__connect.errors.exception.class.name": "For tools of Kafka Connect; always the same.",
    "__connect.errors.exception.message": "The code, what it means, what is wrong.",
    "traceparent": "W3C trace context.",
}

_EVENT: Final = ("content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time")
_ROUTING: Final = ("ce_interface", "ce_noun", "ce_verb")
_WHY: Final = tuple(
    name
    for name in _SAID
    if name.startswith("__connect.errors.") and not name.endswith(("partition", "offset"))
) + tuple(f"cimstream_{part}" for part in ("code", "iec_code", "what", "why", "fix", "where"))
_CARRIED: Final = ("ce_correlationid", "ce_destination", "traceparent", REDRIVEN_FROM, CHAIN)

# By kind of record: what it always has, and what it has where there is something to say.
_KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "received": (
        (XML, BYTES),
        (*_EVENT, "ce_interface"),
        ("ce_noun", "ce_verb", *_CARRIED, "cimstream_reroutedfrom"),
    ),
    # What a producer that is none of ours leaves out, is left out here too.
    "accepted": (
        (XML,),
        ("content-type", "cimstream_inbound", "cimstream_inboundtime"),
        (*_EVENT[1:], *_ROUTING, *_CARRIED),
    ),
    "query": (
        (XML,),
        (*_EVENT, *_ROUTING, EXPIRY, "cimstream_inbound", "cimstream_inboundtime", "traceparent"),
        ("ce_correlationid", "ce_destination", REDRIVEN_FROM),
    ),
    "event": (
        (AVRO,),
        (*_EVENT, *_ROUTING, "ce_messageid", "traceparent"),
        ("ce_correlationid", "ce_revision", CHAIN, "cimstream_replayid"),
    ),
    "reply": (
        (XML,),
        (*_EVENT, *_ROUTING, "ce_destination", ANSWERS, "traceparent"),
        ("ce_correlationid", "cimstream_replyaddress", SAME_AS),
    ),
    "addressed": (
        (XML,),
        (
            *_EVENT, *_ROUTING, "ce_destination", "cimstream_inbound", "cimstream_inboundtime",
            "traceparent",
        ),
        ("ce_correlationid", SUBJECT, EXPIRES),
    ),
    "fate": (
        (XML,),
        (*_EVENT, *_ROUTING, "ce_destination", "ce_correlationid", FATE),
        ("traceparent",),
    ),
    "rejection": (
        (XML, BYTES),
        ("content-type", *_WHY),
        (
            *_EVENT[1:], *_ROUTING, *_CARRIED, EXPIRES, "cimstream_inbound", "cimstream_object",
            "cimstream_objects", "cimstream_size", "cimstream_sha256", "__connect.errors.partition",
            "__connect.errors.offset",
        ),
    ),
}  # fmt: skip

KINDS: Final = tuple(_KINDS)


def header_schema(kind: str) -> Schema:
    """Say which headers a record of a kind has. Values are text in UTF-8.

    Raises:
        KeyError: there is no such kind.
    """
    types, always, sometimes = _KINDS[kind]
    wanted = {*always, *sometimes}
    properties: dict[str, Schema] = {
        name: {"type": "string", "description": said}
        for name, said in _SAID.items()
        if name in wanted
    }
    properties["content-type"]["enum"] = list(types)
    properties["ce_specversion"]["const"] = "1.0"
    if kind == "event":
        # An event may come in a message of another noun, with a verb that its own noun has not.
        properties["ce_verb"]["enum"] = sorted(VERBS)
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name in always],
    }
