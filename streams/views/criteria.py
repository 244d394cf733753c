"""What a view is asked: criteria, and the cursor that goes on behind a page.

Lives here: what the criteria mean, which are refused, how a cursor is written. Must not live
here: answering (`query`, `series`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

from streams.views.model import Kind, short
from streams.views.store import Place, Wanted
from topics import naming

# What rows of a kind are ordered by, see `Found.place`.
_PLACES: Final[Mapping[Kind, list[type]]] = {
    "register": [str],
    "events": [int, int, int],
    "readings": [str, str, int, int, int],
}
_BIGINT: Final = 1 << 63


class CriteriaError(ValueError):
    """A question that cannot be answered as it was asked; `code` is stable."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        self.why = why
        super().__init__(f"{code}: {why}")


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is asked for. All that is given must hold; of several values of one kind, one.

    `mrids`, `names`: of the object; of readings, the usage point or meter; of another history,
    the event or what it is about. `feeders`: by mRID or name. `lives`: of a register, `open`,
    `closed` or `canceled`. Times are epoch milliseconds: after `after_ms`, up to and including
    `until_ms`, as the time of an interval is its end, so that days asked one by one share
    nothing and lack nothing. Of a register they ask for objects whose period touches that time.
    """

    noun: str
    context: str = naming.PRODUCTION
    mrids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    feeders: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    lives: tuple[str, ...] = ()
    reading_types: tuple[str, ...] = ()
    after_ms: int | None = None
    until_ms: int | None = None


def check(criteria: Criteria, kind: Kind) -> None:
    """Refuse what the noun cannot be asked for, and what would read the whole view."""
    if criteria.reading_types and kind != "readings":
        raise CriteriaError("criteria_unfit", f"{criteria.noun} have no reading type")
    if criteria.lives and kind != "register":
        raise CriteriaError("criteria_unfit", f"{criteria.noun} have no life cycle")
    if kind == "readings":
        if criteria.statuses:
            raise CriteriaError("criteria_unfit", f"{criteria.noun} have no status")
        if not (criteria.mrids or criteria.names or criteria.feeders):
            why = f"{criteria.noun} are asked for by mRID, by name or by feeder"
            raise CriteriaError("criteria_too_wide", why)
    after, until = criteria.after_ms, criteria.until_ms
    if after is not None and until is not None and after >= until:
        raise CriteriaError("criteria_unfit", "the period ends before it begins")


def shortened(criteria: Criteria) -> Criteria:
    """With texts as rows have them; an mRID of readings is first made a key."""
    return replace(
        criteria,
        names=tuple(map(short, criteria.names)),
        feeders=tuple(map(short, criteria.feeders)),
        statuses=tuple(map(short, criteria.statuses)),
        reading_types=tuple(map(short, criteria.reading_types)),
    )


def wanted(criteria: Criteria) -> Wanted:
    """What the store is asked of a register, or of a history other than readings."""
    terms = {
        "mrid": tuple(map(short, criteria.mrids)),
        "name": criteria.names,
        "feeder": criteria.feeders,
        "status": criteria.statuses,
        "life": criteria.lives,
    }
    return Wanted(
        criteria.context,
        criteria.noun,
        {kind: values for kind, values in terms.items() if values},
        criteria.after_ms,
        criteria.until_ms,
    )


def cursor_of(place: Place, criteria: Criteria) -> str:
    """The cursor that asks for what comes behind this place."""
    data = json.dumps([_digest(criteria), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")


def place_in(cursor: str, criteria: Criteria, kind: Kind) -> Place:
    """Where the page before ended.

    Raises:
        CriteriaError: `cursor_invalid`.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        digest, *place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        good = digest == _digest(criteria) and [type(part) for part in place] == _PLACES[kind]
        good = good and all(abs(part) < _BIGINT for part in place if isinstance(part, int))
    except (ValueError, TypeError):
        good, place = False, []
    if not good:
        raise CriteriaError("cursor_invalid", "the cursor is not one of this question")
    return tuple(place)


def _digest(criteria: Criteria) -> str:
    """What a cursor is told by: one of another question would skip rows in silence."""
    data = json.dumps(asdict(criteria), sort_keys=True).encode()
    return hashlib.blake2b(data, digest_size=6).hexdigest()
