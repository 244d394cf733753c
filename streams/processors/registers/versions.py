"""One version of a network model as a message brings it: read and checked, before any state.

Lives here: from the bytes of a message to a version, or to what is wrong with it. Must not live
here: what the version does to the model that is there (see `models`).

Invariant: a version is in memory only as its packed chunks, never as its objects; of a difference,
which is small, the objects are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from schemas import rdf
from schemas.envelope.packing import unpacked
from schemas.errors import MessageError, Problem
from schemas.profiles.network_data_set import BASE_OPTIONAL, MODEL_ID
from schemas.rdf import CimObject, Kind, ModelHeader
from schemas.rdf.bodies import body_of, object_in
from schemas.rdf.checks import ModelCheck
from schemas.rdf.findings import Notice, Report
from schemas.rdf.model import Values
from schemas.xml import XmlLimits
from streams.processors.registers import chunks
from streams.processors.understand import Refused, Understood

_PIECE_BYTES: Final = 64 * 1024
_DOCUMENT: Final = "the payload"
# Others are in every model that has extensions, or is a part of one.
_WORTH_TELLING: Final = frozenset({Notice.LACKING, Notice.IRREGULAR})
_ENDING: Final = frozenset({"delete", "deleted"})


@dataclass(frozen=True, slots=True)
class Version:
    """What a message says of a model.

    `mrid` is the version's own, `model` the name of the model where the message gives it. A full
    model has its objects in `chunks`, a difference in `difference`, and the end of a model none.
    `open` says that it refers to objects which other models have, `base_optional` that it may be
    the first that is known of its model. `told` is what its sender should know, and no reason to
    refuse it.
    """

    header: ModelHeader
    mrid: str
    model: str | None
    chunks: dict[int, bytes] = field(default_factory=dict)
    difference: tuple[CimObject, ...] = ()
    objects: int = 0
    open: bool = False
    base_optional: bool = False
    told: tuple[str, ...] = ()


def read_version(
    data: bytes, message: Understood, limits: XmlLimits, objects_max: int
) -> Version | Refused:
    """The version that a message brings. Total: every fault becomes a `Refused`."""
    try:
        version, report = _read(data, message, limits, objects_max)
    except MessageError as error:
        problems = tuple(_placed(problem, message) for problem in error.problems)
        return Refused(problems, message.header, message.pattern)
    if report is None:
        return version
    if not report.faults:
        told = (found.told() for found in report.findings if found.code in _WORTH_TELLING)
        return replace(version, told=tuple(told))
    faults = [found.problem() for found in report.findings if not found.is_notice]
    problems = tuple(_placed(problem, message) for problem in faults)
    return Refused(problems, message.header, message.pattern, report.faults - len(faults))


def _read(
    data: bytes, message: Understood, limits: XmlLimits, objects_max: int
) -> tuple[Version, Report | None]:
    if message.packed:
        content = rdf.read(unpacked(message.packed, limits))
    else:
        content = rdf.read_enclosed(_pieces(data))
    header = content.header
    model = dict(message.header.properties).get(MODEL_ID)
    mrid = header.mrid or (message.identity.message_id if model else None)
    if mrid is None:
        detail = f"no header with an mRID, and no Property {MODEL_ID}"
        raise MessageError.of("object_unidentified", detail, line=header.line)
    optional = BASE_OPTIONAL in message.header.properties
    version = Version(header, mrid, model, base_optional=optional)
    if message.header.verb in _ENDING:
        return version, None
    checking = ModelCheck()
    checking.document(_DOCUMENT, header)
    objects = _counted(content, checking, objects_max)
    if header.kind is Kind.DIFFERENCE:
        version = replace(version, difference=tuple(objects))
    else:
        version = _packed(version, objects)
    return version, checking.report()


def _counted(content: rdf.Document, checking: ModelCheck, objects_max: int) -> Iterator[CimObject]:
    for count, item in enumerate(content):
        if count >= objects_max:
            raise MessageError.of("model_too_large", f"more than {objects_max} objects")
        checking.object(item)
        yield item


def _packed(version: Version, objects: Iterator[CimObject]) -> Version:
    loose: dict[int, dict[str, bytes]] = defaultdict(dict)
    space = version.header.cim_namespace
    open_ = bool(version.header.depends_on)
    for item in objects:
        open_ = open_ or item.partial
        chunk = loose[chunks.chunk_of(item.mrid)]
        before = chunk.get(item.mrid)
        # A document may speak of an object in several places.
        whole = item if before is None else _joined(object_in(before), item)
        chunk[item.mrid] = body_of(whole, space)
    return replace(
        version,
        objects=sum(map(len, loose.values())),
        # Each is let go when it is packed: they are most of what is in memory here.
        chunks={number: chunks.pack(loose.pop(number)) for number in sorted(loose)},
        open=open_,
    )


def _joined(one: CimObject, other: CimObject) -> CimObject:
    return replace(
        one,
        cls=one.cls or other.cls,
        partial=one.partial and other.partial,
        attributes=_both(one.attributes, other.attributes),
        enumerations=_both(one.enumerations, other.enumerations),
        references=_both(one.references, other.references),
    )


def _both(one: Values, other: Values) -> Values:
    return {key: (*one.get(key, ()), *other.get(key, ())) for key in {**one, **other}}


def _pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _PIECE_BYTES):
        yield data[at : at + _PIECE_BYTES]


def _placed(problem: Problem, message: Understood) -> Problem:
    """A line of a packed document is none of the message's."""
    if not message.packed:
        return replace(problem, xpath=problem.xpath or "/*/Payload")
    line = "" if problem.line is None else f"line {problem.line} of the unpacked payload"
    detail = ", ".join(filter(None, (problem.detail, line)))
    return Problem(problem.code, detail, "/*/Payload/Compressed")
