"""Answers about readings: whose they are, and which value of a time is the newest.

Lives here: from names and feeders to subjects, and from overlapping series to single values.
Must not live here: SQL (`reading`), pages and what they lack (`query`).

Invariant: of one subject, reading type and time one value answers, that of the newest series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from schemas.profiles.keys import identity
from streams.views.criteria import Criteria
from streams.views.model import READINGS, SUBJECT_REGISTERS, read, short, times_of
from streams.views.store import Found, Place, Reader, Span, Wanted

# Subjects of readings that are asked for in one statement.
_SUBJECTS_PER_STEP: Final = 200
_OBJECTS_PER_STEP: Final = 1_000


class Readings:
    """The readings of one store. One thread, as its reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def page(
        self, criteria: Criteria, after: Place, limit: int
    ) -> tuple[list[tuple[Found, tuple[int, ...]]], Place | None]:
        """At most `limit` series behind `after`, each with the positions in `values` that answer.

        By subject, type and time; those that newer ones replace as a whole are left out. With
        the place of the last one, if there are more.
        """
        rows: list[tuple[Found, tuple[int, ...]]] = []
        last: Place | None = None
        for found in self._series(criteria, after, limit + 1):
            chosen = self._chosen(criteria, found)
            for one, positions in zip(found, chosen, strict=True):
                if not positions:
                    continue
                if len(rows) == limit:
                    return rows, last
                rows.append((one, positions))
                last = one.place
        return rows, None

    def _series(self, criteria: Criteria, after: Place, step: int) -> Iterator[list[Found]]:
        """All series that may be asked for, some at a time."""
        wanted = Wanted(
            criteria.context,
            criteria.noun,
            {"type": criteria.reading_types} if criteria.reading_types else {},
            criteria.after_ms,
            criteria.until_ms,
        )
        subjects = self._subjects(criteria)
        keys = [key for key in sorted(subjects) if not after or key >= str(after[0])]
        for start in range(0, len(keys), _SUBJECTS_PER_STEP):
            chosen = {key: subjects[key] for key in keys[start : start + _SUBJECTS_PER_STEP]}
            while found := self._reader.series(wanted, chosen, after, step):
                yield found
                if len(found) < step:
                    break
                after = found[-1].place

    def _subjects(self, criteria: Criteria) -> dict[str, frozenset[str]]:
        """Keys of the readings that are asked for, each with the meters it is limited to."""
        named = [
            self._named(criteria.context, kind, values)
            for kind, values in (
                ("mrid", criteria.mrids),
                ("name", criteria.names),
                ("feeder", criteria.feeders),
            )
            if values
        ]
        both, *others = named
        for other in others:
            both = _both(both, other)
        return both

    def _named(self, context: str, kind: str, values: Sequence[str]) -> dict[str, frozenset[str]]:
        """Subjects that one kind of criterion names.

        Registers say which objects have the name or lie on the feeder; series say which names
        their subject has and which meter it had then.
        """
        keys: dict[str, frozenset[str]] = {}
        if kind == "mrid":
            identities = [short(identity({"mRID": value}) or "") for value in values]
        else:
            identities = list(self._registered(context, kind, values))
        for meter, key in self._reader.subject_keys(context, "meter", identities):
            keys[key] = keys.get(key, frozenset()) | {meter}
        keys |= dict.fromkeys(identities, frozenset())
        if kind == "name":
            found = self._reader.subject_keys(context, "name", values)
            keys |= {key: frozenset() for _, key in found}
        return keys

    def _registered(self, context: str, kind: str, values: Sequence[str]) -> Iterator[str]:
        for noun in SUBJECT_REGISTERS:
            wanted = Wanted(context, noun, {kind: values})
            after: Place = ()
            while found := self._reader.objects(wanted, after, _OBJECTS_PER_STEP):
                yield from (one.key for one in found)
                after = found[-1].place

    def _chosen(self, criteria: Criteria, found: Sequence[Found]) -> list[tuple[int, ...]]:
        """Of each series the positions that are asked for and that no newer series has."""
        times = [times_of(read(one.body)) for one in found]
        newest = self._newest(criteria.context, found, times)
        return [
            tuple(
                position
                for position, time in enumerate(stamps)
                if (criteria.after_ms is None or time > criteria.after_ms)
                and (criteria.until_ms is None or time <= criteria.until_ms)
                and newest[_kind_of(one)].get(time, -1) <= _offset_of(one)
            )
            for one, stamps in zip(found, times, strict=True)
        ]

    def _newest(
        self, context: str, found: Sequence[Found], times: Sequence[Sequence[int]]
    ) -> Mapping[tuple[str, str], Mapping[int, int]]:
        """By subject and type: of times that newer series have too, the offset of the newest.

        All series of a subject lie in one partition, so that the newer one has the higher offset.
        """
        stamps = [time for each in times for time in each] or [0]
        keys = sorted({one.key for one in found})
        by_kind: dict[tuple[str, str], list[Span]] = {_kind_of(one): [] for one in found}
        for span in self._reader.spans(context, keys, min(stamps), max(stamps)):
            if (span.key, span.reading_type) in by_kind:
                by_kind[span.key, span.reading_type].append(span)
        newest: dict[tuple[str, str], dict[int, int]] = {}
        for kind, spans in by_kind.items():
            newest[kind] = {}
            if overlaps := _overlapping(spans):
                for one in self._all(context, kind, overlaps):
                    for time in times_of(read(one.body)):
                        newest[kind][time] = max(newest[kind].get(time, -1), _offset_of(one))
        return newest

    def _all(self, context: str, kind: tuple[str, str], spans: Sequence[Span]) -> Iterator[Found]:
        """All series of a subject and type that lie where these do."""
        key, reading_type = kind
        first, last = min(s.first_ms for s in spans), max(s.last_ms for s in spans)
        wanted = Wanted(context, READINGS, {"type": [reading_type]}, first - 1, last)
        after: Place = ()
        while found := self._reader.series(wanted, {key: frozenset()}, after, _OBJECTS_PER_STEP):
            yield from found
            after = found[-1].place


def _both(
    one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """What both allow; an empty set of meters is no limit, two that share none are none at all."""
    found = {}
    for key in one.keys() & other.keys():
        left, right = one[key], other[key]
        meters = left & right if left and right else left | right
        if meters or not (left and right):
            found[key] = meters
    return found


def _overlapping(spans: Sequence[Span]) -> list[Span]:
    """Those that share some time with another one."""
    ordered = sorted(spans, key=lambda span: span.first_ms)
    found: set[Span] = set()
    reaching = ordered[0] if ordered else None
    for span in ordered[1:]:
        if reaching is not None and span.first_ms <= reaching.last_ms:
            found |= {reaching, span}
        if reaching is None or span.last_ms >= reaching.last_ms:
            reaching = span
    return sorted(found)


def _kind_of(series: Found) -> tuple[str, str]:
    """Subject and reading type."""
    return series.key, str(series.place[1])


def _offset_of(series: Found) -> int:
    return int(series.place[4])
