"""The XSD of a noun, applied to one object at a time.

Lives here: compiling a profile's XSD for the namespace of each year, and libxml2's verdict
in our codes. Must not live here: rules that an XSD cannot say.

Invariant: what this passes has the elements and cardinality of the profile, in its order; the
readers rely on it and look only for what they need.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Final

from lxml import etree

from schemas.errors import MessageError, Problem
from schemas.profiles import pieces
from schemas.profiles.places import PROBLEMS_MAX, Findings, local_name, located

_YEAR_IN_FILE: Final = "2011"
_YEARS: Final = tuple(str(year) for year in range(2009, 2018))
_ERRORS: Final = etree.ErrorTypes
_REASONS: Final = {
    _ERRORS.SCHEMAV_ELEMENT_CONTENT: "an element is missing or not allowed here",
    _ERRORS.SCHEMAV_CVC_COMPLEX_TYPE_2_3: "text between elements",
    _ERRORS.SCHEMAV_CVC_COMPLEX_TYPE_2_1: "content in an element that must be empty",
    _ERRORS.SCHEMAV_CVC_COMPLEX_TYPE_3_2_1: "an attribute that is not part of the profile",
    _ERRORS.SCHEMAV_CVC_COMPLEX_TYPE_3_2_2: "an attribute that is not part of the profile",
    _ERRORS.SCHEMAV_CVC_COMPLEX_TYPE_4: "an attribute is missing",
    _ERRORS.SCHEMAV_CVC_DATATYPE_VALID_1_2_1: "not of the type that the profile asks for",
    _ERRORS.SCHEMAV_CVC_ENUMERATION_VALID: "not one of the values that the profile lists",
    _ERRORS.SCHEMAV_CVC_ELT_1: "not an object of the profile",
}
_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_FIRST: Final = itemgetter(0)


class ObjectSchema:
    """The XSD of one noun.

    `missing` gives the code for a child element or its `ref` that is not there, where the
    generic `profile_violation` would say too little.
    """

    def __init__(self, file: Path, noun: str, missing: Mapping[str, str]) -> None:
        self._text = file.read_text(encoding="utf-8")
        self._noun = noun
        self._missing = missing
        self._tags = {_namespace(noun, year): year for year in _YEARS}
        self._compiled = lru_cache(maxsize=None)(self._compile)
        self._order = _Order(etree.fromstring(self._text.encode()))

    def namespace_of(self, payload: etree._Element) -> str:
        """The payload's namespace.

        Raises:
            MessageError: `noun_unknown`: another element, or a namespace that is not known.
        """
        tag = etree.QName(payload)
        if tag.localname != self._noun or tag.namespace not in self._tags:
            raise MessageError.of("noun_unknown", f"the payload is no {self._noun} known here")
        return tag.namespace

    def problems(
        self, element: etree._Element, namespace: str, findings: Findings
    ) -> tuple[Problem, ...]:
        """What is wrong with one object, noted in its `findings`; empty when it is valid.

        The order of children of different names says nothing in the CIM, and people and
        systems that write XML by hand do not keep it (docs/adr/0005). So an object that is
        not valid as it came is put in the profile's order, in place, and judged again.
        """
        schema = self._compiled(namespace)
        crowded = pieces.crowded(element)
        if crowded:
            self._order.restore(element)
        for parent in crowded:
            faults = pieces.faults(element, parent, schema, PROBLEMS_MAX)
            if faults:
                return self._noted(faults, findings)
        if schema.validate(element):
            return ()
        if self._order.restore(element) and schema.validate(element):
            return ()
        entries: Iterable[etree._LogEntry] = schema.error_log  # type: ignore[assignment]
        return self._noted(((e, located(element, e.path or "")) for e in entries), findings)

    def _noted(self, faults: Iterable[pieces.Fault], findings: Findings) -> tuple[Problem, ...]:
        for entry, at in faults:
            if findings.full:
                break
            findings.add(self._code(entry, at), at, _reason(entry))
        return tuple(dict.fromkeys(findings.problems))

    def _code(self, entry: etree._LogEntry, at: etree._Element) -> str:
        if entry.type == _ERRORS.SCHEMAV_CVC_COMPLEX_TYPE_4:
            return self._missing.get(local_name(at), "profile_violation")
        if entry.type == _ERRORS.SCHEMAV_ELEMENT_CONTENT and "Missing child" in entry.message:
            present = {local_name(child) for child in at}
            for name, code in self._missing.items():
                if f"}}{name}" in entry.message and name not in present:
                    return code
        if entry.type == _ERRORS.SCHEMAV_CVC_DATATYPE_VALID_1_2_1 and entry.message.endswith(
            "'xs:dateTime'."
        ):
            return "timestamp_invalid"
        return "profile_violation"

    def _compile(self, namespace: str) -> etree.XMLSchema:
        text = self._text.replace(_namespace(self._noun, _YEAR_IN_FILE), namespace)
        return etree.XMLSchema(etree.fromstring(text.encode()))


class _Order:
    """The order of children that the sequences of an XSD prescribe, by type."""

    def __init__(self, schema: etree._Element) -> None:
        self._objects = dict(_elements(schema))
        self._types = {
            kind.get("name", ""): dict(_elements(sequence))
            for kind in schema.iterfind(f"{_XS}complexType")
            for sequence in kind.iterfind(f"{_XS}sequence")
        }
        self._places = {
            kind: {name: place for place, name in enumerate(children)}
            for kind, children in self._types.items()
        }

    def restore(self, top: etree._Element) -> bool:
        """Sort the children of `top` and of all below; True if anything was out of order.

        Children of one name keep their order; those the profile does not know go last.
        """
        changed = False
        waiting = [(top, self._objects.get(local_name(top), ""))]
        while waiting:
            element, kind = waiting.pop()
            places, types = self._places.get(kind), self._types.get(kind, {})
            if places is None:
                continue
            children = list(element)
            names = [local_name(child) for child in children]
            order = [places.get(name, len(places)) for name in names]
            if order != sorted(order):
                placed = sorted(zip(order, children, strict=True), key=_FIRST)
                # Each moves to the end; a slice would be replaced in more than linear time.
                element.extend(child for _, child in placed)
                changed = True
            waiting += [(c, types[n]) for c, n in zip(children, names, strict=True) if n in types]
        return changed


def _elements(parent: etree._Element) -> Iterable[tuple[str, str]]:
    for element in parent.iterfind(f"{_XS}element"):
        yield element.get("name", ""), element.get("type", "")


def _namespace(noun: str, year: str) -> str:
    return f"http://iec.ch/TC57/{year}/{noun}#"


def _reason(entry: etree._LogEntry) -> str:
    # libxml2's own message quotes the text it does not like, so it is not used.
    return _REASONS.get(entry.type, f"libxml2 error {entry.type}")
