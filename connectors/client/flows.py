"""What a client does next: the whole behaviour, without any input or output.

Lives here: generators that say what is to be done and are told what came of it. Must not live
here: sockets, threads, event loops (`client` drives these, in both ways).

    yields      is sent back
    HttpRequest HttpAnswer, or Failure where there was none
    Pause       None, after that time
    Connect     Opened, an HttpAnswer that refuses, or Failure
    Receive     bytes, b"" at the end, or Failure
    Event       None, when the application asks for more

Invariant: a message is sent again with the same bytes, so under the same identity, until there is
an answer; so it has one effect and one answer, however often it was sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from connectors.client.config import ClientConfig
from connectors.client.errors import ClientError, ExpiredError, NoReplyError, UnavailableError
from connectors.client.mapping import (
    ACCEPT,
    XML,
    Event,
    HttpAnswer,
    HttpRequest,
    Receipt,
    Reply,
    problem,
    to_error,
    to_path,
    to_receipt,
    to_reply,
)
from connectors.client.stream import Block, StreamParser

T = TypeVar("T")

# What another try may change. Where it is not the gateway that answers, it may be a proxy before
# one that is just away.
_AGAIN: Final = frozenset({408, 429, 503})
_AGAIN_FOREIGN: Final = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
# What the gateway may take beyond the wait for a reply: to have Kafka confirm, and to answer.
_ANSWER_S: Final = 20.0
# The longest wait that a gateway grants (`gateway.wait_max_s`); then the reply is asked for.
_WAIT_MAX_S: Final = 60
# Three times the interval in which a gateway is heard of, as it is set unless changed.
_SILENCE_S: Final = 45.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Nothing is known of what became of the request."""

    why: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a stream; an earlier one is over."""

    request: HttpRequest


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream is there."""


@dataclass(frozen=True, slots=True)
class Receive:
    """More of the stream."""


@dataclass(frozen=True, slots=True)
class World:
    """What a flow must not know for itself: seconds that go on, and a number from 0 to 1."""

    clock: Callable[[], float]
    chance: Callable[[], float]


Outcome = HttpAnswer | Failure | None
Flow = Generator[HttpRequest | Pause, Outcome, T]
StreamStep = Connect | Receive | Pause | Event
StreamFlow = Generator[StreamStep, HttpAnswer | Failure | Opened | bytes | None, None]


class _Patience:
    """How long, and after what pause, something is tried again."""

    def __init__(self, world: World, patience_s: float) -> None:
        self._world = world
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        """It worked: what fails from now on is another matter."""
        self._tries = 0
        self._until = self._world.clock() + self._patience_s

    def pause(self, outcome: HttpAnswer | Failure) -> Pause | None:
        """The pause before the next try; None: this is the answer.

        Raises:
            UnavailableError: it was tried long enough.
        """
        again = isinstance(outcome, Failure) or _may_change(outcome)
        if not again:
            return None
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._tries)
        # Spread, so that the clients of a gateway that comes back do not all come at once.
        seconds = _retry_after(outcome) + longest * self._world.chance()
        self._tries += 1
        if self._world.clock() + seconds > self._until:
            raise _given_up(outcome)
        return Pause(seconds)


def publish(config: ClientConfig, world: World, interface: str, message: bytes) -> Flow[Receipt]:
    """Have the message made durable.

    Raises:
        RefusedError, UnavailableError: see there.
    """
    answer = yield from _post(config, world, interface, message, "respond-async", 0)
    if answer.status != 202:
        raise to_error(answer)
    return to_receipt(answer)


def request(
    config: ClientConfig, world: World, interface: str, message: bytes, wait_s: float
) -> Flow[Reply]:
    """Have the message made durable and wait for its reply.

    Raises:
        RefusedError, UnavailableError, NoReplyError: see there.
        ClientError: pattern_without_reply.
    """
    until = world.clock() + wait_s
    wait = min(_WAIT_MAX_S, math.ceil(wait_s))
    answer = yield from _post(config, world, interface, message, f"wait={wait}", wait)
    if answer.status == 200:
        return to_reply(answer)
    if answer.status != 202:
        raise to_error(answer)
    receipt = to_receipt(answer)
    return (yield from _until_replied(config, world, receipt, until))


def reply(config: ClientConfig, world: World, receipt: Receipt, wait_s: float) -> Flow[Reply]:
    """Wait for the reply to a message that was taken before, by whichever process.

    Raises: as `request`.
    """
    return (yield from _until_replied(config, world, receipt, world.clock() + wait_s))


