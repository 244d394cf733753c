"""What stands in a Payload: one noun element, an OperationSet, Compressed, or IDs.

Lives here: the four forms and the agreement with the Header. Must not live here: what is
inside the noun element (see `profiles`), and whether the verb needs a payload at all
(see the catalogue). Invariant: a Compressed payload never takes more memory than the
limits say, whatever its bytes claim; one of format RDF is not unpacked here at all.
"""

import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from schemas.canonical import WHITE_SPACE
from schemas.envelope.model import Header, ObjectId, Operation, OperationSet
from schemas.envelope.namespaces import KIND_OF_VERB, VERB_SPELLINGS, means_message
from schemas.errors import MessageError, Problem
from schemas.xml import XmlLimits, line_of, parse

_STRUCTURE_ONCE: Final = ("OperationSet", "Compressed", "Format")
_STRUCTURE: Final = (*_STRUCTURE_ONCE, "ID")
RDF: Final = "RDF"
"""The Format of a Compressed payload that is an RDF/XML document."""
_OPERATION_FIELDS: Final = frozenset({"operationId", "noun", "verb", "elementOperation"})
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
# xs:integer as far as anybody numbers operations; int() would take longer ones, slowly.
_INTEGER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Payload:
    """What was found; at most one of `element`, `operation_set`, `ids` and `packed` is there."""

    element: etree._Element | None = None
    operation_set: OperationSet | None = None
    ids: tuple[ObjectId, ...] = ()
    format: str = ""
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which envelope: the namespace of its root, and the path.

    The envelope's own elements are in the root's namespace, or in that of an edition.
    """

    namespace: str
    path: str

    def below(self, name: str) -> "Place":
        """The place one element further down."""
        return Place(self.namespace, f"{self.path}/{name}")

    def error(self, code: str, detail: str, at: etree._Element) -> MessageError:
        """The error for the element `at`, which is this place."""
        return MessageError.of(code, detail, xpath=self.path, line=line_of(at))

    def own_name(self, element: etree._Element) -> str:
        """The local name of an element of the envelope itself, "" for any other."""
        namespace, _, local = element.tag.rpartition("}")
        space = namespace[1:]
        return local if space == self.namespace or means_message(space) else ""


def text_of(element: etree._Element) -> str:
    """The text of a leaf without white space around it; "" where there is none."""
    text = element.text
    return text.strip(WHITE_SPACE) if text else ""


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def boolean(text: str) -> bool | None:
    """xs:boolean, capitals tolerated (.NET writes True); None for anything else."""
    return _BOOLEANS.get(text.lower())


def integer(text: str) -> int | None:
    """xs:integer of up to 18 digits; None for anything else."""
    return int(text) if _INTEGER.fullmatch(text) else None


def normal_verb(text: str) -> str:
    """The verb in lower case and in the standard's spelling; not checked otherwise."""
    verb = text.lower()
    return VERB_SPELLINGS.get(verb, verb)


def object_ids(elements: list[etree._Element], place: Place) -> tuple[ObjectId, ...]:
    """ID elements that stand beside each other, with their places."""
    return tuple(
        replace(
            object_id(element),
            xpath=f"{place.path}/ID[{number}]" if len(elements) > 1 else f"{place.path}/ID",
            line=line_of(element),
        )
        for number, element in enumerate(elements, 1)
    )


def object_id(element: etree._Element) -> ObjectId:
    """An ID element with its attributes."""
    text = text_of(element)
    if not element.attrib:
        return ObjectId(text)
    get = element.get
    return ObjectId(
        value=text,
        kind=get("kind", ""),
        id_type=get("idType", ""),
        id_authority=get("idAuthority", ""),
        object_type=get("objectType", ""),
    )


def read_payload(
    element: etree._Element, header: Header, place: Place, limits: XmlLimits
) -> Payload:
    """The content of a Payload element, decompressed where it is Compressed.

    An empty noun element beside an OperationSet or Compressed counts as absent: the typed
    schemas make it mandatory there.

    Raises:
        MessageError: `payload_mismatch`, `payload_format_unknown`, `operation_invalid`,
            `compressed_…`, or an `xml_…` code from inside Compressed.
    """
    nouns: list[etree._Element] = []
    parts: dict[str, list[etree._Element]] = {name: [] for name in _STRUCTURE}
    for child in element:
        parts.get(place.own_name(child), nouns).append(child)
    for name in _STRUCTURE_ONCE:
        if len(parts[name]) > 1:
            raise place.below(name).error("payload_mismatch", "given twice", parts[name][1])
    form = text_of(parts["Format"][0]) if parts["Format"] else ""
    sets = parts["OperationSet"]
    packed = [part for part in parts["Compressed"] if len(part) or text_of(part)]
    if sets or packed:
        nouns = [noun for noun in nouns if len(noun) or text_of(noun)]
    if sum(map(bool, (nouns, sets, packed, parts["ID"]))) > 1 or len(nouns) > 1:
        raise place.error("payload_mismatch", "more than one payload", element)
    if packed and form.upper() == RDF:
        return Payload(format=RDF, packed=_packed(packed[0], place.below("Compressed")))
    if (nouns or packed) and form.upper() not in ("", "XML"):
        raise place.error("payload_format_unknown", "Format is not XML", element)
    if sets:
        return Payload(
            operation_set=_operation_set(sets[0], header, place.below("OperationSet")), format=form
        )
    if packed:
        inner = _unpacked_element(packed[0], place.below("Compressed"), limits)
        _agree(inner, header.verb, header.noun, place.below("Compressed"))
        return Payload(element=inner, format=form)
    if nouns:
        _agree(nouns[0], header.verb, header.noun, place.below(local_name(nouns[0])))
        return Payload(element=nouns[0], format=form)
    return Payload(ids=object_ids(parts["ID"], place), format=form)


