"""The shape of a noun's objects, read from the profile's XSD.

Lives here: XSD -> fields with their names, types and cardinality. Must not live here: XML of
messages (see `mapping`), Avro (see `schemas.avro.derive`).

An XSD says everything that is said about an object: what XML may stand there, what the record
holds, what a field means. So it keeps to the part of the language that all three can follow:
named complex types with a sequence of elements of named types; attributes; simple content with
attributes; named simple types that restrict a built-in one; `xs:include` of a file without a
target namespace. Anything else is refused when the profile is loaded.

Simple content whose attributes are `unit` and `multiplier` is a quantity: a leaf of the record,
in the one unit of its type, whatever multiplier it came with.

A type's or element's documentation may name the glossary's term for it: `source="term:outage"`.

Invariant: the name of a type is the name of its CIM class or data type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from lxml import etree

XS: Final = "{http://www.w3.org/2001/XMLSchema}"
TEXT: Final = "value"
"""The record's field for the text of an element that also has attributes."""
REFERENCE: Final = "Reference"
"""The type of an element that is empty but for its attribute `ref`: a leaf of the record."""
NAME: Final = "Name"
"""The type of a name with its kind and authority: one flat record (see `parts.name_of`)."""
INTERVALS: Final = frozenset({"DateTimeInterval", "ESMP_DateTimeInterval"})
"""The types of a period: its end is not before its start."""
MINUTE: Final = "YMDHM_DateTime"
"""The type of a time that is said to the minute, which XML Schema has no built-in type for."""

_ONE: Final = "1"
# Units that the CIM writes otherwise than people do; of others it writes `/` as `Per`.
_WRITTEN_UNITS: Final = {"var": "VAr", "%": "none"}
_OF_QUANTITIES: Final = frozenset({"unit", "multiplier"})
_TERM: Final = "term:"


class ProfileFileError(Exception):
    """A profile's files have a mistake; nothing that depends on them starts. Never caught."""


