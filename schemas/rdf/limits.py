"""How large a document of CIM RDF/XML may be."""

from dataclasses import dataclass
from typing import Final

from schemas import xml


@dataclass(frozen=True, slots=True)
class RdfLimits:
    """How large a document, and one object of it, may be.

    `object_chars_max` counts characters of values, and 64 for each value.
    """

    stream: xml.StreamLimits = xml.STREAM
    # 150,000 references of one object: a topological island of a large network.
    object_chars_max: int = 16 * xml.MIB


DEFAULT: Final = RdfLimits()
