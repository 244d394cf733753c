"""Event logs without Kafka: lists in memory. Held to the real ones by the integration tests."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.subscriptions import (
    Batch,
    Beginning,
    Event,
    LogMissingError,
    Position,
    PositionExpiredError,
    SubscriptionEndedError,
)
from schemas.avro import encode_body, encode_provenance, frame

LOG_ID = "hvGcbZ4mQ0y3Zo1HVvW4Tg"
OUTAGES = "cim.i1.outages"


def outage(
    offset: int,
    mrid: str,
    *,
    partition: int = 0,
    verb: str = "create",
    source: str = "OMS-1",
    **record: object,
) -> Event:
    """One event of the log of Outages."""
    known = {"revision": 1, "lifeCycle": "open", "mRID": mrid, **record}
    said = encode_provenance("cim.i1.inbound", 0, offset, f"m-{offset}", source, 0)
    return Event(
        OUTAGES, partition, offset, 1_767_225_600_000 + offset, mrid.lower().encode(),
        {"ce_verb": verb, "ce_source": source},
        frame("Outage") + said + encode_body("Outage", known),
    )  # fmt: skip


class FakeSubscriptions:
    """`starts` is where each partition of each log begins; what is read up to its end ends."""

    def __init__(self, events: Iterable[Event] = (), starts: tuple[int, ...] = (0, 0)) -> None:
        self.events = list(events)
        self.starts = starts
        self.asked: list[tuple[str, Beginning]] = []
        self.open_now = 0
        self.last_word: Exception = SubscriptionEndedError()

    async def open(self, topic: str, beginning: Beginning) -> FakeSubscription:
        self.asked.append((topic, beginning))
        if topic != OUTAGES:
            raise LogMissingError
        position = beginning.position or Position(LOG_ID, self.starts)
        if any(at < start for at, start in zip(position.offsets, self.starts, strict=True)):
            raise PositionExpiredError
        self.open_now += 1
        return FakeSubscription(self, position)


class FakeSubscription:
    def __init__(self, owner: FakeSubscriptions, position: Position) -> None:
        self._owner = owner
        self.position = position

    async def next(self, within_s: float) -> Batch:
        found = [e for e in self._owner.events if e.offset >= self.position.offsets[e.partition]]
        if not found:
            raise self._owner.last_word
        for event in found:
            self.position = self.position.behind(event)
        return Batch(found, self.position)

    def close(self) -> None:
        self._owner.open_now -= 1
