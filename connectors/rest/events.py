"""Subscriptions: the event log of a noun as server-sent events (WHATWG HTML, 9.2).

Lives here: what a request asks for, who may, the form of the stream. Must not live here: where
events come from (`connectors.subscriptions`), which are wanted (`connectors.selection`).

    retry: 1000                   how long a browser waits before it comes back
    id: <position>                where it stands from the beginning on

    id: <position>                behind this event
    data: {…}                     as `cimstream tail -o json --unmask`

    :                             nothing happened; the position may have moved all the same
    id: <position>

    event: end                    the last word, with the code of why
    data: {"code":"…"}

Invariant: an id is sent behind, or with, the events that it stands behind, never before them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.access import Principal
from connectors.exchange import UnavailableError
from connectors.http import RequestError
from connectors.rest.config import RestLimits
from connectors.selection import Selection, SelectionError, select
from connectors.subscriptions import (
    Batch,
    Beginning,
    LogMissingError,
    Position,
    PositionExpiredError,
    Subscription,
    SubscriptionEndedError,
    Subscriptions,
)
from schemas.errors import MessageError, Problem
from schemas.times import to_epoch_ms
from topics import Catalogue, Noun, naming

EVENT_STREAM: Final = "text/event-stream"
READING: Final = "get"
"""The verb that the access file allows a subscriber: who may ask for objects may hear of them."""

Handed = Callable[[str, int], None]
"""(interface, events) -> None: told of what was handed to subscribers."""

Withdrawn = Callable[[str], bool]
"""(noun) -> bool: whether who subscribed may no longer; it is noted where it is so."""
WITHDRAWN: Final = "not_authorised"
"""The last word to such a one."""

_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY_MS: Final = 1000
# The access file is looked at as often: a right that is withdrawn ends in twice that.
_LOOK_S: Final = 2.0
# What is written at once; others have their turn in between.
_CHUNK_BYTES: Final = 64 * 1024
_LOGGER: Final = logging.getLogger("cimstream.rest")


class EventDoor:
    """Serves subscriptions on one event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        subscriptions: Subscriptions,
        limits: RestLimits,
        handed: Handed,
    ) -> None:
        self._catalogue = catalogue
        self._subscriptions = subscriptions
        self._limits = limits
        self._handed = handed
        self._open: Counter[str] = Counter()

    @property
    def open_subscriptions(self) -> int:
        """Those being served."""
        return self._open.total()

    async def subscribe(
        self,
        request: Request,
        headers: Mapping[str, str],
        interface: str,
        principal: Principal,
        withdrawn: Withdrawn,
    ) -> Response:
        """The stream that is asked for, until it is `withdrawn`.

        Raises:
            MessageError: noun_unknown, not_authorised.
            RequestError: what is asked for is not there, or not now.
            UnavailableError: Kafka does not answer.
        """
        noun = self._noun(interface, request.path_params["noun"])
        principal.check(principal.source, interface, noun.name, READING)
        topic, beginning, selection = self._asked(noun, request, headers)
        if request.method == "HEAD":
            return Response(media_type=EVENT_STREAM, headers=_HEADERS)
        source = principal.source
        if self._open[source] >= self._limits.subscriptions_per_source:
            raise RequestError("subscriptions_exceeded")
        if self.open_subscriptions >= self._limits.subscriptions_max:
            raise RequestError("overloaded")
        self._open[source] += 1
        try:
            subscription = await self._begin(topic, beginning)
        except BaseException:
            self._left(source)
            raise

        def closed() -> None:
            subscription.close()
            self._left(source)

        watched = _Watched(subscription, partial(withdrawn, noun.name))
        return _Stream(self._written(watched, selection, interface), closed)

    def _noun(self, interface: str, name: str) -> Noun:
        noun = self._catalogue.noun(name)
        if noun is None:
            raise MessageError(Problem("noun_unknown"))
        if noun.home != interface:
            raise RequestError("log_elsewhere", f"{noun.name} have their home on {noun.home}")
        return noun

    def _asked(
        self, noun: Noun, request: Request, headers: Mapping[str, str]
    ) -> tuple[str, Beginning, Selection]:
        """Which log, from where on, and what of it."""
        begin, context = "latest", naming.PRODUCTION
        criteria = []
        for name, value in request.query_params.multi_items():
            if name == "from":
                begin = value
            elif name == "context":
                context = value.upper()
            else:
                criteria.append((name, value))
        known = (naming.PRODUCTION, *self._catalogue.contexts)
        if context not in known or self._catalogue.context_of(noun.home, context) != context:
            raise RequestError("filter_unknown", f"its contexts are {', '.join(known)}")
        try:
            selection = select(criteria, noun.schema)
        except SelectionError as error:
            raise RequestError("filter_unknown", str(error)) from None
        # Who comes back says with the same address where it has been.
        beginning = read_beginning(headers.get("last-event-id", "") or begin)
        return naming.noun_log(noun.home, noun.name, context), beginning, selection

    async def _begin(self, topic: str, beginning: Beginning) -> Subscription:
        try:
            return await self._subscriptions.open(topic, beginning)
        except LogMissingError:
            raise RequestError("log_missing") from None
        except PositionExpiredError:
            raise RequestError("position_expired") from None
        except SubscriptionEndedError:
            raise RequestError("gateway_stopping") from None

    def _left(self, source: str) -> None:
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    async def _written(
        self, subscription: _Watched, selection: Selection, interface: str
    ) -> AsyncIterator[bytes]:
        """The stream, in pieces of some size; it ends with the reason."""
        yield f"retry: {_RETRY_MS}\nid: {subscription.position}\n\n".encode()
        try:
            async for piece in self._told(subscription, selection, interface):
                yield piece
        except PositionExpiredError:
            yield _end("position_expired")
        except SubscriptionEndedError:
            yield _end("gateway_stopping")
        except UnavailableError:
            yield _end("unavailable")
        except _WithdrawnError:
            yield _end(WITHDRAWN)
        except Exception as error:  # noqa: BLE001 - the last place where it can become a word
            # Its text may hold what an event says.
            fields = {"kind": type(error).__name__, "position": str(subscription.position)}
            _LOGGER.error("subscription failed", extra={"fields": fields})  # noqa: TRY400
            yield _end("processing_failed")

    async def _told(
        self, subscription: _Watched, selection: Selection, interface: str
    ) -> AsyncIterator[bytes]:
        """The events that are wanted, and where it stands when there are none for some time."""
        heard = time.monotonic()
        while True:
            position = subscription.position
            batch = await subscription.next(self._limits.heartbeat_s)
            written = bytearray()
            told = 0
            for event in batch.events:
                position = position.behind(event)
                if selection.meets(event):
                    told += 1
                    written += f"id: {position}\ndata: {event.line}\n\n".encode()
                if len(written) >= _CHUNK_BYTES:
                    yield bytes(written)
                    written.clear()
            if told:
                self._handed(interface, told)
            elif time.monotonic() - heard >= self._limits.heartbeat_s or not batch.events:
                written += f":\nid: {batch.position}\n\n".encode()
            if told or written:
                heard = time.monotonic()
            if written:
                yield bytes(written)


