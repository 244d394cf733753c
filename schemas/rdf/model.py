"""A model as its objects: the header and what each object says of itself.

Lives here: the forms that all of `schemas.rdf` speaks. Must not live here: XML, what a class may
have.

Invariant: two documents that differ only in version of the CIM namespace, style of identity,
order, prefixes or white space between elements give equal objects, but for `line`.

Names. A class, an attribute or an enumeration literal of the document's CIM namespace is its
local name ("ACLineSegment", "Conductor.length", "PhaseCode.A"); one of another namespace, or of
none, is "{namespace}name". A literal in a language is kept under "name@language", one with a
datatype under "name^^datatype". What a nested element without identity says (a compound, such as
an address) is kept under its path of attribute, class and attribute, as in
"Location.mainAddress/StreetAddress/StreetAddress.postalCode"; without class, as
rdf:parseType="Resource" has it, the class is empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Values = Mapping[str, tuple[str, ...]]


class Kind(StrEnum):
    """What kind of document it is."""

    FULL = "full"
    DIFFERENCE = "difference"


class Part(StrEnum):
    """Where in the document an object stands; all but MODEL only in a difference."""

    MODEL = "model"
    FORWARD = "forward"
    REVERSE = "reverse"
    PRECONDITION = "precondition"


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """What a document says of the model: md:FullModel or dm:DifferenceModel.

    `mrid` is None where there is no header or it has no identity. `attributes` and `references`
    are those of the element, named as in `CimObject`; the properties read the usual ones.
    `line` is that of the header element, None where there is none.
    """

    kind: Kind
    cim_namespace: str
    mrid: str | None = None
    attributes: Values = field(default_factory=dict)
    references: Values = field(default_factory=dict)
    line: int | None = field(default=None, compare=False)

    @property
    def profiles(self) -> tuple[str, ...]:
        """URIs of the profiles that the document keeps to."""
        return self._all("profile")

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The models that hold the objects which this one refers to and does not have."""
        return self._all("DependentOn")

    @property
    def supersedes(self) -> tuple[str, ...]:
        """The models that this one takes the place of."""
        return self._all("Supersedes")

    @property
    def authority(self) -> str | None:
        """Who answers for the model: modelingAuthoritySet."""
        return next(iter(self._all("modelingAuthoritySet")), None)

    @property
    def version(self) -> str | None:
        """The sender's number of this version."""
        return next(iter(self._all("version")), None)

    def _all(self, name: str) -> tuple[str, ...]:
        ending = f"}}Model.{name}"
        return tuple(
            value
            for values in (self.attributes, self.references)
            for key, found in values.items()
            if key.endswith(ending)
            for value in found
        )


@dataclass(frozen=True, slots=True)
class CimObject:
    """What a document says of one object.

    `cls` is "" where the document does not say the class (rdf:Description without rdf:type).
    `mrid` is the key as `names.key_of` gives it. `attributes` are literals as written;
    `enumerations` literals of enumerations; `references` keys of other objects. `partial` says
    that the object is defined elsewhere and this adds to it (rdf:about="#…").
    """

    cls: str
    mrid: str
    attributes: Values = field(default_factory=dict)
    enumerations: Values = field(default_factory=dict)
    references: Values = field(default_factory=dict)
    partial: bool = False
    part: Part = Part.MODEL
    line: int | None = field(default=None, compare=False)

    @property
    def empty(self) -> bool:
        """Whether it says nothing but that it exists."""
        return not (self.attributes or self.enumerations or self.references)
