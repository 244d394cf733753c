"""Namespaces of CIM RDF/XML, and the one key of an object however it is written.

Lives here: which namespaces are versions of the CIM, identities and references to keys and back.
Must not live here: the document's structure.

Invariant: an identity and a reference to it give the same key in every style of IEC 61970-552:
rdf:about="urn:uuid:…" in capitals or not, rdf:ID="_…", "#_…", with or without a base.
"""

import re
from typing import Final

from schemas.mrids import uuid_of

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML: Final = "http://www.w3.org/XML/1998/namespace"
MD: Final = "http://iec.ch/TC57/61970-552/ModelDescription/1#"
# The second one is of IEC 61970-552 edition 1 as several tools read it.
DM: Final = (
    "http://iec.ch/2002/schema/CIM_difference_model#",
    "http://iec.ch/TC57/61970-552/DifferenceModel/1#",
)

# CIM10 to CIM17 and CIM100 of the IEC, CIM101 and CIM18 of the UCAIug.
_CIM: Final = re.compile(
    r"http://iec\.ch/TC57/(?:(?:\d{4}/)?CIM-schema-cim\d+|CIM\d+)#"
    r"|http://cim\.ucaiug\.io/(?:ns|CIM\d+(?:/\w+)?)#"
    r"|http://ucaiug\.org/61970cim\d+v\d+_61968cim\d+v\d+#"
)
_RESEMBLES: Final = re.compile(
    r"CIM-schema|TC57/CIM\d*(?!-|/|\d)|ucaiug\.io/(?:ns|CIM)|ucaiug\.org/61970", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LITERAL: Final = re.compile(r"[A-Za-z]\w*\.[\w.-]+")


def is_cim(namespace: str) -> bool:
    """Whether the namespace is that of a version of the CIM itself, no extension."""
    return _CIM.fullmatch(namespace) is not None


def is_extension(name: str) -> bool:
    """Whether a "{namespace}name" is in a namespace that somebody made for names of their own.

    It is not where there is no namespace, nor where it looks like the CIM's: misspelt, or of
    another version than the rest of the document.
    """
    namespace = name[1:].partition("}")[0]
    return bool(namespace) and _RESEMBLES.search(namespace) is None


def key_of(identity: str) -> str:
    """The key of an object, from rdf:ID, rdf:about or rdf:resource.

    A UUID in lower case; else the fragment of a reference into the same document (with its "#"
    if it would look like an IRI); else the text as it is: an rdf:ID that is no UUID, or an IRI.
    """
    uuid = uuid_of(identity)
    if uuid is not None:
        return uuid
    fragment = identity.removeprefix("#")
    return identity if is_iri(fragment) else fragment


def literal_of(resource: str) -> tuple[str, str] | None:
    """Namespace and name of an enumeration literal ("PhaseCode.A"), or None for an object.

    An IRI with a fragment of the form Kind.literal is one, whatever its namespace: extensions
    have enumerations too. A reference into the same document never is.
    """
    namespace, mark, name = resource.partition("#")
    if not (mark and namespace) or "}" in namespace or uuid_of(resource):
        return None
    namespace += "#"
    if _LITERAL.fullmatch(name) or (name and is_cim(namespace)):
        return namespace, name
    return None


def parted(iri: str) -> tuple[str, str]:
    """Namespace and name of a class, from its IRI."""
    at = max(iri.rfind("#"), iri.rfind("/")) + 1
    return iri[:at], iri[at:]


def is_iri(key: str) -> bool:
    """Whether a key is an IRI: something outside of the models, which nobody here can look up."""
    return _SCHEME.match(key) is not None


_STEP: Final = re.compile(r"(?:\{[^}]*\})?[^/{}^]*(?:\^\^.*)?")


def steps_of(key: str) -> list[str]:
    """The steps of a key to a value: attribute, then class and attribute for each compound."""
    if "/" not in key:
        return [key]
    steps, at = [], 0
    while at <= len(key):
        found = _STEP.match(key, at)
        end = found.end() if found else len(key)
        steps.append(key[at:end])
        at = end + 1
    return steps