class Scalar(Enum):
    """What a leaf holds, by the built-in type that its own type restricts."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "long"
    DECIMAL = "decimal"
    DOUBLE = "double"
    DATE_TIME = "dateTime"
    MINUTE = "minute"
    DATE = "date"
    DURATION = "duration"


_BUILT_IN: Final[Mapping[str, Scalar]] = {
    "anyURI": Scalar.STRING,
    "boolean": Scalar.BOOLEAN,
    "date": Scalar.DATE,
    "dateTime": Scalar.DATE_TIME,
    "decimal": Scalar.DECIMAL,
    "double": Scalar.DOUBLE,
    "duration": Scalar.DURATION,
    "float": Scalar.DOUBLE,
    "int": Scalar.INTEGER,
    "integer": Scalar.INTEGER,
    "language": Scalar.STRING,
    "long": Scalar.INTEGER,
    "nonNegativeInteger": Scalar.INTEGER,
    "positiveInteger": Scalar.INTEGER,
    "string": Scalar.STRING,
    "time": Scalar.STRING,
    "token": Scalar.STRING,
}


@dataclass(frozen=True, slots=True)
class DataType:
    """A leaf's type. `name` is its own where it has one, else "".

    `values` are those of a code list, in the file's order; `unit` is the symbol of the quantity,
    "" where there is none. `scaled` says that an element may have a multiplier before the unit.
    """

    scalar: Scalar
    name: str = ""
    values: tuple[str, ...] = ()
    unit: str = ""
    doc: str = ""
    term: str = ""
    scaled: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object: an element, an attribute, or the text beside attributes.

    `tag` is the local name in XML, "" for the text; `key` the name in the record.
    """

    tag: str
    key: str
    type: DataType | Shape
    many: bool = False
    required: bool = False
    attribute: bool = False
    doc: str = ""
    term: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A CIM class as far as the profile has it, its fields in the order of the XSD.

    Equal to itself only: to compare all that is below it is slow, and readers are kept by shape.
    """

    name: str
    fields: tuple[Field, ...]
    doc: str = ""
    term: str = ""


def source(file: Path) -> etree._Element:
    """The XSD with what it includes put in place of each `xs:include`.

    Raises:
        ProfileFileError: an included file has a target namespace.
    """
    root = etree.fromstring(file.read_bytes())
    for include in root.findall(f"{XS}include"):
        part = etree.fromstring((file.parent / include.get("schemaLocation", "")).read_bytes())
        if part.get("targetNamespace") is not None:
            raise ProfileFileError(f"{file}: what it includes has a namespace of its own")
        root.remove(include)
        root.extend(list(part))
    return root


def read_shape(schema: etree._Element, name: str) -> Shape:
    """The shape of the complex type `name` of a schema from `source`.

    Raises:
        ProfileFileError: there is no such type, or it uses what the dialect does not have.
    """
    return _Reader(schema).shape(name)


def key_of(tag: str) -> str:
    """The record's name for an element or attribute: its first word in small letters.

    `UsagePoint` becomes `usagePoint`, `DERFunction` `derFunction`; `mRID` stays. A dot, which
    Avro does not allow, becomes an underscore.
    """
    name = tag.replace(".", "_")
    match = re.match(r"[A-Z]+", name)
    if match is None:
        return name
    run = match.end()
    if run > 1 and run < len(name) and name[run].islower():
        run -= 1  # the last capital begins the next word
    return name[:run].lower() + name[run:]


class _Reader:
    def __init__(self, schema: etree._Element) -> None:
        self._complex = {e.get("name"): e for e in schema.iterfind(f"{XS}complexType")}
        self._simple = {e.get("name"): e for e in schema.iterfind(f"{XS}simpleType")}
        self._shapes: dict[str, Shape] = {}
        self._open: list[str] = []

    def shape(self, name: str) -> Shape:
        if name in self._open:
            raise ProfileFileError(f"type {name} contains itself: {' > '.join(self._open)}")
        if name not in self._shapes:
            element = self._complex.get(name)
            if element is None:
                raise ProfileFileError(f"there is no complex type {name}")
            self._open.append(name)
            fields = tuple(self._fields(element))
            self._shapes[name] = Shape(name, fields, _doc(element), _term(element))
            self._open.pop()
        return self._shapes[name]

    def _fields(self, element: etree._Element) -> list[Field]:
        fields: list[Field] = []
        for part in element:
            match part.tag.removeprefix(XS):
                case "annotation":
                    pass
                case "sequence":
                    fields += [self._element(child) for child in part]
                case "attribute":
                    fields.append(self._attribute(part))
                case "simpleContent":
                    fields += self._simple_content(part)
                case other:
                    raise ProfileFileError(f"type {element.get('name')}: {other} is not understood")
        return fields

    def _element(self, element: etree._Element) -> Field:
        tag, kind = element.get("name"), element.get("type")
        if element.tag != f"{XS}element" or tag is None or kind is None:
            raise ProfileFileError("a sequence holds named elements of named types, nothing else")
        most = element.get("maxOccurs", _ONE)
        if most not in (_ONE, "unbounded"):
            raise ProfileFileError(f"{tag}: maxOccurs is 1 or unbounded")
        return Field(
            tag,
            key_of(tag),
            self._type(kind),
            many=most != _ONE,
            required=element.get("minOccurs", _ONE) != "0",
            doc=_doc(element),
            term=_term(element),
        )

    def _attribute(self, element: etree._Element) -> Field:
        tag, kind = element.get("name", ""), element.get("type", "")
        required = element.get("use") == "required"
        return Field(
            tag,
            key_of(tag),
            self._data(kind),
            required=required,
            attribute=True,
            doc=_doc(element),
            term=_term(element),
        )

    def _simple_content(self, element: etree._Element) -> list[Field]:
        extension = element.find(f"{XS}extension")
        if extension is None:
            raise ProfileFileError("simple content without an extension is not understood")
        base = self._data(extension.get("base", ""))
        text = Field("", TEXT, base, required=True, doc="The text.")
        return [text, *(self._attribute(e) for e in extension.iterfind(f"{XS}attribute"))]

    def _type(self, name: str) -> DataType | Shape:
        if name == REFERENCE:
            return DataType(Scalar.STRING, REFERENCE, doc="A reference by identifier.")
        element = self._complex.get(name)
        if element is None:
            return self._data(name)
        return self._quantity(name, element) or self.shape(name)

    def _quantity(self, name: str, element: etree._Element) -> DataType | None:
        extension = element.find(f"{XS}simpleContent/{XS}extension")
        if extension is None:
            return None
        fixed = {e.get("name"): e.get("fixed") for e in extension.iterfind(f"{XS}attribute")}
        if fixed.keys() != _OF_QUANTITIES:
            return None
        base, unit = self._data(extension.get("base", "")), _unit(element)
        if base.scalar is not Scalar.DECIMAL or not unit:
            raise ProfileFileError(f"quantity {name}: it is a decimal and has a unit")
        if fixed["unit"] != (written := _WRITTEN_UNITS.get(unit, unit.replace("/", "Per"))):
            raise ProfileFileError(f"quantity {name}: its attribute unit is not fixed to {written}")
        return DataType(base.scalar, name, (), unit, _doc(element), _term(element), scaled=True)

    def _data(self, name: str) -> DataType:
        built_in = _BUILT_IN.get(name.removeprefix("xs:"))
        if built_in is not None and name.startswith("xs:"):
            return DataType(built_in)
        element = self._simple.get(name)
        restriction = None if element is None else element.find(f"{XS}restriction")
        if element is None or restriction is None:
            raise ProfileFileError(f"there is no type {name}, or it restricts none")
        base = self._data(restriction.get("base", ""))
        values = tuple(e.get("value", "") for e in restriction.iterfind(f"{XS}enumeration"))
        return DataType(
            Scalar.MINUTE if name == MINUTE else base.scalar,
            name,
            values or base.values,
            _unit(element) or base.unit,
            _doc(element),
            _term(element),
        )


def _doc(element: etree._Element) -> str:
    text = element.findtext(f"{XS}annotation/{XS}documentation", "")
    return " ".join(text.split())


def _term(element: etree._Element) -> str:
    entry = element.find(f"{XS}annotation/{XS}documentation")
    link = "" if entry is None else entry.get("source", "")
    return link.removeprefix(_TERM) if link.startswith(_TERM) else ""


def _unit(element: etree._Element) -> str:
    return element.findtext(f"{XS}annotation/{XS}appinfo/{{*}}unit", "").strip()
