"""A profile that its folder declares: an XSD and a few lines of TOML.

Lives here: reading `profile.toml`, and the profile it makes. Must not live here: anything about
one noun; what shape and XML have to do with each other (see `mapping`).

    profile.toml     noun = "Outages"          the payload's element and the Header's noun
                     kind = "register"         or "history"
                     object = "Outage"         its objects, elements and type of the XSD; left out
                                               where the payload is itself the one object
                     schema = "Outage"         the Avro schema of its events
                     subject = ["."]           where the key is found: the first of these fields
                                               that has an identity ("." is the object itself,
                                               "a.b" the field b of the field a)
                     required = ["cause"]      what an object must say that is created or changed as
                                               a whole, beside what the XSD asks of every object
                     definitions = ["X"]       elements and types beside the objects, which those
                                               refer to (see `definitions`)
                     expiry = "a.b"            of a control: from then on it is not executed
                     named_by_message = true   a new object without mRID and name gets the name
                                               of its message (see `by_message`)
                     aliases = ["urn:…"]       further namespaces that mean the same
                     [synonyms.CauseKind]      words that others use, to words of the code list;
                                               those of shared code lists are in common.toml
                     [[revision]]              older revisions (see `revisions`): their namespaces,
                     [revision.elements]       their names of elements to those of the XSD
    profile.xsd      the shape (see `shapes`)

Invariant: two objects that say the same give the same bytes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, cast

from lxml import etree

from schemas.avro import decode_fields
from schemas.envelope import ObjectId
from schemas.profiles import keys, mapping, object_ids
from schemas.profiles.definitions import Definitions
from schemas.profiles.derive import avro_schema
from schemas.profiles.encoding import encoder
from schemas.profiles.model import Allowance, Outcome
from schemas.profiles.objects import Draft, read_objects, read_whole, reject
from schemas.profiles.parts import Record, epoch_ms
from schemas.profiles.places import Findings, line_of
from schemas.profiles.revisions import Revision, path_above, read_meant
from schemas.profiles.shapes import INTERVALS, XS, ProfileFileError, Shape, read_shape, source
from schemas.profiles.tidying import Synonyms
from schemas.profiles.validation import ObjectSchema

# A new object says what it is; what is changed as a whole, too.
_WHOLE: Final = frozenset({"create", "created", "change", "changed"})


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `profile.toml` says."""

    noun: str
    kind: str
    schema: str
    object: str
    subject: tuple[str, ...]
    required: tuple[str, ...]
    definitions: tuple[str, ...]
    expiry: str
    named_by_message: bool
    aliases: tuple[str, ...]
    synonyms: Mapping[str, Mapping[str, str]]
    revisions: tuple[Revision, ...]

    @classmethod
    def read(cls, file: Path) -> Declaration:
        """From the file.

        Raises:
            ProfileFileError: a key is missing or not known.
        """
        needed = {"noun", "kind", "schema"}
        lists = {"subject", "required", "definitions", "aliases", "revision"}
        known = needed | lists | {"object", "synonyms", "expiry", "named_by_message"}
        entries = tomllib.loads(file.read_text(encoding="utf-8"))
        if wrong := (entries.keys() - known) | (needed - entries.keys()):
            raise ProfileFileError(f"{file}: {', '.join(sorted(wrong))}: missing or not known")
        return cls(
            entries["noun"],
            entries["kind"],
            entries["schema"],
            entries.get("object", entries["noun"]),
            tuple(entries.get("subject", (".",))),
            tuple(entries.get("required", ())),
            tuple(entries.get("definitions", ())),
            entries.get("expiry", ""),
            entries.get("named_by_message", False),
            tuple(entries.get("aliases", ())),
            entries.get("synonyms", {}),
            tuple(map(Revision.of, entries.get("revision", ()))),
        )


