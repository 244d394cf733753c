"""What the hand-written profiles write reads as the event that it was made from, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import avro, envelope
from schemas.codes import EventTypeCode
from schemas.profiles import Item, keys
from schemas.profiles.end_device_events import EndDeviceEventsProfile
from schemas.profiles.meter_readings import MeterReadingsProfile, series
from schemas.profiles.meter_readings.facts import Block, Facet, Quality
from schemas.profiles.meter_readings.numbers import number
from schemas.profiles.meter_readings.writer import QUALITY_TYPE_FIELDS, READING_TYPE_FIELDS
from schemas.profiles.parts import EVENT_TYPE_FIELDS, SPACE, Record

READINGS, EVENTS = MeterReadingsProfile(), EndDeviceEventsProfile()
SCHEMAS = {"MeterReadings": "MeterReadingSeries", "EndDeviceEvents": "EndDeviceEvent"}
EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples" / "i7").glob("*.xml"))
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)

in_xml = st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Cs"])
texts = st.text(in_xml, min_size=1, max_size=6).map(lambda t: t.strip(SPACE)).filter(bool)
times_ms = st.integers(-2_000_000_000_000, 4_000_000_000_000)
codes = st.sampled_from(["0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "1-0:1.8.0*255", "3.26.0.85"])
names = st.lists(
    st.fixed_dictionaries({
        "name": texts.map("name {}".format),  # never the code of a type
        "type": st.none() | texts,
        "typeDescription": st.none() | texts,
        "authority": st.none() | texts,
        "authorityDescription": st.none() | texts,
    }),
    max_size=2,
)  # fmt: skip
named = st.fixed_dictionaries({"mRID": st.none() | texts, "names": names})
statuses = st.fixed_dictionaries(
    {field: st.none() | texts for field in ("reason", "remark", "value")}
    | {"dateTime": st.none() | times_ms}
)
meters = st.fixed_dictionaries({
    "mRID": texts, "serialNumber": st.none() | texts, "names": names,
    "status": st.none() | statuses,
})  # fmt: skip
fractions = st.fixed_dictionaries(dict.fromkeys(("denominator", "numerator"), st.none() | texts))


def definitions(fields: tuple[str, ...], code: str) -> st.SearchStrategy[Record]:
    """Type definitions of the code."""
    said: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(fields[1:], st.none() | texts)
    return st.fixed_dictionaries({"mRID": st.just(code), "names": names} | said)


@st.composite
def facets(draw: st.DrawFn, *, reasons: bool) -> Facet:
    """What a reading says besides time and value."""
    optional = st.none() | times_ms
    start, end = sorted((draw(times_ms), draw(times_ms)))
    period = draw(st.sampled_from([(None, None), (start, end), (start, None), (None, end)]))
    qualities = st.builds(Quality, codes, st.none() | texts, st.none() | texts, optional)
    reason = st.none() | st.sampled_from(["billing", "moveOut"]) if reasons else st.none()
    return Facet(
        tuple(draw(st.lists(qualities, max_size=2))),
        draw(optional),
        draw(st.none() | texts),
        draw(reason),
        *period,
    )


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A series with its readings."""
    shape = draw(st.sampled_from([series.INTERVAL_BLOCK, series.READINGS]))
    block = Block(shape, draw(codes))
    said = st.from_regex(r"\A(-?[0-9]{1,12}(\.[0-9]{1,14})?(e-?[0-9]{1,3})?)?\Z")
    block.texts = draw(st.lists(said, min_size=1, max_size=5))
    found = [number(text) if text else (float("nan"), True) for text in block.texts]
    block.values = [value for value, _ in found]
    block.exact = all(exact for _, exact in found)
    count = len(found)
    first, step = draw(times_ms), draw(st.integers(1, 3_600_000))
    regular = st.just([first + step * index for index in range(count)])
    block.times_ms = draw(regular | st.lists(times_ms, min_size=count, max_size=count))
    some = draw(st.lists(facets(reasons=shape == series.READINGS), min_size=1, max_size=2))
    block.facets = draw(st.lists(st.sampled_from(some), min_size=count, max_size=count))
    if shape == series.INTERVAL_BLOCK:
        whole = st.none() | st.integers(-(2**63), 2**63 - 1)
        doubles = st.floats(allow_nan=False)
        block.pending = draw(st.none() | st.fixed_dictionaries({
            "multiplyBeforeAdd": st.none() | st.booleans(), "offset": whole,
            "scalarDenominator": whole, "scalarFloat": st.none() | doubles,
            "scalarNumerator": whole, "readingType": codes,
        }))  # fmt: skip
    return block