def read_beginning(text: str) -> Beginning:
    """Where `from`, or the id of an event, says to begin.

    Raises:
        RequestError: position_invalid.
    """
    if text in ("earliest", "latest"):
        return Beginning(earliest=text == "earliest")
    position = Position.parse(text)
    if position is not None:
        return Beginning(position=position)
    try:
        return Beginning(time_ms=to_epoch_ms(text))
    except ValueError:
        raise RequestError("position_invalid") from None


class _WithdrawnError(Exception):
    """Whoever listens may no longer."""


class _Watched:
    """A subscription of which nothing more is given when the right to it is gone."""

    def __init__(self, subscription: Subscription, withdrawn: Callable[[], bool]) -> None:
        self._subscription = subscription
        self._withdrawn = withdrawn

    @property
    def position(self) -> Position:
        return self._subscription.position

    async def next(self, within_s: float) -> Batch:
        """What the subscription gives; also where nothing comes, the right is looked at.

        Raises:
            _WithdrawnError: it is gone.
        """
        deadline = time.monotonic() + within_s
        while True:
            left_s = deadline - time.monotonic()
            batch = await self._subscription.next(max(0.0, min(_LOOK_S, left_s)))
            if self._withdrawn():
                raise _WithdrawnError
            if batch.events or left_s <= _LOOK_S:
                return batch


class _Stream(Response):
    """A response that goes on until its source ends or its client is gone."""

    def __init__(self, written: AsyncIterator[bytes], closed: Callable[[], None]) -> None:
        super().__init__(media_type=EVENT_STREAM, headers=_HEADERS)
        del self.headers["content-length"]
        self._written = written
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """See ASGI."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            self._closed()
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        async for piece in self._written:
            # Waits where the client does not read; `streams.runtime.gateway.protocol` cuts it.
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _end(code: str) -> bytes:
    return f"event: end\ndata: {json.dumps({'code': code})}\n\n".encode()
