"""Records as people see them: names of topics, places, times, and what a value says.

Lives here: from what was typed to what is meant, and from a record to a JSON document and a
line. Must not live here: consumers (`streams.runtime.reading`), options of a command.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.avro import WireFormatError, decode
from schemas.avro.documents import document_of
from schemas.codes import EventTypeCode, ReadingTypeCode, describe
from schemas.envelope import read
from schemas.errors import MessageError
from schemas.times import from_epoch_ms, to_epoch_ms
from streams.cli.masking import mask_event, mask_key, mask_xml
from streams.engine.record import Record, TopicPartition
from streams.runtime.headers import header, headers
from topics import Catalogue
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

_PLACE: Final = re.compile(r"(?P<topic>[a-z0-9._-]+)/(?P<partition>\d+)@(?P<offset>\d+)", re.ASCII)
_SPAN: Final = re.compile(r"(\d+)([smhd])", re.ASCII)
_SPAN_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_COUNTER_BYTES: Final = 8
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class View:
    """How much of a record is shown."""

    payload: bool = False
    unmask: bool = False


def find_topic(name: str, existing: Iterable[str]) -> str:
    """The topic that `name` means: itself, or itself with `cim.` before it.

    Raises:
        OperatorError: `topic_unknown`, with what was perhaps meant.
    """
    topics = sorted(existing)
    for candidate in (name, f"cim.{name}"):
        if candidate in topics:
            return candidate
    short = [topic.removeprefix("cim.") for topic in topics if not topic.startswith("_")]
    near = difflib.get_close_matches(name.removeprefix("cim."), short, n=3)
    meant = f"did you mean {', '.join(near)}?" if near else "`cimstream stats` lists what is there"
    raise OperatorError(
        "topic_unknown",
        what=f"there is no topic {name!r} on this cluster",
        fix=meant if topics else "create the topics with `cimstream topics apply`",
        exit_code=EXIT_CONFIG,
    )


def parse_place(text: str, existing: Iterable[str]) -> tuple[TopicPartition, int]:
    """The partition and offset that `topic/partition@offset` names.

    Raises:
        OperatorError: `place_invalid` or `topic_unknown`.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise OperatorError(
            "place_invalid",
            what=f"{text!r} does not name a record",
            fix="write TOPIC/PARTITION@OFFSET, e.g. cim.i7.rejected/3@42",
            exit_code=EXIT_CONFIG,
        )
    topic = find_topic(match["topic"], existing)
    return TopicPartition(topic, int(match["partition"])), int(match["offset"])


def record_missing(place: str) -> OperatorError:
    """The error of a command that was told a place where no message lies."""
    return OperatorError(
        "record_missing",
        what="there is no committed record at this place",
        where=place,
        why="its time in the log is over, or the offset is a transaction's own record",
        fix="take a place from `cimstream dlq list`",
        exit_code=EXIT_FAILED,
    )


def parse_since(text: str, now_ms: int) -> int:
    """Epoch milliseconds UTC of `90s`, `15m`, `2h`, `7d` before `now_ms`, or of a time.

    Raises:
        OperatorError: `time_invalid`.
    """
    span = _SPAN.fullmatch(text)
    if span is not None:
        return now_ms - int(span[1]) * _SPAN_MS[span[2]]
    try:
        return to_epoch_ms(text)
    except ValueError:
        raise OperatorError(
            "time_invalid",
            what=f"{text!r} is neither a span nor a time with a zone",
            fix="write e.g. 90s, 15m, 2h, 7d, or 2026-01-31T12:00:00Z",
            exit_code=EXIT_CONFIG,
        ) from None


