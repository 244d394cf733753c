"""What a door for messages (REST, and others) asks of the pipeline: take this, give me its reply.

Lives here: a message that may enter as a `Call`, the port that carries it, and how it can fail.
Must not live here: HTTP or any other protocol (`connectors/<system>`), Kafka clients
(`streams.runtime.gateway` implements the port).

Delivery promise. `submit` returns only when the message is durable in Kafka (all replicas); until
then nothing was promised to the peer, who sends it again if in doubt and is recognised by the
message's identity in intake. Where a message lies on inbound is the name of the call: the log is
the table of open calls, so what was accepted can be asked for after any crash, from any process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

from connectors.inbound import Admitted, admit
from schemas.envelope import Header, fields_of, read
from schemas.envelope.namespaces import KIND_OF_VERB
from schemas.errors import MessageError, Problem
from schemas.xml import XmlLimits, parse
from topics import Catalogue, naming
from topics.partitioning import murmur2_partition
from topics.rejection import UNKNOWN_SOURCE

_PLACE: Final = re.compile(r"(.+)/(\d{1,9})@(\d{1,18})", re.ASCII)


class UnavailableError(Exception):
    """Kafka did not confirm in time, or too much waits for it: not known to be accepted.

    Sending the same message again is safe: if it did arrive, it is recognised.
    """


class CallUnknownError(Exception):
    """There is no such call: nothing lies at this place."""


class CallExpiredError(Exception):
    """There was a call at this place, and the log no longer keeps it."""


class Place(NamedTuple):
    """Where a message lies on an inbound topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The place that `str` wrote; None where it is none."""
        found = _PLACE.fullmatch(text)
        return None if found is None else cls(found[1], int(found[2]), int(found[3]))


class Reference(NamedTuple):
    """By what a reply names its request where it does not name the place of it."""

    destination: str
    noun: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What must be known of a request to recognise its reply, and who may see it.

    `topic` and `partition` are where the reply will lie.
    """

    source: str
    noun: str
    message_id: str
    correlation_id: str
    topic: str
    partition: int

    @property
    def references(self) -> tuple[Reference, ...]:
        """What a foreign responder may call this request, the surer first.

        Two conventions are in use: the reply echoes the request's CorrelationID, or it has the
        request's MessageID there.
        """
        ids = (self.correlation_id, self.message_id)
        return tuple(Reference(self.source, self.noun, one) for one in dict.fromkeys(ids) if one)


@dataclass(frozen=True, slots=True)
class Call:
    """One message that may enter. `asked` is None where its pattern has no reply.

    `noun` is the catalogue's name of what the header may call by an alias.
    """

    interface: str
    noun: str
    header: Header
    message: Admitted
    asked: Asked | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """A call that was made before, and its reply, None where there is none yet."""

    source: str
    asked: Asked | None
    reply: bytes | None


class Exchange(Protocol):
    """The pipeline as a door sees it. All methods belong to one event loop."""

    async def submit(self, call: Call) -> Place:
        """Make the call durable and say where it lies.

        Raises:
            UnavailableError: it is not known to be.
        """

    async def reply(self, place: Place, within_s: float) -> bytes | None:
        """The reply to a message that was submitted here; None if there was none in time."""

    async def recall(self, place: Place) -> Recalled:
        """Look up a call, whichever process took it in, before or after a crash.

        Raises:
            CallUnknownError: nothing was ever accepted there.
            CallExpiredError: it is older than what the log keeps.
            UnavailableError: Kafka does not answer.
        """

    def audit(self, action: str, about: str, by: str, details: Mapping[str, object]) -> None:
        """Note who did what, without waiting. `details` hold no value of a payload, no secret."""


def read_call(
    data: bytes,
    interface: str,
    catalogue: Catalogue,
    *,
    received_ms: int,
    traceparent: str,
) -> Call:
    """Judge what can be judged without the payload, and address the message.

    What the payload says is judged by intake, by the same rules for every way in.

    Args:
        data: The message, uncompressed, unchanged: these bytes will lie on inbound.
        interface: One of the catalogue.
        catalogue: Says what may enter.
        received_ms: Epoch milliseconds UTC.
        traceparent: W3C trace context.

    Raises:
        MessageError: message_too_large, not well-formed, no envelope or header, or the interface
            does not carry the noun with the verb in this context.

    Pure: same arguments, same call.
    """
    limits = XmlLimits(bytes_max=catalogue.bytes_max(interface))
    if len(data) > limits.bytes_max:
        detail = f"it has {len(data)} bytes, the limit is {limits.bytes_max}"
        raise MessageError(Problem("message_too_large", detail))
    fields = fields_of(parse(data, limits))
    header = None if fields is None else fields.header
    if header is None or not header.noun or header.verb not in KIND_OF_VERB:
        read(data, limits)  # says what is wrong with it
        raise MessageError(Problem("header_missing" if header is None else "noun_missing"))
    code = catalogue.refusal(interface, header.noun, header.verb)
    noun = catalogue.noun(header.noun)
    if code is not None or noun is None:
        detail = catalogue.about(interface, header.noun, header.verb)
        raise MessageError(Problem(code or "noun_unknown", detail, "/*/Header"))
    if header.context not in {naming.PRODUCTION, *catalogue.contexts}:
        raise MessageError(Problem("context_unknown", xpath="/*/Header/Context"))
    message = admit(
        data,
        interface,
        catalogue,
        received_ms=received_ms,
        traceparent=traceparent,
        header=header,
    )
    return Call(interface, noun.name, header, message, asked_by(header, catalogue))


def asked_by(header: Header, catalogue: Catalogue) -> Asked | None:
    """What is asked by a message of a noun that the catalogue has; None: it gets no reply.

    Raises:
        KeyError: the catalogue has no such noun, nor one with this alias.
    """
    noun = catalogue.noun(header.noun)
    if noun is None:
        raise KeyError(header.noun)
    pattern = catalogue.pattern(
        KIND_OF_VERB[header.verb],
        header.verb,
        header.noun,
        header.ack_required,
        header.reply_address,
        header.destination,
    )
    if not pattern.replies:
        return None
    home = noun.home
    source = header.source or UNKNOWN_SOURCE
    partitions = catalogue.interfaces[home].partitions["outbound"]
    return Asked(
        source,
        header.noun,
        header.message_id,
        header.correlation_id,
        naming.outbound(home, catalogue.context_of(home, header.context)),
        murmur2_partition(source.encode(), partitions),
    )
