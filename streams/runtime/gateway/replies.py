"""Which reply belongs to which call, as far as this process remembers.

Lives here: who waits for what, the replies and calls of late, which queries others asked. Must not
live here: Kafka, and what is older (`recall`).

Invariant: a reply that arrives while its call is open or remembered is never lost to it: whoever
waits gets it, and whoever asks afterwards finds it or is told to look into the log.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connectors.exchange import Asked, Place, Reference
from streams.engine.record import Record
from topics.addressing import FATE
from topics.replies import ANSWERS, SAME_AS

# A reply has about 1 KB, so this is some ten thousand of them.
KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
# About 1 KB each with its references.
CALLS_MAX: Final = 20_000


class Fate(StrEnum):
    """What became of a reply that arrived; a label of a metric."""

    WAITED = "waited"  # somebody was waiting for it
    LATE = "late"  # asked here; nobody waits any more, or nobody wanted to
    OTHER = "other"  # not asked here: of another process, another way in, or before a restart
    UNKNOWN = "unknown"  # names no call that anybody is known to have made


@dataclass(slots=True)
class _Open:
    """A call of this process."""

    asked: Asked
    waiting: asyncio.Future[bytes | None] | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a call. `elsewhere`: the log may have a reply, this memory has not."""

    asked: Asked
    reply: bytes | None
    elsewhere: bool


class Replies:
    """One event loop."""

    def __init__(self, *, kept_bytes_max: int = KEPT_BYTES_MAX, calls_max: int = CALLS_MAX) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._calls_max = calls_max
        self._calls: OrderedDict[Place, _Open] = OrderedDict()
        self._named: dict[Reference, list[Place]] = {}
        self._kept: OrderedDict[Place, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._referred: OrderedDict[Place, None] = OrderedDict()
        self._elsewhere: OrderedDict[Reference, None] = OrderedDict()
        self._unclaimed = False
        self._closing = False

    def asked(self, place: Place, asked: Asked) -> None:
        """A call was made: remember it, and what already came for it."""
        call = self._calls[place] = _Open(asked)
        for reference in asked.references:
            self._named.setdefault(reference, []).append(place)
        call.answered = place in self._kept or place in self._referred
        while len(self._calls) > self._calls_max and self._forget_one():
            pass

    def arrived(self, record: Record) -> Fate:
        """A reply came: give it to whoever waits, keep it for whoever asks."""
        name, first = named_by(record), same_as(record)
        # One that was given before: who waits looks into the log where it is not remembered.
        value = record.value or b"" if first is None else self._kept.get(first)
        fate = Fate.OTHER if self._asked_elsewhere(name) else Fate.UNKNOWN
        for place in self._places(name):
            if value is None:
                self._refer(place)
            else:
                self._keep(place, value)
            call = self._calls.get(place)
            if call is None:
                continue
            call.answered = True
            if call.waiting is not None and not call.waiting.done():
                call.waiting.set_result(value)
                fate = Fate.WAITED
            elif fate is not Fate.WAITED:
                fate = Fate.LATE
        if isinstance(name, Reference) and fate not in (Fate.WAITED, Fate.LATE):
            # Its call may be about to be told of here; by its name alone it cannot be kept.
            self._unclaimed = True
        return fate

    def heard(self, query: Record) -> None:
        """Somebody asked this, here or elsewhere, lately or before a restart."""
        said = {name: value.decode(errors="replace") for name, value in query.headers}
        source, noun = said.get("ce_source", ""), said.get("ce_noun", "")
        for one in (said.get("ce_correlationid", ""), said.get("ce_id", "")):
            if one:
                self._elsewhere[Reference(source, noun, one)] = None
        while len(self._elsewhere) > self._calls_max:
            self._elsewhere.popitem(last=False)

    async def wait(self, place: Place, within_s: float) -> bytes | None:
        """The reply to a call that was `asked`; None if it does not come in time."""
        call = self._calls.get(place)
        found = self._kept.get(place)
        if call is None or found is not None or call.answered or self._closing:
            return found
        call.waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                return await call.waiting
        except TimeoutError:
            return None
        finally:
            call.waiting = None

    def known(self, place: Place) -> Known | None:
        """What is remembered of a call; None: look into the log."""
        call = self._calls.get(place)
        if call is None:
            return None
        reply = self._kept.get(place)
        elsewhere = reply is None and (call.answered or self._unclaimed)
        return Known(call.asked, reply, elsewhere)

    def referred(self, place: Place) -> bool:
        """Whether the call has a reply in the log that is not remembered here."""
        call = self._calls.get(place)
        return call is not None and call.answered and place not in self._kept

    def kept(self, place: Place) -> bytes | None:
        """The reply to whatever call lies there, if it came by here lately."""
        return self._kept.get(place)

    def let_go(self) -> None:
        """Who waits now, or will, is told that there is no reply yet."""
        self._closing = True
        for call in self._calls.values():
            if call.waiting is not None and not call.waiting.done():
                call.waiting.set_result(None)

    def _asked_elsewhere(self, name: Place | Reference | None) -> bool:
        """A place was given by whoever took the call in; a name may be anybody's invention."""
        return isinstance(name, Place) or (name is not None and name in self._elsewhere)

    def _places(self, name: Place | Reference | None) -> tuple[Place, ...]:
        if isinstance(name, Reference):
            return tuple(self._named.get(name, ()))
        return () if name is None else (name,)

    def _keep(self, place: Place, value: bytes) -> None:
        self._kept_bytes += len(value) - len(self._kept.pop(place, b""))
        self._kept[place] = value
        while self._kept_bytes > self._kept_bytes_max and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._kept_bytes -= len(gone)

    def _refer(self, place: Place) -> None:
        self._referred[place] = None
        if len(self._referred) > self._calls_max:
            self._referred.popitem(last=False)

    def _forget_one(self) -> bool:
        """Forget the oldest call that nobody waits for; False if there is none among the oldest."""
        place, call = next(iter(self._calls.items()))
        if call.waiting is not None:
            self._calls.move_to_end(place)
            return False
        del self._calls[place]
        for reference in call.asked.references:
            places = self._named[reference]
            places.remove(place)
            if not places:
                del self._named[reference]
        return True


def named_by(record: Record) -> Place | Reference | None:
    """By what a reply names its call: the place of the request, or what foreign responders say.

    None for what is no reply: a command, a notification, the fate of a delivery.
    """
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    if headers.get("ce_verb") != "reply" or FATE in headers:
        return None
    place = Place.parse(headers.get(ANSWERS, ""))
    if place is not None:
        return place
    correlation_id = headers.get("ce_correlationid", "")
    if not correlation_id:
        return None
    return Reference(headers.get("ce_destination", ""), headers.get("ce_noun", ""), correlation_id)


def same_as(record: Record) -> Place | None:
    """Of what stands in place of a reply: the call whose reply is meant."""
    return Place.parse(dict(record.headers).get(SAME_AS, b"").decode(errors="replace"))


def answers(record: Record, place: Place, asked: Asked, since_ms: int) -> bool:
    """Whether the record is the reply to this call, which was made at `since_ms`.

    A name that is not the place may have been used before: what is older is not meant.
    """
    name = named_by(record)
    if isinstance(name, Reference):
        return name in asked.references and record.timestamp_ms >= since_ms
    return name == place
