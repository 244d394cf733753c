"""What a query message asks a view for: IDs, period and options become criteria.

Lives here: the words of messages and what they are to a view. Must not live here: what criteria
mean (`criteria`), the elements of a Request (`schemas.envelope.query`).

Invariant: what is not understood is refused. Passed over it would be answered with too much, and
nobody would see it.

    ID                     an object: kind uuid, or none: its mRID; kind name: its name
    StartTime, EndTime     the period
    Option                 one of `_OPTIONS`, limit or cursor
    Get<Noun>              the same in the words of a profile: <Object><mRID/>, <Names><name/>;
                           ReadingType by mRID, ref or name
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from connectors.respond import NoAnswerError, Request
from schemas import mrids
from schemas.envelope import ObjectId
from schemas.envelope.payload import local_name, text_of
from schemas.envelope.query import Option
from schemas.errors import MessageError
from schemas.profiles import DeclaredProfile, object_ids, profile
from schemas.xml import line_of
from streams.views.criteria import Criteria
from streams.views.model import READINGS
from streams.views.query import LIMIT_MAX
from topics import Noun

LIMIT: Final = 100
# Names of options, in lower case, to fields of Criteria.
_OPTIONS: Final[Mapping[str, str]] = {
    "mrid": "mrids",
    "name": "names",
    "feeder": "feeders",
    "status": "statuses",
    "life": "lives",
    "readingtype": "reading_types",
}
_PAGING: Final = frozenset({"limit", "cursor"})
# What an ID or an element of a profile may be about, beside the objects of the noun.
_TYPES: Final[Mapping[str, str]] = {"Feeder": "feeders", "ReadingType": "reading_types"}
# Whose readings, or whose events: found by mRID or name of these, too.
_SUBJECTS: Final = frozenset({"UsagePoint", "EndDevice", "Meter"})
_HISTORY_SUBJECTS: Final = _SUBJECTS | {"Asset", "Assets", "PowerSystemResource", "Measurement"}
_PAYLOAD: Final = "/*/Payload"

Values = defaultdict[str, list[str]]
"""Values by field of Criteria."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a view, and which page of it."""

    criteria: Criteria
    limit: int
    cursor: str | None


def question_of(request: Request, noun: Noun) -> Question:
    """The question that a query is.

    Raises:
        NoAnswerError: `criteria_unknown`, `criteria_unfit`, `limit_invalid`, `object_id_invalid`.
    """
    message, query = request.message, request.query
    if message.payload is not None or message.operation_set is not None or message.packed:
        raise NoAnswerError("criteria_unknown", "a query has no payload", xpath=_PAYLOAD)
    types = _types(noun)
    found: Values = defaultdict(list)
    for one in (*query.ids, *message.payload_ids):
        _take_id(one, types, found)
    for element in query.others:
        _take_profile(element, noun, types, found)
    paging = dict(_take_options(query.options, found))
    # An object is found by its mRID as its sender wrote it, or as keys have it.
    found["mrids"] += [mrids.normal(mrid) for mrid in found["mrids"]]
    values = {field: tuple(dict.fromkeys(texts)) for field, texts in found.items()}
    criteria = Criteria(
        noun.name,
        request.header.context,
        after_ms=query.start_ms,
        until_ms=query.end_ms,
        **values,
    )
    return Question(criteria, _limit(paging.get("limit")), paging.get("cursor") or None)


def _types(noun: Noun) -> frozenset[str]:
    """The words for whatever a query for this noun can be about by mRID or name."""
    reader = profile(noun.profile or "")
    if noun.name == READINGS:
        return _SUBJECTS
    own = {reader.object if isinstance(reader, DeclaredProfile) else noun.name.removesuffix("s")}
    return frozenset(own | (set() if noun.kind == "register" else _HISTORY_SUBJECTS))


def _take_id(one: ObjectId, types: frozenset[str], found: Values) -> None:
    field = _TYPES.get(one.object_type)
    known = {*types, one.object_type} if field else types
    try:
        record = object_ids.record_of(one, known)
    except MessageError as error:
        wrong = error.problems[0]
        refused = NoAnswerError(wrong.code, wrong.detail, xpath=wrong.xpath, line=wrong.line)
        raise refused from error
    if "mRID" in record:
        found[field or "mrids"].append(record["mRID"])
    for name in record.get("names", ()):
        found[field or "names"].append(name["name"])


def _take_options(options: tuple[Option, ...], found: Values) -> Iterator[tuple[str, str]]:
    """What is about pages is given; the rest goes into `found`."""
    place, seen = "/*/Request/Option", set()
    for option in options:
        if option.name in _OPTIONS and option.value:
            found[_OPTIONS[option.name]].append(option.value)
        elif option.name in _PAGING and option.name not in seen:
            seen.add(option.name)
            yield option.name, option.value
        else:
            known = ", ".join((*_OPTIONS, *sorted(_PAGING)))
            detail = f"an Option without value, given twice, or none of {known}"
            raise NoAnswerError("criteria_unknown", detail, xpath=place, line=option.line)


def _take_profile(
    element: etree._Element, noun: Noun, types: frozenset[str], found: Values
) -> None:
    """`Get<Noun>`: objects, each said by its mRID or its names."""
    if local_name(element) != f"Get{noun.name}":
        raise _unknown(element)
    for about in element:
        name = local_name(about)
        field = _TYPES.get(name)
        if field is None and name not in types:
            raise _unknown(about)
        if about.get("ref"):
            found[field or "mrids"].append(about.get("ref", ""))
        for part in about:
            if local_name(part) == "mRID":
                found[field or "mrids"].append(text_of(part))
            elif local_name(part) == "Names":
                names = [text_of(child) for child in part if local_name(child) == "name"]
                found[field or "names"] += names
            else:
                raise _unknown(part)


def _unknown(element: etree._Element) -> NoAnswerError:
    path = f"/*/Request//{local_name(element)}"
    return NoAnswerError("criteria_unknown", "an element", xpath=path, line=line_of(element))


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= LIMIT_MAX:
        raise NoAnswerError("limit_invalid", f"a page has 1 to {LIMIT_MAX}", xpath="/*/Request")
    return int(text[:9])
