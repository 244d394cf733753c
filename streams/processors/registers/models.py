"""Network models: which version of a model is there, and what another one does to it.

Lives here: the order of versions, and what a message changes in the objects of a model, all of it
or nothing. Must not live here: reading a document (see `versions`), records and replies (see
`registers`).

    verb      document                     needs               does
    create    a full model                 no such model       its objects are there
    change    a full model                 the version that    what differs is new, changed or gone
              a difference                 it supersedes       what it says is applied
              a full model whose base may  no such model       its objects are there
              be missing
    delete    the header of the version    that version        all its objects are gone

An event (`created` …) says that a system has done what the request asks for, and does the same.
The first version names the model; a version supersedes the present one by Model.Supersedes, or by
having its mRID and no lower Model.version.

Kept in the store, behind `context|noun|`:

    model/M        the present version: what `Present` holds
    version/V      the model that V is, or was, a version of
    of/A|P         the model of authority A and profiles P that was created last
    chunk/M/N      a chunk of its objects

Invariant: the objects in the store are those of the present version, and a version that is refused
has changed none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from schemas.avro import wire
from schemas.errors import MessageError, Problem
from schemas.identity import escaped
from schemas.profiles import Item
from schemas.rdf import CimObject, Kind, ModelHeader
from schemas.rdf.bodies import body_of, object_in
from schemas.rdf.differences import apply
from schemas.rdf.names import MD, is_iri, key_of
from schemas.rdf.records import HEADER_CLASS
from streams.engine.processor import Context
from streams.processors.registers.chunks import CHUNKS, Change, Stock
from streams.processors.registers.versions import Version
from streams.processors.understand import Understood

_PROBLEMS_MAX: Final = 100
_EVENTS: Final = {"created": "create", "changed": "change", "deleted": "delete"}


@dataclass(frozen=True, slots=True)
class Present:
    """The present version of a model: its mRID, its header as an object, how many objects.

    `open` says that it refers to objects which other models have.
    """

    version: str
    header: bytes
    objects: int
    open: bool

    def pack(self) -> bytes:
        """As bytes: a line of JSON, then the header."""
        said = {"version": self.version, "objects": self.objects, "open": self.open}
        return json.dumps(said, sort_keys=True).encode() + b"\n" + self.header

    @property
    def of(self) -> str:
        """Whose model it is, and of which profiles."""
        item = object_in(self.header)
        return _of(ModelHeader(Kind.FULL, "", None, item.attributes, item.references))

    @classmethod
    def unpack(cls, data: bytes) -> Present:
        """The inverse of `pack`."""
        line, _, header = data.partition(b"\n")
        said = json.loads(line)
        return cls(said["version"], header, said["objects"], said["open"])


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message does to a model; `before` and `after` are None where there is no model."""

    model: str
    version: str
    before: Present | None
    after: Present | None
    changes: list[Change]

    def items(self, message: Understood) -> Iterator[Item]:
        """The header of the version, then each object that is new, other or gone."""
        noun, verb = message.noun.name, message.header.verb
        ending = "d" if verb in _EVENTS else ""
        prefix = wire.string(self.version)
        for index, (mrid, was, now) in enumerate(self._objects()):
            verb = ("create" if was is None else "delete" if now is None else "change") + ending
            yield Item(noun, mrid.encode(), prefix + (now or was or b""), index, verb)

    def _objects(self) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """mRID, before and after of each; the header has the mRID of the model."""
        was, now = (None if one is None else one.header for one in (self.before, self.after))
        if was != now:
            yield self.model, was, now
        for change in self.changes:
            yield from change.objects()

    @property
    def events(self) -> int:
        """How many items there are."""
        return sum(1 for _ in self._objects())

    def current_key(self, mrid: bytes) -> bytes:
        """The key of an object in the present state: an object may be in several models."""
        return b"|".join((escaped(mrid.decode()).encode(), escaped(self.model).encode()))


