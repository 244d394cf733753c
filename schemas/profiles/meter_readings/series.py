"""One block of readings -> the body of one MeterReadingSeries.

Lives here: the layout of the record. It is written in three pieces: `head` (who and what),
`columns` (times and values, by hand), `tail` (qualities and the rest). Must not live here:
XML, rules of the profile.

Invariant: head + columns + tail are all fields of the schema but `provenance`, in its
order; the bytes are those that fastavro would write for the record.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from schemas.avro import encode_fields, wire
from schemas.codes import ReadingTypeCode
from schemas.profiles.meter_readings.facts import Block, Facet, Segment
from schemas.profiles.parts import Record

SCHEMA: Final = "MeterReadingSeries"
INTERVAL_BLOCK: Final = "INTERVAL_BLOCK"
READINGS: Final = "READINGS"


def head(
    meter: Record | None,
    usage_point: Record | None,
    reading_type: str,
    definition: Record | None,
    shape: str,
) -> bytes:
    """The fields `meter` to `shape`."""
    code = ReadingTypeCode.parse(reading_type)
    return encode_fields(
        SCHEMA,
        "meter",
        "shape",
        {
            "meter": meter,
            "usagePoint": usage_point,
            "readingType": reading_type,
            "readingTypeFields": [] if code is None else list(code),
            "readingTypeDefinition": definition,
            "shape": shape,
        },
    )


def columns(block: Block) -> bytes:
    """The fields `firstTimeStamp` to `valueTexts`; the block has at least one reading."""
    texts = [] if block.exact else [wire.string(text) for text in block.texts]
    return times(block.times_ms) + wire.doubles(block.values) + wire.array(texts)


def times(times_ms: Sequence[int]) -> bytes:
    """The fields `firstTimeStamp` to `timeStamps`.

    A start and an interval where the times ascend in equal steps, else every time.
    """
    first = times_ms[0]
    if len(times_ms) > 1:
        step = times_ms[1] - first
        if step > 0 and list(times_ms) == list(range(first, first + step * len(times_ms), step)):
            return wire.long(first) + wire.long(step) + wire.END
    return wire.long(first) + wire.long(0) + wire.longs(times_ms)


def time_column(times_ms: wire.Int64Array) -> bytes:
    """`times` for a column."""
    first = int(times_ms[0])
    if len(times_ms) > 1:
        steps = np.diff(times_ms)
        step = int(steps[0])
        if step > 0 and bool((steps == step).all()):
            return wire.long(first) + wire.long(step) + wire.END
    return wire.long(first) + wire.long(0) + wire.long_column(times_ms)


def value_column(values: wire.Float64Array) -> bytes:
    """The fields `values` and `valueTexts` for a column of exact values."""
    return wire.double_column(values) + wire.END


def segments(facets: Iterable[Facet]) -> list[Segment]:
    """Runs of equal facets."""
    runs: list[Segment] = []
    last: Facet | None = None
    count = 0
    for facet in facets:
        if facet is last or facet == last:
            count += 1
            continue
        if last is not None:
            runs.append(Segment(last, count))
        last, count = facet, 1
    if last is not None:
        runs.append(Segment(last, count))
    return runs


def tail(
    runs: Sequence[Segment],
    quality_types: dict[str, Record],
    pending: Record | None,
    values_interval: Record | None,
    is_coincident_trigger: bool | None,
) -> bytes:
    """The fields `qualities` to `isCoincidentTrigger`."""
    qualities = _quality_runs(runs)
    refs = dict.fromkeys(run["ref"] for run in qualities)
    return encode_fields(
        SCHEMA,
        "qualities",
        "isCoincidentTrigger",
        {
            "qualities": qualities,
            "readingQualityTypes": [quality_types[ref] for ref in refs if ref in quality_types],
            "annotations": _annotations(runs),
            "pendingCalculation": pending,
            "valuesInterval": values_interval,
            "isCoincidentTrigger": is_coincident_trigger,
        },
    )


def _quality_runs(runs: Sequence[Segment]) -> list[Record]:
    """Qualities as runs over readings: one that neighbouring segments share goes on.

    A reading that has the same quality twice has two runs, told apart by their occurrence.
    """
    found: list[Record] = []
    open_runs: dict[object, Record] = {}
    start = 0
    for facet, count in runs:
        going_on: dict[object, Record] = {}
        seen: Counter[object] = Counter()
        for quality in facet.qualities:
            occurrence = seen[quality]
            seen[quality] += 1
            run = open_runs.get((quality, occurrence))
            if run is None:
                run = {
                    "from": start,
                    "count": 0,
                    "ref": quality.ref,
                    "comment": quality.comment,
                    "source": quality.source,
                    "timeStamp": quality.time_stamp_ms,
                }
                found.append(run)
            run["count"] += count
            going_on[quality, occurrence] = run
        open_runs = going_on
        start += count
    return found


def _annotations(runs: Sequence[Segment]) -> list[Record]:
    found: list[Record] = []
    start = 0
    for facet, count in runs:
        if facet.annotated:
            found += [
                {
                    "index": index,
                    "reportedDateTime": facet.reported_ms,
                    "source": facet.source,
                    "reason": facet.reason,
                    "periodStart": facet.period_start_ms,
                    "periodEnd": facet.period_end_ms,
                }
                for index in range(start, start + count)
            ]
        start += count
    return found
