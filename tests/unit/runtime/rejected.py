"""Rejections as intake and the connectors write them, for the tests of what becomes of them."""

from __future__ import annotations

from dataclasses import replace

from streams.engine.record import Output, Record, TopicPartition
from streams.runtime.redrivable import Candidate, make_plan
from streams.runtime.rejections import Place
from tests.unit.intake.driver import CATALOGUE, START_MS, Driver

# Before meters were live.
EARLIER = replace(
    CATALOGUE,
    nouns={
        **CATALOGUE.nouns,
        "MeterConfig": replace(CATALOGUE.nouns["MeterConfig"], profile=None, schema=None),
    },
)
REJECTED = "cim.i7.rejected"
EDITION = 'xmlns="http://iec.ch/TC57/2011/schema/message"'


def request(
    verb: str = "create",
    noun: str = "MeterConfig",
    *,
    message_id: str = "m-1",
    payload: str = "",
    source: str = "HES-1",
) -> bytes:
    """A request that intake rejects, because its noun is planned or its payload is missing."""
    content = f"<Payload>{payload}</Payload>" if payload else ""
    return (
        f"<RequestMessage {EDITION}><Header><Verb>{verb}</Verb><Noun>{noun}</Noun>"
        f"<Source>{source}</Source><MessageID>{message_id}</MessageID></Header>{content}"
        "</RequestMessage>"
    ).encode()


def lying(output: Output, offset: int = 0, *, time_ms: int = START_MS) -> Record:
    """An output of intake as a record of its topic."""
    return Record(output.topic, 0, offset, time_ms, output.key, output.value, output.headers)


def rejection(data: bytes, offset: int = 0, *, driver: Driver | None = None) -> Record:
    """What intake makes of a message that it rejects."""
    outputs = (driver or Driver(catalogue=EARLIER)).send(data)
    (output,) = [one for one in outputs if one.topic.endswith(".rejected")]
    return lying(output, offset)


def place(offset: int, topic: str = REJECTED) -> Place:
    """A place of the first partition."""
    return Place(TopicPartition(topic, 0), offset)


def candidates(*records: Record) -> list[Candidate]:
    """All of them, which must be redrivable."""
    plan = make_plan(records, CATALOGUE, lambda _: (), now_ms=START_MS)
    assert not plan.left_out
    return plan.candidates
