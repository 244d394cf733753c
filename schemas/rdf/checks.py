"""What is wrong with a model: one document, or several that belong together.

Lives here: classes, attributes, values, identities, references and mandatory attributes against
the vocabulary. Must not live here: reading, and the vocabulary.

Invariant: a report does not depend on the order of the objects within a document; memory grows
with the number of objects and of references, not with what they say.
"""

from collections import Counter
from typing import Final

from schemas.rdf.findings import KEPT_MAX, Finding, Ledger, Notice, Report
from schemas.rdf.identities import Identities
from schemas.rdf.model import CimObject, ModelHeader, Part
from schemas.rdf.names import is_extension, key_of, steps_of
from schemas.rdf.values import is_valid
from schemas.rdf.vocabulary import Attribute, Form, Vocabulary, vocabulary

_MRID: Final = "IdentifiedObject.mRID"


class ModelCheck:
    """Give it each document with its objects, then ask for the report."""

    def __init__(self, known: Vocabulary | None = None, kept_max: int = KEPT_MAX) -> None:
        self._known = known or vocabulary()
        self._ledger = Ledger(kept_max)
        self._identities = Identities(self._known, self._ledger)
        self._lookups: dict[tuple[str, str], Attribute | str | Notice] = {}
        self._mandatory: dict[tuple[tuple[str, ...], str], frozenset[str]] = {}
        self._classes: Counter[str] = Counter()
        self._document = ""
        self._header: ModelHeader | None = None

    def document(self, name: str, header: ModelHeader) -> None:
        """A document begins; the objects that follow are its own."""
        self._document = name
        self._header = header
        self._identities.document(name, header)

    def object(self, item: CimObject) -> None:
        """Check an object, as far as it can be checked before all are known."""
        self._check_class(item)
        for key, values in item.attributes.items():
            self._check_values(item, key, values)
        for key, values in item.enumerations.items():
            self._check_literals(item, key, values)
        for key in item.references:
            self._check_reference(item, key)
        if item.part is Part.MODEL:
            self._check_mandatory(item)
            if self._identities.add(item):
                self._classes[item.cls] += 1
        elif item.part is Part.FORWARD:
            self._classes[item.cls] += 1

    def report(self) -> Report:
        """What was found in all documents; call it once, at the end."""
        self._identities.finish()
        return Report(self._ledger.kept(), dict(self._ledger.totals), dict(self._classes))

    # --- one object -------------------------------------------------------------------------

    def _check_class(self, item: CimObject) -> None:
        found = self._known.classes.get(item.cls)
        if found is not None and not found.extension:
            return
        if found is not None or (item.cls.startswith("{") and is_extension(item.cls)):
            self._found(Notice.EXTENSION, item, f"class {item.cls}")
        elif item.cls:
            self._found("model_class_unknown", item, f"class {item.cls}")
        elif item.part is Part.MODEL:
            self._found("model_class_unknown", item, "neither a typed element nor rdf:type")

    def _check_values(self, item: CimObject, key: str, values: tuple[str, ...]) -> None:
        attribute = self._attribute(item, key)
        if attribute is None:
            return
        if attribute.form is not Form.VALUE:
            detail = f"{key} is written as a literal and not as {attribute.form.value}"
            self._found("model_value_invalid", item, detail)
        elif not all(is_valid(attribute.primitive, value) for value in values):
            self._found("model_value_invalid", item, f"{key} is no {attribute.primitive}")
        elif key == _MRID and any(key_of(value) != item.mrid for value in values):
            self._found("model_value_invalid", item, f"{key} is not the element's identity")

    def _check_literals(self, item: CimObject, key: str, values: tuple[str, ...]) -> None:
        attribute = self._attribute(item, key)
        if attribute is None:
            return
        if attribute.form is not Form.ENUMERATION:
            detail = f"{key} is written as an enumeration value and not as {attribute.form.value}"
            self._found("model_value_invalid", item, detail)
            return
        literals = self._known.enumerations.get(attribute.type)
        for value in values:
            if value.startswith("{"):
                self._found(Notice.EXTENSION, item, f"a value of {key}")
                continue
            kind, _, literal = value.partition(".")
            if kind != attribute.type or (literals is not None and literal not in literals):
                self._found("model_value_invalid", item, f"{key} is no {attribute.type}")

    def _check_reference(self, item: CimObject, key: str) -> None:
        attribute = self._attribute(item, key)
        if attribute is not None and attribute.form not in (Form.REFERENCE, Form.COMPOUND):
            detail = f"{key} is written as a reference and not as {attribute.form.value}"
            self._found("model_value_invalid", item, detail)

    def _check_mandatory(self, item: CimObject) -> None:
        header = self._header
        if header is None or not item.cls:
            return
        group = (header.profiles, item.cls)
        wanted = self._mandatory.get(group)
        if wanted is None:
            wanted = self._mandatory[group] = self._known.mandatory(item.cls, header.profiles)
        missing = {
            name
            for name in wanted
            if name not in item.attributes
            and name not in item.references
            and name not in item.enumerations
        }
        if not any(uri in self._known.profiles for uri in header.profiles):
            # Without a profile, what one document leaves out another one may say.
            self._identities.missing(item, missing)
        else:
            for name in sorted(missing):
                self._found("model_mandatory_missing", item, name)

    # --- names ------------------------------------------------------------------------------

    def _attribute(self, item: CimObject, key: str) -> Attribute | None:
        """The attribute that a key stands for; None where it is not to be checked further."""
        place = (item.cls, key)
        found = self._lookups.get(place)
        if found is None:
            found = self._lookups[place] = self._look_up(item.cls, key)
        if isinstance(found, Attribute):
            if found.extension:
                self._found(Notice.EXTENSION, item, key)
            return found
        self._found(found, item, key)
        return None

    def _look_up(self, owner: str, key: str) -> Attribute | str | Notice:
        """An attribute, or the code of what is wrong with the key."""
        *path, last = steps_of(key)
        for at, step in enumerate(path):
            if at % 2:  # the class of a compound; without one it is what the attribute says
                if step and step not in self._known.classes:
                    return "model_class_unknown"
                continue
            found = self._own(owner, step)
            if not isinstance(found, Attribute):
                return found
            if found.form not in (Form.COMPOUND, Form.REFERENCE):
                return "model_attribute_unknown"
            owner = found.type
        last = last if last.startswith("{") else last.partition("@")[0].partition("^^")[0]
        return self._own(owner, last)

    def _own(self, owner: str, name: str) -> Attribute | str | Notice:
        if name.startswith("{"):
            return Notice.EXTENSION if is_extension(name) else "model_attribute_unknown"
        found = self._known.attributes.get(name)
        if found is None:
            return "model_attribute_unknown"
        holder = self._known.classes.get(owner)
        if holder is not None and name.partition(".")[0] not in holder.lineage:
            return "model_attribute_unknown"
        return found

    def _found(self, code: str, item: CimObject, detail: str) -> None:
        self._ledger.add(Finding(code, item.cls, item.mrid, item.line, self._document, detail))
