"""What delivering asks of a protocol, and what a destination that pulls asks of the pipeline.

Lives here: a message on its way to one system (`Parcel`), what became of an attempt (`Outcome`),
and the ports on both sides. Must not live here: HTTP or any other protocol
(`connectors/<system>`), what is kept and retried (`streams.runtime.delivery`).

Delivery promise. On the wire it is at-least-once: an attempt whose receipt was lost is made again
under the same message ID, which a destination uses to recognise it. A control is the exception: it
is never sent again while nobody knows whether it arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from schemas.envelope import Message, read
from schemas.errors import MessageError

_WHY_CHARS_MAX: Final = 200


class Verdict(StrEnum):
    """What is known behind one attempt; a label of a metric."""

    DONE = "done"  # its receipt is here
    TAKEN = "taken"  # it has arrived, its receipt is still to come
    AGAIN = "again"  # it has surely had no effect; later perhaps
    UNKNOWN = "unknown"  # it may have arrived
    REFUSED = "refused"  # not now and not later


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    `why` is for people and holds nothing of a payload. `after_s` is how long the destination asks
    to be left alone.
    """

    verdict: Verdict
    why: str = ""
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way: `message` are the bytes as its sender wrote them.

    `attributes` are those of CloudEvents and of the trace, by name: `ce_id` is what makes it
    recognisable when it comes again.
    """

    message: bytes
    attributes: Mapping[str, str]


class Client(Protocol):
    """One destination, spoken to. All methods belong to one event loop."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Make one attempt, in a bounded time. What goes wrong is an outcome, never an error."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A message that was handed to a destination that pulls, until it is acknowledged.

    `id` names it in the acknowledgement. `again_ms` is when it comes again without one, epoch ms.
    """

    id: str
    parcel: Parcel
    again_ms: int


class Outbox(Protocol):
    """What waits for destinations that pull. All methods belong to one event loop."""

    def serves(self, destination: str) -> bool:
        """Whether this is a destination that pulls."""

    async def take(self, destination: str, count_max: int, within_s: float) -> Sequence[Handed]:
        """Up to so many messages; waits for the first one. Nobody else gets them meanwhile.

        Of one object only the oldest is given: the next one comes behind its acknowledgement.

        Raises:
            connectors.exchange.UnavailableError: Kafka does not answer.
        """

    async def acknowledge(
        self, destination: str, done: Sequence[str], refused: Mapping[str, str]
    ) -> Sequence[str]:
        """Note that messages arrived, or are refused for good (id to why); give unknown ids.

        Durable when it returns. To say it twice is no mistake.

        Raises:
            connectors.exchange.UnavailableError: it is not known to be.
        """


def judged(response: bytes) -> Outcome:
    """What a ResponseMessage says of the message that it answers: OK and PARTIAL are receipts."""
    try:
        message = read(response)
    except MessageError as error:
        return Outcome(Verdict.UNKNOWN, f"the answer is no message: {error.code}")
    return verdict_of(message)


def verdict_of(message: Message) -> Outcome:
    """As `judged`, of a message that was read."""
    if message.reply is None:
        return Outcome(Verdict.UNKNOWN, "the answer has no Reply")
    if message.reply.result != "FAILED":
        return Outcome(Verdict.DONE)
    codes = ", ".join(error.code for error in message.reply.errors) or "no code"
    return Outcome(Verdict.REFUSED, f"FAILED: {codes}"[:_WHY_CHARS_MAX])
