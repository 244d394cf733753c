"""An exchange without Kafka: a log in memory. Held to the real one by the contract tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from connectors.exchange import (
    Call,
    CallExpiredError,
    CallUnknownError,
    Place,
    Recalled,
    UnavailableError,
)
from schemas.envelope import Reply, reply_to, write
from streams.engine.record import Record
from streams.runtime.gateway.replies import Replies
from topics.rejection import UNKNOWN_SOURCE
from topics.replies import ANSWERS

Answering = Callable[[Call], Reply | None]


class FakeExchange:
    """`answering` plays the pipeline; `away` plays a Kafka that does not confirm."""

    def __init__(self, answering: Answering = lambda _: Reply("OK")) -> None:
        self.answering = answering
        self.away = False
        self.delay_s = 0.0
        self.log: list[Call] = []
        self.audited: list[dict[str, object]] = []
        self.expired_below = 0
        self._replies = Replies()
        self._answers: dict[Place, bytes] = {}

    async def submit(self, call: Call) -> Place:
        await asyncio.sleep(self.delay_s)
        if self.away:
            raise UnavailableError("no answer")
        place = Place(call.message.topic, 0, len(self.log))
        self.log.append(call)
        if call.asked is not None:
            self._replies.asked(place, call.asked)
            reply = self.answering(call)
            if reply is not None:
                message = reply_to(
                    call.header, reply, message_id="r", timestamp_ms=0, source="cimstream"
                )
                self.answer(place, write(message))
        return place

    def answer(self, place: Place, value: bytes, **headers: str) -> None:
        said = headers or {ANSWERS: str(place)}
        encoded = tuple(
            (name, text.encode()) for name, text in {"ce_verb": "reply", **said}.items()
        )
        self._answers[place] = value
        self._replies.arrived(Record("cim.i7.outbound", 0, 0, 0, None, value, encoded))

    async def reply(self, place: Place, within_s: float) -> bytes | None:
        return await self._replies.wait(place, within_s)

    async def recall(self, place: Place) -> Recalled:
        if place.offset < self.expired_below:
            raise CallExpiredError
        if place.partition or place.offset >= len(self.log):
            raise CallUnknownError
        call = self.log[place.offset]
        if call.message.topic != place.topic:
            raise CallUnknownError
        source = call.header.source or UNKNOWN_SOURCE
        return Recalled(source, call.asked, self._answers.get(place))

    def audit(self, action: str, about: str, by: str, details: Mapping[str, object]) -> None:
        self.audited.append({"action": action, "about": about, "by": by, **details})
