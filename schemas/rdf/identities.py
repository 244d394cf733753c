"""Which objects there are, who refers to whom, and what an object still lacks.

Lives here: what can be judged only over all documents. Must not live here: names and values.

Invariant: memory holds one entry per object, and one per reference only until its object comes.
"""

from dataclasses import dataclass, field
from typing import Final

from schemas.rdf.findings import Finding, Ledger, Notice
from schemas.rdf.model import CimObject, Kind, ModelHeader
from schemas.rdf.names import is_iri
from schemas.rdf.vocabulary import Form, Vocabulary

# Fields of a waiting reference, one behind the other: who, by which attribute, line, document.
_FIELDS: Final = 4


@dataclass(slots=True)
class _Document:
    """One document.

    `strict` says that it names a profile that is known, `adds` that it has objects which are
    defined elsewhere.
    """

    name: str
    header: ModelHeader
    strict: bool
    adds: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object is defined and as what; many objects share one."""

    cls: str
    document: int
    partial: bool


@dataclass(slots=True)
class _Lack:
    """What nobody has said yet of an object, and who should have."""

    names: set[str]
    item: Finding = field(repr=False)


class Identities:
    """The objects of all documents."""

    def __init__(self, known: Vocabulary, ledger: Ledger) -> None:
        self._known = known
        self._ledger = ledger
        self._documents: list[_Document] = []
        self._places: dict[tuple[str, int, bool], _Place] = {}
        self._objects: dict[str, _Place] = {}
        self._waiting: dict[str, list[str | int | None]] = {}
        self._adding: dict[str, tuple[int | None, int]] = {}
        self._lacks: dict[str, _Lack] = {}
        # Said from the other side: (object, attribute). Only of attributes that may be lacking.
        self._said: set[tuple[str, str]] = set()
        self._inverses = {
            entry.inverse: entry.name
            for entry in known.attributes.values()
            if entry.mandatory and entry.inverse is not None
        }

    def document(self, name: str, header: ModelHeader, *, strict: bool) -> None:
        """A document begins."""
        self._documents.append(_Document(name, header, strict))

    def missing(self, item: CimObject, names: set[str]) -> None:
        """Note what an object does not say; another document may."""
        lack = self._lacks.get(item.mrid)
        if lack is not None:
            lack.names &= names
            if not lack.names:
                del self._lacks[item.mrid]
        elif names and not item.partial and item.mrid not in self._objects:
            self._lacks[item.mrid] = _Lack(names, self._finding("", item, ""))

    def add(self, item: CimObject) -> bool:
        """Take an object and its references; give whether it is one not seen before."""
        here = len(self._documents) - 1
        form = (item.cls, here, item.partial)
        place = self._places.get(form)
        if place is None:
            place = self._places[form] = _Place(*form)
        before = self._objects.get(item.mrid)
        if before is None:
            self._objects[item.mrid] = place
            if item.partial:
                self._documents[here].adds = True
                self._adding[item.mrid] = (item.line, here)
        else:
            self._meet(before, place, item)
        if item.mrid in self._waiting:
            self._resolve(item.mrid, item.cls)
        for key, targets in item.references.items():
            for target in targets:
                self._refer(item, key, target, here)
        return before is None

    def finish(self) -> None:
        """Report what is still open now that all documents are known."""
        models = {entry.header.mrid: entry for entry in self._documents if entry.header.mrid}
        elsewhere = [_depends(entry, models, set()) for entry in self._documents]
        for target, fields in self._waiting.items():
            for at in range(0, len(fields), _FIELDS):
                mrid, key, line, document = fields[at : at + _FIELDS]
                place = self._objects[str(mrid)]
                code = _open_code(outside=elsewhere[int(document or 0)])
                detail = f"{key} to {target}"
                self._report(code, place.cls, str(mrid), line, int(document or 0), detail)
        for mrid, (line, document) in self._adding.items():
            code = _open_code(outside=elsewhere[document])
            cls = self._objects[mrid].cls
            self._report(code, cls, mrid, line, document, "the object that this adds to")
        for lack in self._lacks.values():
            found = lack.item
            for name in sorted(lack.names):
                if (found.mrid, name) in self._said:
                    continue
                self._ledger.add(
                    Finding(
                        Notice.LACKING, found.cls, found.mrid, found.line, found.document, name
                    )
                )  # fmt: skip

    # --- identities -------------------------------------------------------------------------

    def _meet(self, before: _Place, place: _Place, item: CimObject) -> None:
        """An identity comes again."""
        if before.partial and not place.partial:
            self._objects[item.mrid] = place
            self._adding.pop(item.mrid, None)
        if before.cls != place.cls:
            self._found("model_identity_duplicate", item, f"of class {before.cls} before")
        elif not before.partial and not place.partial and self._both_define(before, place):
            self._found("model_identity_duplicate", item, "defined twice")

    def _both_define(self, before: _Place, place: _Place) -> bool:
        """Whether one of two definitions is too much.

        Documents of different profiles each define their part of an object, and so do those
        that name no profile: they are parts of one model.
        """
        if before.document == place.document:
            return True
        one, other = (self._documents[entry.document].header for entry in (before, place))
        return bool(set(one.profiles) & set(other.profiles))

    # --- references -------------------------------------------------------------------------

    def _refer(self, item: CimObject, key: str, target: str, here: int) -> None:
        inverse = self._inverses.get(key)
        if inverse is not None:
            self._said.add((target, inverse))
        place = self._objects.get(target)
        if place is not None:
            self._check_target(key, place.cls, item.cls, item.mrid, item.line, here)
        elif is_iri(target):
            self._found(Notice.EXTERNAL, item, key)
        else:
            self._waiting.setdefault(target, []).extend((item.mrid, key, item.line, here))

    def _resolve(self, mrid: str, cls: str) -> None:
        fields = self._waiting.pop(mrid)
        for at in range(0, len(fields), _FIELDS):
            who, key, line, document = fields[at : at + _FIELDS]
            owner = self._objects[str(who)].cls
            self._check_target(str(key), cls, owner, str(who), line, int(document or 0))

    def _check_target(
        self, key: str, target: str, cls: str, mrid: str, line: object, document: int
    ) -> None:
        attribute = self._known.attributes.get(key.rpartition("/")[2])
        if attribute is None or attribute.form not in (Form.REFERENCE, Form.COMPOUND):
            return  # unknown, or in the wrong form: told already
        if target in self._known.classes and not self._known.is_a(target, attribute.type):
            detail = f"{key} to a {target}, not a {attribute.type}"
            # It may be one where only a class above is said.
            strict = self._documents[document].strict
            likely = not strict or self._known.is_a(attribute.type, target)
            code = Notice.IRREGULAR if likely else "model_reference_class"
            self._report(code, cls, mrid, line, document, detail)

    # --- findings ---------------------------------------------------------------------------

    def _finding(self, code: str, item: CimObject, detail: str) -> Finding:
        name = self._documents[-1].name
        return Finding(code, item.cls, item.mrid, item.line, name, detail)

    def _found(self, code: str, item: CimObject, detail: str) -> None:
        self._ledger.add(self._finding(code, item, detail))

    def _report(
        self, code: str, cls: str, mrid: str, line: object, document: int, detail: str
    ) -> None:
        at = line if isinstance(line, int) else None
        self._ledger.add(Finding(code, cls, mrid, at, self._documents[document].name, detail))


def _depends(entry: _Document, models: dict[str, _Document], seen: set[str]) -> bool:
    """Whether a document may refer to objects that none of these documents has."""
    header = entry.header
    if header.kind is Kind.DIFFERENCE or (entry.adds and not header.depends_on):
        return True
    for mrid in header.depends_on:
        if mrid not in models:
            return True
        if mrid not in seen:
            seen.add(mrid)
            if _depends(models[mrid], models, seen):
                return True
    return False


def _open_code(*, outside: bool) -> str:
    return Notice.EXTERNAL if outside else "model_reference_dangling"
