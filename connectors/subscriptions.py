"""What a door asks of the event logs: hand out what is committed, from a place on, as it comes.

Lives here: an event as a door sees it, positions, the port that reads the logs, and how it can
fail. Must not live here: which events somebody wants (`connectors.selection`), HTTP or any other
protocol (`connectors/<system>`), Kafka clients (`streams.runtime.gateway` implements the port).

Delivery promise. A subscription hands out every committed event behind its position, in the
order of each partition, once. A position says all that must be known to go on, so a subscriber
that keeps the position of the last event it has worked on, beside its work, has each event exactly
once, whichever process serves it next. What the log no longer has is an error, never skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, Self

from schemas.avro import WireFormatError, decode
from schemas.avro.documents import document_of
from schemas.times import from_epoch_ms

# Kafka's id of a topic is 22 characters of base64.
_POSITION: Final = re.compile(r"([\w-]{1,64})((?:\.\d{1,18}){1,1000})", re.ASCII)


class LogMissingError(Exception):
    """The cluster does not have this log."""


class PositionExpiredError(Exception):
    """The log no longer has what comes next at this position, or is not the one it was."""


class SubscriptionEndedError(Exception):
    """This process hands out no more; another one goes on from the same position."""


class Position(NamedTuple):
    """Behind which events of a log somebody stands: the offset that comes next, per partition.

    `log` is what Kafka knows the topic by: of a topic that was deleted and made again, old offsets
    mean nothing.
    """

    log: str
    offsets: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join((self.log, *map(str, self.offsets)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The position that `str` wrote; None where it is none."""
        found = _POSITION.fullmatch(text)
        if found is None:
            return None
        return cls(found[1], tuple(map(int, found[2][1:].split("."))))

    def behind(self, event: Event) -> Self:
        """The position when this event is dealt with, too."""
        offsets = list(self.offsets)
        offsets[event.partition] = event.offset + 1
        return self._replace(offsets=tuple(offsets))


@dataclass(frozen=True)
class Event:
    """One record of an event log. Shared by all who get it: what it says is worked out once.

    What is kept of that is one line, and the document only where somebody's criteria ask for it: as
    Python objects a record has several times the size of its text.
    """

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes
    headers: Mapping[str, str]
    value: bytes = field(repr=False)

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The record as `cimstream tail -o json --unmask` shows it."""
        return self._read()

    @cached_property
    def line(self) -> str:
        """The document as one line of JSON."""
        return json.dumps(self._read(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "time": from_epoch_ms(self.time_ms) if self.time_ms >= 0 else "",
            "key": self.key.decode("utf-8", "replace"),
            "headers": self.headers,
            "size": len(self.value),
        }
        try:
            schema, record = decode(self.value)
        except WireFormatError:  # somebody else's record: where it lies is all there is to say
            return found
        return found | {"schema": schema, "event": document_of(record)}


class Beginning(NamedTuple):
    """Where to begin: at the first event that is kept, at the next one, at a time, or a position.

    At most one of `time_ms` (epoch UTC) and `position` is there; `earliest` counts without them.
    """

    earliest: bool = False
    time_ms: int | None = None
    position: Position | None = None


class Batch(NamedTuple):
    """Events in the order to hand them out, and where that leads."""

    events: Sequence[Event]
    position: Position


class Subscription(Protocol):
    """One reader of one log. Holds no more than a batch; who does not ask gets nothing."""

    @property
    def position(self) -> Position:
        """Behind everything that was handed out."""

    async def next(self, within_s: float) -> Batch:
        """What comes next; no events where there are none within this time.

        Raises:
            PositionExpiredError: the log lost what comes next.
            SubscriptionEndedError: this process ends.
            connectors.exchange.UnavailableError: Kafka does not answer.
        """

    def close(self) -> None:
        """Let go. Idempotent."""


class Subscriptions(Protocol):
    """The event logs as a door sees them. All methods belong to one event loop."""

    async def open(self, topic: str, beginning: Beginning) -> Subscription:
        """Begin to read a log.

        Raises:
            LogMissingError, PositionExpiredError, SubscriptionEndedError: see there.
            connectors.exchange.UnavailableError: Kafka does not answer.
        """
