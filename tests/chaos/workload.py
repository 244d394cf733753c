"""What is sent while things break: a seeded stream of messages, and who sends it.

Lives here: messages with what each must lead to, written down by the rules and not computed by
the code under test; the sender and its receipts. Must not live here: faults, checks.

The stream has first messages, repeats (the same bytes, another serialisation), conflicts (the
same identity with other content) and bad ones of many kinds. Some messages are transfers: what
one meter has more, another has less, so that the energy of the whole log is the same before and
after each of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from threading import Event as Signal
from threading import Lock, Thread
from typing import Final

from connectors.inbound import admit
from streams.demo import messages as m
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output, TopicPartition
from streams.runtime.sending import Delivery, Sender
from tests.chaos.cluster import INTERFACE
from tests.chaos.history import Event, EventId
from topics import load_catalogue, naming

SOURCE: Final = "HES-1"
READINGS: Final = naming.noun_log(INTERFACE, "MeterReadings")
EVENTS: Final = naming.noun_log(INTERFACE, "EndDeviceEvents")
# Few meters, so that each has many messages and its minimum, maximum and sum mean something.
_METERS: Final = 40
_VALUES: Final = 4
# A broker that is killed and started again is back within this.
_DELIVERED_S: Final = 90.0
BAD: Final = ("garbage", "truncated", "noun", "verb", "empty", "value", "zone")


@dataclass(frozen=True, slots=True)
class Message:
    """One sending: its bytes and what must come of it.

    `identity` is what repeats have in common. `events` are those that the first of an identity
    gives, in order; a repeat names the same ones, which must not come again. `code` is that of
    the rejection, "" for none.
    """

    kind: str
    identity: str
    data: bytes
    events: tuple[Event, ...] = ()
    code: str = ""
    replies: int = 0


class Workload:
    """Messages, one after the other, the same for the same seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._count = 0
        self._firsts: list[Message] = []

    def __iter__(self) -> Iterator[Message]:
        while True:
            yield self.next()

    def next(self) -> Message:
        """The next one: of ten about six are new, two known, one in conflict, one bad."""
        dice = self._chance.random()
        if dice < 0.62 or not self._firsts:
            return self.first()
        if dice < 0.82:
            return self.repeat()
        if dice < 0.9:
            return self.conflict()
        return self.bad(self._chance.choice(BAD))

    def first(self, fits: Callable[[Message], bool] = lambda _: True) -> Message:
        """A message that nobody has sent, and that fits."""
        while not fits(message := self._new()):
            pass
        self._firsts.append(message)
        return message

    def _new(self) -> Message:
        message_id = self._new_id()
        dice = self._chance.random()
        if dice < 0.15:
            mrids = self._some_meters(self._chance.randint(1, 3))
            data = m.envelope(
                m.end_device_events(mrids), message_id=message_id, noun="EndDeviceEvents"
            )
            return Message("events", message_id, data, _events(EVENTS, message_id, mrids))
        if dice < 0.5:
            return self._transfer(message_id)
        if dice < 0.6:
            mrids = self._some_meters(1)
            extra = "<AckRequired>true</AckRequired>"
            data = m.envelope(self._readings(mrids), message_id=message_id, extra=extra)
            events = _events(READINGS, message_id, mrids)
            return Message("answered", message_id, data, events, replies=1)
        return self._readings_message(message_id)

    def _readings_message(self, message_id: str) -> Message:
        mrids = self._some_meters(self._chance.randint(1, 3))
        data = m.envelope(self._readings(mrids), message_id=message_id)
        return Message("readings", message_id, data, _events(READINGS, message_id, mrids))

    def repeat(self) -> Message:
        """One of the first messages again; a reply is given again, nothing else happens."""
        first = self._chance.choice(self._firsts)
        return self.again(first, other_form=self._chance.random() < 0.3)

    def again(self, first: Message, *, other_form: bool = False) -> Message:
        """A repeat of this one."""
        data = m.reserialised(first.data) if other_form else first.data
        return replace(first, kind="repeat", data=data)

    def conflict(self) -> Message:
        """The identity of a first message with other content."""
        first = self._chance.choice(self._firsts)
        self._count += 1  # a meter of its own, so that the content surely differs
        other = f"conflict-{self._count}"
        if first.events[0].id.log == EVENTS:
            noun, payload = "EndDeviceEvents", m.end_device_events([other])
        else:
            meter = m.full_meter(other, m.values(1, 1), m.times(1))
            noun, payload = "MeterReadings", m.meter_readings([meter])
        data = m.envelope(payload, message_id=first.identity, noun=noun)
        return Message("conflict", first.identity, data, code="identity_conflict")

    def bad(self, kind: str) -> Message:
        """A message that must be rejected by itself, with its own code."""
        message_id = f"bad-{self._new_id()}"
        one = self._some_meters(1)[0]
        good = m.envelope(self._readings([one]), message_id=message_id)
        numbers, stamps = m.values(3, _VALUES), m.times(_VALUES)
        data, code = {
            "garbage": (f"OBIS 1.8.0 = {message_id}".encode(), "xml_not_wellformed"),
            "truncated": (good[: len(good) // 2], "xml_not_wellformed"),
            "noun": (m.envelope("<a/>", message_id=message_id, noun="Toasters"), "noun_unknown"),
            "verb": (m.envelope("<a/>", message_id=message_id, verb="explode"), "verb_unknown"),
            "empty": (m.envelope("", message_id=message_id), "payload_missing"),
            "value": (
                m.envelope(
                    m.meter_readings([m.full_meter(one, ["1", "2", "three", "4"], stamps)]),
                    message_id=message_id,
                ),
                "value_not_number",
            ),
            "zone": (
                m.envelope(
                    m.meter_readings([m.full_meter(one, numbers, [t[:-1] for t in stamps])]),
                    message_id=message_id,
                ),
                "timestamp_without_zone",
            ),
        }[kind]
        return Message(f"bad-{kind}", message_id, data, code=code)

    def _new_id(self) -> str:
        self._count += 1
        return f"m-{self._count:06d}"

    def _some_meters(self, count: int) -> list[str]:
        return [f"meter-{number:03d}" for number in self._chance.sample(range(_METERS), count)]

    def _readings(self, mrids: list[str]) -> str:
        day = m.DAY + self._chance.randrange(300) * m.QUARTER
        forms = (m.full_meter, m.compact_meter)
        return m.meter_readings(
            self._chance.choice(forms)(mrid, self._numbers(), m.times(_VALUES, day))
            for mrid in mrids
        )

    def _transfer(self, message_id: str) -> Message:
        given, taken = self._some_meters(2)
        numbers, stamps = self._numbers(), m.times(_VALUES)
        meters = [
            m.full_meter(given, [f"-{number}" for number in numbers], stamps),
            m.full_meter(taken, numbers, stamps),
        ]
        data = m.envelope(m.meter_readings(meters), message_id=message_id)
        events = _events(READINGS, message_id, [given, taken])
        return Message("transfer", message_id, data, events)

    def _numbers(self) -> list[str]:
        return [f"{self._chance.randrange(1, 5000) / 1000:.3f}" for _ in range(_VALUES)]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message and where the broker said it is."""

    message: Message
    at: TopicPartition
    offset: int


@dataclass(slots=True)
class Receipts:
    """What became of what was sent."""

    delivered: list[Receipt] = field(default_factory=list)
    failed: list[tuple[Message, str]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def report(self, message: Message) -> Callable[[Delivery], None]:
        """The callback for one message."""

        def delivered(delivery: Delivery) -> None:
            with self._lock:
                if delivery.failure:
                    self.failed.append((message, delivery.failure))
                    return
                at = TopicPartition(delivery.topic, delivery.partition)
                self.delivered.append(Receipt(message, at, delivery.offset))

        return delivered


class Feed:
    """Sends messages on a thread of its own until told to stop, or until there are no more."""

    def __init__(
        self, bootstrap: str, messages: Iterator[Message], receipts: Receipts, rate_per_s: float
    ) -> None:
        self._messages = messages
        self._receipts = receipts
        self._pause_s = 1 / rate_per_s
        self._stopping = Signal()
        self._failure: Exception | None = None
        settings = KafkaSettings(bootstrap, extra={"log_level": 0})
        self._sender = Sender(settings, timeout_s=_DELIVERED_S)
        self._thread = Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait until everything sent has its receipt."""
        self._stopping.set()
        self.join()

    def join(self) -> None:
        """Wait until all messages are sent and have their receipts."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            due = time.monotonic()
            for message in self._messages:
                if self._stopping.is_set():
                    break
                self._sender.send(to_inbound(message.data), self._receipts.report(message))
                due = max(due + self._pause_s, time.monotonic() - 1.0)
                self._stopping.wait(max(0.0, due - time.monotonic()))
            self._sender.finish()
        except Exception as error:  # noqa: BLE001 - told to whoever joins
            self._failure = error


def to_inbound(data: bytes) -> Output:
    """The inbound record of a message, as every connector addresses it."""
    admitted = admit(data, INTERFACE, _CATALOGUE, received_ms=0)
    return Output(admitted.topic, admitted.key, admitted.value, admitted.headers)


_CATALOGUE: Final = load_catalogue()


def _events(log: str, message_id: str, keys: list[str]) -> tuple[Event, ...]:
    return tuple(
        Event(EventId(log, SOURCE, f"{message_id}#{index}"), key.encode())
        for index, key in enumerate(keys)
    )
