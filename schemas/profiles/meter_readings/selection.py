"""Some of the readings of a series, as a series.

Lives here: what a series says when only some of its readings are wanted. Must not live here: which
ones are (whoever answers a question knows).

Invariant: each reading that stays has its time, value, qualities and annotations, and no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from schemas.profiles.parts import Instant, Record, epoch_ms


def chosen(record: Record, positions: Collection[int]) -> Record:
    """The series with the readings at these positions of `values` only, in their order.

    What a calculation or the message says of the whole (`valuesInterval`) stays as it is.
    """
    if len(positions) == len(record["values"]):
        return record
    kept = sorted(positions)
    moved = {old: new for new, old in enumerate(kept)}
    times = times_of(record)
    return {
        **record,
        "firstTimeStamp": times[kept[0]] if kept else record["firstTimeStamp"],
        "intervalMs": 0,
        "timeStamps": [times[position] for position in kept],
        "values": [record["values"][position] for position in kept],
        "valueTexts": [record["valueTexts"][n] for n in kept] if record["valueTexts"] else [],
        "qualities": list(_runs(record["qualities"], moved)),
        "annotations": [
            {**note, "index": moved[note["index"]]}
            for note in record["annotations"]
            if note["index"] in moved
        ],
    }


def times_of(record: Record) -> list[Instant]:
    """The time of each value of a series."""
    if record["timeStamps"]:
        return list(record["timeStamps"])
    first, step = epoch_ms(record["firstTimeStamp"]), record["intervalMs"]
    return [first + step * index for index in range(len(record["values"]))]


def _runs(runs: Collection[Record], moved: dict[int, int]) -> Iterator[dict[str, Any]]:
    """The runs of qualities, each of the readings that stay; readings between them are gone."""
    for run in runs:
        there = [moved[n] for n in range(run["from"], run["from"] + run["count"]) if n in moved]
        if there:
            yield {**run, "from": there[0], "count": len(there)}
