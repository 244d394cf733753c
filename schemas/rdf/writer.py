"""A full model as CIM RDF/XML.

Lives here: header and objects -> bytes, one object at a time. Must not live here: differences,
files.

Invariant: what `reader.read` makes of it are the same header and the same objects, in the same
order; the same objects are the same bytes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from schemas.mrids import is_normal_uuid
from schemas.rdf.model import CimObject, Kind, ModelHeader, Values
from schemas.rdf.names import MD, RDF, is_iri, steps_of

_PREFIXES: Final = {RDF: "rdf", MD: "md"}
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;",
                   "\n": "&#10;", "\t": "&#9;"}  # fmt: skip
_IN_TEXT: Final = str.maketrans({key: _ESCAPES[key] for key in "&<>\r"})
_IN_ATTRIBUTE: Final = str.maketrans(_ESCAPES)
# What stands before the first "@" or "^^" that is not in a namespace is the name.
_KEY: Final = re.compile(r"((?:\{[^}]*\})?[^@^{}]*)(?:@(.+)|\^\^(.+))?")


def write(header: ModelHeader, objects: Iterable[CimObject]) -> Iterator[bytes]:
    """The document in pieces: its beginning, then one piece per object, then its end.

    Raises:
        ValueError: a difference, or a model of objects without a CIM namespace that have names
            of it.
    """
    if header.kind is not Kind.FULL:
        raise ValueError("only full models are written")
    writer = _Writer(header.cim_namespace)
    yield writer.beginning()
    if header.line is not None or header.mrid or header.attributes or header.references:
        lines = writer.values(header.attributes, {}, header.references)
        about = f' rdf:about="{_about(header.mrid)}"' if header.mrid else ""
        yield f"<md:FullModel{about}>\n{lines}</md:FullModel>\n".encode()
    for item in objects:
        yield writer.object(item)
    yield b"</rdf:RDF>\n"


class _Writer:
    """Names with the prefixes of one document."""

    def __init__(self, cim_namespace: str) -> None:
        self._cim = cim_namespace

    def beginning(self) -> bytes:
        spaces = {prefix: space for space, prefix in _PREFIXES.items()}
        if self._cim:
            spaces["cim"] = self._cim
        declared = "".join(
            f' xmlns:{prefix}="{space.translate(_IN_ATTRIBUTE)}"'
            for prefix, space in sorted(spaces.items())
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF{declared}>\n'.encode()

    def object(self, item: CimObject) -> bytes:
        start, end = self._tag(item.cls) if item.cls else ("rdf:Description", "rdf:Description")
        identity = _identity(item.mrid).translate(_IN_ATTRIBUTE)
        if item.partial or is_iri(item.mrid):
            said = f'rdf:about="{identity}"'
        else:
            said = f'rdf:ID="{identity.removeprefix("#")}"'
        lines = self.values(item.attributes, item.enumerations, item.references)
        return f"<{start} {said}>\n{lines}</{end}>\n".encode()

    def values(self, attributes: Values, enumerations: Values, references: Values) -> str:
        """Everything that is said of an object, sorted; compounds as nested elements."""
        leaves = [(key, self._literal(key, value)) for key, found in attributes.items()
                  for value in found]  # fmt: skip
        leaves += [(key, self._resource(key, self._iri(value)))
                   for key, found in enumerations.items() for value in found]  # fmt: skip
        leaves += [(key, self._resource(key, _identity(value)))
                   for key, found in references.items() for value in found]  # fmt: skip
        lines: list[str] = []
        opened: list[tuple[str, str]] = []
        for key, leaf in sorted(leaves, key=lambda entry: steps_of(entry[0])):
            steps = steps_of(key)[:-1]
            shared = _shared(steps, [step for step, _ in opened])
            lines.extend(end for _, end in reversed(opened[shared:]))
            del opened[shared:]
            for at in range(shared, len(steps)):
                start, end = self._step(steps, at)
                lines.append(start)
                opened.append((steps[at], end))
            lines.append(leaf)
        lines.extend(end for _, end in reversed(opened))
        return "".join(lines)

    def _step(self, steps: list[str], at: int) -> tuple[str, str]:
        """Start and end of one element around a nested value."""
        if at % 2:  # a class, which rdf:parseType leaves out
            start, end = self._tag(steps[at]) if steps[at] else ("", "")
            return (f"<{start}>\n", f"</{end}>\n") if start else ("", "")
        start, end = self._tag(steps[at])
        bare = "" if steps[at + 1] else ' rdf:parseType="Resource"'
        return f"<{start}{bare}>\n", f"</{end}>\n"

    def _literal(self, key: str, value: str) -> str:
        name, language, datatype = _split(steps_of(key)[-1])
        start, end = self._tag(name)
        if language:
            start += f' xml:lang="{language.translate(_IN_ATTRIBUTE)}"'
        if datatype:
            start += f' rdf:datatype="{datatype.translate(_IN_ATTRIBUTE)}"'
        return f"<{start}>{value.translate(_IN_TEXT)}</{end}>\n"

    def _resource(self, key: str, iri: str) -> str:
        start, _ = self._tag(steps_of(key)[-1])
        return f'<{start} rdf:resource="{iri.translate(_IN_ATTRIBUTE)}"/>\n'

    def _iri(self, literal: str) -> str:
        if literal.startswith("{"):
            return literal[1:].replace("}", "", 1)
        return self._cim + literal

    def _tag(self, name: str) -> tuple[str, str]:
        """What a start tag says, with a declaration where there is no prefix; and an end tag."""
        if not name.startswith("{"):
            if not self._cim:
                raise ValueError(f"{name} is of the CIM, and the model has no CIM namespace")
            return f"cim:{name}", f"cim:{name}"
        space, _, local = name[1:].partition("}")
        prefix = _PREFIXES.get(space)
        if prefix is not None:
            return f"{prefix}:{local}", f"{prefix}:{local}"
        if not space:
            return local, local
        return f'x:{local} xmlns:x="{space.translate(_IN_ATTRIBUTE)}"', f"x:{local}"


def _split(key: str) -> tuple[str, str | None, str | None]:
    found = _KEY.fullmatch(key)
    return (found[1], found[2], found[3]) if found else (key, None, None)


def _shared(steps: list[str], opened: list[str]) -> int:
    count = 0
    for step, name in zip(steps, opened, strict=False):
        if step != name:
            break
        count += 1
    return count


def _identity(key: str) -> str:
    """A key as a reference to it."""
    if is_iri(key) or key.startswith("#"):
        return key
    return f"#_{key}" if is_normal_uuid(key) else f"#{key}"


def _about(key: str) -> str:
    """The identity of a model, which is never one within the document."""
    return f"urn:uuid:{key}" if is_normal_uuid(key) else key
