"""The schemas that a WSDL refers to: wrappers of the generic form, typed messages of a noun.

Lives here: making them from the catalogue. Must not live here: the envelope's schema
(`schemas/envelope/message.xsd`), what stands in a payload (`schemas.profiles`).

Invariant: what is valid against them is understood by `carried`, and what `carried` writes is valid
against them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import schemas.envelope
from connectors.soap.carried import operation
from connectors.soap.namespaces import ABSTRACT
from schemas.envelope.namespaces import EDITION_1, KIND_OF_VERB, Kind
from schemas.profiles.published import published
from topics import Noun

ENVELOPE: Final = "envelope"
PAYLOAD: Final = "payload"
MESSAGE: Final = "message"
"""Names of the documents, as in `?xsd=message`."""

_TC57: Final = "http://iec.ch/TC57/"
_MESSAGE_OF: Final = {Kind.REQUEST: "RequestMessage", Kind.EVENT: "EventMessage"}


def message_namespace(noun: Noun) -> str:
    """The namespace of a noun's typed messages: the standard's where the noun is the standard's."""
    own = noun.namespaces[0]
    if own.startswith(_TC57):
        return f"{own.removesuffix('#')}Message"
    return f"urn:cimstream:{noun.name}Message:1"


def elements(verb: str, noun: str) -> tuple[str, str]:
    """The elements that go in and come out: those of a query have a form of their own."""
    answer = f"{noun}ResponseMessage"
    if verb == "get":
        return f"Get{noun}RequestMessage", f"Get{answer}"
    return answer if verb == "reply" else operation(verb, noun), answer


def envelope() -> bytes:
    """The schema of the envelope."""
    return Path(schemas.envelope.__file__).with_name("message.xsd").read_bytes()


def payload(noun: Noun) -> bytes:
    """The schema of a noun's payload."""
    assert noun.profile is not None  # noqa: S101 - only live nouns have a service
    return published(noun.profile, noun.name)


def wrappers() -> bytes:
    """The schema of the generic form: one message in an element named after its operation."""
    parts = {
        "Request": "RequestMessage",
        "RequestResponse": "ResponseMessage",
        "Response": "ResponseMessage",
        "ResponseResponse": "ResponseMessage",
        "PublishEvent": "EventMessage",
        "PublishEventResponse": "ResponseMessage",
    }
    declared = "".join(
        f'  <xs:element name="{name}"><xs:complexType><xs:sequence>\n'
        f'    <xs:element name="message" type="msg:{kind}"/>\n'
        "  </xs:sequence></xs:complexType></xs:element>\n"
        for name, kind in parts.items()
    )
    return _schema(ABSTRACT, {"msg": (EDITION_1, ENVELOPE)}, declared)


def typed(noun: Noun, verbs: Iterable[str]) -> bytes:
    """The schema of a noun's messages: one element for each verb, with the noun's own payload."""
    roots = []
    for verb in verbs:
        question, answer = elements(verb, noun.name)
        kind = _MESSAGE_OF.get(KIND_OF_VERB[verb])
        if kind is not None:
            roots.append(f'  <xs:element name="{question}" type="tns:{kind}"/>\n')
        if verb == "get":
            roots.append(f'  <xs:element name="{answer}" type="tns:ResponseMessage"/>\n')
    declared = "".join(roots) + _TYPED.format(noun=noun.name)
    refers = {"msg": (EDITION_1, ENVELOPE), "obj": (noun.namespaces[0], PAYLOAD)}
    return _schema(message_namespace(noun), refers, declared)


_TYPED: Final = """\
  <xs:element name="{noun}ResponseMessage" type="tns:ResponseMessage"/>
  <xs:element name="{noun}FaultMessage" type="tns:FaultMessage"/>
  <xs:complexType name="RequestMessage"><xs:sequence>
    <xs:element name="Header" type="msg:Header"/>
    <xs:element name="Request" type="msg:Request" minOccurs="0"/>
    <xs:element name="Payload" type="tns:Payload" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="EventMessage"><xs:sequence>
    <xs:element name="Header" type="msg:Header"/>
    <xs:element name="Payload" type="tns:Payload" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="ResponseMessage"><xs:sequence>
    <xs:element name="Header" type="msg:Header"/>
    <xs:element name="Reply" type="msg:Reply"/>
    <xs:element name="Payload" type="tns:Payload" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="FaultMessage"><xs:sequence>
    <xs:element name="Reply" type="msg:Reply"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="Payload"><xs:sequence>
    <xs:element ref="obj:{noun}" minOccurs="0"/>
    <xs:element name="OperationSet" type="msg:OperationSet" minOccurs="0"/>
    <xs:element name="Compressed" type="xs:string" minOccurs="0"/>
    <xs:element name="ID" type="msg:ID" minOccurs="0" maxOccurs="unbounded"/>
    <xs:element name="Format" type="xs:string" minOccurs="0"/>
  </xs:sequence></xs:complexType>
"""


def _schema(namespace: str, refers: dict[str, tuple[str, str]], declared: str) -> bytes:
    names = "".join(f' xmlns:{prefix}="{space}"' for prefix, (space, _) in refers.items())
    imports = "".join(
        f'  <xs:import namespace="{space}" schemaLocation="?xsd={document}"/>\n'
        for space, document in refers.values()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:tns="{namespace}"{names}\n'
        f'    targetNamespace="{namespace}" elementFormDefault="qualified">\n'
        f"{imports}{declared}</xs:schema>\n"
    ).encode()
