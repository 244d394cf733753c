"""The classes and attributes of the CIM, as far as models use them: what RDFS profiles say.

Lives here: reading the tables in `classes` and `profiles`, and questions to them. Must not live
here: models.

Invariant: a table has every class that another one names, and every enumeration that is listed
has its literals; what is wrong with a table is a `ValueError` when it is read, not a finding
about somebody's model.

The tables cover CIM16, CIM100 and CIM101 together: a class may stand below several others, because
versions differ. A line of a class reads

    bch = "Susceptance"                               a value; 0..1 unless it says otherwise
    phase = "SinglePhaseKind 1..1"                    a literal of an enumeration
    mainAddress = "StreetAddress"                     a compound
    PerLengthImpedance = "-> PerLengthImpedance 0..1 ACLineSegments"
                                                      a reference; then its inverse, which is an
                                                      attribute of that class, or Class.attribute
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent
_ENUMERATIONS: Final = "enumerations.toml"
_DATATYPES: Final = "datatypes.toml"
# Tables of names that are in the CIM's namespace without being in its UML.
_EXTENSIONS: Final = frozenset({"cimhub.toml", "gmdm.toml"})
_PRIMITIVES: Final = frozenset(
    {"Boolean", "Date", "DateTime", "Decimal", "Float", "Integer", "MonthDay", "String"}
)


class Form(Enum):
    """How an attribute is written."""

    VALUE = "a literal"
    ENUMERATION = "an enumeration value"
    COMPOUND = "a nested element"
    REFERENCE = "a reference"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute or association end.

    `name` is "Conductor.length", `type` the datatype, enumeration, compound or class; `primitive`
    that of a VALUE. `inverse` is the other end of a REFERENCE. `extension`: not in the UML.
    """

    name: str
    form: Form
    type: str
    primitive: str
    mandatory: bool
    many: bool
    inverse: str | None
    extension: bool