@st.composite
def series_items(draw: st.DrawFn) -> Item:
    """The event of a series, as the reader's own layout has it."""
    block = draw(blocks())
    meter, point = draw(st.none() | meters), draw(named)
    key = keys.first_key(point, meter)
    if key is None:
        point["mRID"] = draw(texts)
        key = keys.first_key(point)
    fractional = st.fixed_dictionaries(
        dict.fromkeys(("argument", "interharmonic"), fractions)
    ) | st.just({"argument": None, "interharmonic": None})
    definition = draw(st.none() | definitions(READING_TYPE_FIELDS, block.reading_type))
    if definition is not None:
        definition |= draw(fractional)
    refs = {quality.ref for facet in block.facets for quality in facet.qualities}
    kinds = {ref: draw(definitions(QUALITY_TYPE_FIELDS, ref)) for ref in sorted(refs)}
    start, end = sorted((draw(times_ms), draw(times_ms)))
    interval = draw(
        st.sampled_from([None, {"start": start, "end": end}, {"start": None, "end": end}])
    )
    trigger = draw(st.none() | st.booleans())
    body = (
        series.head(meter, point, block.reading_type, definition, block.shape)
        + series.columns(block)
        + series.tail(series.segments(block.facets), kinds, block.pending, interval, trigger)
    )
    return Item("MeterReadings", key or b"", body, 0)


@st.composite
def event_items(draw: st.DrawFn, *, carried: bool) -> Item:
    """An event, `carried` by a MeterReading or not."""
    code = draw(codes)
    parsed = EventTypeCode.parse(code)
    fields = ("issuerID", "issuerTrackingID", "reason", "severity", "userID")
    details = st.fixed_dictionaries({"name": texts, "value": st.none() | texts})
    record: Record = {field: draw(st.none() | texts) for field in fields} | {
        "mRID": draw(texts),
        "createdDateTime": draw(times_ms),
        "assets": draw(st.none() | named),
        "endDeviceEventDetails": draw(st.lists(details, max_size=2)),
        "endDeviceEventType": code,
        "endDeviceEventTypeFields": [] if parsed is None else list(parsed),
        "endDeviceEventTypeDefinition": draw(st.none() | definitions(EVENT_TYPE_FIELDS, code)),
        "names": draw(names),
        "status": draw(st.none() | statuses),
        "usagePoint": draw(st.none() | named),
        "meter": draw(meters) if carried else None,
    }
    itself = {"mRID": record["mRID"], "names": []}
    key = keys.first_key(record["assets"], record["usagePoint"], record["meter"], itself)
    return Item("EndDeviceEvents", key or b"", avro.encode_body("EndDeviceEvent", record), 0)


def decoded(item: Item) -> Record:
    provenance = avro.encode_provenance("t", 0, 0, "m", "s", 0)
    return avro.decode(avro.frame(SCHEMAS[item.noun]) + provenance + item.body)[1]


def read_again(item: Item) -> list[Item]:
    """The events of the payload that is written of the event."""
    record = decoded(item)
    by_events = item.noun == "EndDeviceEvents" and record["meter"] is None
    profile: EndDeviceEventsProfile | MeterReadingsProfile = EVENTS if by_events else READINGS
    outcome = profile.read(profile.write(record), "created")
    assert not outcome.rejected, outcome.rejected[0].problems
    return outcome.items


@PATIENT
@given(series_items())
def test_a_series_is_read_again_from_what_is_written_of_it(item: Item) -> None:
    assert read_again(item) == [item]


@PATIENT
@given(event_items(carried=False) | event_items(carried=True))
def test_an_event_is_read_again_from_what_is_written_of_it(item: Item) -> None:
    assert read_again(item) == [item]


@settings(max_examples=5)
@given(event_items(carried=True))
def test_an_event_that_a_reading_carried_is_not_written_without_its_meter(item: Item) -> None:
    with pytest.raises(ValueError, match="written by the profile of MeterReadings"):
        EVENTS.write(decoded(item))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_event_of_the_examples_is_read_again(path: Path) -> None:
    message = envelope.read(path.read_bytes())
    profiles = {profile.noun: profile for profile in (READINGS, EVENTS)}
    payloads = [message.payload]
    if message.operation_set is not None:
        payloads = [operation.payload for operation in message.operation_set.operations]
    for payload in payloads:
        profile = profiles.get(message.header.noun if message.header else "")
        if payload is None or profile is None:
            continue
        for item in profile.read(payload, "created").items:
            (again,) = read_again(item)
            assert (again.noun, again.key, again.body) == (item.noun, item.key, item.body)