def _post(
    config: ClientConfig, world: World, interface: str, message: bytes, prefer: str, wait_s: float
) -> Flow[HttpAnswer]:
    headers = {**config.headers, "Accept": ACCEPT, "Content-Type": XML, "Prefer": prefer}
    path = to_path(interface, "messages")
    asked = HttpRequest("POST", path, headers, message, wait_s + _ANSWER_S)
    return (yield from _until_answered(asked, _Patience(world, config.patience_s)))


def _until_answered(asked: HttpRequest, patience: _Patience) -> Flow[HttpAnswer]:
    while True:
        outcome = yield asked
        assert outcome is not None  # noqa: S101 - only a pause has none
        pause = patience.pause(outcome)
        if pause is None:
            assert isinstance(outcome, HttpAnswer)  # noqa: S101 - a failure has a pause
            return outcome
        yield pause


def _until_replied(
    config: ClientConfig, world: World, receipt: Receipt, until: float
) -> Flow[Reply]:
    if not receipt.answer:
        raise ClientError(
            "pattern_without_reply",
            "a message like this gets no reply",
            fix="publish it, or ask for a reply with AckRequired",
        )
    headers = {**config.headers, "Accept": ACCEPT}
    asked = HttpRequest("GET", receipt.answer, headers, b"", _ANSWER_S)
    while True:
        answer = yield from _until_answered(asked, _Patience(world, config.patience_s))
        if answer.status == 200:
            return to_reply(answer)
        if answer.status != 202:
            raise to_error(answer)
        pause_s = _retry_after(answer)
        if world.clock() + pause_s > until:
            raise NoReplyError(receipt)
        yield Pause(pause_s)


def subscription(
    config: ClientConfig,
    world: World,
    interface: str,
    noun: str,
    begin: str,
    criteria: Mapping[str, str | Sequence[str]],
) -> StreamFlow:
    """The events of a log, for ever; after every interruption behind the last one.

    Raises:
        ExpiredError: the log lost events that come next; they are not passed over.
        RefusedError, UnavailableError: see there.
    """
    query = urlencode({**criteria, "from": begin}, doseq=True)
    path = f"{to_path(interface, noun)}/events?{query}"
    headers = {**config.headers, "Accept": "text/event-stream, application/problem+json"}
    patience = _Patience(world, config.patience_s)
    position = ""
    while True:
        known = {"Last-Event-ID": position} if position else {}
        outcome = yield Connect(HttpRequest("GET", path, {**headers, **known}, b"", _SILENCE_S))
        if isinstance(outcome, Opened):
            position, outcome = yield from _received(position, patience)
        assert isinstance(outcome, HttpAnswer | Failure)  # noqa: S101 - see the table above
        pause = patience.pause(outcome)
        if pause is None:
            assert isinstance(outcome, HttpAnswer)  # noqa: S101 - a failure has a pause
            raise to_error(outcome)
        yield pause


def _received(
    position: str, patience: _Patience
) -> Generator[StreamStep, HttpAnswer | Failure | Opened | bytes | None, tuple[str, Failure]]:
    """Hand on what comes, until it ends; where that was, and why."""
    parser = StreamParser()
    while True:
        data = yield Receive()
        if isinstance(data, Failure):
            return position, data
        if not isinstance(data, bytes) or not data:
            return position, Failure("the stream ended")
        for block in parser.feed(data):
            patience.renew()
            if block.event == "end":
                return position, _ended(block)
            if block.id is not None:
                position = block.id
            if block.data:
                yield Event(position, _said(block))


def _ended(block: Block) -> Failure:
    """Why the gateway ends a stream.

    Raises:
        ExpiredError: going on from the last event would pass over others.
    """
    code = str(_said(block).get("code", "the stream ended"))
    if code == "position_expired":
        raise ExpiredError(
            code,
            "the log no longer has the events behind this position",
            fix="begin with `earliest`, and see to it that this reader keeps up",
        )
    return Failure(code)


def _said(block: Block) -> Mapping[str, Any]:
    try:
        said = json.loads(block.data)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ClientError("answer_unreadable", "the stream is not one of the gateway")
    return said


def _may_change(answer: HttpAnswer) -> bool:
    return answer.status in (_AGAIN if problem(answer) else _AGAIN_FOREIGN)


def _retry_after(outcome: HttpAnswer | Failure) -> float:
    """Seconds; the other form of the header, a date, is not one of the gateway's."""
    text = outcome.headers.get("retry-after", "") if isinstance(outcome, HttpAnswer) else ""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0.0


def _given_up(outcome: HttpAnswer | Failure) -> UnavailableError:
    fix = "send the same again later: what has arrived is recognised"
    if isinstance(outcome, Failure):
        return UnavailableError(
            "gateway_unreachable", "the gateway does not answer", why=outcome.why, fix=fix
        )
    told = to_error(outcome)
    return UnavailableError(
        told.code, told.what, why=told.why, fix=fix, status=told.status, instance=told.instance
    )
