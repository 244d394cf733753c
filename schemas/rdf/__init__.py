"""What a CIM RDF/XML document (IEC 61970-552) says.

Lives here: reading full and difference models object by object (`reader`, and `enclosed` in a
message), the one form of an identity (`names`), classes and attributes of the CIM (`vocabulary`),
what is wrong with a whole model (`checks`), changing a set of objects by a difference
(`differences`), objects as Avro records and as RDF/XML again (`records`, `writer`). Must not live
here: which version of a model is current, Kafka, files.

Invariant: reading what was written, by `writer` or through `records`, gives the same objects.
"""

from schemas.rdf.enclosed import read_enclosed
from schemas.rdf.limits import RdfLimits
from schemas.rdf.model import CimObject, Kind, ModelHeader, Part
from schemas.rdf.reader import Document, read

__all__ = [
    "CimObject",
    "Document",
    "Kind",
    "ModelHeader",
    "Part",
    "RdfLimits",
    "read",
    "read_enclosed",
]