def _own(element: etree._Element, name: str, place: Place) -> list[etree._Element]:
    return [child for child in element if place.own_name(child) == name]


def _agree(element: etree._Element, verb: str, noun: str, place: Place) -> None:
    """The element is the noun, or in a query the criteria for it; "" agrees with all.

    One of them may be in the singular: what is meant is the same.
    """
    name = local_name(element)
    if not noun or name in (noun, f"{noun}s") or f"{name}s" == noun:
        return
    if verb == "get" and name == f"Get{noun}":
        return
    raise place.error("payload_mismatch", "not named like the Header's Noun", element)


def _operation_set(element: etree._Element, header: Header, place: Place) -> OperationSet:
    flags = {"enforceMsgSequence": False, "enforceTransactionalIntegrity": False}
    for name in flags:
        found = _own(element, name, place)
        if not found:
            continue
        flag = boolean(text_of(found[0]))
        if flag is None or len(found) > 1:
            raise place.below(name).error("operation_invalid", "not one boolean", found[0])
        flags[name] = flag
    operations = tuple(_operations(element, header, place.below("Operation")))
    if len({operation.operation_id for operation in operations}) < len(operations):
        raise place.error("operation_invalid", "an operationId is given twice", element)
    return OperationSet(
        enforce_sequence=flags["enforceMsgSequence"],
        enforce_integrity=flags["enforceTransactionalIntegrity"],
        operations=operations,
    )


def _operations(element: etree._Element, header: Header, place: Place) -> Iterator[Operation]:
    steps = _own(element, "Operation", place)
    for position, child in enumerate(steps, 1):
        fields: dict[str, str] = {}
        payloads: list[etree._Element] = []
        for part in child:
            name = place.own_name(part)
            if name not in _OPERATION_FIELDS:
                payloads.append(part)
            elif name in fields:
                raise place.below(name).error("operation_invalid", "given twice", part)
            else:
                fields[name] = text_of(part)
        if len(payloads) > 1:
            raise place.error("operation_invalid", "more than one payload element", child)
        number = integer(fields.get("operationId", ""))
        if number is None:
            raise place.error("operation_invalid", "no integer operationId", child)
        verb = normal_verb(fields.get("verb", "")) or header.verb
        if verb not in KIND_OF_VERB:
            raise place.error("operation_invalid", "unknown verb", child)
        noun = fields.get("noun", "") or header.noun
        of_element = boolean(fields.get("elementOperation", "") or "false")
        if of_element is None:
            raise place.error("operation_invalid", "elementOperation: no boolean", child)
        payload = payloads[0] if payloads else None
        if payload is not None:
            _agree(payload, verb, noun, place.below(local_name(payload)))
        at = f"{place.path}[{position}]" if len(steps) > 1 else place.path
        yield Operation(number, noun, verb, of_element, payload, at, line_of(child))


def _packed(element: etree._Element, place: Place) -> bytes:
    if len(element):
        raise place.error("compressed_invalid", "elements instead of base64", element)
    try:
        return binascii.a2b_base64("".join(text_of(element).split()), strict_mode=True)
    except ValueError:
        raise place.error("compressed_invalid", "not base64", element) from None


def _unpacked_element(element: etree._Element, place: Place, limits: XmlLimits) -> etree._Element:
    packed = _packed(element, place)
    try:
        unpacked = unpack(packed, limits)
        return parse(unpacked, replace(limits, bytes_max=limits.unpacked_bytes_max))
    except MessageError as error:
        problems = (
            Problem(
                problem.code,
                detail=_inside(problem),
                xpath=place.path,
                line=line_of(element),
            )
            for problem in error.problems
        )
        raise MessageError(*problems) from None


def _inside(problem: Problem) -> str:
    line = "" if problem.line is None else f"line {problem.line} of the unpacked payload"
    return ", ".join(filter(None, (problem.detail, line)))


def unpack(packed: bytes, limits: XmlLimits) -> bytes:
    """The content of one complete gzip stream.

    No more than the limit is ever decompressed: the limit is the smaller of
    `unpacked_bytes_max` and the ratio's (which small streams are free of).

    Raises:
        MessageError: `compressed_invalid` (not gzip, damaged, cut off, or with bytes after
            its end, which includes a second gzip member), `compressed_too_large`,
            `compressed_ratio`.
    """
    by_ratio = max(limits.unpacked_bytes_free, limits.unpacked_ratio_max * len(packed))
    allowed = min(limits.unpacked_bytes_max, by_ratio)
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        # One byte more than allowed tells too much from just enough.
        unpacked = inflater.decompress(packed, allowed + 1)
    except zlib.error:
        raise MessageError.of("compressed_invalid", "not a gzip stream, or damaged") from None
    if len(unpacked) > limits.unpacked_bytes_max:
        raise MessageError.of(
            "compressed_too_large", f"more than {limits.unpacked_bytes_max} bytes"
        )
    if len(unpacked) > allowed:
        raise MessageError.of("compressed_ratio", f"more than {limits.unpacked_ratio_max}:1")
    if not inflater.eof:
        raise MessageError.of("compressed_invalid", "the gzip stream is cut off")
    if inflater.unused_data:
        raise MessageError.of("compressed_invalid", "bytes after the end of the gzip stream")
    return unpacked
