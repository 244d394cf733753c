"""One message through the edge, as in production, and what is required of it.

Lives here: admission, understanding and intake on a context in memory, and the oracle: each
message is accepted, a repeat or rejected with a code; what was accepted decodes and is a
repeat when it comes again. Must not live here: time, memory, processes (see `run`).
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from connectors.inbound import admit
from schemas.avro import decode
from schemas.envelope import read
from schemas.errors import CODES
from streams.engine.ports import Reader, State
from streams.engine.processor import Buffer, Context
from streams.engine.record import Output, Record, TopicPartition
from streams.processors.intake import Intake
from streams.processors.intake.intake import DEDUP, REROUTED
from tests.fuzz.corpus import Corpus
from topics import Catalogue, load_catalogue, naming
from topics.partitioning import murmur2_partition

NOW_MS: Final = 1_793_500_000_000
# The engine's word for a processor that broke, and intake's for a forward that went wrong.
# 2048 characters of a Header's field, in UTF-8, with an index behind them; why and where too.
HEADER_BYTES_MAX: Final = 16 * 1024
# To registers and to responders, as it came.
_PASSED_ON: Final = frozenset({"accepted", "requests"})
NEVER: Final = frozenset({"processing_failed", "misrouted", "produce_refused"})


class FindingError(Exception):
    """The edge did something that it must not do; the text says what, without payload."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message: "accepted", "repeat" or "rejected", and under which codes."""

    outcome: str
    codes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Done:
    outputs: list[Output]
    counts: Counter[str]
    writes: dict[bytes, bytes]


class _Memory:
    """State and log of a context: what was there before the message came."""

    def __init__(self) -> None:
        self.marks: dict[bytes, bytes] = {}
        self.log: dict[tuple[TopicPartition, int], Record] = {}

    def get(self, _: TopicPartition, key: bytes) -> bytes | None:
        return self.marks.get(key)

    def read(self, partition: TopicPartition, offset: int) -> Record | None:
        return self.log.get((partition, offset))


