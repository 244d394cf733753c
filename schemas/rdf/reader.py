"""A CIM RDF/XML document, object by object, in bounded memory.

Lives here: pieces of bytes -> the header, then the objects as they end. Must not live here: XML
itself (`schemas.xml`), whether a class or an attribute exists.

Invariant: everything that the document says is in the header or in an object, or the document is
refused; nothing is dropped in silence but comments, processing instructions, an inherited
xml:lang and white space between elements.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from schemas import xml
from schemas.errors import MessageError
from schemas.rdf.drafts import Container, Draft, Node, Property, add
from schemas.rdf.limits import DEFAULT, RdfLimits
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


# Enough for every literal that a model uses; a document with more of them costs time, not memory.
_LITERALS_REMEMBERED: Final = 4096

Within = Callable[[xml.Events], xml.Events]


class Document:
    """A document: its header at once, its objects as it is read, once.

    Iterating raises `MessageError` as `read` does, where the document is wrong further on.
    """

    def __init__(self, header: ModelHeader, objects: Iterator[CimObject]) -> None:
        self.header = header
        self._objects = objects

    def __iter__(self) -> Iterator[CimObject]:
        return self._objects


def read(
    pieces: Iterable[bytes], limits: RdfLimits = DEFAULT, within: Within | None = None
) -> Document:
    """Read a document that comes in pieces, as far as its header.

    A document without header has one of kind FULL that says nothing but the CIM namespace.
    `within` stands between parser and reader: what it passes on is the document.

    Raises:
        MessageError: what `schemas.xml.stream` raises, or `rdf_invalid`.
    """
    items = _items(pieces, limits, within)
    header = next(items)
    if not isinstance(header, ModelHeader):
        raise TypeError("a document's first item is its header")
    return Document(header, _objects(items))


def _objects(items: Iterator[ModelHeader | CimObject]) -> Iterator[CimObject]:
    return (item for item in items if isinstance(item, CimObject))


def _items(
    pieces: Iterable[bytes], limits: RdfLimits, within: Within | None
) -> Iterator[ModelHeader | CimObject]:
    reader = _Reader(limits.object_chars_max)
    for _ in xml.stream(pieces, within(reader) if within else reader, limits.stream):
        if reader.ready:
            yield from reader.ready
            reader.ready.clear()
    if not reader.header_given:
        yield reader.header()
    yield from reader.ready


class _Reader:
    """The events of one document -> header and objects in `ready`."""

    def __init__(self, object_chars_max: int) -> None:
        self.ready: list[ModelHeader | CimObject] = []
        self.header_given = False
        self._most = object_chars_max
        self._stack: list[Container | Node | Property] = []
        self._spaces: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._literals: dict[str, str] = {}
        self._cim: str | None = None
        self._head: Draft | None = None

    # --- events -----------------------------------------------------------------------------

    def declared(self, prefix: str | None, namespace: str | None) -> None:
        """Note a version of the CIM that is declared; the first of a prefix stands."""
        if namespace and is_cim(namespace):
            self._spaces.setdefault(prefix or "", namespace)

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        """Begin an object, a property or a container, as the place says."""
        top = self._stack[-1] if self._stack else None
        if type(top) is Node:
            self._start_property(top, name, attributes, line)
        elif isinstance(top, Property):
            self._start_nested(top, name, attributes, line)
        elif isinstance(top, Container):
            self._stack.append(self._node(name, attributes, line, top.part))
        elif name == _ROOT:
            self._stack.append(Container(Part.MODEL))
        else:
            raise _invalid("the root element is not rdf:RDF", line)

    def text(self, data: str) -> None:
        """Keep the text of a property; elsewhere only white space may stand."""
        top = self._stack[-1]
        if type(top) is Property and not top.done:
            top.text.append(data)
            draft = top.node.draft
            draft.size += len(data)
            if draft.size > self._most:
                raise self._too_large(draft)
        elif not data.isspace():
            raise _invalid("text where only elements may stand", getattr(top, "line", None))

    def end(self, _: str) -> None:
        """Finish what began last."""
        top = self._stack.pop()
        if type(top) is Property:
            if not top.done:
                text = top.text
                said = text[0] if len(text) == 1 else "".join(text)
                add(top.node.draft.attributes, top.name + top.qualifier, said)
        elif isinstance(top, Node) and not top.prefix:
            self._finish(top)

    # --- objects ----------------------------------------------------------------------------

    def _node(
        self, name: str, attributes: dict[str, str], line: int, part: Part,
        owner: Property | None = None,
    ) -> Node:  # fmt: skip
        kind = _KINDS.get(name)
        if kind is None:
            self._give_header()
        elif self.header_given or self._head is not None or owner is not None:
            raise _invalid("a model's header that is not the first element", line)
        draft = Draft(kind, part, line)
        node = Node(draft, owner=owner)
        if kind is not None:
            self._head = draft
        elif name != _DESCRIPTION:
            draft.cls = self._name(name)
        self._identify(draft, attributes)
        self._said_in_attributes(node, attributes, line)
        return node

    @staticmethod
    def _identify(draft: Draft, attributes: dict[str, str]) -> None:
        for name in _ID:
            if name in attributes:
                draft.mrid = key_of(attributes.pop(name))
        for name in _ABOUT:
            if name in attributes:
                about = attributes.pop(name)
                draft.mrid = key_of(about)
                draft.partial = about.startswith("#")

    def _said_in_attributes(self, node: Node, attributes: dict[str, str], line: int) -> None:
        for name, value in attributes.items():
            if name in _NOT_SAID:
                raise _invalid(f"{name.partition('}')[2]} is not read here", line)
            if name == _TYPE:
                self._resource(node, _TYPE, value)
            elif "}" in name and not name.startswith((XML, RDF)):
                key = node.prefix + self._name(name)
                add(node.draft.attributes, key, value)

    def _finish(self, node: Node) -> None:
        draft = node.draft
        if draft.kind is not None:
            return  # given with the first object: only then the CIM namespace is sure
        if not draft.mrid:
            raise MessageError.of("object_unidentified", draft.cls, line=draft.line)
        if node.owner is not None:
            owner = node.owner
            add(owner.node.draft.references, owner.name, draft.mrid)
        self.ready.append(draft.finished())

    # --- what is said of them ---------------------------------------------------------------

    def _start_property(self, node: Node, name: str, attributes: dict[str, str], line: int) -> None:
        draft = node.draft
        if draft.kind is not None:
            part = _PARTS.get(name)
            if part is not None and draft.kind is Kind.DIFFERENCE:
                self._stack.append(Container(part))
                return
            if self.header_given:
                raise _invalid("an element of the header after the differences", line)
        draft.size += _VALUE_CHARS
        if draft.size > self._most:
            raise self._too_large(draft)
        if not attributes:
            own = self._names.get(name) or self._name(name)
            self._stack.append(Property(node, node.prefix + own, "", line, done=False))
            return
        resource = _first(attributes, _RESOURCE)
        parse_type = _first(attributes, _PARSE_TYPE)
        if resource is not None:
            draft.size += len(resource)
            if draft.size > self._most:
                raise self._too_large(draft)
            self._resource(node, name, resource)
            self._stack.append(Property(node, "", "", line, done=True))
        elif parse_type == "Resource":
            self._stack.append(self._compound(node, node.prefix + self._name(name), "", line))
        elif parse_type in (None, "Literal", "Statements"):
            own = node.prefix + self._name(name)
            self._stack.append(Property(node, own, _qualifier(attributes), line, done=False))
        else:
            raise _invalid(f"parseType {parse_type} is not read here", line)

    def _resource(self, node: Node, name: str, resource: str) -> None:
        draft = node.draft
        if name == _TYPE and not draft.cls and draft.kind is None:
            draft.cls = self._name("}".join(parted(resource)))
            return
        key = node.prefix + self._name(name)
        literal = self._literals.get(resource)
        if literal is None or draft.kind is not None:
            parts = literal_of(resource) if draft.kind is None else None
            if parts is None:
                add(draft.references, key, key_of(resource))
                return
            literal = self._name("}".join(parts))
            if len(self._literals) < _LITERALS_REMEMBERED:
                self._literals[resource] = literal
        add(draft.enumerations, key, literal)

    def _start_nested(
        self, owner: Property, name: str, attributes: dict[str, str], line: int
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
    def _compound(node: Node, path: str, cls: str, line: int) -> Node:
        if path in node.draft.paths:
            raise _invalid("a second compound of one attribute", line)
        node.draft.paths.add(path)
        return Node(node.draft, f"{path}/{cls}/")

    def _too_large(self, draft: Draft) -> MessageError:
        detail = f"an object of more than {self._most} characters"
        return MessageError.of("message_too_large", detail, line=draft.line)

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


def _first(attributes: dict[str, str], names: tuple[str, str]) -> str | None:
    found = attributes.get(names[0])
    return attributes.get(names[1]) if found is None else found


def _qualifier(attributes: dict[str, str]) -> str:
    language, datatype = attributes.get(_LANGUAGE), attributes.get(_DATATYPE)
    if language:
        return f"@{language.lower()}"
    return f"^^{datatype}" if datatype else ""


def _invalid(detail: str, line: int | None) -> MessageError:
    return MessageError.of("rdf_invalid", detail, line=line)
