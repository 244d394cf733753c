"""Intake's memory against a model of a few lines: what is new, a repeat, a conflict.

The model knows identity, content, the time of the first, and whether the first can still be
read; nothing of digests, stores or partitions.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.demo import messages as m
from streams.engine.record import Output
from tests.unit.intake.driver import CATALOGUE, HOUR_MS, Driver, codes, header

LOGS = {"": "cim.i7.meter-readings", "TRAINING": "cim.training.i7.meter-readings"}
GOOD, OTHER, BAD = ["1", "2", "3", "4"], ["1", "2", "3", "5"], ["x", "2", "3", "4"]
HORIZON_MS = CATALOGUE.dedup_horizon_ms

identities = st.tuples(
    st.sampled_from(["", "PRODUCTION", "production", "TRAINING"]),
    st.sampled_from(["HES-1", "HES-2", "HES|1"]),
    st.sampled_from(["m-1", "m-2", "1|m-1"]),
)
contents = st.sampled_from([GOOD, GOOD, OTHER, BAD])
forms = st.sampled_from(["plain", "plain", "again", "compressed", "later"])


@dataclass(frozen=True)
class First:
    """The message that stands."""

    at_ms: int
    numbers: list[str]
    data: bytes
    reply: bytes
    partition: int
    offset: int


class Deduplication(RuleBasedStateMachine):
    """Messages of few identities, sent in any order, form and place."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver()
        self.first: dict[tuple[str, str, str], First] = {}
        self.sent = self.accepted = self.repeats = self.rejected = 0

    @rule(identity=identities, numbers=contents, form=forms, astray=st.booleans())
    def send(
        self, identity: tuple[str, str, str], numbers: list[str], form: str, astray: bool
    ) -> None:
        data = message(identity, numbers, form)
        key = (identity[0].upper().replace("PRODUCTION", ""), *identity[1:])
        outputs = self._deliver(data, astray=astray)
        self.sent += 1
        first = self.first.get(key)
        if first is not None and self.driver.now_ms - first.at_ms > HORIZON_MS:
            first = None
        if first is None:
            self._new(key, numbers, data, outputs)
        elif data == first.data:
            self._repeat(first, outputs)
        elif (first.partition, first.offset) not in self.driver.log:
            self._refused(outputs, "identity_uncomparable")
        elif numbers == first.numbers:
            self._repeat(first, outputs)
        else:
            self._refused(outputs, "identity_conflict")

    @rule(step=st.sampled_from([1, HOUR_MS, HORIZON_MS // 2, HORIZON_MS, HORIZON_MS + 1]))
    def time_passes(self, step: int) -> None:
        self.driver.now_ms += step

    @precondition(lambda self: self.first)
    @rule(data=st.data())
    def retention_removes_a_first(self, data: st.DataObject) -> None:
        first = self.first[data.draw(st.sampled_from(sorted(self.first)))]
        self.driver.log.pop((first.partition, first.offset), None)

    @invariant()
    def what_was_counted_is_what_happened(self) -> None:
        driver = self.driver
        assert driver.count("received") == self.sent
        assert driver.count("produced") == self.accepted
        assert driver.count("duplicates") == self.repeats
        assert driver.count("rejected") == self.rejected

    def _deliver(self, data: bytes, *, astray: bool) -> list[Output]:
        """Send it, on its own partition or on a foreign one, from where it is forwarded."""
        if not astray:
            return self.driver.send(data)
        home = self.driver.home(data)
        (forwarded,) = self.driver.send(data, partition=(home + 1) % self.driver.partitions)
        assert (forwarded.partition, forwarded.value) == (home, data)
        return self.driver.send(data, headers=forwarded.headers)

    def _new(
        self, key: tuple[str, str, str], numbers: list[str], data: bytes, outputs: list[Output]
    ) -> None:
        """It takes effect; or it is bad, and leaves no trace that its correction would meet."""
        if numbers == BAD:
            self._refused(outputs, "value_not_number")
            return
        event, answer = outputs
        assert event.topic == LOGS[key[0]]
        assert header(event, "ce_messageid") == key[2]
        self.accepted += 1
        partition, offset = self.driver.last
        reply = answer.value or b""
        self.first[key] = First(self.driver.now_ms, numbers, data, reply, partition, offset)

    def _repeat(self, first: First, outputs: list[Output]) -> None:
        """No effect, and the first answer byte for byte."""
        assert [output.value for output in outputs] == [first.reply]
        self.repeats += 1

    def _refused(self, outputs: list[Output], code: str) -> None:
        assert codes(outputs) == [code]
        assert not any(output.topic in LOGS.values() for output in outputs)
        self.rejected += 1


def message(identity: tuple[str, str, str], numbers: list[str], form: str) -> bytes:
    """The message in one of the forms that mean the same."""
    context, source, message_id = identity
    payload = m.meter_readings([m.full_meter("meter", numbers, m.times(4))])
    if form == "compressed":
        packed = base64.b64encode(gzip.compress(payload.encode(), mtime=0)).decode()
        payload = f"<Compressed>{packed}</Compressed><Format>XML</Format>"
    data = m.envelope(
        payload,
        message_id=message_id,
        source=source,
        timestamp="2026-11-03T00:00:00Z" if form == "later" else "2026-11-02T00:10:00Z",
        extra="<AckRequired>true</AckRequired>",
    )
    if context:
        data = data.replace(b"<Timestamp>", f"<Context>{context}</Context><Timestamp>".encode())
    return m.reserialised(data) if form == "again" else data


TestDeduplication = Deduplication.TestCase
TestDeduplication.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
