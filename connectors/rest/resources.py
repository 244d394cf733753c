"""Between HTTP and resources: objects of registers, and lists of what a noun has.

Lives here: which parameter is which criterion, the form of what is read. Must not live here:
requests that change something (`changes`), sockets, waiting, databases, clocks.

    GET    /v1/{interface}/{noun}           what fits the criteria, by pages
    POST   /v1/{interface}/{noun}           create: the payload, in XML or JSON
    GET    /v1/{interface}/{noun}/{mrid}    an object of a register, with its revision as ETag
    PUT    /v1/{interface}/{noun}/{mrid}    change: the whole object; If-Match: its revision
    DELETE /v1/{interface}/{noun}/{mrid}    delete

Pure and total, as `mapping`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from lxml import etree

from connectors.http import RequestError, Response
from connectors.queries import PAGE_DEFAULT, PAGE_MAX, Answer, Question
from connectors.rest import json_form, mapping
from connectors.rest.mapping import JSON, XML
from schemas import mrids
from schemas.avro.documents import document_of
from schemas.errors import MessageError, Problem
from schemas.profiles.payloads import UnwritableError, payload_of
from schemas.times import TimestampError, from_epoch_ms, to_epoch_ms
from topics import Catalogue, Noun, naming

_TEXTS: Final[Mapping[str, str]] = {
    "mrid": "mrids",
    "name": "names",
    "feeder": "feeders",
    "status": "statuses",
    "life": "lives",
    "reading_type": "reading_types",
}
_TIMES: Final[Mapping[str, str]] = {"since": "after_ms", "until": "until_ms"}
PARAMETERS: Final = (*_TEXTS, *_TIMES, "limit", "cursor", "context")
"""What a GET of a list can be asked with."""
_OF_LISTS: Final = {"POST": "create"}
_OF_OBJECTS: Final = {"PUT": "change", "DELETE": "delete"}
_VALUES_MAX: Final = 100
_CHARS_MAX: Final = 1024
_LIMIT: Final = re.compile(r"\d{1,6}", re.ASCII)
ETAG: Final = re.compile(r'(?:W/)?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `mrid` is "" where it is the list."""

    interface: str
    noun: Noun
    mrid: str = ""

    @property
    def path(self) -> str:
        """The path, without what was asked."""
        end = f"/{quote(self.mrid, safe='')}" if self.mrid else ""
        return f"/v1/{self.interface}/{self.noun.name}{end}"


@dataclass(frozen=True, slots=True)
class Page:
    """What a GET of a list asks for."""

    question: Question
    limit: int
    cursor: str


def target(interface: str, name: str, mrid: str, catalogue: Catalogue) -> Target:
    """What is there, if anything is kept of it.

    Raises:
        MessageError: noun_unknown, noun_planned, interface_not_allowed.
        RequestError: parameter_invalid; no_resource: a history has no objects, a network model
            neither objects nor a list.
    """
    noun = catalogue.nouns.get(name)
    if noun is None:
        raise MessageError(Problem("noun_unknown"))
    if noun.profile is None:
        raise MessageError(Problem("noun_planned", noun.name))
    if noun.name not in catalogue.interfaces[interface].accepts:
        raise MessageError(Problem("interface_not_allowed", f"{noun.name} on {interface}"))
    if not mrid.isprintable() or len(mrid) > _CHARS_MAX:
        raise RequestError("parameter_invalid", "an mRID is up to 1024 printable characters")
    if (mrid and noun.kind != "register") or not json_form.has_json(noun):
        raise RequestError("no_resource", noun.name)
    return Target(interface, noun, mrid)


def methods(found: Target, catalogue: Catalogue) -> Mapping[str, str]:
    """What can be done with it: methods of HTTP to the verbs that they mean."""
    may = {"GET": "get"} if readable(found, catalogue) else {}
    wanted = _OF_OBJECTS if found.mrid else _OF_LISTS
    return may | {
        method: verb
        for method, verb in wanted.items()
        if catalogue.refusal(found.interface, found.noun.name, verb) is None
    }


def readable(found: Target, catalogue: Catalogue) -> bool:
    """Whether the noun is read there: at home, and where a `get` of it may be sent."""
    code = catalogue.refusal(found.interface, found.noun.name, "get")
    return found.interface == found.noun.home or code in (None, "verb_planned")


def read_page(found: Target, parameters: Sequence[tuple[str, str]], catalogue: Catalogue) -> Page:
    """What the parameters of a GET ask for; one that comes several times may be any of them.

    Raises:
        RequestError: parameter_unknown, parameter_invalid.
    """
    texts: dict[str, list[str]] = {}
    for name, value in parameters:
        if name not in PARAMETERS:
            raise RequestError("parameter_unknown", f"there are {', '.join(PARAMETERS)}")
        texts.setdefault(name, []).append(value)
    for name, values in texts.items():
        several = name in _TEXTS
        if not all(values) or len(values) > (_VALUES_MAX if several else 1):
            raise RequestError("parameter_invalid", f"{name} is empty or given too often")
        if any(len(value) > _CHARS_MAX or "\x00" in value for value in values):
            raise RequestError("parameter_invalid", f"{name} is too long or has a NUL")
    limit = texts.get("limit", [str(PAGE_DEFAULT)])[0]
    if not _LIMIT.fullmatch(limit) or not 0 < int(limit) <= PAGE_MAX:
        raise RequestError("parameter_invalid", f"limit is 1 to {PAGE_MAX}")
    question = Question(
        found.noun.name,
        _context(texts, catalogue),
        mrids=_spellings(texts.get("mrid", ())),
        names=tuple(texts.get("name", ())),
        feeders=tuple(texts.get("feeder", ())),
        statuses=tuple(texts.get("status", ())),
        lives=tuple(texts.get("life", ())),
        reading_types=tuple(texts.get("reading_type", ())),
        after_ms=_time("since", texts),
        until_ms=_time("until", texts),
    )
    return Page(question, int(limit), texts.get("cursor", [""])[0])


