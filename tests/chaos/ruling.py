"""What one inbound message must lead to, worked out by hand from the documentation.

Lives here: a second reading of messages, made with lxml and nothing of ours, so that a mistake
of intake is not repeated by its judge. It knows the forms that the workloads send, with one
fault at a time. Must not live here: what was sent before (see `recompute`).

Borrowed are two things only: which nouns there are (the catalogue's TOML, as data) and the
digest that stands for a missing message ID, because its very bytes are the promise.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from lxml import etree

from schemas.envelope import read
from schemas.identity import content_digest

_INTERFACE: Final = "I7"
_LOGS: Final = {
    "MeterReadings": "i7.meter-readings",
    "EndDeviceEvents": "i7.end-device-events",
}
_CONTEXTS: Final = {"PRODUCTION", "TRAINING", "TESTING", "DEVELOPMENT", "STUDY"}
_VERBS: Final = {
    *("create", "change", "cancel", "close", "delete", "get", "execute", "reply"),
    *("created", "changed", "canceled", "closed", "deleted", "executed"),
}
_MUST_HAVE_ID: Final = {"create", "change", "cancel", "close", "delete", "execute"}
_BYTES_MAX: Final = 8 * 1024 * 1024
_DEPTH_MAX: Final = 64
_UNPACKED_FREE: Final = 1024 * 1024
_RATIO_MAX: Final = 200
_REMEMBERED: Final = 10_000
_ZONE: Final = re.compile(r"(Z|[+-]\d\d:\d\d)$")
# Fields of a reading type, counted from 0, and their codes for energy.
_MULTIPLIER, _UNIT = 15, 16
_WATT_HOURS: Final = "72"


class Readings(NamedTuple):
    """The values of a series; None for a gap."""

    meter: str
    reading_type: str
    values: tuple[Decimal | None, ...]

    @property
    def kwh(self) -> Decimal:
        """Their sum where they are energy, else 0."""
        fields = self.reading_type.split(".")
        if len(fields) <= _UNIT or fields[_UNIT] != _WATT_HOURS:
            return Decimal(0)
        total = sum((value for value in self.values if value is not None), Decimal(0))
        return total.scaleb(int(fields[_MULTIPLIER]) - 3)


class Event(NamedTuple):
    """An event to be emitted: its noun, its key, and what it reads if it is a series."""

    noun: str
    key: str
    readings: Readings | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is rejected as a whole, whatever came before."""

    code: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that takes effect if it is the first of its identity.

    `identity` is the inbound key that it must have, `content` tells a repeat from a conflict,
    `rejected` are the numbers and codes of single bad objects.
    """

    context: str
    source: str
    identity: bytes
    message_id: str
    content: bytes
    events: tuple[Event, ...]
    rejected: tuple[tuple[int, str], ...]

    @property
    def store_key(self) -> str:
        """What stands for the identity in the dedup store."""
        return hashlib.blake2b(self.identity, digest_size=16).hexdigest()

    def log(self, event: Event) -> str:
        """The topic of an event."""
        context = "" if self.context == "PRODUCTION" else f"{self.context.lower()}."
        return f"cim.{context}{_LOGS[event.noun]}"


class _RefusedError(Exception):
    """Carries the code out of the reading."""


@lru_cache(_REMEMBERED)
def rule(data: bytes | None) -> Accepted | Refused:
    """What the message leads to; a run is judged many times, so the answers are kept."""
    try:
        return _accepted(data)
    except _RefusedError as error:
        return Refused(str(error))


def _accepted(data: bytes | None) -> Accepted:
    root = _tree(data)
    header = {_name(child): (child.text or "").strip() for child in root[0]}
    verb, noun = header.get("Verb", "").lower(), header.get("Noun", "")
    message_id, source = header.get("MessageID", ""), header.get("Source", "")
    context = header.get("Context", "PRODUCTION").upper()
    _admit(verb, noun, message_id, context)
    payload = _payload(root)
    events: list[Event] = []
    rejected = []
    for index, element in enumerate(payload):
        try:
            events += list(_OBJECTS[_name(element)](element))  # all of an object or nothing
        except _RefusedError as error:
            rejected.append((index, str(error)))
    message_id = message_id or f"sha256:{content_digest(read(data or b'')).hex()}"
    parts = [source, noun, message_id]
    if context != "PRODUCTION":
        parts.insert(0, context)
    identity = "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)
    form = etree.tostring(payload, method="c14n", exclusive=True, with_comments=False)
    content = hashlib.sha256(b"|".join((verb.encode(), noun.encode(), form))).digest()
    return Accepted(
        context, source, identity.encode(), message_id, content, tuple(events), tuple(rejected)
    )


def _tree(data: bytes | None) -> etree._Element:
    """The message with a Header as its first element."""
    if data is None:
        raise _RefusedError("xml_not_wellformed")
    if len(data) > _BYTES_MAX:
        raise _RefusedError("message_too_large")
    if b"<!DOCTYPE" in data:
        raise _RefusedError("xml_forbidden")
    try:
        data.decode()
        root = etree.fromstring(data, _parser())
    except UnicodeDecodeError:
        raise _RefusedError("xml_encoding") from None
    except etree.XMLSyntaxError as error:
        too_deep = "depth" in str(error)
        raise _RefusedError("xml_too_deep" if too_deep else "xml_not_wellformed") from None
    if root.getroottree().xpath("/*" * (_DEPTH_MAX + 1)):
        raise _RefusedError("xml_too_deep")
    if not _name(root).endswith("Message") or not len(root) or _name(root[0]) != "Header":
        raise _RefusedError("root_unknown")
    return root


def _must_have_id(verb: str, entry: dict) -> bool:
    told = entry.get("kind") == "register" and verb not in ("get", "reply")
    return verb in _MUST_HAVE_ID or (told and verb in _VERBS)


def _admit(verb: str, noun: str, message_id: str, context: str) -> None:
    """Refuse what may not be said on I7."""
    entry = _nouns().get(noun, {})
    allowed = entry.get("senders", {}).get(_INTERFACE)
    checks = (
        ("noun_missing", not noun),
        ("message_id_missing", not message_id and _must_have_id(verb, entry)),
        ("noun_unknown", not entry),
        ("interface_not_allowed", allowed is None),
        ("noun_planned", entry.get("profile") == "planned"),
        ("verb_unknown", verb not in _VERBS),
        ("verb_not_allowed", verb not in (allowed or ())),
        ("verb_planned", verb in entry.get("planned_verbs", ())),
        ("context_unknown", context not in _CONTEXTS),
    )
    for code, wrong in checks:
        if wrong:
            raise _RefusedError(code)


@cache
def _nouns() -> dict[str, dict]:
    """Every noun of every interface, as its file has it."""
    nouns: dict[str, dict] = {}
    for file in files("topics.catalogue").iterdir():
        if re.match(r"i\d\d-.*\.toml$", file.name):
            nouns |= tomllib.loads(file.read_text("utf-8")).get("noun", {})
    return nouns


def _payload(root: etree._Element) -> etree._Element:
    """The noun's element, unpacked where it is compressed."""
    found = [child for child in root if _name(child) == "Payload"]
    if not found or not len(found[0]):
        raise _RefusedError("payload_missing")
    payload = found[0][0]
    if _name(payload) != "Compressed":
        return payload
    packed = base64.b64decode(payload.text or "")
    unpacked = gzip.decompress(packed)
    if len(unpacked) > max(_UNPACKED_FREE, _RATIO_MAX * len(packed)):
        raise _RefusedError("compressed_ratio")
    return etree.fromstring(unpacked, _parser())


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, huge_tree=True, remove_blank_text=True)