@dataclass(frozen=True, slots=True)
class CimClass:
    """One class. `lineage` is the class and all above it, in any version of the CIM."""

    name: str
    lineage: frozenset[str]
    compound: bool
    extension: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """What documents of a profile must say: class -> names of attributes, not inherited ones."""

    name: str
    mandatory: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All tables. `enumerations` lacks those whose literals are not checked."""

    classes: Mapping[str, CimClass]
    attributes: Mapping[str, Attribute]
    enumerations: Mapping[str, frozenset[str]]
    profiles: Mapping[str, Profile]

    def is_a(self, name: str, above: str) -> bool:
        """Whether the class is the other or stands below it; what is not known is nothing."""
        found = self.classes.get(name)
        return found is not None and above in found.lineage

    def mandatory(self, name: str, profiles: tuple[str, ...]) -> frozenset[str]:
        """What an object of the class must say in a document of these profiles (URIs).

        Without a profile that has a table it is what the CIM itself demands. An mRID is never
        among it: the identity of the element says it.
        """
        found = self.classes.get(name)
        if found is None:
            return frozenset()
        known = [self.profiles[uri] for uri in profiles if uri in self.profiles]
        if known:
            wanted = {
                f"{above}.{attribute}"
                for profile in known
                for above in found.lineage
                for attribute in profile.mandatory.get(above, ())
            }
        else:
            owners = found.lineage
            wanted = {
                attribute.name
                for attribute in self.attributes.values()
                if attribute.mandatory and attribute.name.partition(".")[0] in owners
            }
        return frozenset(wanted - {"IdentifiedObject.mRID"})


@cache
def vocabulary() -> Vocabulary:
    """The tables of this installation, read once.

    Raises:
        ValueError: a table has a mistake; the installation is damaged.
    """
    return load(_FOLDER)


def load(folder: Path) -> Vocabulary:
    """Read the tables of a folder. Raises as `vocabulary` does."""
    tables = {file.name: _toml(file) for file in sorted((folder / "classes").glob("*.toml"))}
    literals: dict[str, list[str]] = tables.pop(_ENUMERATIONS)
    datatypes: dict[str, str] = tables.pop(_DATATYPES)
    above: dict[str, tuple[str, ...]] = {}
    compounds: set[str] = set()
    extensions: set[str] = set()
    lines: list[tuple[str, str, str, bool]] = []
    for file, classes in tables.items():
        extension = file in _EXTENSIONS
        for name, entry in classes.items():
            superclass = entry.pop("superclass", ())
            if entry.pop("compound", False):
                compounds.add(name)
            if extension and name not in above:
                extensions.add(name)
            elif name in extensions:
                extensions.remove(name)
            known = (superclass,) if isinstance(superclass, str) else tuple(superclass)
            above[name] = above.get(name, ()) + known
            lines.extend((name, key, text, extension) for key, text in entry.items())
    lineages = {name: frozenset(_lineage(name, above, ())) for name in above}
    reader = _Lines(lineages, compounds, set(literals), datatypes)
    return Vocabulary(
        {
            name: CimClass(name, lineage, name in compounds, name in extensions)
            for name, lineage in lineages.items()
        },
        {f"{line[0]}.{line[1]}": reader.attribute(*line) for line in lines},
        {name: frozenset(found) for name, found in literals.items()},
        dict(_profiles(folder)),
    )


def _toml(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _lineage(
    name: str, above: Mapping[str, tuple[str, ...]], path: tuple[str, ...]
) -> Iterator[str]:
    if name in path:
        raise ValueError(f"{name} is above itself: {' -> '.join(path)}")
    if name not in above:
        raise ValueError(f"{path[-1]}: its superclass {name} is in no table")
    yield name
    for superclass in above[name]:
        yield from _lineage(superclass, above, (*path, name))


class _Lines:
    """Lines of the tables -> attributes."""

    def __init__(
        self,
        classes: Mapping[str, frozenset[str]],
        compounds: set[str],
        enumerations: set[str],
        datatypes: Mapping[str, str],
    ) -> None:
        self._classes = classes
        self._compounds = compounds
        self._enumerations = enumerations
        self._datatypes = datatypes

    def attribute(self, owner: str, key: str, text: str, extension: bool) -> Attribute:
        name = f"{owner}.{key}"
        words = text.removeprefix("-> ").split()
        multiplicity = words[1] if len(words) > 1 else "0..1"
        if multiplicity not in ("0..1", "1..1", "0..n", "1..n"):
            raise ValueError(f"{name}: {multiplicity} is no multiplicity")
        form, primitive = self._form(words[0], reference=text.startswith("-> "))
        inverse = words[2] if len(words) > 2 else None
        if form is Form.REFERENCE and words[0] not in self._classes:
            raise ValueError(f"{name}: the class {words[0]} is in no table")
        if inverse is not None and "." not in inverse:
            inverse = f"{words[0]}.{inverse}"
        return Attribute(
            name, form, words[0], primitive, multiplicity.startswith("1"),
            multiplicity.endswith("n"), inverse, extension,
        )  # fmt: skip

    def _form(self, kind: str, *, reference: bool) -> tuple[Form, str]:
        if reference:
            return Form.REFERENCE, ""
        if kind in self._compounds:
            return Form.COMPOUND, ""
        if kind in _PRIMITIVES or kind in self._datatypes:
            return Form.VALUE, self._datatypes.get(kind, kind)
        if kind in self._classes:
            raise ValueError(f"{kind} is a class: a reference to it begins with ->")
        return Form.ENUMERATION, ""  # listed, or one whose literals are not checked


def _profiles(folder: Path) -> Iterator[tuple[str, Profile]]:
    for file in sorted((folder / "profiles").glob("*.toml")):
        for entry in _toml(file)["profile"]:
            mandatory = {name: tuple(found) for name, found in entry["mandatory"].items()}
            profile = Profile(entry["name"], mandatory)
            yield from ((uri, profile) for uri in entry["uris"])