def read_object(
    found: Target, parameters: Sequence[tuple[str, str]], catalogue: Catalogue
) -> Question:
    """What a GET of one object asks for.

    Raises:
        RequestError: parameter_unknown, parameter_invalid.
    """
    context = read_context(parameters, catalogue)
    return Question(found.noun.name, context, mrids=_spellings([found.mrid]))


def read_context(parameters: Sequence[tuple[str, str]], catalogue: Catalogue) -> str:
    """The only parameter that a path with an mRID, or what changes something, can have.

    Raises:
        RequestError: parameter_unknown, parameter_invalid.
    """
    if any(name != "context" for name, _ in parameters):
        raise RequestError("parameter_unknown", "there is context")
    return _context({"context": [value for _, value in parameters]}, catalogue)


def _spellings(asked: Iterable[str]) -> tuple[str, ...]:
    """A UUID as it was asked for, and as an object with it is found however it was sent."""
    return tuple(dict.fromkeys(one for mrid in asked for one in (mrid, mrids.normal(mrid))))


def _context(texts: Mapping[str, list[str]], catalogue: Catalogue) -> str:
    said = texts.get("context") or [naming.PRODUCTION]
    context = said[0].upper()
    if len(said) > 1 or context not in (naming.PRODUCTION, *catalogue.contexts):
        known = ", ".join((naming.PRODUCTION, *catalogue.contexts))
        raise RequestError("parameter_invalid", f"context is one of {known}")
    return context


def _time(name: str, texts: Mapping[str, list[str]]) -> int | None:
    if name not in texts:
        return None
    try:
        # A plus sign that was not written as %2B arrives as a space.
        return to_epoch_ms(texts[name][0].replace(" ", "+"))
    except TimestampError:
        raise RequestError("parameter_invalid", f"{name} is no time with a zone") from None


def page_response(found: Target, page: Page, answer: Answer, accept: str) -> Response:
    """The page, as a payload of CIM XML or as JSON; headers say what it may lack.

    Raises:
        RequestError: not_acceptable: it has no form that is accepted.
    """
    headers = {"Vary": "Accept", "Cache-Control": "private, no-cache", **_whole(answer)}
    if answer.cursor is not None:
        asked = [*_asked(page.question), ("limit", page.limit), ("cursor", answer.cursor)]
        following = f"{found.path}?{urlencode(asked)}"
        headers["Link"] = f'<{following}>; rel="next"'
    else:
        following = None
    records = [one.record for one in answer.found]
    if mapping.choose(accept, XML) == XML:
        return Response(200, _xml(found.noun, records), {**headers, "Content-Type": XML})
    lag = {
        topic: {"offsets": one.offsets, "caughtUp": _time_text(one.caught_up_ms)}
        for topic, one in answer.lag.items()
    }
    document = {
        "code": answer.code,
        "next": following,
        "gaps": list(answer.gaps),
        "lag": lag,
        "items": document_of(records),
    }
    return Response(200, mapping.as_json(document), {**headers, "Content-Type": JSON})


def object_response(found: Target, answer: Answer, accept: str, if_none_match: str) -> Response:
    """The object, 304 where it is still the revision that the client has.

    Raises:
        MessageError: object_missing.
        RequestError: not_acceptable.
    """
    if not answer.found:
        detail = "the view is behind the log" if "behind" in answer.gaps else ""
        raise MessageError(Problem("object_missing", detail))
    if len(answer.found) > 1:
        raise MessageError(Problem("object_ambiguous"))
    one = answer.found[0]
    form = mapping.choose(accept, XML)
    etag = f'"{one.revision}"'
    headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "private, no-cache"}
    headers |= _whole(answer)
    if any(found == str(one.revision) for found in ETAG.findall(if_none_match)) or (
        if_none_match.strip() == "*"
    ):
        return Response(304, b"", headers)
    if form == XML:
        body = _xml(found.noun, [one.record])
    else:
        body = mapping.as_json(document_of(one.record))
    return Response(200, body, {**headers, "Content-Type": form})


def _whole(answer: Answer) -> dict[str, str]:
    """Whether it is all of it, and what it may lack: for those who read no body."""
    found = {
        "Cimstream-Code": answer.code,
        "Cimstream-Lag": str(sum(one.offsets for one in answer.lag.values())),
    }
    return found | ({"Cimstream-Gaps": ", ".join(answer.gaps)} if answer.gaps else {})


def _xml(noun: Noun, records: list[dict[str, object]]) -> bytes:
    try:
        payload = payload_of(noun.profile or "", records)
    except UnwritableError as error:
        raise RequestError("not_acceptable", f"as XML: {error}") from None
    return etree.tostring(payload, encoding="UTF-8", xml_declaration=True)


def _asked(question: Question) -> list[tuple[str, str | int]]:
    """The question as parameters."""
    asked: list[tuple[str, str | int]] = [
        (name, value) for name, field in _TEXTS.items() for value in getattr(question, field)
    ]
    for name, field in _TIMES.items():
        time_ms = getattr(question, field)
        if time_ms is not None:
            asked.append((name, from_epoch_ms(time_ms)))
    if question.context != naming.PRODUCTION:
        asked.append(("context", question.context))
    return asked


def _time_text(time_ms: int) -> str | None:
    return from_epoch_ms(time_ms) if time_ms else None
