"""Small documents of CIM RDF/XML, written for these tests."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.rdf import CimObject, Document, read
from schemas.rdf.checks import ModelCheck
from schemas.rdf.findings import Finding, Report

CIM100 = "http://iec.ch/TC57/CIM100#"
EU = "http://iec.ch/TC57/CIM100-European#"
MD = "http://iec.ch/TC57/61970-552/ModelDescription/1#"
DM = "http://iec.ch/2002/schema/CIM_difference_model#"
EQ = "http://iec.ch/TC57/ns/CIM/CoreEquipment-EU/3.0"
DL = "http://iec.ch/TC57/ns/CIM/DiagramLayout-EU/3.0"
SSH = "http://iec.ch/TC57/ns/CIM/SteadyStateHypothesis-EU/3.0"

ONE = "11111111-1111-4111-8111-11111111111a"
TWO = "22222222-2222-4222-8222-22222222222b"
THREE = "33333333-3333-4333-8333-33333333333c"
MODEL = "99999999-9999-4999-8999-999999999999"
OTHER = "88888888-8888-4888-8888-888888888888"


def document(body: str, *, cim: str = CIM100, dm: str = DM, more: str = "") -> bytes:
    """A document whose body begins on line 2."""
    return (
        f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:cim="{cim}"'
        f' xmlns:md="{MD}" xmlns:dm="{dm}" xmlns:eu="{EU}"{more}>\n{body}\n</rdf:RDF>'
    ).encode()


def full_model(*said: str, mrid: str = MODEL) -> str:
    """A header in one line."""
    return f'<md:FullModel rdf:about="urn:uuid:{mrid}">{"".join(said)}</md:FullModel>\n'


def profile(uri: str) -> str:
    return f"<md:Model.profile>{uri}</md:Model.profile>"


def depends_on(mrid: str) -> str:
    return f'<md:Model.DependentOn rdf:resource="urn:uuid:{mrid}"/>'


def difference(*, forward: str = "", reverse: str = "", preconditions: str = "") -> bytes:
    """A difference model without header elements."""
    return document(
        f'<dm:DifferenceModel rdf:about="urn:uuid:{MODEL}">'
        f'<dm:preconditions rdf:parseType="Statements">{preconditions}</dm:preconditions>'
        f'<dm:forwardDifferences rdf:parseType="Statements">{forward}</dm:forwardDifferences>'
        f'<dm:reverseDifferences rdf:parseType="Statements">{reverse}</dm:reverseDifferences>'
        f"</dm:DifferenceModel>"
    )


def pieces(data: bytes, size: int = 64) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read_all(data: bytes, size: int = 64) -> tuple[Document, list[CimObject]]:
    found = read(pieces(data, size))
    return found, list(found)


def objects(body: str, **how: str) -> list[CimObject]:
    return read_all(document(body, **how))[1]


def the_object(body: str, **how: str) -> CimObject:
    (found,) = objects(body, **how)
    return found


def check(*documents: bytes, kept_max: int = 100) -> Report:
    """Check documents as one model; the first is named a, the next b, and so on."""
    checking = ModelCheck(kept_max=kept_max)
    for name, data in zip("abcdef", documents, strict=False):
        found = read(pieces(data))
        checking.document(name, found.header)
        for item in found:
            checking.object(item)
    return checking.report()


def faults(*documents: bytes) -> list[Finding]:
    return [found for found in check(*documents).findings if not found.is_notice]
