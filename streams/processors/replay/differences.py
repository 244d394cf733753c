"""What the present processors make of a range, against what lies in the logs.

Lives here: when two events are the same, and which are missing, different or too many. Must
not live here: reading logs, tables.

An event is known by its log, its source and its `ce_id`. It is the same where key, `ce_type`,
schema and body are: what a message's content is for deduplication, too. Where it was read from
and the times, traces and correlations of its envelope do not count, because a message that was
sent or redriven again has others.

Invariant: of an event that the log has with the same content, `wanted` is never true; of one
that is expected twice (its message came again after the horizon) only for the first.

Everything is kept in a local store, so that memory does not grow with the range: about 200
bytes on disk for each expected event (measured with 18,000: 210, the store's own log included).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.avro import Provenance, WireFormatError, split
from streams.engine.ports import State
from streams.engine.record import Headers, Output, Record, TopicPartition
from streams.processors.replay.index import Index

KINDS: Final = ("same", "missing", "different", "log_only")
PLACES_SHOWN: Final = 3
_DIGEST_BYTES: Final = 16
_PLACE: Final = struct.Struct(">iq")


class Row(NamedTuple):
    """The differences of one log: events by kind (see `KINDS`), and the first places of each.

    Places are of the inbound record, `topic/partition@offset`; of `log_only` of the log's.
    """

    log: str
    counts: Mapping[str, int]
    places: Mapping[str, list[str]]

    def count(self, kind: str) -> int:
        """Events of this kind."""
        return self.counts.get(kind, 0)

    @property
    def equal(self) -> bool:
        """Whether the log is what the present processors would make it."""
        return self.counts.keys() <= {"same"}


@dataclass(frozen=True, slots=True)
class Rejections:
    """How many rejections the range leads to with one code, and where the first one lies."""

    code: str
    count: int
    first: str


class Differences:
    """Told what is expected (`expect`) and then what the logs hold (`found`)."""

    def __init__(
        self, state: State, topic: str, ranges: Mapping[TopicPartition, tuple[int, int]]
    ) -> None:
        """Begin with nothing expected.

        Args:
            state: Where it is kept, in stores of its own.
            topic: The inbound topic.
            ranges: Offsets of its partitions that are replayed, end excluded.
        """
        self._topic = topic
        self._ranges = {at.partition: span for at, span in ranges.items()}
        # Of an expected event: identity and content -> where it comes from; identity alone.
        self._expected = Index(state, "replay-expected")
        self._identities = Index(state, "replay-identities")
        # Of what the logs hold of the expected: the same two.
        self._logged = Index(state, "replay-logged")
        self._logged_identities = Index(state, "replay-logged-identities")
        self._log_only: dict[str, _First] = {}
        self._rejected: dict[str, _First] = {}
        self._topics: set[str] = set()

    def expect(self, record: Record, output: Output) -> None:
        """`record` leads to the event `output`."""
        identity, content, _ = _fingerprint(output.topic, output)
        if self._expected.get(identity + content) is None:
            place = _PLACE.pack(record.partition, record.offset) + output.topic.encode()
            self._expected.put(identity + content, place)
            self._identities.put(identity, b"")
            self._topics.add(output.topic)

    def expect_rejection(self, record: Record, output: Output) -> None:
        """`record` leads to the rejection `output`."""
        code = _header(output.headers, "cimstream_code").decode()
        self._rejected.setdefault(code, _First()).add((record.partition, record.offset))
        self._topics.add(output.topic)

    def found(self, record: Record) -> None:
        """The log holds `record`."""
        try:
            identity, content, provenance = _fingerprint(record.topic, record)
        except WireFormatError:
            return  # written by somebody else; nothing of ours
        if self._identities.get(identity) is not None:
            self._logged.put(identity + content, b"")
            self._logged_identities.put(identity, b"")
        elif self._covers(provenance):
            first = self._log_only.setdefault(record.topic, _First())
            first.add((record.partition, record.offset))

    def wanted(self, record: Record, output: Output) -> bool:
        """Whether the log lacks the event `output` that `record` leads to."""
        identity, content, _ = _fingerprint(output.topic, output)
        place = self._expected.get(identity + content) or b""
        if place[: _PLACE.size] != _PLACE.pack(record.partition, record.offset):
            return False
        return self._logged.get(identity + content) is None

    def rows(self) -> list[Row]:
        """The differences by log, in order of name."""
        counted: dict[str, dict[str, _First]] = {}
        for kind, log, place in self._compared():
            counted.setdefault(log, {}).setdefault(kind, _First()).add(place)
        for log, first in self._log_only.items():
            counted.setdefault(log, {})["log_only"] = first
        return [
            Row(
                log,
                {kind: first.count for kind, first in kinds.items()},
                {
                    kind: first.texts(log if kind == "log_only" else self._topic)
                    for kind, first in kinds.items()
                    if kind != "same"
                },
            )
            for log, kinds in sorted(counted.items())
        ]

    def rejections(self) -> list[Rejections]:
        """The rejections by code, in order of code."""
        return [
            Rejections(code, first.count, first.texts(self._topic)[0])
            for code, first in sorted(self._rejected.items())
        ]

    def topics(self) -> set[str]:
        """The topics for which something is expected, those of rejections too."""
        return set(self._topics)

    def _compared(self) -> Iterator[tuple[str, str, tuple[int, int]]]:
        """Kind, log and inbound place of each expected event."""
        for key, value in self._expected.items():
            partition, offset = _PLACE.unpack_from(value)
            if self._logged.get(key) is not None:
                kind = "same"
            elif self._logged_identities.get(key[:_DIGEST_BYTES]) is not None:
                kind = "different"
            else:
                kind = "missing"
            yield kind, value[_PLACE.size :].decode(), (partition, offset)

    def _covers(self, provenance: Provenance) -> bool:
        start, end = self._ranges.get(provenance.partition, (0, 0))
        return provenance.topic == self._topic and start <= provenance.offset < end


class _First:
    """A count, and the first few places of what was counted."""

    __slots__ = ("_places", "count")

    def __init__(self) -> None:
        self.count = 0
        self._places: list[tuple[int, int]] = []

    def add(self, place: tuple[int, int]) -> None:
        self.count += 1
        if place in self._places:
            return  # several events of one message
        if len(self._places) < PLACES_SHOWN or place < self._places[-1]:
            self._places = sorted([*self._places, place])[:PLACES_SHOWN]

    def texts(self, topic: str) -> list[str]:
        return [f"{topic}/{partition}@{offset}" for partition, offset in self._places]


def _fingerprint(topic: str, event: Output | Record) -> tuple[bytes, bytes, Provenance]:
    """Identity and content of an event, 16 bytes each, and where it came from.

    Raises:
        WireFormatError: it is no event of ours.
    """
    headers, key = event.headers, event.key or b""
    provenance, body = split(event.value or b"")
    names = (topic.encode(), _header(headers, "ce_source"), _header(headers, "ce_id"))
    identity = hashlib.blake2b(b"\0".join(names), digest_size=_DIGEST_BYTES)
    content = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in (key, _header(headers, "ce_type"), body):
        content.update(len(part).to_bytes(8, "big"))
        content.update(part)
    return identity.digest(), content.digest(), provenance


def _header(headers: Headers, name: str) -> bytes:
    for key, value in headers:
        if key == name:
            return value or b""
    return b""
