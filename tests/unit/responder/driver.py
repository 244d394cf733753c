"""Runs intake and the responder on queries in memory, one behind the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree

from connectors.respond import Answer, Request, Respond, Responder
from schemas.envelope import Message, read
from streams.engine.processor import Buffer, Context
from streams.engine.record import Output, Record, TopicPartition
from streams.processors.responder import Responding
from tests.unit.intake.driver import CATALOGUE, START_MS, Driver
from topics import Catalogue

REQUESTS = "cim.i7.requests"
SPACE = "http://iec.ch/TC57/2011/MeterReadings#"


def some_payload() -> etree._Element:
    return etree.fromstring(f'<MeterReadings xmlns="{SPACE}"/>'.encode())


def ask(respond: Respond, request: Request) -> Answer:
    return respond(request)


class _State:
    def __init__(self) -> None:
        self.stores: dict[TopicPartition, dict[bytes, bytes]] = {}

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        return self.stores.get(store, {}).get(key)


@dataclass
class House:
    """A responder for MeterReadings on I7, behind an intake of I7."""

    respond: Respond
    catalogue: Catalogue = CATALOGUE
    ask: Callable[[Respond, Request], Answer] = ask
    now_ms: int = START_MS
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.intake = Driver(catalogue=self.catalogue)
        responder = Responder()
        responder.answers("MeterReadings", interface="I7")(self.respond)
        self.processor = Responding(
            self.catalogue, ["I7"], responder, self._asked, lambda: self.now_ms
        )
        self._state = _State()

    def _asked(self, respond: Respond, request: Request) -> Answer:
        return self.ask(respond, request)

    def send(self, data: bytes) -> list[Output]:
        """A query through intake; what the responder emits."""
        self.intake.now_ms = self.now_ms
        (output,) = [one for one in self.intake.send(data) if one.topic == REQUESTS]
        return self.run(self.record(output))

    def record(self, output: Output) -> Record:
        return Record(output.topic, 0, 0, self.now_ms, output.key, output.value, output.headers)

    def run(self, record: Record) -> list[Output]:
        (prepared,) = self.processor.prepare([record])
        context, buffer = self.context()
        self.processor.process(record, prepared, context)
        context.accept()
        for store, writes in buffer.writes.items():
            for key, value in writes.items():
                assert value is not None
                self._state.stores.setdefault(store, {})[key] = value
        self.counts.update(buffer.counts)
        return context.outputs

    def context(self) -> tuple[Context, Buffer]:
        stores = {s.name: TopicPartition(s.changelog, 0) for s in self.processor.inputs[REQUESTS]}
        buffer = Buffer()
        return Context(stores, buffer, self._state, self.intake), buffer

    def counted(self, what: str) -> list[tuple[str, ...]]:
        """The labels of what was counted under this name."""
        return [key[1:] for key in self.counts.elements() if key[0] == what]


def reply_in(output: Output) -> Message:
    return read(output.value or b"")


def codes_in(output: Output) -> list[str]:
    """The code of each Error, and ours where it says one."""
    reply = reply_in(output).reply
    assert reply is not None
    return [f"{e.code} {e.details.partition(':')[0]}".strip() for e in reply.errors]
