"""A message with only some of its objects, otherwise as it came.

Lives here: cutting objects out of a message's bytes. Must not live here: which ones, and why.

Invariant: what is left says of each object kept what the message said of it: its declarations of
namespaces, its verb, its operation. It is no larger than the message, but for the encoding.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from typing import Final

from lxml import etree

from schemas.envelope.header import header_element, place_of
from schemas.envelope.model import Message
from schemas.envelope.payload import Place, local_name
from schemas.envelope.reader import read_element
from schemas.xml import XmlLimits, parse

# What stands behind the MessageID in a Header.
_BEHIND_ID: Final = ("CorrelationID", "Comment", "Property", "")
_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def excerpt(
    data: bytes,
    kept: Collection[int],
    message_id: str,
    limits: XmlLimits,
    objects: Collection[str] = (),
) -> bytes:
    """The message with the objects of these numbers, under an ID of its own, as UTF-8.

    Objects are the elements of the payload, numbered from 0 through all operations, or the payload
    itself where it is called like one of the noun's `objects`. An operation of which nothing is
    kept is left out.

    Raises:
        MessageError: as `schemas.envelope.read`.
    """
    root = parse(data, limits)
    message, place = read_element(root, limits), place_of(root)
    _rename(root, place, message_id)
    numbers = count()
    for payload in _payloads(message):
        alone = local_name(payload) in objects
        left = next(numbers) in kept if alone else _keep(payload, kept, numbers)
        operation = payload.getparent()
        if message.operation_set is not None and not left and operation is not None:
            _remove(operation)
    if message.payload is not None and message.payload.getroottree().getroot() is not root:
        _pack(root, place, message.payload)
    return _DECLARATION + etree.tostring(root, encoding="UTF-8")


def _payloads(message: Message) -> Iterable[etree._Element]:
    if message.operation_set is None:
        return () if message.payload is None else (message.payload,)
    operations = message.operation_set.operations
    return [one.payload for one in operations if one.payload is not None]


def _keep(payload: etree._Element, kept: Collection[int], numbers: Iterator[int]) -> int:
    """Remove the children that are not kept; how many are left."""
    left = 0
    child = next(iter(payload), None)
    while child is not None:
        following = child.getnext()
        if next(numbers) in kept:
            left += 1
        else:
            payload.remove(child)
        child = following
    return left


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _rename(root: etree._Element, place: Place, message_id: str) -> None:
    header = header_element(root)
    assert header is not None  # noqa: S101 - it was read
    names = [place.own_name(child) for child in header]
    if "MessageID" in names:
        header[names.index("MessageID")].text = message_id
        return
    element = etree.Element(header.tag.removesuffix("Header") + "MessageID")
    element.text = message_id
    before = (at for at, name in enumerate(names) if name in _BEHIND_ID)
    header.insert(next(before, len(names)), element)


def _pack(root: etree._Element, place: Place, payload: etree._Element) -> None:
    """Put an unpacked payload back where it came from."""
    packed = base64.b64encode(gzip.compress(etree.tostring(payload, encoding="UTF-8"), mtime=0))
    for part in root:
        for element in part if place.own_name(part) == "Payload" else ():
            if place.own_name(element) == "Compressed" and element.text:
                element.text = packed.decode()
