"""The bytes written by hand are the bytes that fastavro writes for the same record."""

import io
import math
from itertools import pairwise
from typing import Any

import numpy as np
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.avro import encode_provenance, wire
from schemas.avro.registry import newest
from schemas.profiles.meter_readings import series
from schemas.profiles.meter_readings.facts import Block, Facet, Quality

SCHEMA = newest("MeterReadingSeries").parsed
PROVENANCE = encode_provenance("t", 0, 1, "m", "s", 0)
EPOCH_MS_MAX = 253_402_300_799_999
instants = st.integers(-62_135_596_800_000, EPOCH_MS_MAX)
names = st.fixed_dictionaries(
    {"name": st.text(max_size=5)}, optional={"type": st.none() | st.text(max_size=5)}
)
meters = st.none() | st.fixed_dictionaries(
    {"mRID": st.none() | st.text(max_size=9), "names": st.lists(names, max_size=2)}
)
qualities = st.builds(
    Quality,
    source=st.none(),
    ref=st.sampled_from(["1.0.0", "5.4.260", "2.7.1"]),
    comment=st.none() | st.just("c"),
    time_stamp_ms=st.none() | instants,
)
facets = st.builds(
    Facet,
    source=st.none() | st.just("s"),
    period_start_ms=st.none() | instants,
    period_end_ms=st.none() | instants,
    qualities=st.lists(qualities, max_size=2).map(tuple),
    reported_ms=st.none() | instants,
    reason=st.none() | st.just("billing"),
)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    count = draw(st.integers(1, 12))
    if draw(st.booleans()):
        first, step = draw(st.integers(0, 10**12)), draw(st.sampled_from([1, 1000, 900_000]))
        times = list(range(first, first + count * step, step))
    else:
        times = draw(st.lists(instants, min_size=count, max_size=count))
    values = draw(st.lists(st.floats(width=64), min_size=count, max_size=count))
    return Block(
        draw(st.sampled_from([series.READINGS, series.INTERVAL_BLOCK])),
        draw(st.sampled_from(["x", "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"])),
        times_ms=times,
        texts=[str(value) for value in values],
        values=values,
        facets=draw(st.lists(facets, min_size=count, max_size=count)),
        exact=draw(st.booleans()),
    )


def written(meter: Any, block: Block) -> bytes:
    head = series.head(meter, None, block.reading_type, None, block.shape)
    tail = series.tail(series.segments(block.facets), {}, None, None, None)
    return PROVENANCE + head + series.columns(block) + tail


@given(meters, blocks())
def test_fastavro_reads_what_was_written_and_writes_the_same_bytes(
    meter: Any, block: Block
) -> None:
    data = written(meter, block)
    stream = io.BytesIO(data)
    record = schemaless_reader(stream, SCHEMA, None)
    assert isinstance(record, dict)
    assert stream.tell() == len(data)
    again = io.BytesIO()
    schemaless_writer(again, SCHEMA, record)
    assert again.getvalue() == data
    assert len(record["values"]) == len(block.values)
    for value, expected in zip(record["values"], block.values, strict=True):
        assert value == expected or (math.isnan(value) and math.isnan(expected))
    assert record["valueTexts"] == ([] if block.exact else block.texts)


@given(blocks())
def test_the_times_of_a_series_come_back_from_the_record(block: Block) -> None:
    record = schemaless_reader(io.BytesIO(written(None, block)), SCHEMA, None)
    assert isinstance(record, dict)

    def millis(moment: Any) -> int:
        return round(moment.timestamp() * 1000)

    if record["intervalMs"]:
        first = millis(record["firstTimeStamp"])
        found = [first + n * record["intervalMs"] for n in range(len(record["values"]))]
        assert record["timeStamps"] == []
    else:
        found = [millis(moment) for moment in record["timeStamps"]]
        assert found[0] == millis(record["firstTimeStamp"])
    assert found == block.times_ms


@given(blocks())
def test_the_qualities_of_each_reading_come_back_from_the_runs(block: Block) -> None:
    record = schemaless_reader(io.BytesIO(written(None, block)), SCHEMA, None)
    assert isinstance(record, dict)
    found: list[list[str]] = [[] for _ in block.values]
    for run in record["qualities"]:
        for index in range(run["from"], run["from"] + run["count"]):
            found[index].append(run["ref"])
    expected = [[quality.ref for quality in facet.qualities] for facet in block.facets]
    assert [sorted(refs) for refs in found] == [sorted(refs) for refs in expected]
    starts = [run["from"] for run in record["qualities"]]
    assert starts == sorted(starts)
    assert {note["index"] for note in record["annotations"]} == {
        index for index, facet in enumerate(block.facets) if facet.annotated
    }


@given(blocks())
def test_columns_and_lists_give_the_same_bytes(block: Block) -> None:
    times = np.array(block.times_ms, np.int64)
    values = np.array(block.values)
    assert series.time_column(times) == series.times(block.times_ms)
    assert wire.double_column(values) == wire.doubles(block.values)
    assert wire.long_column(times) == wire.longs(block.times_ms)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
@example(-(1 << 63))
@example((1 << 63) - 1)
@example(63)
@example(64)
@example(-64)
@example(-65)
def test_a_long_is_written_as_fastavro_writes_it(number: int) -> None:
    stream = io.BytesIO()
    schemaless_writer(stream, {"type": "long"}, number)
    assert wire.long(number) == stream.getvalue()


@given(st.lists(facets, max_size=10))
def test_segments_put_together_are_the_facets(listed: list[Facet]) -> None:
    runs = series.segments(listed)
    assert [facet for facet, count in runs for _ in range(count)] == listed
    assert all(a.facet != b.facet for a, b in pairwise(runs))
    assert all(run.length > 0 for run in runs)
