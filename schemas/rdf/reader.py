"""A CIM RDF/XML document, object by object, in bounded memory.

Lives here: pieces of bytes -> the header, then the objects as they end. Must not live here: XML
itself (`schemas.xml`), whether a class or an attribute exists.

Invariant: everything that the document says is in the header or in an object, or the document is
refused; nothing is dropped in silence but comments, processing instructions, an inherited
xml:lang and white space between elements.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from schemas import xml
from schemas.errors import MessageError
from schemas.rdf.model import CimObject, Kind, ModelHeader, Part
from schemas.rdf.names import DM, MD, RDF, XML, is_cim, key_of, literal_of, parted


def _rdf(name: str) -> str:
    return f"{RDF}}}{name}"


_ROOT: Final = _rdf("RDF")
_DESCRIPTION: Final = _rdf("Description")
_TYPE: Final = _rdf("type")
_ID: Final = (_rdf("ID"), "ID")
_ABOUT: Final = (_rdf("about"), "about")
_RESOURCE: Final = (_rdf("resource"), "resource")
# One of Jena's test models, which comes from a real exchange, has it without prefix.
_PARSE_TYPE: Final = (_rdf("parseType"), "parseType")
_DATATYPE: Final = _rdf("datatype")
_LANGUAGE: Final = f"{XML}}}lang"
_NOT_SAID: Final = (_rdf("nodeID"), _rdf("bagID"), _rdf("aboutEach"), _rdf("aboutEachPrefix"))

_KINDS: Final = {f"{MD}}}FullModel": Kind.FULL} | {
    f"{space}}}DifferenceModel": Kind.DIFFERENCE for space in DM
}
_PARTS: Final = {
    f"{space}}}{name}": part
    for space in DM
    for name, part in (
        ("forwardDifferences", Part.FORWARD),
        ("reverseDifferences", Part.REVERSE),
        ("preconditions", Part.PRECONDITION),
    )
}
# What a value costs beside its characters, about: a key, a tuple, a string.
_VALUE_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class RdfLimits:
    """How large a document, and one object of it, may be.

    `object_chars_max` counts characters of values, and 64 for each value.
    """

    stream: xml.StreamLimits = xml.STREAM
    # 150,000 references of one object: a topological island of a large network.
    object_chars_max: int = 16 * xml.MIB


DEFAULT: Final = RdfLimits()


class Document:
    """A document: its header at once, its objects as it is read, once.

    Iterating raises `MessageError` as `read` does, where the document is wrong further on.
    """

    def __init__(self, header: ModelHeader, objects: Iterator[CimObject]) -> None:
        self.header = header
        self._objects = objects

    def __iter__(self) -> Iterator[CimObject]:
        return self._objects


def read(pieces: Iterable[bytes], limits: RdfLimits = DEFAULT) -> Document:
    """Read a document that comes in pieces, as far as its header.

    A document without header has one of kind FULL that says nothing but the CIM namespace.

    Raises:
        MessageError: what `schemas.xml.stream` raises, or `rdf_invalid`.
    """
    items = _items(pieces, limits)
    header = next(items)
    if not isinstance(header, ModelHeader):
        raise TypeError("a document's first item is its header")
    return Document(header, _objects(items))


def _objects(items: Iterator[ModelHeader | CimObject]) -> Iterator[CimObject]:
    return (item for item in items if isinstance(item, CimObject))


def _items(pieces: Iterable[bytes], limits: RdfLimits) -> Iterator[ModelHeader | CimObject]:
    reader = _Reader(limits.object_chars_max)
    for _ in xml.stream(pieces, reader, limits.stream):
        if reader.ready:
            yield from reader.ready
            reader.ready.clear()
    if not reader.header_given:
        yield reader.header()
    yield from reader.ready


class _Draft:
    """An object, or the header, while it is being read."""

    __slots__ = ("attributes", "cls", "enumerations", "kind", "line", "mrid", "part", "partial",
                 "paths", "references", "size")  # fmt: skip

    def __init__(self, kind: Kind | None, part: Part, line: int) -> None:
        self.kind = kind
        self.cls = ""
        self.mrid: str | None = None
        self.partial = False
        self.part = part
        self.line = line
        self.attributes: dict[str, list[str]] = {}
        self.enumerations: dict[str, list[str]] = {}
        self.references: dict[str, list[str]] = {}
        self.paths: set[str] = set()
        self.size = 0

    def finished(self) -> CimObject:
        return CimObject(
            self.cls,
            self.mrid or "",
            {key: tuple(values) for key, values in self.attributes.items()},
            {key: tuple(values) for key, values in self.enumerations.items()},
            {key: tuple(values) for key, values in self.references.items()},
            self.partial,
            self.part,
            self.line,
        )


class _Node:
    """An element that stands for an object, for the header, or for a compound inside one."""

    __slots__ = ("draft", "owner", "prefix")

    def __init__(self, draft: _Draft, prefix: str = "", owner: "_Property | None" = None) -> None:
        self.draft = draft
        self.prefix = prefix  # path of a compound, "" for the object itself
        self.owner = owner  # the property that it is the value of


class _Property:
    """An element that stands for something that is said of an object."""

    __slots__ = ("done", "line", "name", "node", "qualifier", "text")

    def __init__(self, node: _Node, name: str, qualifier: str, line: int, *, done: bool) -> None:
        self.node = node
        self.name = name
        self.qualifier = qualifier
        self.line = line
        self.done = done  # its value is known: a resource, or a nested element
        self.text: list[str] = []


class _Container:
    """The document itself, or one side of a difference: what objects stand in."""

    __slots__ = ("part",)

    def __init__(self, part: Part) -> None:
        self.part = part


class _Reader:
    """The events of one document -> header and objects in `ready`."""

    def __init__(self, object_chars_max: int) -> None:
        self.ready: list[ModelHeader | CimObject] = []
        self.header_given = False
        self._most = object_chars_max
        self._stack: list[_Container | _Node | _Property] = []
        self._spaces: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._cim: str | None = None
        self._head: _Draft | None = None

    # --- events -----------------------------------------------------------------------------

    def declared(self, prefix: str | None, namespace: str | None) -> None:
        """Note a version of the CIM that is declared; the first of a prefix stands."""
        if namespace and is_cim(namespace):
            self._spaces.setdefault(prefix or "", namespace)

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        """Begin an object, a property or a container, as the place says."""
        top = self._stack[-1] if self._stack else None
        if isinstance(top, _Node):
            self._start_property(top, name, attributes, line)
        elif isinstance(top, _Property):
            self._start_nested(top, name, attributes, line)
        elif isinstance(top, _Container):
            self._stack.append(self._node(name, attributes, line, top.part))
        elif name == _ROOT:
            self._stack.append(_Container(Part.MODEL))
        else:
            raise _invalid("the root element is not rdf:RDF", line)

    def text(self, data: str) -> None:
        """Keep the text of a property; elsewhere only white space may stand."""
        top = self._stack[-1]
        if isinstance(top, _Property) and not top.done:
            top.text.append(data)
            self._grow(top.node.draft, len(data))
        elif not data.isspace():
            raise _invalid("text where only elements may stand", getattr(top, "line", None))

    def end(self, _: str) -> None:
        """Finish what began last."""
        top = self._stack.pop()
        if isinstance(top, _Property):
            if not top.done:
                values = top.node.draft.attributes
                values.setdefault(top.name + top.qualifier, []).append("".join(top.text))
        elif isinstance(top, _Node) and not top.prefix:
            self._finish(top)

    # --- objects ----------------------------------------------------------------------------

    def _node(
        self, name: str, attributes: dict[str, str], line: int, part: Part,
        owner: _Property | None = None,
    ) -> _Node:  # fmt: skip
        kind = _KINDS.get(name)
        if kind is None:
            self._give_header()
        elif self.header_given or self._head is not None or owner is not None:
            raise _invalid("a model's header that is not the first element", line)
        draft = _Draft(kind, part, line)
        node = _Node(draft, owner=owner)
        if kind is not None:
            self._head = draft
        elif name != _DESCRIPTION:
            draft.cls = self._name(name)
        self._identify(draft, attributes)
        self._said_in_attributes(node, attributes, line)
        return node

    @staticmethod
    def _identify(draft: _Draft, attributes: dict[str, str]) -> None:
        for name in _ID:
            if name in attributes:
                draft.mrid = key_of(attributes.pop(name))
        for name in _ABOUT:
            if name in attributes:
                about = attributes.pop(name)
                draft.mrid = key_of(about)
                draft.partial = about.startswith("#")

    def _said_in_attributes(self, node: _Node, attributes: dict[str, str], line: int) -> None:
        for name, value in attributes.items():
            if name in _NOT_SAID:
                raise _invalid(f"{name.partition('}')[2]} is not read here", line)
            if name == _TYPE:
                self._resource(node, _TYPE, value)
            elif "}" in name and not name.startswith((XML, RDF)):
                key = node.prefix + self._name(name)
                node.draft.attributes.setdefault(key, []).append(value)

    def _finish(self, node: _Node) -> None:
        draft = node.draft
        if draft.kind is not None:
            return  # given with the first object: only then the CIM namespace is sure
        if not draft.mrid:
            raise MessageError.of("object_unidentified", draft.cls, line=draft.line)
        if node.owner is not None:
            owner = node.owner
            owner.node.draft.references.setdefault(owner.name, []).append(draft.mrid)
        self.ready.append(draft.finished())

    # --- what is said of them ---------------------------------------------------------------

    def _start_property(
        self, node: _Node, name: str, attributes: dict[str, str], line: int
    ) -> None:
        draft = node.draft
        part = _PARTS.get(name)
        if part is not None and draft.kind is Kind.DIFFERENCE:
            self._stack.append(_Container(part))
            return
        if draft.kind is not None and self.header_given:
            raise _invalid("an element of the header after the differences", line)
        self._grow(draft, _VALUE_CHARS)
        resource = parse_type = None
        if attributes:
            resource = next((attributes[key] for key in _RESOURCE if key in attributes), None)
            parse_type = next((attributes[key] for key in _PARSE_TYPE if key in attributes), None)
        if resource is not None:
            self._grow(draft, len(resource))
            self._resource(node, name, resource)
            self._stack.append(_Property(node, "", "", line, done=True))
        elif parse_type == "Resource":
            self._stack.append(self._compound(node, node.prefix + self._name(name), "", line))
        elif parse_type in (None, "Literal", "Statements"):
            qualifier = _qualifier(attributes) if attributes else ""
            own = node.prefix + self._name(name)
            self._stack.append(_Property(node, own, qualifier, line, done=False))
        else:
            raise _invalid(f"parseType {parse_type} is not read here", line)

    def _resource(self, node: _Node, name: str, resource: str) -> None:
        draft = node.draft
        if name == _TYPE and not draft.cls and draft.kind is None:
            draft.cls = self._name("}".join(parted(resource)))
            return
        literal = literal_of(resource) if draft.kind is None else None
        if literal is None:
            key = node.prefix + self._name(name)
            draft.references.setdefault(key, []).append(key_of(resource))
            return
        key = node.prefix + self._name(name)
        draft.enumerations.setdefault(key, []).append(self._name("}".join(literal)))

    def _start_nested(
        self, owner: _Property, name: str, attributes: dict[str, str], line: int
    ) -> None:
        if owner.done or "".join(owner.text).strip():
            raise _invalid("an element inside of a value", line)
        owner.done = True
        if any(key in attributes for key in (*_ID, *_ABOUT)):
            part = owner.node.draft.part
            self._stack.append(self._node(name, attributes, line, part, owner))
        else:
            node = self._compound(owner.node, owner.name, self._name(name), line)
            self._stack.append(node)
            self._said_in_attributes(node, attributes, line)

    @staticmethod
    def _compound(node: _Node, path: str, cls: str, line: int) -> _Node:
        if path in node.draft.paths:
            raise _invalid("a second compound of one attribute", line)
        node.draft.paths.add(path)
        return _Node(node.draft, f"{path}/{cls}/")

    def _grow(self, draft: _Draft, chars: int) -> None:
        draft.size += chars
        if draft.size > self._most:
            detail = f"an object of more than {self._most} characters"
            raise MessageError.of("message_too_large", detail, line=draft.line)

    # --- names and the header ---------------------------------------------------------------

    def _name(self, raw: str) -> str:
        name = self._names.get(raw)
        if name is None:
            space, _, local = raw.rpartition("}")
            ours = space and space == self._cim
            name = local if ours else f"{{{space}}}{local}"
            if self._cim is not None:
                self._names[raw] = name
        return name

    def _give_header(self) -> None:
        if not self.header_given:
            self.header_given = True
            self.ready.insert(0, self.header())

    def header(self) -> ModelHeader:
        """The header, once an object has begun or the document has ended."""
        spaces = self._spaces
        self._cim = spaces.get("cim") or next(iter(spaces.values()), "")
        draft = self._head
        if draft is None:
            return ModelHeader(Kind.FULL, self._cim)
        done = draft.finished()
        return ModelHeader(
            draft.kind or Kind.FULL,
            self._cim,
            draft.mrid,
            done.attributes,
            done.references,
            draft.line,
        )


def _qualifier(attributes: dict[str, str]) -> str:
    language, datatype = attributes.get(_LANGUAGE), attributes.get(_DATATYPE)
    if language:
        return f"@{language.lower()}"
    return f"^^{datatype}" if datatype else ""


def _invalid(detail: str, line: int | None) -> MessageError:
    return MessageError.of("rdf_invalid", detail, line=line)
