"""The message in a Body, and the answer in the form that the question had.

Lives here: the three forms that are met, and both ways between them and a message by itself. Must
not live here: SOAP (`envelope`), what the message says beyond its Header.

    bare      RequestMessage, EventMessage …              answered by ResponseMessage
    wrapped   abs:Request/abs:message, PublishEvent …     by abs:RequestResponse/abs:message
    typed     CreateOutages, GetOutagesRequestMessage …   by OutagesResponseMessage …

Invariant: what is taken out means what it meant inside: every prefix that is declared around it is
declared on it, and nothing of the envelope is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from xml.sax.saxutils import quoteattr

from lxml import etree

from connectors.soap.envelope import SoapError
from connectors.soap.namespaces import ABSTRACT
from schemas.envelope import Header
from schemas.envelope.header import header_element
from schemas.envelope.namespaces import (
    EDITION_1,
    KIND_OF_ROOT,
    KIND_OF_VERB,
    Kind,
    means_message,
)
from schemas.envelope.payload import local_name, text_of

OPERATIONS: Final = ("Request", "Response", "PublishEvent")
"""Those of the generic form."""
_OPERATION_OF_KIND: Final = {
    Kind.REQUEST: "Request",
    Kind.RESPONSE: "Response",
    Kind.EVENT: "PublishEvent",
}
_REQUEST: Final = "RequestMessage"
_RESPONSE: Final = "ResponseMessage"

Form = Literal["bare", "wrapped", "typed"]


@dataclass(frozen=True, slots=True)
class Carried:
    """A message as it came: its bytes by itself, and how the answer has to look.

    `root` and `namespace` are the name of its element in the Body.
    """

    data: bytes
    form: Form
    root: str
    namespace: str

    def operations(self, verb: str, noun: str) -> frozenset[str]:
        """What an action may call it: its operation in the generic and in the typed form."""
        generic = _OPERATION_OF_KIND[KIND_OF_VERB[verb]]
        return frozenset({generic, self.root, operation(verb, noun)})


def operation(verb: str, noun: str) -> str:
    """The name of an operation of the typed form."""
    return f"{'Response' if verb == 'reply' else verb.capitalize()}{noun}"


def take_out(body: etree._Element, destination: str = "") -> Carried:
    """The message in a Body.

    Args:
        body: As it was read.
        destination: Where WS-Addressing wants it, for a message that does not say so itself.

    Raises:
        SoapError: envelope_invalid.
    """
    if len(body) != 1:
        raise SoapError("envelope_invalid", f"{len(body)} elements in the Body instead of one")
    element = body[0]
    namespace, _, root = element.tag.rpartition("}")
    form: Form = "bare" if root in KIND_OF_ROOT else "typed"
    message = element
    inner = header_element(element[0]) if len(element) == 1 else None
    if inner is not None and header_element(element) is None:
        form, message = "wrapped", element[0]
        # It is named after the wrapper's schema; the verb says what it is.
        message.tag = inner.tag.removesuffix("Header") + "Message"
    if destination:
        _address(message, destination)
    data = etree.tostring(message, encoding="UTF-8", with_tail=False)
    return Carried(data, form, root, namespace[1:])


def put_in(answer: etree._Element, asked: Carried, noun: str) -> bytes:
    """A message's element as the answer to what was asked, ready for a Body."""
    if asked.form == "typed":
        _retag(answer, _typed_answer(asked.root, noun), asked.namespace)
    elif asked.form == "wrapped":
        return _wrapped(answer, f"{asked.root}Response", asked.namespace or ABSTRACT)
    return etree.tostring(answer, encoding="UTF-8")


def put_out(message: etree._Element, header: Header, form: Form, namespace: str) -> bytes:
    """A message in the form that another server wants, ready for a Body.

    `namespace` is that of its wrappers or of its typed messages.
    """
    kind = KIND_OF_VERB[header.verb]
    if form == "typed":
        name = operation(header.verb, header.noun)
        if kind is Kind.RESPONSE:
            name = f"{header.noun}{_RESPONSE}"
        elif header.verb == "get":
            name += _REQUEST
        _retag(message, name, namespace)
    if form != "wrapped":
        return etree.tostring(message, encoding="UTF-8")
    return _wrapped(message, _OPERATION_OF_KIND[kind], namespace)


def put_in_fault(answer: etree._Element, asked: Carried | None, noun: str) -> bytes:
    """A FaultMessage as the detail of a fault; a typed one has the name of its noun."""
    if asked is not None and asked.form == "typed" and noun:
        _retag(answer, f"{noun}FaultMessage", asked.namespace)
    return etree.tostring(answer, encoding="UTF-8")


def _wrapped(message: etree._Element, name: str, namespace: str) -> bytes:
    message.tag = f"{{{namespace}}}message"
    inside = etree.tostring(message, encoding="UTF-8")
    begin, end = f"<abs:{name} xmlns:abs={quoteattr(namespace)}>", f"</abs:{name}>"
    return begin.encode() + inside + end.encode()


def _typed_answer(root: str, noun: str) -> str:
    """The root of the answer to a typed root: queries have one of their own."""
    if root.endswith(_REQUEST):
        return root.removesuffix(_REQUEST) + _RESPONSE
    return f"{noun}{_RESPONSE}"


def _retag(root: etree._Element, name: str, namespace: str) -> None:
    """Put the root and the envelope's parts beneath it into the typed form's namespace."""
    for part in root:
        if local_name(part) == "Payload":
            for child in part:
                _move(child, namespace)
        _move(part, namespace)
    root.tag = f"{{{namespace}}}{name}"


def _move(element: etree._Element, namespace: str) -> None:
    if element.tag.rpartition("}")[0][1:] == EDITION_1:
        element.tag = f"{{{namespace}}}{local_name(element)}"


def _address(message: etree._Element, destination: str) -> None:
    """Add the Property Destination, unless the Header has one."""
    header = header_element(message)
    if header is None or not len(header):
        return
    own = header[0].tag.rpartition("}")[0]
    prefix = f"{own}}}" if own else ""
    for found in header.iterchildren(f"{prefix}Property"):
        name = found.find(f"{prefix}Name")
        if name is not None and text_of(name).lower() == "destination":
            return
    added = etree.Element(f"{prefix}Property")
    etree.SubElement(added, f"{prefix}Name").text = "Destination"
    etree.SubElement(added, f"{prefix}Value").text = destination
    ends = (
        at
        for at, child in enumerate(header)
        if not means_message(child.tag.rpartition("}")[0][1:])
        and child.tag.rpartition("}")[0] != own
    )
    header.insert(next(ends, len(header)), added)
