"""The WSDL 1.1 documents of the SOAP door, from the catalogue.

Lives here: the services, one of each interface (generic form) and one of each noun that enters
there (typed form), and their text. Must not live here: schemas (`xsd`), facts about interfaces and
nouns (`topics.catalogue`).

Document/literal, each with a binding of SOAP 1.1 and one of SOAP 1.2 at the same address.

Invariant: a function of the catalogue; what a service offers is what the door lets in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Final
from xml.sax.saxutils import quoteattr

from connectors.soap import xsd
from connectors.soap.carried import OPERATIONS, operation
from connectors.soap.namespaces import ABSTRACT, ACTIONS
from schemas.envelope.namespaces import EDITION_1, KIND_OF_VERB
from topics import Catalogue, Noun

_HTTP: Final = "http://schemas.xmlsoap.org/soap/http"
# The order in which an object lives.
_VERBS: Final = tuple(KIND_OF_VERB)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its action, and the elements that go in and come out (local names)."""

    name: str
    action: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `noun` is "" for the generic one; `documents` make its schemas, by name, once.

    `messages` is the namespace of its messages, `fault` the element of its faults, with prefix.
    """

    interface: str
    noun: str
    name: str
    messages: str
    fault: str
    operations: tuple[Operation, ...]
    documents: Mapping[str, Callable[[], bytes]]

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/soap/{self.interface}" + (f"/{self.noun}" if self.noun else "")


def services(catalogue: Catalogue) -> dict[tuple[str, str], Service]:
    """All services, by interface and noun ("" for the generic one)."""
    found: dict[tuple[str, str], Service] = {}
    for interface in catalogue.interfaces.values():
        found[interface.id, ""] = _generic(interface.id)
        for name in sorted(interface.accepts):
            verbs = [verb for verb in _VERBS if catalogue.refusal(interface.id, name, verb) is None]
            if verbs:
                found[interface.id, name] = _typed(interface.id, catalogue.nouns[name], verbs)
    return found


def actions(found: Mapping[tuple[str, str], Service]) -> frozenset[str]:
    """The names of all operations, which are the ends of their actions."""
    return frozenset(one.name for service in found.values() for one in service.operations)


def document(service: Service, address: str) -> bytes:
    """The WSDL of a service that is reached at `address`."""
    fault = f'<wsdl:part name="fault" element="{service.fault}"/>'
    messages = [f'  <wsdl:message name="Fault">{fault}</wsdl:message>\n']
    for one in service.operations:
        for name, element in ((one.name, one.question), (f"{one.name}Answer", one.answer)):
            part = f'<wsdl:part name="parameters" element="m:{element}"/>'
            messages.append(f'  <wsdl:message name="{name}">{part}</wsdl:message>\n')
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<wsdl:definitions name="{service.name}" targetNamespace="{_own(service)}"\n'
        f'    xmlns:tns="{_own(service)}" xmlns:m="{service.messages}" xmlns:msg="{EDITION_1}"\n'
        '    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"'
        ' xmlns:xs="http://www.w3.org/2001/XMLSchema"\n'
        '    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
        ' xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/">\n'
        f"{_types(service)}{''.join(messages)}{_port_type(service)}"
        f"{_binding(service, 'soap')}{_binding(service, 'soap12')}{_service(service, address)}"
        "</wsdl:definitions>\n"
    )
    return text.encode()


def _generic(interface: str) -> Service:
    operations = tuple(
        Operation(name, f"{ACTIONS}{name}", name, f"{name}Response") for name in OPERATIONS
    )
    documents = {xsd.MESSAGE: cache(xsd.wrappers), xsd.ENVELOPE: cache(xsd.envelope)}
    return Service(interface, "", interface, ABSTRACT, "msg:FaultMessage", operations, documents)


def _typed(interface: str, noun: Noun, verbs: list[str]) -> Service:
    space = xsd.message_namespace(noun)
    operations = tuple(
        Operation(name, f"{space}/{name}", *xsd.elements(verb, noun.name))
        for verb in verbs
        for name in (operation(verb, noun.name),)
    )
    documents: Mapping[str, Callable[[], bytes]] = {
        xsd.MESSAGE: cache(partial(xsd.typed, noun, verbs)),
        xsd.PAYLOAD: cache(partial(xsd.payload, noun)),
        xsd.ENVELOPE: cache(xsd.envelope),
    }
    fault = f"m:{noun.name}FaultMessage"
    return Service(interface, noun.name, noun.name, space, fault, operations, documents)


def _own(service: Service) -> str:
    """The namespace of a WSDL's own names, which are ours whatever its messages are."""
    return f"urn:cimstream:soap:{service.interface}" + (f":{service.noun}" if service.noun else "")


def _types(service: Service) -> str:
    imports = "".join(
        f'      <xs:import namespace="{space}" schemaLocation="?xsd={name}"/>\n'
        for space, name in ((service.messages, xsd.MESSAGE), (EDITION_1, xsd.ENVELOPE))
    )
    return f"  <wsdl:types>\n    <xs:schema>\n{imports}    </xs:schema>\n  </wsdl:types>\n"


def _port_type(service: Service) -> str:
    operations = "".join(
        f'    <wsdl:operation name="{one.name}">'
        f'<wsdl:input message="tns:{one.name}"/><wsdl:output message="tns:{one.name}Answer"/>'
        '<wsdl:fault name="Fault" message="tns:Fault"/></wsdl:operation>\n'
        for one in service.operations
    )
    return f'  <wsdl:portType name="{service.name}_Port">\n{operations}  </wsdl:portType>\n'


def _binding(service: Service, prefix: str) -> str:
    body = f'<{prefix}:body use="literal"/>'
    operations = "".join(
        f'    <wsdl:operation name="{one.name}"><{prefix}:operation soapAction="{one.action}"/>'
        f"<wsdl:input>{body}</wsdl:input><wsdl:output>{body}</wsdl:output>"
        f'<wsdl:fault name="Fault"><{prefix}:fault name="Fault" use="literal"/></wsdl:fault>'
        "</wsdl:operation>\n"
        for one in service.operations
    )
    return (
        f'  <wsdl:binding name="{service.name}_{prefix}" type="tns:{service.name}_Port">\n'
        f'    <{prefix}:binding style="document" transport="{_HTTP}"/>\n'
        f"{operations}  </wsdl:binding>\n"
    )


def _service(service: Service, address: str) -> str:
    ports = "".join(
        f'    <wsdl:port name="{service.name}_{prefix}" binding="tns:{service.name}_{prefix}">'
        f"<{prefix}:address location={quoteattr(address)}/></wsdl:port>\n"
        for prefix in ("soap", "soap12")
    )
    return f'  <wsdl:service name="{service.name}">\n{ports}  </wsdl:service>\n'
