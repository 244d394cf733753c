"""Objects and headers as Avro records `CimObject`, and back.

Lives here: the canonical record of one object of one version of a model. Must not live here: the
bytes (`schemas.avro`), where an event came from.

Invariant: `object_of(record_of(x)) == x` for every object of a full model, and the same for
headers. A header is the record of the class md:FullModel; it stands before its objects.
"""

from typing import Any, Final

from schemas.rdf.model import CimObject, Kind, ModelHeader, Values
from schemas.rdf.names import MD

SCHEMA: Final = "CimObject"
HEADER_CLASS: Final = f"{{{MD}}}FullModel"

Record = dict[str, Any]


def record_of(item: CimObject, version: str, cim_namespace: str) -> Record:
    """The fields of an object but its provenance. `version` is the mRID of the model's version."""
    return {
        "modelVersion": version,
        "cimNamespace": cim_namespace,
        "class": item.cls,
        "mRID": item.mrid,
        "partial": item.partial,
        "attributes": _lists(item.attributes),
        "enumerations": _lists(item.enumerations),
        "references": _lists(item.references),
    }


def object_of(record: Record) -> CimObject:
    """The object of a record; it has no line."""
    return CimObject(
        record["class"],
        record["mRID"],
        _tuples(record["attributes"]),
        _tuples(record["enumerations"]),
        _tuples(record["references"]),
        record["partial"],
    )


def header_record_of(header: ModelHeader, version: str) -> Record:
    """The fields of a full model's header, for the version that it gets here.

    Raises:
        ValueError: it is the header of a difference, which is no model.
    """
    if header.kind is not Kind.FULL:
        raise ValueError("a difference has no record: the objects that it leads to have")
    item = CimObject(HEADER_CLASS, header.mrid or "", header.attributes, {}, header.references)
    return record_of(item, version, header.cim_namespace)


def header_of(record: Record) -> ModelHeader:
    """The header of a record of the class md:FullModel."""
    item = object_of(record)
    return ModelHeader(
        Kind.FULL, record["cimNamespace"], item.mrid or None, item.attributes, item.references
    )


def _lists(values: Values) -> dict[str, list[str]]:
    # In order of the keys, so that equal objects are equal bytes.
    return {key: list(values[key]) for key in sorted(values)}


def _tuples(values: dict[str, list[str]]) -> Values:
    return {key: tuple(found) for key, found in values.items()}