def to_json(document: Mapping[str, object]) -> str:
    """One line of JSON. A reading without a value (NaN) becomes null: JSON has no NaN."""
    return json.dumps(
        document_of(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def time_text(record: Record) -> str:
    """The record's time by the log, UTC; "" where the log has none."""
    return from_epoch_ms(record.timestamp_ms) if record.timestamp_ms >= 0 else ""


def size_text(size: int) -> str:
    """A size in bytes for people."""
    if size < 1000:
        return f"{size} B"
    scaled, unit = (size / 1e3, "kB") if size < 1e6 else (size / 1e6, "MB")
    return f"{scaled:.1f} {unit}"


class Describer:
    """Says what records hold, as far as `view` allows, by what the catalogue says of topics."""

    def __init__(self, catalogue: Catalogue, view: View) -> None:
        self._view = view
        self._specs = {spec.name: spec for spec in catalogue.topics()}

    def document(self, record: Record) -> dict[str, object]:
        """The record as a JSON document."""
        found: dict[str, object] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "time": time_text(record),
            "key": self.key(record),
            "headers": headers(record),
            "size": len(record.value or b""),
        }
        return found | self._content(record)

    def json_line(self, record: Record) -> str:
        """The record as one line of JSON."""
        return to_json(self.document(record))

    def table_line(self, record: Record) -> str:
        """The record as one line of a table: time, place, what it says."""
        place = f"{record.partition}@{record.offset}"
        return f"{time_text(record):<24}  {place:<10}  {self.line(record)}"

    def key(self, record: Record) -> str:
        """The key as text; masked on logs, whose keys are the objects'."""
        text = (record.key or b"").decode("utf-8", "replace")
        if self._purpose(record) == "changelog" and not text.isprintable():
            return (record.key or b"").hex()
        is_log = self._purpose(record) in ("log", "current", "gathered", "failed", "")
        return mask_key(text) if is_log and not self._view.unmask else text

    def line(self, record: Record) -> str:
        """Key and what the value says, on one line; the payload below it, if it is wanted."""
        content, key = self._content(record), self.key(record)
        event = content.get("event")
        if isinstance(event, Mapping):
            return f"{key:<24}  {event_line(str(content['schema']), event)}"
        message_id = header(record, "ce_id")
        parts = [
            header(record, "cimstream_code"),
            f"{header(record, 'ce_verb')} {header(record, 'ce_noun')}".strip(),
            str(content.get("reply", "")),
            key,
            # The key of what has an identity ends in it.
            "" if key.endswith(message_id) else f"id {message_id}",
            str(content.get("count", content.get("state", ""))),
            size_text(len(record.value)) if record.value is not None else "deleted",
        ]
        line = "  ".join(part for part in parts if part)
        payload = content.get("payload")
        return f"{line}\n{payload}" if payload else line

    def _purpose(self, record: Record) -> str:
        spec = self._specs.get(record.topic)
        return spec.purpose if spec else ""

    def _content(self, record: Record) -> dict[str, object]:
        value, purpose = record.value, self._purpose(record)
        if value is None:
            return {}
        if purpose == "changelog":
            counter = ".counters-" in record.topic and len(value) == _COUNTER_BYTES
            return {"count": int.from_bytes(value)} if counter else {}
        if purpose == "positions":
            return {"state": value.decode("utf-8", "replace")}
        try:
            schema, event = decode(value)
        except WireFormatError:
            return self._message(value, purpose)
        shown = event if self._view.unmask else mask_event(event)
        return {"schema": schema, "event": shown}

    def _message(self, value: bytes, purpose: str) -> dict[str, object]:
        found: dict[str, object] = {}
        if purpose == "outbound" and (reply := _reply(value)):
            found["reply"] = reply
        if self._view.payload:
            if self._view.unmask:
                found["payload"] = value.decode("utf-8", "replace")
            else:
                masked = mask_xml(value)
                found["payload"] = masked or "(not readable as XML; --unmask shows it as it is)"
        return found


def _reply(value: bytes) -> str:
    """`PARTIAL 0.2 2.6`: a reply's result and its distinct error codes."""
    try:
        reply = read(value).reply
    except MessageError:
        return ""
    if reply is None:
        return ""
    return " ".join([reply.result, *dict.fromkeys(error.code for error in reply.errors)])


def event_line(schema: str, event: Mapping[str, object]) -> str:
    """One canonical event in a few words; a form for each schema that has a better one."""
    if schema == "MeterReadingSeries":
        values, first = event["values"], event["firstTimeStamp"]
        count = len(values) if isinstance(values, list) else 0
        every = event["intervalMs"]
        step = f" every {int(every) // 60_000} min" if isinstance(every, int) and every else ""
        return (
            f"{count} reading{'s' if count != 1 else ''}{step} from {_time(first)}"
            f"  {_readable(ReadingTypeCode, event['readingType'])}"
        )
    if schema == "EndDeviceEvent":
        severity = event.get("severity")
        kind = _readable(EventTypeCode, event["endDeviceEventType"])
        return f"{kind} at {_time(event['createdDateTime'])}" + (
            f"  {severity}" if severity else ""
        )
    if "lifeCycle" in event:
        return f"{schema}  {event['lifeCycle']}, revision {event['revision']}"
    return schema


def _readable(kind: type[ReadingTypeCode | EventTypeCode], text: object) -> str:
    """A code in words; a text that is none as it is."""
    code = kind.parse(str(text))
    return str(text) if code is None else describe(code)


def _time(value: object) -> str:
    """Decoded Avro times are aware datetimes in UTC, exact to the millisecond."""
    if isinstance(value, datetime):
        return from_epoch_ms((value - _EPOCH) // _MILLISECOND)
    return str(value)
