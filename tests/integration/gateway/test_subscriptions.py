"""Subscriptions on a real Kafka: what is handed out, from where on, and what is never skipped."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.exchange import UnavailableError
from connectors.subscriptions import (
    Beginning,
    Event,
    LogMissingError,
    Position,
    PositionExpiredError,
    Subscription,
    SubscriptionEndedError,
)
from streams.engine.kafka import KafkaSettings
from streams.runtime.gateway.subscriptions import KafkaSubscriptions
from tests.integration.service import PATIENCE_S

pytestmark = pytest.mark.integration

EARLIEST = Beginning(earliest=True)
SOON_S = 1.0


class Log:
    """A topic of two partitions, written in transactions."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topic = f"cim.test-{uuid.uuid4().hex[:8]}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.make()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "transactional.id": self.topic, "linger.ms": 0}
        )
        self._producer.init_transactions()
        self._count = 0

    def make(self) -> None:
        self._wait(self.admin.create_topics([NewTopic(self.topic, 2, 1)]))

    def make_again(self) -> None:
        self._wait(self.admin.delete_topics([self.topic]))
        self.make()

    def forget(self, *before: int) -> None:
        """Retention passes over what lies before these offsets."""
        self._wait(
            self.admin.delete_records(
                [TopicPartition(self.topic, number, at) for number, at in enumerate(before)]
            )
        )

    def write(self, count: int, *, commit: bool = True, size: int = 10) -> list[str]:
        """So many records in one transaction, from one partition to the other; their keys."""
        keys = [f"{self._count + n}" for n in range(count)]
        self._count += count
        self._producer.begin_transaction()
        for number, key in enumerate(keys):
            self._producer.produce(self.topic, b"x" * size, key, number % 2)
            self._producer.poll(0)
        self._producer.flush()
        if commit:
            self._producer.commit_transaction()
        else:
            self._producer.abort_transaction()
        return keys

    def _wait(self, futures: Mapping[Any, Future[Any]]) -> None:
        for future in futures.values():
            future.result(PATIENCE_S)


@pytest.fixture
def log(kafka: str) -> Log:
    return Log(kafka)


