"""The Header, and reading no more of a message than that.

Lives here: Header elements -> `Header`, and `peek_header`. Must not live here: what a
Header must have in which kind of message (see `reader`).

Invariant: where `reader.read` accepts a message, `peek_header` gives the same Header (or
None for a fault), because both read it with the same function.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from lxml import etree

from schemas.canonical import WHITE_SPACE
from schemas.envelope.model import Header, Kind
from schemas.envelope.namespaces import MESSAGE_NAMESPACES, PRODUCTION, ROOT_SUFFIXES
from schemas.envelope.payload import Place, boolean, local_name, normal_verb, text_of
from schemas.errors import MessageError, Problem
from schemas.times import TimestampError, to_epoch_ms
from schemas.xml import (
    DEFAULT,
    XmlLimits,
    as_utf8,
    encoding_of,
    line_of,
    parse,
    parse_trusted_prefix,
    refuse_doctype,
)

# Header fields become Kafka keys and headers, so they are bounded; 2048 takes the longest
# reply address (a URL) that servers commonly accept. Comment and Property values are not.
FIELD_CHARS_MAX: Final = 2048
# Of a Header with a thousand bad fields the sender needs to hear of some, not of all.
PROBLEMS_MAX: Final = 10

_TEXTS: Final = {
    "Verb": "verb",
    "Noun": "noun",
    "Revision": "revision",
    "Context": "context",
    "Source": "source",
    "ReplyAddress": "reply_address",
    "MessageID": "message_id",
    "CorrelationID": "correlation_id",
    "Comment": "comment",
}
_FLAGS: Final = {"AsyncReplyFlag": "async_reply", "AckRequired": "ack_required"}
_FIELDS: Final = {**_TEXTS, **_FLAGS, "Timestamp": "timestamp_ms"}
# By full name, because most fields are texts in a message namespace and need no more.
_TEXTS_BY_TAG: Final = {
    f"{{{namespace}}}{name}": attribute
    for namespace in MESSAGE_NAMESPACES
    for name, attribute in _TEXTS.items()
}
# Elements that hold fields, not text.
_GROUPS: Final = {
    "User": {"UserID": "user_id", "Organization": "organization"},
    "ReplayDetection": {"Nonce": "replay_nonce", "Created": "replay_created_ms"},
}

_ROOT_NAME: Final = re.compile(rb"<([^\s<>!?/&=\"']+)[\s>]")
_HEADER_END: Final = re.compile(rb"</(?:[^\s<>/:&]+:)?Header[ \t\r\n]*>")


@dataclass
class HeaderFields:
    """A Header under construction: values by attribute name, and what was wrong with others."""

    values: dict[str, Any] = field(default_factory=dict)
    properties: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @cached_property
    def header(self) -> Header:
        """The Header of the values, once all are there; verb and noun may be "", or unknown."""
        values = self.values.copy()
        verb = normal_verb(values.pop("verb", ""))
        noun = values.pop("noun", "")
        context = values.pop("context", PRODUCTION).upper()
        return Header(verb, noun, context=context, properties=tuple(self.properties), **values)

    def refuse(self, code: str, detail: str, place: Place, at: etree._Element) -> None:
        """Note a problem with the element `at`, which is that place; the first few are enough."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(code, detail, place.path, line_of(at)))


def peek_header(data: bytes, limits: XmlLimits = DEFAULT) -> Header | None:
    """The Header, reading no further than its end; None where there is none to be read.

    For routing before the message is judged: fields that `read` would refuse are left at
    their defaults (the first of two counts), the verb may be unknown, and what follows the
    Header may be anything. Never raises.
    """
    fields = peek_fields(data, limits)
    return None if fields is None else fields.header


def peek_fields(data: bytes, limits: XmlLimits = DEFAULT) -> HeaderFields | None:
    """As `peek_header`, with what was wrong: `read` takes it and need not look again."""
    try:
        root = _head(data, limits)
    except MessageError:
        return None
    return None if root is None else fields_of(root)


def fields_of(root: etree._Element) -> HeaderFields | None:
    """What `peek_fields` finds in a message that is parsed already."""
    if kind_of_name(local_name(root)) is Kind.FAULT:
        return None
    element = header_element(root)
    if element is None:
        return None
    fields = read_header(element, place_of(root))
    return fields if fields.values else None


