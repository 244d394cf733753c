"""Applying a difference to a set of objects.

Lives here: what a difference makes of objects, as a pure function. Must not live here: which model
a difference may be applied to (`ModelHeader.supersedes` says it, whoever keeps models decides).

Invariant: a difference is applied as a whole or not at all. Where it repeats no class of an object
that stays, applying it with forward and reverse exchanged gives the objects from before.

A difference speaks of statements. Each one of `preconditions` and of `reverse` must be in the
model, letter by letter; reverse statements go, forward statements come. An attribute of which the
model has a value already gets a second one only if the CIM allows several. An object of which the
reverse side says the class goes, and nothing of it may be left; one of which the forward side
says the class is new, or is still there after the reverse statements.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from schemas.errors import MessageError, Problem
from schemas.rdf.model import CimObject, Part, Values
from schemas.rdf.vocabulary import Vocabulary, vocabulary

# Of a difference that was made from another model every statement can be wrong.
PROBLEMS_MAX: Final = 100
_CODE: Final = "model_difference_mismatch"


def apply(
    objects: Mapping[str, CimObject],
    difference: Iterable[CimObject],
    known: Vocabulary | None = None,
) -> dict[str, CimObject]:
    """The objects by key, changed as the difference says; `objects` is left as it is.

    Raises:
        MessageError: `model_difference_mismatch`, with a problem for each statement that does
            not fit, at most `PROBLEMS_MAX` of them.
    """
    work = _Work(objects, known or vocabulary())
    forward: list[CimObject] = []
    for item in difference:
        if item.part is Part.FORWARD:
            forward.append(item)
        elif item.part is Part.REVERSE:
            work.remove(item)
        elif item.part is Part.PRECONDITION:
            work.demand(item)
        else:
            raise ValueError("an object of a full model is not part of a difference")
    # An object may be spoken of several times; first where it gets its class.
    for item in sorted(forward, key=lambda item: not item.cls):
        work.put(item)
    work.close({item.mrid for item in forward})
    return work.result()


class _Work:
    """Objects in the course of being changed."""

    def __init__(self, objects: Mapping[str, CimObject], known: Vocabulary) -> None:
        self._before = objects
        self._known = known
        self._changed: dict[str, CimObject] = {}
        self._unclassed: dict[str, CimObject] = {}
        self._gone: list[str] = []
        self._problems: list[Problem] = []

    def demand(self, item: CimObject) -> None:
        """A precondition holds, in the model as it was."""
        found = self._before.get(item.mrid)
        if found is None:
            self._wrong(item, "the object of a precondition is not in the model")
        else:
            self._same_class(item, found)
            self._minus(item, found)

    def remove(self, item: CimObject) -> None:
        """Take statements away."""
        found = self._present(item)
        if found is None:
            self._wrong(item, "the object is not in the model")
            return
        self._same_class(item, found)
        if item.cls:
            self._unclassed[item.mrid] = item
        self._changed[item.mrid] = self._minus(item, found)

    def put(self, item: CimObject) -> None:
        """Add statements, or an object."""
        found = self._present(item)
        if found is None:
            if not item.cls:
                self._wrong(item, "an object that is not in the model, without its class")
                return
            found = CimObject(item.cls, item.mrid, line=item.line)
        elif item.mrid in self._unclassed:
            found = replace(found, cls=item.cls or found.cls)
        else:
            self._same_class(item, found)
        self._changed[item.mrid] = replace(
            found,
            attributes=self._plus(item, found.attributes, item.attributes),
            enumerations=self._plus(item, found.enumerations, item.enumerations),
            references=self._plus(item, found.references, item.references),
        )

    def close(self, forward: set[str]) -> None:
        """Let objects go whose class is taken away and not given again."""
        for mrid, item in self._unclassed.items():
            if mrid in forward:
                continue
            self._gone.append(mrid)
            if not self._changed[mrid].empty:
                self._wrong(item, "an object that goes would leave something behind")

    def result(self) -> dict[str, CimObject]:
        """All objects, if everything fitted."""
        if self._problems:
            raise MessageError(*self._problems)
        after = {**self._before, **self._changed}
        for mrid in self._gone:
            del after[mrid]
        return after

    # --- statements -------------------------------------------------------------------------

    def _present(self, item: CimObject) -> CimObject | None:
        return self._changed.get(item.mrid) or self._before.get(item.mrid)

    def _same_class(self, item: CimObject, found: CimObject) -> None:
        if item.cls and item.cls != found.cls:
            self._wrong(item, f"the object is a {found.cls}")

    def _minus(self, item: CimObject, found: CimObject) -> CimObject:
        return replace(
            found,
            attributes=self._without(item, found.attributes, item.attributes),
            enumerations=self._without(item, found.enumerations, item.enumerations),
            references=self._without(item, found.references, item.references),
        )

    def _without(self, item: CimObject, present: Values, gone: Values) -> Values:
        if not gone:
            return present
        left = dict(present)
        for key, values in gone.items():
            rest = list(left.get(key, ()))
            for value in values:
                if value in rest:
                    rest.remove(value)
                else:
                    self._wrong(item, f"{key} is not so in the model")
            if rest:
                left[key] = tuple(rest)
            else:
                left.pop(key, None)
        return left

    def _plus(self, item: CimObject, present: Values, new: Values) -> Values:
        if not new:
            return present
        both = dict(present)
        for key, values in new.items():
            already = both.get(key, ())
            attribute = self._known.attributes.get(key.rpartition("/")[2])
            if already and not (attribute is not None and attribute.many):
                self._wrong(item, f"{key} has a value that the difference does not take away")
            both[key] = (*already, *values)
        return both

    def _wrong(self, item: CimObject, detail: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            what = f"{item.cls or 'object'} {item.mrid}: {detail}"
            self._problems.append(Problem(_CODE, what, line=item.line))