# ------------------------------------------------------------------------------------ objects


def _meter_reading(element: etree._Element) -> Iterator[Event]:
    """Events of the meter, then a series per block, then one per type of single readings."""
    meter = _key(element, "UsagePoint", "Meter")
    _check_interval(element)
    for event in _children(element, "EndDeviceEvents"):
        yield from _end_device_event(event)
    series = [
        (_ref(block), [_reading(r) for r in _children(block, "IntervalReadings")])
        for block in _children(element, "IntervalBlocks")
    ]
    by_type: dict[str, list[Decimal | None]] = {}
    for reading in _children(element, "Readings"):
        by_type.setdefault(_ref(reading), []).append(_reading(reading))
    for reading_type, values in (*series, *by_type.items()):
        if values:
            yield Event("MeterReadings", meter, Readings(meter, reading_type, tuple(values)))


def _end_device_event(element: etree._Element) -> Iterator[Event]:
    yield Event("EndDeviceEvents", _key(element, "Assets", "UsagePoint", "."))


_OBJECTS: Final = {"MeterReading": _meter_reading, "EndDeviceEvent": _end_device_event}


def _reading(element: etree._Element) -> Decimal | None:
    """The value of a reading whose time has a zone."""
    said = {_name(child): (child.text or "").strip() for child in element}
    if not _ZONE.search(said["timeStamp"]):
        raise _RefusedError("timestamp_without_zone")
    try:
        value = Decimal(said["value"]) if said.get("value") else None
    except InvalidOperation:
        raise _RefusedError("value_not_number") from None
    if value is not None and not value.is_finite():
        raise _RefusedError("value_not_number")
    return value


def _check_interval(element: etree._Element) -> None:
    for interval in _children(element, "valuesInterval"):
        said = {_name(child): datetime.fromisoformat(child.text or "") for child in interval}
        if said["start"] > said["end"]:
            raise _RefusedError("interval_reversed")


def _key(element: etree._Element, *about: str) -> str:
    """The mRID of the first of these children that has one; "." is the element itself."""
    for name in about:
        for part in [element] if name == "." else _children(element, name):
            for mrid in _children(part, "mRID"):
                return (mrid.text or "").strip()
    raise _RefusedError("meter_missing")


def _ref(element: etree._Element) -> str:
    for reading_type in _children(element, "ReadingType"):
        if ref := reading_type.get("ref"):
            return ref
    raise _RefusedError("reading_type_missing")


def _children(element: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in element if _name(child) == name]


def _name(element: etree._Element) -> str:
    """The local name; comments have none."""
    return "" if callable(element.tag) else element.tag.rpartition("}")[2]
