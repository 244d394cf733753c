"""An RDF/XML document that is an element of a larger one, such as the payload of a message.

Lives here: finding it and passing on what is inside. Must not live here: what stands around it.

Invariant: lines are those of the whole document, and a namespace that is declared outside counts
inside.
"""

from collections.abc import Iterable
from typing import Final

from schemas import xml
from schemas.errors import MessageError
from schemas.rdf.limits import DEFAULT, RdfLimits
from schemas.rdf.names import RDF
from schemas.rdf.reader import Document, read

ROOT: Final = f"{RDF}}}RDF"


def read_enclosed(pieces: Iterable[bytes], limits: RdfLimits = DEFAULT) -> Document:
    """Read the first element rdf:RDF of what comes in pieces, as far as its header.

    Raises:
        MessageError: as `read`; `rdf_invalid` where there is a second one.
    """
    return read(pieces, limits, _Enclosed)


class _Enclosed:
    """Passes on the events from rdf:RDF to its end."""

    def __init__(self, reader: xml.Events) -> None:
        self._reader = reader
        self._depth = 0
        self._done = False

    def declared(self, prefix: str | None, namespace: str | None) -> None:
        """Declarations count wherever they stand."""
        if not self._done:
            self._reader.declared(prefix, namespace)

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        """Begin to pass on with rdf:RDF."""
        if self._depth or name == ROOT:
            if self._done:
                raise MessageError.of("rdf_invalid", "a second document", line=line)
            self._depth += 1
            self._reader.start(name, attributes, line)

    def text(self, data: str) -> None:
        """Text of the document only."""
        if self._depth:
            self._reader.text(data)

    def end(self, name: str) -> None:
        """Stop with the end of rdf:RDF."""
        if self._depth:
            self._depth -= 1
            self._done = not self._depth
            self._reader.end(name)
