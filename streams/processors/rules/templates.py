"""Payloads with places for expressions: XML whose texts and attributes hold `${expression}`.

Lives here: reading a template, and the element it makes of values. Must not live here: the message
around the payload (see `actions`).

    <cause>Voltage ${event.analogValue} V</cause>     values are put in as text, never as XML
    <mRID>${event.feeder.mRID}</mRID>                 left out where the value is null
    <UsagePoints r:each="point in event.usagePoints"> once for each item of a list
      <mRID>${point.mRID}</mRID>
    </UsagePoints>

An element is left out where a value in it is null, and where all that it would hold is left out.
`r` is the prefix of urn:cimstream:rules:1. An expression has no `}` in it.

Invariant: what is made has only elements and attributes of the template, whatever the values hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, Self, cast

from lxml import etree

from schemas.errors import MessageError
from schemas.times import from_epoch_ms
from schemas.xml import parse
from streams.processors.rules.expressions import Expression, ExpressionError, Language
from streams.processors.rules.fields import Field, Part

NAMESPACE: Final = "urn:cimstream:rules:1"
_EACH: Final = f"{{{NAMESPACE}}}each"
_LOOP: Final = re.compile(r"\s*([A-Za-z]\w*) in ([\w.]+)\s*", re.ASCII)
_HOLE: Final = re.compile(r"\$\{([^}]*)\}")

Values = Mapping[str, object]


class TemplateError(Exception):
    """A template that cannot be used, with the element where it is wrong."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Pieces of text and expressions, in their order."""

    pieces: tuple[str | Expression, ...]

    def render(self, values: Values) -> str | None:
        """The text; None where a value in it is null."""
        parts = [
            piece if isinstance(piece, str) else _written(piece.evaluate(values))
            for piece in self.pieces
        ]
        return None if None in parts else "".join(part for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class _Loop:
    """`name in items`; `items` is a name, or a list of an item of a loop around this one."""

    name: str
    items: str

    def items_of(self, values: Values) -> Iterable[object]:
        """What to repeat the element for."""
        around, _, inner = self.items.partition(".")
        item = values.get(around)
        items = item.get(inner) if isinstance(item, Mapping) else values[self.items]
        return items if isinstance(items, list) else ()


@dataclass(frozen=True, slots=True)
class _Element:
    tag: str
    namespaces: Mapping[str | None, str]
    attributes: Mapping[str, _Text]
    text: _Text
    children: tuple[_Element, ...]
    loop: _Loop | None

    def render(self, values: Values) -> Iterator[etree._Element]:
        """The element: once, as often as its loop says, or not at all."""
        if self.loop is None:
            made = self._once(values)
            if made is not None:
                yield made
            return
        for item in self.loop.items_of(values):
            made = self._once({**values, self.loop.name: item})
            if made is not None:
                yield made

    def _once(self, values: Values) -> etree._Element | None:
        attributes = {name: text.render(values) for name, text in self.attributes.items()}
        text = self.text.render(values)
        if text is None or None in attributes.values():
            return None
        element = etree.Element(self.tag, nsmap=dict(self.namespaces))  # type: ignore[arg-type]
        for name, value in attributes.items():
            element.set(name, value or "")
        element.text = text or None
        for child in self.children:
            element.extend(list(child.render(values)))
        if self.children and not len(element):
            return None
        return element


@dataclass(frozen=True, slots=True)
class Template:
    """A payload with places for values."""

    tag: str
    namespace: str
    _root: _Element

    @classmethod
    def parse(cls, text: str, language: Language) -> Self:
        """Read a template whose expressions are of `language`.

        Raises:
            TemplateError: it is no XML, or an expression or a loop in it is wrong.
        """
        try:
            root = parse(text.strip().encode())
        except MessageError as error:
            raise TemplateError(f"it is not well-formed XML: {error}") from error
        name = etree.QName(root)
        element = _read(root, language)
        if element.loop is not None:
            raise TemplateError("the payload itself is not repeated")
        return cls(name.localname, name.namespace or "", element)

    def render(self, values: Values) -> etree._Element:
        """The payload for these values.

        Raises:
            ExpressionError: an expression has no value, or one that XML cannot write.
        """
        try:
            made = self._root._once(values)  # noqa: SLF001 - of this module
        except ValueError as error:
            raise ExpressionError("a value has characters that XML has no place for") from error
        if made is None:
            raise ExpressionError("nothing is left of the payload")
        return made


def _read(element: etree._Element, language: Language) -> _Element:
    where = etree.QName(element).localname
    loop, names = _loop(element, language)
    if loop is not None:
        language = language.with_names(names)
    attributes = {
        name: _text(value, language, f"{where}/@{name}")
        for name, value in cast("Mapping[str, str]", element.attrib).items()
        if name != _EACH
    }
    children = list(element.iterchildren(etree.Element))
    text = element.text or ""
    if children:
        loose = text + "".join(child.tail or "" for child in children)
        if loose.strip():
            raise TemplateError(f"{where}: text beside elements")
        text = ""
    return _Element(
        str(element.tag),
        {prefix: uri for prefix, uri in element.nsmap.items() if uri != NAMESPACE},
        attributes,
        _text(text if children else text.strip(), language, where),
        tuple(_read(child, language) for child in children),
        loop,
    )


def _loop(element: etree._Element, language: Language) -> tuple[_Loop | None, Mapping[str, Field]]:
    said = element.get(_EACH)
    if said is None:
        return None, {}
    where = etree.QName(element).localname
    match = _LOOP.fullmatch(said)
    if match is None:
        raise TemplateError(f"{where}: each is written `item in event.list`")
    name, items = match.groups()
    field = _named(items, language.names)
    if field is None or not field.many:
        raise TemplateError(f"{where}: each: {items} is no list")
    if name in language.names:
        raise TemplateError(f"{where}: each: {name} is the name of something else")
    return _Loop(name, items), {name: replace(field, many=False)}


def _named(name: str, names: Mapping[str, Field]) -> Field | None:
    """The field of this name, or that of an item of a loop."""
    around, _, inner = name.partition(".")
    item = names.get(around)
    if item is not None and isinstance(item.type, Part):
        return item.type.fields.get(inner)
    return names.get(name)


def _text(text: str, language: Language, where: str) -> _Text:
    pieces: list[str | Expression] = []
    behind = 0
    for hole in _HOLE.finditer(text):
        pieces.append(text[behind : hole.start()])
        try:
            pieces.append(language.compile(hole[1].strip()))
        except ExpressionError as error:
            raise TemplateError(f"{where}: {error}") from error
        behind = hole.end()
    pieces.append(text[behind:])
    if any("${" in piece for piece in pieces if isinstance(piece, str)):
        raise TemplateError(f"{where}: ${{ without its }}")
    return _Text(tuple(piece for piece in pieces if piece))


def _written(value: object) -> str | None:
    """A value as XML Schema writes it; None for null."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if value - value == 0:  # neither infinite nor no number
            return format(Decimal(repr(value)), "f")
        case datetime():
            return from_epoch_ms(round(value.timestamp() * 1000))
    raise ExpressionError(f"a {type(value).__name__} is no text")