class Models:
    """The models of one noun and context, in the store of one task."""

    def __init__(self, store: str, message: Understood, context: Context) -> None:
        self._store = store
        self._context = context
        self._prefix = f"{message.identity.context}|{message.noun.name}|"

    def effect(self, message: Understood, version: Version) -> Effect:
        """What the version does.

        Raises:
            MessageError: `object_exists`, `object_missing`, `revision_outdated`,
                `model_difference_mismatch`, `model_reference_dangling`.
        """
        verb = message.header.verb
        verb = _EVENTS.get(verb, verb)
        if verb == "create":
            return self._created(version)
        if verb == "change" and self._founds(version):
            return self._created(version)
        model, present = self._present(version)
        self._check_base(version, present, ends=verb == "delete")
        if verb == "delete":
            return Effect(model, version.mrid, present, None, self._all(model, {}))
        if version.header.kind is Kind.DIFFERENCE:
            return self._differing(model, version, present)
        after = _present(version, version.header)
        return Effect(model, version.mrid, present, after, self._all(model, version.chunks))

    def keep(self, effect: Effect) -> None:
        """Write the effect to the store."""
        put, delete = self._context.put, self._context.delete
        for change in effect.changes:
            key = self._chunk_key(effect.model, change.number)
            if change.after is None:
                delete(self._store, key)
            else:
                put(self._store, key, change.after)
        if effect.after is None:
            delete(self._store, self._key("model", effect.model))
            return
        put(self._store, self._key("model", effect.model), effect.after.pack())
        put(self._store, self._key("version", effect.version), effect.model.encode())
        put(self._store, self._key("of", effect.after.of), effect.model.encode())

    # --- versions ---------------------------------------------------------------------------

    def _created(self, version: Version) -> Effect:
        model = version.model or version.mrid
        if version.header.kind is Kind.DIFFERENCE:
            raise _error("model_difference_mismatch", version, "a difference creates no model")
        if self._find(version) is not None:
            raise _error("object_exists", version)
        after = _present(version, version.header)
        return Effect(model, version.mrid, None, after, self._all(model, version.chunks))

    def _founds(self, version: Version) -> bool:
        """Whether it is a first version, its base being optional.

        It is none where its authority has a model of its profiles here: then one between is
        missing, and a second model beside it would be there for ever.
        """
        if not version.base_optional or version.header.kind is not Kind.FULL:
            return False
        before = self._get("of", _of(version.header))
        held = before is not None and self._get("model", before.decode()) is not None
        return not held and self._find(version) is None

    def _present(self, version: Version) -> tuple[str, Present]:
        found = self._find(version)
        if found is None:
            raise _error("object_missing", version)
        return found

    def _find(self, version: Version) -> tuple[str, Present] | None:
        """The model that the version belongs to, as it is now."""
        models = [] if version.model is None else [version.model]
        for mrid in (*_superseded(version), version.mrid):
            known = self._get("version", mrid)
            models.append(mrid if known is None else known.decode())
        for model in models:
            packed = self._get("model", model)
            if packed is not None:
                return model, Present.unpack(packed)
        return None

    def _check_base(self, version: Version, present: Present, *, ends: bool) -> None:
        """Raises MessageError: `revision_outdated`: it is not based on the present version."""
        if version.model is not None and version.header.mrid is None:
            return  # it has no versions of its own: who comes last is right
        based_on = _superseded(version)
        if ends or version.header.kind is Kind.FULL:
            based_on = (*based_on, version.mrid)
        if present.version not in based_on:
            raise _error("revision_outdated", version, f"the present one is {present.version}")
        if present.version == version.mrid and not ends:
            number, told = _number(object_in(present.header)), version.header.version or ""
            if number.isdecimal() and told.isdecimal() and int(told) < int(number):
                raise _error("revision_outdated", version)

    # --- objects ----------------------------------------------------------------------------

    def _all(self, model: str, after: dict[int, bytes]) -> list[Change]:
        """Every chunk that becomes another one."""
        changes = (
            Change(number, self._chunk(model, number), after.get(number))
            for number in range(CHUNKS)
        )
        return [change for change in changes if change.before != change.after]

    def _differing(self, model: str, version: Version, present: Present) -> Effect:
        stock = Stock(lambda number: self._chunk(model, number))
        touched = dict.fromkeys(item.mrid for item in version.difference)
        before = {
            mrid: object_in(body) for mrid in touched if (body := stock.get(mrid)) is not None
        }
        after = apply(before, version.difference)
        header = _merged(present, version)
        for mrid in touched:
            item = after.get(mrid)
            if item != before.get(mrid):
                stock.put(mrid, None if item is None else body_of(item, header.cim_namespace))
        if not (present.open or version.header.depends_on):
            _check_references(version, stock, before, after)
        objects = present.objects + len(after) - len(before)
        made = Present(version.mrid, _header_body(header), objects, present.open)
        return Effect(model, version.mrid, present, made, stock.changes())

    # --- the store --------------------------------------------------------------------------

    def _key(self, kind: str, name: str) -> bytes:
        return f"{self._prefix}{kind}/{escaped(name)}".encode()

    def _get(self, kind: str, name: str) -> bytes | None:
        return self._context.get(self._store, self._key(kind, name))

    def _chunk_key(self, model: str, number: int) -> bytes:
        return self._key("chunk", f"{model}/{number:04d}")

    def _chunk(self, model: str, number: int) -> bytes | None:
        return self._context.get(self._store, self._chunk_key(model, number))