class DeclaredProfile:
    """See `schemas.profiles.model.Profile`; `write` is its inverse."""

    def __init__(self, folder: Path) -> None:
        declaration = Declaration.read(folder / "profile.toml")
        file = folder / "profile.xsd"
        self.noun = declaration.noun
        self.register = declaration.kind == "register"
        self.named_by_message = declaration.named_by_message
        self.schema = declaration.schema
        self.object = declaration.object
        schema = source(file)
        self.shape: Shape = read_shape(schema, declaration.object)
        self._definitions = {name: read_shape(schema, name) for name in declaration.definitions}
        self._revisions = {n: entry for entry in declaration.revisions for n in entry.namespaces}
        self._whole = declaration.object == declaration.noun
        self._declaration = declaration
        self.objects = frozenset() if self._whole else self._called({declaration.object})
        self.synonyms: Synonyms = {**_shared_synonyms(schema), **declaration.synonyms}
        older = tuple(self._revisions)
        self._xsd = ObjectSchema(file, self.noun, {}, self.synonyms, declaration.aliases, older)
        self._encode = encoder(self.shape)
        self._reader = cache(partial(mapping.reader, self.shape))
        self._fields = {field.key: field for field in self.shape.fields}
        for key in (*declaration.required, *declaration.subject, declaration.expiry or "."):
            if key.partition(".")[0] not in self._fields and key != ".":
                raise ProfileFileError(f"{folder}: {self.shape.name} has no field {key}")
        if self.register and "mRID" not in self._fields:
            raise ProfileFileError(f"{folder}: objects of a register have an mRID")

    def read(
        self, payload: etree._Element, verb: str = "", allowance: Allowance | None = None
    ) -> Outcome:
        """Check and map each object.

        An object is rejected with `profile_violation`, `timestamp_invalid`,
        `timestamp_without_zone`, `value_not_number`, `interval_reversed`,
        `object_unidentified` (there is nothing to key it by) or `field_required`.

        A definition beside them is rejected where it is not valid, and with
        `definition_unused` where no object refers to it.

        Raises:
            MessageError: `noun_unknown`, `payload_namespace_unknown`.
        """
        tag = etree.QName(payload)
        revision = self._revisions.get(tag.namespace or "")
        allowed = allowance or Allowance()
        if revision is not None and revision.renamed(tag.localname) == self.noun:
            newest = revision.newest(payload, self._xsd.namespace)
            outcome = self._read(newest, verb, allowed)
            return revision.as_sent(outcome, payload, path_above(payload), whole=self._whole)
        read, older = partial(self._read, verb=verb), self._declaration.revisions
        return read_meant(payload, self._xsd, read, allowed, older=older, whole=self._whole)

    def _read(self, payload: etree._Element, verb: str, allowance: Allowance) -> Outcome:
        namespace = self._xsd.namespace_of(payload)
        read = self._reader(namespace)
        definitions = Definitions(payload, namespace, self._definitions, self._valid)

        def draft(element: etree._Element, findings: Findings) -> list[Draft]:
            record = read(element, findings)
            if self._definitions and not findings.problems:
                definitions.complete(record, self.shape, findings)
            key = self.key(record)
            if key is None:
                findings.add("object_unidentified", element, self._wanted())
            for field in self.missing(record) if verb in _WHOLE else ():
                findings.add("field_required", element, field)
            if key is None or findings.problems:
                return []
            place = (findings.place(element), line_of(element)) if self.register else ()
            return [Draft(self.noun, key, self.encode(record), *place)]

        if self._whole:
            return read_whole(payload, self._xsd, draft, allowance)
        carrier = f"{{{namespace}}}{self._declaration.object}"
        outcome = read_objects(payload, self._xsd, carrier, draft, allowance)
        for position, element in definitions.unused(payload, outcome):
            reject(outcome, element, position, "definition_unused", namespace, allowance)
        return outcome

    def _valid(self, element: etree._Element) -> bool:
        namespace = etree.QName(element).namespace or ""
        return not self._xsd.problems(element, namespace, Findings(element, told=False))

    def key(self, record: Record) -> bytes | None:
        """The key of the object's events, see `schemas.profiles.keys`."""
        subjects = self._declaration.subject
        return keys.first_key(*(keys.part(record, subject) for subject in subjects))

    def identity(self, record: Record) -> keys.Identity:
        """By what the object of a register is found: that of the first subject that has one."""
        parts = (keys.part(record, subject) for subject in self._declaration.subject)
        return next((keys.Identity.of(part) for part in parts if keys.identity(part)), keys.NOBODY)

    def expiry_ms(self, record: Record) -> int | None:
        """From when on a control must not be executed any more; None where nothing says so."""
        *above, last = self._declaration.expiry.split(".")
        part = keys.part(record, ".".join(above))
        time = None if part is None or not last else part[last]
        return None if time is None else epoch_ms(time)

    def id_of(self, record: Record) -> ObjectId:
        """How an envelope names the object: by its mRID, else by its first name."""
        return object_ids.id_of(record, self._declaration.object, self.key(record) or b"")

    def named(self, ids: Iterable[ObjectId]) -> etree._Element:
        """The payload whose objects say who they are and no more, as the IDs do.

        Raises:
            MessageError: `object_id_invalid`.
        """
        names = self._called({self._declaration.object, self.noun})
        records = [object_ids.record_of(one, names) for one in ids]
        return self.write(records)

    def _called(self, names: set[str]) -> frozenset[str]:
        """The names, and what older revisions call the same."""
        revisions = self._declaration.revisions
        older = {old for r in revisions for old in r.elements if r.renamed(old) in names}
        return frozenset(names | older)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those of all revisions, of any year, the one that is written first."""
        return self._xsd.known

    @property
    def single(self) -> bool:
        """Whether a payload is itself the one object."""
        return self._whole

    @property
    def required(self) -> tuple[str, ...]:
        """What a whole object must say, as names of XML."""
        return tuple(self._fields[key].tag for key in self._declaration.required)

    @property
    def periods(self) -> frozenset[str]:
        """The fields that are a start and an end, one of which may be said without the other."""
        return frozenset(
            field.key
            for field in self.shape.fields
            if isinstance(field.type, Shape) and field.type.name in INTERVALS and not field.many
        )

    def missing(self, record: Record) -> list[str]:
        """What a whole object must say and this one does not, as names of XML."""
        required = self._declaration.required
        return [self._fields[key].tag for key in required if record[key] in (None, [])]

    def avro(self) -> dict[str, Any]:
        """The Avro schema that follows from the profile."""
        space = f"org.cimstream.{self.noun.lower()}"
        return avro_schema(self.shape, self.schema, space, register=self.register)

    def encode(self, record: Record) -> bytes:
        """The fields of the shape in Avro: the end of an event's value."""
        return self._encode(record)

    def decode(self, body: bytes) -> Record:
        """The inverse of `encode`."""
        first, last = self.shape.fields[0].key, self.shape.fields[-1].key
        return decode_fields(self.schema, first, last, body)

    def write(self, records: list[Record], namespace: str | None = None) -> etree._Element:
        """The payload that says what the records say, in the newest revision.

        `namespace` is the one to write where the noun has several that mean the same.
        """
        space = namespace or self._xsd.namespace
        if self._whole:
            (record,) = records
            return mapping.write(record, self.shape, self.noun, space)
        payload = etree.Element(f"{{{space}}}{self.noun}", nsmap=cast("Any", {None: space}))
        tag = self._declaration.object
        payload.extend(mapping.write(record, self.shape, tag, space) for record in records)
        return payload

    def _wanted(self) -> str:
        return ", ".join("itself" if s == "." else s for s in self._declaration.subject)


@cache
def _common() -> Mapping[str, Mapping[str, str]]:
    file = Path(__file__).with_name("common.toml")
    synonyms: Mapping[str, Mapping[str, str]]
    synonyms = tomllib.loads(file.read_text(encoding="utf-8"))["synonyms"]
    return synonyms


def _shared_synonyms(schema: etree._Element) -> Mapping[str, Mapping[str, str]]:
    """The words for the code lists of common.xsd, as far as the schema has them."""
    lists = {kind.get("name") for kind in schema.iterfind(f"{XS}simpleType")}
    return {name: words for name, words in _common().items() if name in lists}
