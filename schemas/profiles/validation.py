"""The XSD of a noun, applied to one object at a time.

Lives here: compiling a profile's XSD for each namespace it is spoken in, and libxml2's verdict
in our codes. Must not live here: rules that an XSD cannot say.

Invariant: what this passes has the elements and cardinality of the profile, in its order; the
readers rely on it and look only for what they need.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from lxml import etree

from schemas.errors import MessageError, Problem
from schemas.parsers import apart
from schemas.profiles import pieces
from schemas.profiles.namespaces import means
from schemas.profiles.places import PROBLEMS_MAX, Findings, line_of, local_name, located, xpath
from schemas.profiles.shapes import source
from schemas.profiles.tidying import NO_SYNONYMS, Synonyms, Tidying

# The standard's namespaces have a year: http://iec.ch/TC57/2011/MeterReadings#.
_YEAR: Final = re.compile(r"(http://iec\.ch/TC57/)\d{4}(/\w+#)")
_YEARS: Final = range(2009, 2018)
# A system makes one mistake again and again.
_NAMESPACES_REMEMBERED: Final = 256
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
    _ERRORS.SCHEMAV_CVC_AU: "an attribute that does not have the value that the profile fixes",
    _ERRORS.SCHEMAV_CVC_FRACTIONDIGITS_VALID: "more digits behind the point than are kept",
    _ERRORS.SCHEMAV_CVC_MINEXCLUSIVE_VALID: "a number too far from zero",
    _ERRORS.SCHEMAV_CVC_MAXEXCLUSIVE_VALID: "a number too far from zero",
    _ERRORS.SCHEMAV_CVC_ELT_1: "not an object of the profile",
    _ERRORS.SCHEMAV_CVC_ELT_3_1: "xsi:nil; leave out an element that says nothing",
    _ERRORS.SCHEMAV_CVC_ELT_4_1: "an xsi:type that is no name of a type",
    _ERRORS.SCHEMAV_CVC_ELT_4_2: "an xsi:type that the profile does not have",
    _ERRORS.SCHEMAV_CVC_ELT_4_3: "an xsi:type other than the profile's",
    _ERRORS.SCHEMAV_CVC_TYPE_3_1_1: "an attribute that is not part of the profile",
    _ERRORS.SCHEMAV_CVC_TYPE_3_1_2: "elements where the profile has a text",
}


class ObjectSchema:
    """The XSD of one noun.

    `missing` gives the code for a child element or its `ref` that is not there, where the
    generic `profile_violation` would say too little. `synonyms` says, by code list, which word
    of it is meant by a word that others use. `aliases` are namespaces that say the same, `older`
    those of revisions, which are put into the newest before they are judged.
    """

    def __init__(
        self,
        file: Path,
        noun: str,
        missing: Mapping[str, str],
        synonyms: Synonyms = NO_SYNONYMS,
        aliases: Sequence[str] = (),
        older: Sequence[str] = (),
    ) -> None:
        schema = source(file)
        self._text = etree.tostring(schema, encoding="unicode")
        self._noun = noun
        self._missing = missing
        self.namespace = schema.get("targetNamespace", "")
        """The one that is written."""
        self.namespaces = frozenset({*_of_all_years(self.namespace), *aliases})
        """Those that are read as they are."""
        self.known = (self.namespace, *sorted({*aliases, *older}))
        """Those that differ in more than the year, the one that is written first."""
        self._untidy = False
        self._meant = lru_cache(_NAMESPACES_REMEMBERED)(partial(means, known=self.known))
        self._compiled = lru_cache(maxsize=None)(self._compile)
        self._tidying = lru_cache(maxsize=None)(partial(Tidying, schema, synonyms))
        self._tidying(self.namespace)  # a mistake shows when the profile is loaded

    def misspells(self, payload: etree._Element) -> bool:
        """Whether the payload is the noun in a namespace that is meant for it and not known.

        Or in a known one that its objects were not put into: a default namespace of the root alone.
        """
        tag = etree.QName(payload)
        if tag.localname != self._noun:
            return False
        if tag.namespace in self.namespaces:
            first = next(payload.iterchildren("*"), None)
            return first is not None and not str(first.tag).startswith("{")
        return self._meant(tag.namespace or "")

    def namespace_of(self, payload: etree._Element) -> str:
        """The payload's namespace.

        Raises:
            MessageError: `noun_unknown`: another element; `payload_namespace_unknown`.
        """
        tag = etree.QName(payload)
        if tag.localname == self._noun and tag.namespace in self.namespaces:
            return tag.namespace
        code, detail = "noun_unknown", f"the payload is no {self._noun}"
        if tag.localname == self._noun:
            code, detail = "payload_namespace_unknown", f"expected {' or '.join(self.known)}"
        raise MessageError.of(code, detail, xpath=xpath(payload), line=line_of(payload))

    def problems(
        self, element: etree._Element, namespace: str, findings: Findings
    ) -> tuple[Problem, ...]:
        """What is wrong with one object, noted in its `findings`; empty when it is valid.

        The order of children of different names says nothing in the CIM, and people and
        systems that write XML by hand do not keep it (docs/adr/0005). So an object that is
        not valid as it came is put in the profile's order and words, in place, and judged again.
        Who writes another order does so always: after such an object the next is put right first.
        """
        tidying = self._tidying(namespace)
        if element.tag not in tidying.objects:
            findings.add("profile_violation", element, _REASONS[_ERRORS.SCHEMAV_CVC_ELT_1])
            return tuple(findings.problems)
        schema = self._compiled(namespace)
        crowded = pieces.crowded(element)
        judged = not (crowded or self._untidy)
        if judged and schema.validate(element):
            return ()
        tidied = tidying.apply(element)
        self._untidy = bool(tidied)
        for parent in crowded:
            faults = pieces.faults(element, parent, schema, PROBLEMS_MAX)
            if faults:
                tidied.give_words_back()
                return self._noted(faults, findings)
        if (tidied or not judged) and schema.validate(element):
            return ()
        tidied.give_words_back()
        if not findings.told:
            findings.add("profile_violation", element)
            return tuple(findings.problems)
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
        text = self._text.replace(self.namespace, namespace)
        return apart(lambda: etree.XMLSchema(etree.fromstring(text.encode())))


def _of_all_years(namespace: str) -> Iterable[str]:
    match = _YEAR.fullmatch(namespace)
    if match is None:
        return (namespace,)
    return (f"{match[1]}{year}{match[2]}" for year in _YEARS)


def _reason(entry: etree._LogEntry) -> str:
    # libxml2's own message quotes the text it does not like, so it is not used.
    return _REASONS.get(entry.type, f"libxml2 error {entry.type}")