def _check_references(
    version: Version, stock: Stock, before: dict[str, CimObject], after: dict[str, CimObject]
) -> None:
    """No object that is new or changed refers to one that is not there, nor any to one that goes.

    Raises:
        MessageError: `model_reference_dangling`, with a problem for each, at most `_PROBLEMS_MAX`.
    """
    gone = before.keys() - after.keys()
    # Only where something goes can the others be wrong; then they are all looked at.
    others = ((mrid, object_in(body)) for mrid, body in stock.everything()) if gone else ()
    lines = {item.mrid: item.line for item in version.difference}
    problems: dict[tuple[str, str, str], Problem] = {}
    for mrid, item in (*after.items(), *others):
        for key, targets in item.references.items():
            for target in targets:
                lost = target in gone or (mrid in after and stock.get(target) is None)
                if lost and not is_iri(target) and len(problems) < _PROBLEMS_MAX:
                    detail = f"{item.cls} {mrid}: {key} to {target}"
                    problems[mrid, key, target] = Problem(
                        "model_reference_dangling", detail, line=lines.get(mrid)
                    )
    if problems:
        raise MessageError(*problems.values())


def _present(version: Version, header: ModelHeader) -> Present:
    return Present(version.mrid, _header_body(header), version.objects, version.open)


def _merged(present: Present, version: Version) -> ModelHeader:
    """The header of the model that a difference leads to: what it does not say stays."""
    before, said = object_in(present.header), version.header
    return replace(
        said,
        kind=Kind.FULL,
        attributes={**before.attributes, **said.attributes},
        references={**before.references, **said.references},
    )


def _header_body(header: ModelHeader) -> bytes:
    item = CimObject(HEADER_CLASS, header.mrid or "", header.attributes, {}, header.references)
    return body_of(item, header.cim_namespace)


def _of(header: ModelHeader) -> str:
    return "|".join((header.authority or "", *sorted(header.profiles)))


def _superseded(version: Version) -> tuple[str, ...]:
    return tuple(map(key_of, version.header.supersedes))


def _number(header: CimObject) -> str:
    return next(iter(header.attributes.get(f"{{{MD}}}Model.version", ())), "")


def _error(code: str, version: Version, detail: str = "") -> MessageError:
    about = f"model {version.mrid}" + (f": {detail}" if detail else "")
    return MessageError(Problem(code, about, line=version.header.line))