def run(log: Log, test: Callable[[KafkaSubscriptions], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        subscriptions = make(log)
        try:
            await test(subscriptions)
        finally:
            await subscriptions.stop()

    asyncio.run(all_of_it())


def make(log: Log) -> KafkaSubscriptions:
    return KafkaSubscriptions(KafkaSettings(log.bootstrap), "test", timeout_s=PATIENCE_S)


async def read(subscription: Subscription, count: int) -> list[Event]:
    """At least so many events."""
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += (await subscription.next(SOON_S)).events
    return found


def keys(events: Sequence[Event]) -> list[str]:
    return [event.key.decode() for event in events]


def in_order(events: Sequence[Event]) -> bool:
    """Each partition's events in the order of their offsets, none twice."""
    return all(
        offsets == sorted(set(offsets))
        for offsets in ([e.offset for e in events if e.partition == n] for n in (0, 1))
    )


def test_what_is_committed_is_handed_out_once_in_order_and_nothing_else(log: Log) -> None:
    before = log.write(30)
    log.write(10, commit=False)

    async def test(subscriptions: KafkaSubscriptions) -> None:
        subscription = await subscriptions.open(log.topic, EARLIEST)
        events = await read(subscription, 30)
        # From here on out of the window.
        assert (await subscription.next(SOON_S)).events == ()
        log.write(10, commit=False)
        after = log.write(30)
        events += await read(subscription, 30)
        assert sorted(keys(events)) == sorted(before + after)
        assert in_order(events)

    run(log, test)


def test_the_latest_is_what_comes_from_now_on(log: Log) -> None:
    log.write(10)

    async def test(subscriptions: KafkaSubscriptions) -> None:
        subscription = await subscriptions.open(log.topic, Beginning())
        assert sorted(keys(await read(subscription, 4) if log.write(4) else [])) == [
            "10", "11", "12", "13",
        ]  # fmt: skip

    run(log, test)


def test_from_a_time_on_comes_what_was_appended_since(log: Log) -> None:
    log.write(10)

    async def test(subscriptions: KafkaSubscriptions) -> None:
        first = await read(await subscriptions.open(log.topic, EARLIEST), 10)
        await asyncio.sleep(0.01)
        log.write(4)
        since = Beginning(time_ms=max(event.time_ms for event in first) + 1)
        found = await read(await subscriptions.open(log.topic, since), 4)
        assert sorted(keys(found)) == ["10", "11", "12", "13"]

    run(log, test)


def test_behind_every_event_another_process_goes_on(log: Log) -> None:
    written = log.write(12)

    async def test(subscriptions: KafkaSubscriptions) -> None:
        subscription = await subscriptions.open(log.topic, EARLIEST)
        position = subscription.position
        events = await read(subscription, 12)
        other = make(log)
        try:
            for number, event in enumerate(events):
                position = position.behind(event)
                again = Position.parse(str(position))
                rest = await other.open(log.topic, Beginning(position=again))
                left = len(events) - number - 1
                got = await read(rest, left) if left else []
                assert sorted(keys(got)) == sorted(keys(events[number + 1 :]))
                rest.close()
        finally:
            await other.stop()
        assert sorted(keys(events)) == sorted(written)

    run(log, test)


def test_who_is_slow_loses_nothing_and_holds_nobody_back(log: Log) -> None:
    """More than a window comes while one of two does not read."""

    async def test(subscriptions: KafkaSubscriptions) -> None:
        slow, fast = [await subscriptions.open(log.topic, EARLIEST) for _ in range(2)]
        first = log.write(2)
        slow_got, fast_got = await read(slow, 2), await read(fast, 2)
        for one in (slow, fast):  # both have come to the end: they share a window
            assert (await one.next(SOON_S)).events == ()
        rest: list[str] = []
        for _ in range(25):
            rest += log.write(200)
            fast_got += await read(fast, 200)
        slow_got += await read(slow, 5_000)
        for got in (slow_got, fast_got):
            assert sorted(keys(got)) == sorted(first + rest)
            assert in_order(got)

    run(log, test)


def test_a_large_backlog_is_read_in_slices_of_bounded_size(log: Log) -> None:
    size = 100_000
    written = [key for _ in range(10) for key in log.write(10, size=size)]

    async def test(subscriptions: KafkaSubscriptions) -> None:
        subscription = await subscriptions.open(log.topic, EARLIEST)
        got: list[Event] = []
        while len(got) < len(written):
            batch = (await subscription.next(SOON_S)).events
            assert len(batch) * size < len(written) * size / 2
            got += batch
        assert sorted(keys(got)) == sorted(written)
        assert in_order(got)

    run(log, test)


def test_what_retention_took_is_never_passed_over(log: Log) -> None:
    log.write(20)

    async def test(subscriptions: KafkaSubscriptions) -> None:
        subscription = await subscriptions.open(log.topic, EARLIEST)
        start = subscription.position
        reached = start.behind((await read(subscription, 1))[0])
        unread = await subscriptions.open(log.topic, EARLIEST)
        log.forget(5, 5)
        for position in (start, reached):
            with pytest.raises(PositionExpiredError):
                await subscriptions.open(log.topic, Beginning(position=position))
        with pytest.raises(PositionExpiredError):
            await read(unread, 1)
        begun = await subscriptions.open(log.topic, EARLIEST)
        assert begun.position.offsets == (5, 5)

    run(log, test)


def test_positions_of_a_log_that_was_made_again_mean_nothing(log: Log) -> None:
    log.write(4)

    async def test(subscriptions: KafkaSubscriptions) -> None:
        position = (await subscriptions.open(log.topic, EARLIEST)).position
        log.make_again()
        while True:  # until the broker has heard of it
            with suppress(LogMissingError, UnavailableError):
                await subscriptions.open(log.topic, EARLIEST)
                break
            await asyncio.sleep(0.1)
        with pytest.raises(PositionExpiredError):
            await subscriptions.open(log.topic, Beginning(position=position))

    run(log, test)


def test_a_log_that_is_not_there_is_told_so(log: Log) -> None:
    async def test(subscriptions: KafkaSubscriptions) -> None:
        with pytest.raises(LogMissingError):
            await subscriptions.open(f"{log.topic}-not", EARLIEST)

    run(log, test)


def test_who_waits_is_told_at_once_that_the_process_ends(log: Log) -> None:
    async def test(subscriptions: KafkaSubscriptions) -> None:
        subscription = await subscriptions.open(log.topic, EARLIEST)
        waiting = asyncio.ensure_future(subscription.next(PATIENCE_S))
        await asyncio.sleep(SOON_S)
        subscriptions.let_go()
        with pytest.raises(SubscriptionEndedError):
            await asyncio.wait_for(waiting, PATIENCE_S / 2)
        with pytest.raises(SubscriptionEndedError):
            await subscriptions.open(log.topic, EARLIEST)

    run(log, test)


def test_a_window_ends_with_its_last_subscriber_and_another_begins(log: Log) -> None:
    async def test(subscriptions: KafkaSubscriptions) -> None:
        for number in range(3):
            subscription = await subscriptions.open(log.topic, Beginning())
            while subscriptions.window(log.topic) is None:
                assert (await subscription.next(SOON_S)).events == ()
            written = log.write(2)
            assert sorted(keys(await read(subscription, 2))) == written, number
            subscription.close()
            assert subscriptions.window(log.topic) is None

    run(log, test)