def _head(data: bytes, limits: XmlLimits) -> etree._Element | None:
    """The root with at least the Header in it, or None where no Header ends.

    Cuts behind the first end tag of a Header and closes the root. Were the cut in the wrong
    place (in a comment, in a nested element), the piece would not be well-formed, and the
    whole is parsed; if the piece is well-formed, it is how a parser sees the whole so far.
    """
    text = data if encoding_of(data) == "utf-8" else as_utf8(data)
    refuse_doctype(text)
    header_end = _HEADER_END.search(text)
    root_name = _ROOT_NAME.search(text)
    if header_end is None or root_name is None:
        return None
    root = parse_trusted_prefix(b"%b</%b>" % (text[: header_end.end()], root_name[1]))
    return parse(data, limits) if root is None else root


def header_element(root: etree._Element) -> etree._Element | None:
    """The first child of the root, if its name is Header, in whatever namespace."""
    if len(root) and local_name(root[0]) == "Header":
        return root[0]
    return None


def place_of(root: etree._Element) -> Place:
    """The place of a root."""
    namespace, _, local = root.tag.rpartition("}")
    return Place(namespace[1:], f"/{local}")


def kind_of_name(local: str) -> Kind | None:
    """The kind that a root's name alone says, if it says one."""
    for suffix, kind in ROOT_SUFFIXES.items():
        if local.endswith(suffix):
            return kind
    return None


def read_header(element: etree._Element, place: Place) -> HeaderFields:
    """Read a Header element; `place` is its root's. Nothing raises, all problems are noted."""
    fields = HeaderFields()
    place = place.below("Header")
    values = fields.values
    for child in element:
        attribute = _TEXTS_BY_TAG.get(child.tag)
        text = child.text
        if (
            attribute is not None
            and attribute not in values
            and text
            and len(text) <= FIELD_CHARS_MAX
            and not len(child)
        ):
            text = text.strip(WHITE_SPACE)
            if text:
                values[attribute] = text
            continue
        name = place.own_name(child)
        if name in _FIELDS:
            _read_field(child, name, _FIELDS[name], fields, place)
        elif name == "Property":
            _read_property(child, fields, place.below(name))
        elif name in _GROUPS:
            members = _GROUPS[name]
            for part in child:
                member = place.own_name(part)
                if member in members:
                    _read_field(part, member, members[member], fields, place.below(name))
    return fields


def _read_field(
    element: etree._Element, name: str, attribute: str, fields: HeaderFields, place: Place
) -> None:
    text = text_of(element)
    wrong = ""
    if len(element):
        wrong = "elements inside"
    elif not text:
        return
    elif attribute in fields.values:
        wrong = "given twice"
    elif len(text) > FIELD_CHARS_MAX and name != "Comment":
        wrong = "too long"
    elif attribute.endswith("_ms"):
        try:
            fields.values[attribute] = to_epoch_ms(text)
        except TimestampError as error:
            fields.refuse(error.code, "", place.below(name), element)
    elif name in _FLAGS:
        flag = boolean(text)
        if flag is None:
            wrong = "neither true nor false"
        else:
            fields.values[attribute] = flag
    else:
        fields.values[attribute] = text
    if wrong:
        fields.refuse("header_invalid", wrong, place.below(name), element)


def _read_property(element: etree._Element, fields: HeaderFields, place: Place) -> None:
    pair = {"Name": "", "Value": ""}
    for child in element:
        name = place.own_name(child)
        if name in pair:
            pair[name] = text_of(child)
    if not pair["Name"]:
        fields.refuse("header_invalid", "no Name", place, element)
    elif pair["Name"].lower() != "destination":
        fields.properties.append((pair["Name"], pair["Value"]))
    elif "destination" in fields.values:
        fields.refuse("header_invalid", "Destination given twice", place, element)
    elif len(pair["Value"]) > FIELD_CHARS_MAX:
        fields.refuse("header_invalid", "Destination too long", place, element)
    elif pair["Value"]:
        fields.values["destination"] = pair["Value"]
