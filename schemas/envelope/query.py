"""What a Request element asks for: a period, options, and whatever a profile has put into it.

Lives here: the envelope's own elements of a Request. Must not live here: which options there are,
and what a profile's element (`Get<Noun>`) means; whoever answers knows.

Invariant: every element of the Request is among the IDs, the period, the options or `others`;
nothing that was asked for is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lxml import etree

from schemas.envelope.header import place_of
from schemas.envelope.model import Message, ObjectId
from schemas.envelope.payload import Place, text_of
from schemas.errors import MessageError, Problem
from schemas.times import TimestampError, to_epoch_ms
from schemas.xml import line_of

_TIMES: Final = {"StartTime": "start_ms", "EndTime": "end_ms"}
_OPTION: Final = ("name", "value")
# Nobody has so many criteria of one kind; a question takes them all together.
OPTIONS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Option:
    """A name and a value; names are in lower case, since senders write them as they like."""

    name: str
    value: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A Request. Times are epoch milliseconds. `others` are elements of other schemas."""

    ids: tuple[ObjectId, ...] = ()
    start_ms: int | None = None
    end_ms: int | None = None
    options: tuple[Option, ...] = ()
    others: tuple[etree._Element, ...] = ()


def read_query(message: Message) -> Query:
    """What the message's Request asks for; nothing in particular where it has none.

    Raises:
        MessageError: `request_invalid`, `timestamp_invalid`, `timestamp_without_zone`.
    """
    request = message.request
    if request is None:
        return Query()
    place = Place(place_of(request.getroottree().getroot()).namespace, "/*/Request")
    times: dict[str, int] = {}
    options: list[Option] = []
    others: list[etree._Element] = []
    for child in request:
        name = place.own_name(child)
        at = place.below(name)
        if name in _TIMES and _TIMES[name] in times:
            raise at.error("request_invalid", "given twice", child)
        if name in _TIMES:
            times[_TIMES[name]] = _time(child, at)
        elif name == "Option":
            options.append(_option(child, at))
        elif name != "ID":
            others.append(child)
    if len(options) + len(message.request_ids) > OPTIONS_MAX:
        raise MessageError(Problem("request_invalid", f"more than {OPTIONS_MAX}", place.path))
    return Query(message.request_ids, options=tuple(options), others=tuple(others), **times)


def _time(element: etree._Element, place: Place) -> int:
    try:
        return to_epoch_ms(text_of(element))
    except TimestampError as error:
        raise place.error(error.code, "", element) from error


def _option(element: etree._Element, place: Place) -> Option:
    said = dict.fromkeys(_OPTION, "")
    for child in element:
        # Property, its sister, writes Name and Value; so do many senders here.
        name = place.own_name(child).lower()
        if name not in said or said[name]:
            raise place.error("request_invalid", "neither one name nor one value", element)
        said[name] = text_of(child)
    if not said["name"]:
        raise place.error("request_invalid", "no name", element)
    return Option(said["name"].lower(), said["value"], line_of(element))
