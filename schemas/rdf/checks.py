"""What is wrong with a model: one document, or several that belong together.

Lives here: classes, attributes, values, identities, references and mandatory attributes against
the vocabulary. Must not live here: reading, and the vocabulary.

Invariant: a report does not depend on the order of the objects within a document; memory grows
with the number of objects and of references, not with what they say.
"""

from collections import Counter
from typing import Final

from schemas.mrids import is_normal_uuid
from schemas.rdf.findings import KEPT_MAX, Finding, Ledger, Notice, Report
from schemas.rdf.identities import Identities
from schemas.rdf.model import CimObject, ModelHeader, Part
from schemas.rdf.names import is_extension, key_of, steps_of
from schemas.rdf.values import is_valid
from schemas.rdf.vocabulary import Attribute, Form, Vocabulary, vocabulary

_IDENTIFIED: Final = "IdentifiedObject."
_MRID: Final = f"{_IDENTIFIED}mRID"


class ModelCheck:
    """Give it each document with its objects, then ask for the report."""

    def __init__(self, known: Vocabulary | None = None, kept_max: int = KEPT_MAX) -> None:
        self._known = known or vocabulary()
        self._ledger = Ledger(kept_max)
        self._identities = Identities(self._known, self._ledger)
        # Of the present document, by class: they are asked a million times for a large model.
        self._lookups: dict[str, dict[str, Attribute | str | Notice]] = {}
        self._mandatory: dict[str, frozenset[str]] = {}
        self._classes: Counter[str] = Counter()
        self._document = ""
        self._profiles: tuple[str, ...] = ()
        self._strict = False

    def document(self, name: str, header: ModelHeader) -> None:
        """A document begins; the objects that follow are its own."""
        self._document = name
        self._profiles = header.profiles
        # Who names a profile says what is to be expected of the document.
        self._strict = any(uri in self._known.profiles for uri in self._profiles)
        self._lookups.clear()
        self._mandatory.clear()
        self._identities.document(name, header, strict=self._strict)

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
            meant = attribute.form is Form.REFERENCE and all(
                is_normal_uuid(key_of(v)) for v in values
            )
            code = Notice.IRREGULAR if meant and not self._strict else "model_value_invalid"
            detail = f"{key} is written as a literal and not as {attribute.form.value}"
            self._found(code, item, detail)
            return
        for value in values:
            if not is_valid(attribute.primitive, value):
                self._check_spelling(item, key, attribute, value)
        if key == _MRID and any(key_of(value) != item.mrid for value in values):
            self._found(Notice.IRREGULAR, item, f"{key} is not the element's identity")

    def _check_spelling(self, item: CimObject, key: str, attribute: Attribute, value: str) -> None:
        """A Boolean as Python writes it is one."""
        meant = attribute.primitive == "Boolean" and is_valid("Boolean", value.lower())
        code = Notice.IRREGULAR if meant else "model_value_invalid"
        self._found(code, item, f"{key} is no {attribute.primitive}")

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
        wanted = self._mandatory.get(item.cls)
        if wanted is None:
            wanted = self._known.mandatory(item.cls, self._profiles) if item.cls else frozenset()
            self._mandatory[item.cls] = wanted
        if not wanted:
            return
        missing = {
            name
            for name in wanted
            if name not in item.attributes
            and name not in item.references
            and name not in item.enumerations
        }
        if not self._strict:
            # Without a profile, what one document leaves out another one may say.
            self._identities.missing(item, missing)
            return
        for name in sorted(missing):
            # Real models leave out names and descriptions; nothing hangs on them.
            named = name.startswith(_IDENTIFIED)
            self._found(Notice.LACKING if named else "model_mandatory_missing", item, name)

    # --- names ------------------------------------------------------------------------------

    def _attribute(self, item: CimObject, key: str) -> Attribute | None:
        """The attribute that a key stands for; None where it is not to be checked further."""
        of_class = self._lookups.get(item.cls)
        if of_class is None:
            of_class = self._lookups[item.cls] = {}
        found = of_class.get(key)
        if found is None:
            found = of_class[key] = self._look_up(item.cls, key)
        if isinstance(found, Attribute):
            if found.extension:
                self._found(Notice.EXTENSION, item, key)
            return found
        another = found is Notice.IRREGULAR
        self._found(found, item, f"{key} is of another class" if another else key)
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
            # Which class stands below which differs between versions of the CIM; and what stands
            # below IdentifiedObject does not is named all the same.
            known = name.startswith(_IDENTIFIED) or not self._strict
            return Notice.IRREGULAR if known else "model_attribute_unknown"
        return found

    def _found(self, code: str, item: CimObject, detail: str) -> None:
        self._ledger.add(Finding(code, item.cls, item.mrid, item.line, self._document, detail))
