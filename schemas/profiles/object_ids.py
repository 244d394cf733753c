"""An object's identity as an envelope writes it: an ID element, to a record and back.

Lives here: what the attributes of an ID mean. Must not live here: which verbs are content with an
identity (see `streams.processors.understand`), how an object is found (see `keys`).

    kind="uuid"          the mRID, whether it is a UUID or not
    kind="name"          a name, of the kind idType, given by idAuthority;
                         so is an ID that has one of these two
    neither              the mRID
    kind="transaction"   no object

Source: IEC 61968-100, ID; `kind` as in edition 1.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from schemas.envelope import ObjectId
from schemas.errors import MessageError
from schemas.profiles.parts import Record

_NAME: Final = "name"
_UUID: Final = "uuid"
_KINDS: Final = frozenset({"", _NAME, _UUID, "other"})


def record_of(given: ObjectId, types: AbstractSet[str]) -> Record:
    """The record of an object that says who it is and no more.

    `types` are the words for the class of the object that an ID may carry.

    Raises:
        MessageError: `object_id_invalid`: it is empty, of an unknown kind, or about another class.
    """
    has_kind = bool(given.id_type or given.id_authority)
    by_name = given.kind == _NAME or (given.kind != _UUID and has_kind)
    wrong = ""
    if not given.value:
        wrong = "it is empty"
    elif given.kind not in _KINDS:
        wrong = "of an unknown kind"
    elif given.object_type and given.object_type not in types:
        wrong = f"its objectType is none of {', '.join(sorted(types))}"
    if wrong:
        raise MessageError.of("object_id_invalid", wrong, xpath=given.xpath, line=given.line)
    if not by_name:
        return {"mRID": given.value}
    name = dict.fromkeys(("typeDescription", "authorityDescription"))
    authority = given.id_authority or None
    return {
        "names": [
            {**name, "name": given.value, "type": given.id_type or None, "authority": authority}
        ]
    }


def id_of(record: Record, object_type: str, key: bytes) -> ObjectId:
    """The ID of an object; by the key of its events where a part of it identifies it."""
    if record.get("mRID") is not None:
        return ObjectId(record["mRID"], _UUID, object_type=object_type)
    for name in record.get("names", ()):
        return ObjectId(
            name["name"], _NAME, name["type"] or "", name["authority"] or "", object_type
        )
    return ObjectId(key.decode(), "other", object_type=object_type)
