"""SOAP envelopes: what stands in one, and writing one around an answer.

Lives here: Envelope, Header blocks, Body, WS-Addressing. Must not live here: what the message says
(`carried`), who sent it (`security`), HTTP.

Invariant: there is one Envelope with one Body in what is read, and no header block that must be
understood and is not. A block for another actor is none of ours.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from connectors.http import RequestError
from connectors.soap.namespaces import (
    ADDRESSING,
    ANONYMOUS,
    NOWHERE,
    VERSIONS,
    WSA,
    WSSE,
    WSU,
    Version,
)
from schemas.envelope.payload import local_name, text_of

_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_TRUE: Final = frozenset({"1", "true"})
# An address becomes a header of a record; the envelope's own fields have the same limit.
_ADDRESS_CHARS_MAX: Final = 1024


class SoapError(RequestError):
    """The envelope is at fault; `code` is in connectors/soap/problems.toml.

    `not_understood` are the names of the header blocks that nobody knows here.
    """

    def __init__(self, code: str, detail: str = "", not_understood: tuple[str, ...] = ()) -> None:
        super().__init__(code, detail)
        self.not_understood = not_understood


@dataclass(frozen=True, slots=True)
class Addressing:
    """WS-Addressing of a request; "" for what is not there.

    `namespace` is that of its blocks, "" where there are none. `destination` is To where that is
    no address of a server: then the one it was sent to is meant. `to_id` is the Id of that block,
    which a signature names it by.
    """

    namespace: str = ""
    message_id: str = ""
    action: str = ""
    destination: str = ""
    to_id: str = ""
    reply_nowhere: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """One that was read."""

    version: Version
    root: etree._Element
    body: etree._Element
    security: etree._Element | None
    addressing: Addressing


def version_of(root: etree._Element) -> Version:
    """The version of SOAP that an envelope is of.

    Raises:
        SoapError: version_mismatch, envelope_invalid.
    """
    namespace, _, local = root.tag.rpartition("}")
    if local != "Envelope":
        raise SoapError("envelope_invalid", "the root is no Envelope")
    version = VERSIONS.get(namespace[1:])
    if version is None:
        raise SoapError("version_mismatch")
    return version


def read_envelope(root: etree._Element, version: Version) -> Envelope:
    """The envelope that a root is.

    Raises:
        SoapError: envelope_invalid, header_not_understood, reply_address_unsupported.
    """
    parts = [_name(child, version) for child in root]
    if parts not in (["Body"], ["Header", "Body"]):
        raise SoapError("envelope_invalid", "an Envelope has one Header, if any, and one Body")
    blocks = list(_ours(root[0], version)) if len(root) > 1 else []
    _check_understood(blocks, version)
    found = [block for block in blocks if block.tag == f"{{{WSSE}}}Security"]
    if len(found) > 1:
        raise SoapError("envelope_invalid", "more than one Security header")
    security = found[0] if found else None
    return Envelope(version, root, root[-1], security, _addressing(blocks))


def write_envelope(version: Version, body: bytes, header: str = "") -> bytes:
    """An envelope around what is XML already, UTF-8 and without a declaration."""
    begin = f'<soap:Envelope xmlns:soap="{version.namespace}">{header}<soap:Body>'
    return _DECLARATION + begin.encode() + body + b"</soap:Body></soap:Envelope>"


def relating(request: Addressing, *, fault: bool) -> str:
    """The Header of an answer: it relates to a request that used WS-Addressing."""
    if not request.namespace:
        return ""
    action = f"{WSA}/soap/fault" if fault else f"{request.action}Response" if request.action else ""
    said = {"Action": action, "RelatesTo": request.message_id}
    blocks = "".join(
        f"<wsa:{name}>{escape(text)}</wsa:{name}>" for name, text in said.items() if text
    )
    return (
        f"<soap:Header xmlns:wsa={quoteattr(request.namespace)}>"
        f"<wsa:MessageID>urn:uuid:{uuid.uuid4()}</wsa:MessageID>{blocks}</soap:Header>"
    )


def id_of(element: etree._Element) -> str:
    """By what a signature names an element: WS-Security's Id, or one without a namespace."""
    return element.get(f"{{{WSU}}}Id") or element.get("Id") or ""


def _name(element: etree._Element, version: Version) -> str:
    """The local name of an element of SOAP itself, "" for any other."""
    namespace, _, local = element.tag.rpartition("}")
    return local if namespace[1:] == version.namespace else ""


def _ours(header: etree._Element, version: Version) -> Iterator[etree._Element]:
    """The blocks that are meant for the one who answers."""
    for block in header:
        if block.get(f"{{{version.namespace}}}{version.actor}", "").strip() in version.here:
            yield block


def _check_understood(blocks: list[etree._Element], version: Version) -> None:
    must = f"{{{version.namespace}}}mustUnderstand"
    strange = tuple(
        block.tag
        for block in blocks
        if block.get(must, "").strip() in _TRUE and not _understood(block)
    )
    if strange:
        names = ", ".join(tag.rpartition("}")[2] for tag in strange[:3])
        raise SoapError("header_not_understood", names, strange)


def _understood(block: etree._Element) -> bool:
    namespace = block.tag.rpartition("}")[0][1:]
    return namespace in ADDRESSING or block.tag == f"{{{WSSE}}}Security"


def _addressing(blocks: list[etree._Element]) -> Addressing:
    """What WS-Addressing says; of a block that comes twice the first counts."""
    texts: dict[str, str] = {}
    used = to_id = ""
    for block in blocks:
        namespace = block.tag.rpartition("}")[0][1:]
        if namespace not in ADDRESSING:
            continue
        used = used or namespace
        address = block.find(f"{{{namespace}}}Address")
        name = local_name(block)
        if name == "To" and name not in texts:
            to_id = id_of(block)
        texts.setdefault(name, text_of(block if address is None else address))
    if max(map(len, texts.values()), default=0) > _ADDRESS_CHARS_MAX:
        raise SoapError("envelope_invalid", "an address of WS-Addressing is too long")
    reply_to = texts.get("ReplyTo", "")
    if {reply_to, texts.get("FaultTo", "")} - ANONYMOUS - {"", NOWHERE}:
        raise SoapError("reply_address_unsupported")
    to = texts.get("To", "")
    is_server = to.lower().startswith(("http://", "https://")) or to == NOWHERE
    return Addressing(
        used,
        texts.get("MessageID", ""),
        texts.get("Action", ""),
        "" if is_server else to,
        to_id,
        reply_to == NOWHERE,
    )