class Edge:
    """The way of a message from its bytes to what intake writes for it.

    `seen` messages find the corpus in the memory of intake, so that mutations of it are
    repeats or conflicts; for the others it is empty. Nothing is kept from one to the next.
    """

    def __init__(self, corpus: Corpus, *, intake: Intake | None = None) -> None:
        self.catalogue: Catalogue = load_catalogue()
        self._intake = intake or Intake(self.catalogue, sorted(self.catalogue.interfaces))
        self._logs = {naming.noun_log(n.home, n.name) for n in self.catalogue.nouns.values()}
        self._none, self._seen = _Memory(), _Memory()
        self.took_s = 0.0
        """CPU time of the last message's way, what is asked about it afterwards left out."""
        for number, data in enumerate(corpus.messages):
            record = self._record(data, "I7", number)
            if record is not None:
                self._seen.log[record.source, number] = record
                self._seen.marks |= self._run(record, self._seen).writes

    def judge(self, data: bytes, interface: str = "I7", *, seen: bool = False) -> Verdict:
        """Send one message.

        Raises:
            FindingError: the edge broke a promise. Any other exception is the edge's own,
                which is a finding, too.
        """
        memory = self._seen if seen else self._none
        began = time.process_time()
        try:
            record = self._record(data, interface, len(self._seen.log))
            if record is None:
                return Verdict("rejected", ("message_too_large",))
            record, done = self._followed(record, memory)
        finally:
            self.took_s = time.process_time() - began
        verdict = self._verdict(record, done)
        if verdict.outcome == "accepted":
            self._again(record, done, memory)
        return verdict

    def _record(self, data: bytes, interface: str, offset: int) -> Record | None:
        """The inbound record; None for a message that is refused at the door."""
        admitted = admit(data, interface, self.catalogue, received_ms=NOW_MS)
        if admitted.code:
            _require(admitted.code == "message_too_large", f"refused with {admitted.code}")
            _require(len(data) > self.catalogue.bytes_max(interface), "a small one is too large")
            return None
        _require(admitted.value == data, "admission changed the bytes")
        count = self.catalogue.interfaces[interface].partitions["inbound"]
        partition = murmur2_partition(admitted.key, count)
        _check_headers(admitted.headers)
        return Record(
            admitted.topic, partition, offset, NOW_MS, admitted.key, data, admitted.headers
        )

    def _run(self, record: Record, memory: _Memory) -> _Done:
        (prepared,) = self._intake.prepare([record])
        stores = {
            spec.name: TopicPartition(spec.changelog, record.partition)
            for spec in self._intake.inputs[record.topic]
        }
        buffer = Buffer()
        state: State = memory  # type: ignore[assignment]  # a context asks for no more
        reader: Reader = memory  # type: ignore[assignment]
        context = Context(stores, buffer, state, reader)
        self._intake.process(record, prepared, context)
        context.accept()
        marks = buffer.writes.get(stores[DEDUP], {})
        written = {key: value for key, value in marks.items() if value is not None}
        counts = Counter({name[0]: n for name, n in buffer.counts.items()})
        return _Done(context.outputs, counts, written)

    def _followed(self, record: Record, memory: _Memory) -> tuple[Record, _Done]:
        """What comes of the record where it lies, or where it is forwarded to."""
        done = self._run(record, memory)
        if not done.counts["rerouted"]:
            return record, done
        (forward,) = done.outputs
        _require(forward.topic == record.topic, "forwarded to another topic")
        _require(forward.value == record.value, "forwarding changed the bytes")
        _require(any(name == REROUTED for name, _ in forward.headers), "forwarded without trace")
        moved = record._replace(
            partition=forward.partition or 0, key=forward.key, headers=forward.headers
        )
        done = self._run(moved, memory)
        _require(not done.counts["rerouted"], "forwarded twice")
        return moved, done

    def _verdict(self, record: Record, done: _Done) -> Verdict:
        _require(done.counts["received"] == 1, "not counted once as received")
        codes = tuple(self._code(record, o) for o in done.outputs if o.topic.endswith(".rejected"))
        events = sum(self._checked(record, output) for output in done.outputs)
        _require(events == done.counts["produced"], "events were not counted")
        if done.counts["duplicates"]:
            _require(not codes and not events and not done.writes, "a repeat had an effect")
            return Verdict("repeat")
        topics = {output.topic.rpartition(".")[2] for output in done.outputs}
        if topics & _PASSED_ON and not done.writes:
            _require(len(done.outputs) == 1, "passed on, and something besides")
            return Verdict("passed on")
        if done.writes:
            _require(len(done.writes) == 1, "more than one mark")
            return Verdict("accepted", codes)
        _require(bool(codes), "neither accepted nor rejected")
        _require(not events, "rejected, and events all the same")
        return Verdict("rejected", codes)

    def _code(self, record: Record, output: Output) -> str:
        """The code of a rejection, once it is found to be in order."""
        headers = dict(output.headers)
        code = headers["cimstream_code"].decode()
        _require(code in CODES, f"unknown code {code}")
        _require(code not in NEVER, f"rejected with {code}")
        if headers.keys() & {"cimstream_object", "cimstream_objects"}:
            message = read(output.value or b"")
            _require(message.header is not None, "a rejected object lost its header")
        elif "cimstream_size" not in headers:
            _require(output.value == record.value, "a rejection changed the bytes")
        return code

    def _checked(self, record: Record, output: Output) -> int:
        """How many events the output is (0 or 1), once it is found to be in order."""
        _check_headers(output.headers)
        kind = output.topic.rpartition(".")[2]
        if kind == "outbound":
            message = read(output.value or b"")
            _require(message.reply is not None, "an answer without Reply")
            return 0
        if kind == "rejected":
            return 0
        if kind in _PASSED_ON:
            _require(output.value == record.value, "passing on changed the bytes")
            return 0
        _require(self._home(output.topic) in self._logs, "an event on a topic that is no log")
        _, event = decode(output.value or b"")
        came_from = event["provenance"]
        _require(
            (came_from["topic"], came_from["partition"], came_from["offset"]) == record[:3],
            "an event with a wrong provenance",
        )
        _require(bool(output.key), "an event without key")
        return 1

    def _home(self, topic: str) -> str:
        for context in self.catalogue.contexts:
            topic = topic.replace(f"cim.{context.lower()}.", "cim.", 1)
        return topic

    def _again(self, record: Record, done: _Done, memory: _Memory) -> None:
        """The same input from the same state gives the same; behind itself it is a repeat."""
        _require(self._run(record, memory) == done, "the same input gave something else")
        after = _Memory()
        after.marks = done.writes
        later = record._replace(offset=record.offset + 1)
        again = self._run(later, after)
        _require(again.counts["duplicates"] == 1, "not recognised when it came again")
        _require(not again.writes, "a repeat left a mark")
        # A query is asked again; the responder knows whether it was answered.
        answers = [o.value for o in done.outputs if o.topic.endswith((".outbound", ".requests"))]
        _require([o.value for o in again.outputs] == answers, "a repeat was answered otherwise")


def _check_headers(headers: tuple[tuple[str, bytes], ...]) -> None:
    for name, value in headers:
        value.decode()  # CloudEvents attributes are text
        _require(len(value) <= HEADER_BYTES_MAX, f"the header {name} is longer than any field")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise FindingError(what)
