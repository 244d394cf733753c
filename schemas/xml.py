"""The one XML parser configuration of the product, for whole messages and for streams.

Lives here: bytes -> element tree (libxml2), and pieces of bytes -> events (expat), both
hardened, with limits; and the wire encoding of the bytes. Must not live here: what the
elements mean. No other module makes an XML parser for bytes that come from outside, but for
`parsers`, which keeps the one of each thread.

Invariant: nothing that is read can make the parser fetch, expand or nest anything. There
is no DTD at all (so no entities but the five of XML), no network, no element deeper than
`depth_max` or with more than `namespaces_max` namespaces and no message longer than
`bytes_max`; what is left costs time and memory linear in its length, and a stream no more
memory than its longest token.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, cast
from xml.parsers import expat

from lxml import etree

from schemas import parsers, scopes
from schemas.errors import MessageError

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """How much XML one message may be.

    `bytes_max` counts the message as received, before any decompression of ours.
    `depth_max` counts elements on the path from the root to the deepest one, both included,
    `namespaces_max` the declarations that they have together.
    A Compressed payload may come to `unpacked_bytes_max` bytes, and above `unpacked_bytes_free`
    bytes to no more than `unpacked_ratio_max` times its compressed size; one that is never held
    as a whole to `model_bytes_max` bytes, with the same ratio.
    """

    # The limit of DESIGN's inbound topics.
    bytes_max: int = 8 * MIB
    # Typed envelope + MeterReadings comes to 9, the deepest CIM profile seen to about 20.
    depth_max: int = 64
    # See `scopes`. The most seen in a message was 11.
    namespaces_max: int = 64
    # 8 MiB of base64 are 6 MiB of gzip; CIM XML packs 10:1 to 30:1, and a tree takes about
    # 8 times its text, so this is the line between 256 MiB of memory and more of the data.
    unpacked_bytes_max: int = 32 * MIB
    # Deflate ends at 1032:1. Interval data with nothing but zeros was seen at 60:1.
    unpacked_ratio_max: int = 200
    unpacked_bytes_free: int = MIB
    # A network model, which is read piece by piece: 200,000 objects are 70 to 95 MB.
    model_bytes_max: int = 256 * MIB


DEFAULT: Final = XmlLimits()

# The prolog up to a DOCTYPE: white space, processing instructions, comments. Atomic groups:
# each piece ends at its first terminator and is never tried again, so this is linear.
_DOCTYPE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?+(?>[ \t\r\n]++|<\?(?>.*?\?>)|<!--(?>.*?-->))*+<!DOCTYPE", re.DOTALL
)
_DECLARED_ENCODING: Final = re.compile(
    rb"<\?xml[ \t\r\n][^>]{0,200}?encoding[ \t\r\n]*=[ \t\r\n]*"
    rb"[\"']([A-Za-z][A-Za-z0-9._-]{0,40})[\"']"
)
# Encodings of text that senders declare. A list, because Python also knows codecs that are
# no character encodings (hex, zip, idna) and stateful ones that hide markup (iso-2022, utf-7).
_READ_ENCODINGS: Final = re.compile(
    r"(?:us-)?ascii|iso-?8859-\d{1,2}|latin-?1|(?:windows|cp)-?125\d|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|shift_jis|euc-(?:jp|kr)"
)
_UTF_16_CODECS: Final = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\x00": "utf-16-le",
    b"\x00<": "utf-16-be",
}
_UTF_16: Final = tuple(_UTF_16_CODECS)
_UTF_32: Final = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff", b"<\x00\x00\x00", b"\x00\x00\x00<")

_ERRORS: Final[Any] = etree.ErrorTypes
# In our words, because libxml2's quote names that can be pieces of a value ("Tom&Jerry;").
_REASONS: Final = {
    _ERRORS.ERR_DOCUMENT_EMPTY: "there is no root element",
    _ERRORS.ERR_DOCUMENT_END: "something stands after the end of the root element",
    _ERRORS.ERR_TAG_NAME_MISMATCH: "an end tag does not match its start tag",
    _ERRORS.ERR_TAG_NOT_FINISHED: "the document ends before all elements are closed",
    _ERRORS.ERR_UNDECLARED_ENTITY: "an entity is used that XML does not define",
    _ERRORS.ERR_ENTITYREF_NO_NAME: "an ampersand is not written as &amp;",
    _ERRORS.ERR_ENTITYREF_SEMICOL_MISSING: "an ampersand is not written as &amp;",
    _ERRORS.ERR_INVALID_CHAR: "a character that XML does not allow",
    _ERRORS.ERR_LT_IN_ATTRIBUTE: "a less-than sign in an attribute is not written as &lt;",
    _ERRORS.ERR_NAME_REQUIRED: "a less-than sign is not followed by a name",
    _ERRORS.ERR_ATTRIBUTE_REDEFINED: "an attribute is given twice",
    _ERRORS.ERR_ATTRIBUTE_NOT_STARTED: "the value of an attribute is not in quotes",
    _ERRORS.ERR_GT_REQUIRED: "a tag is not closed",
    _ERRORS.ERR_RESERVED_XML_NAME: "an XML declaration that is not at the very beginning",
    _ERRORS.NS_ERR_UNDEFINED_NAMESPACE: "a namespace prefix is not declared",
}


def parse(data: bytes, limits: XmlLimits = DEFAULT) -> etree._Element:
    """The root element of an XML document, without comments and processing instructions.

    Lines of elements (`sourceline`) count from 1 as in the sender's bytes, in whatever
    encoding these are.

    Raises:
        MessageError: `message_too_large`, `xml_encoding`, `xml_forbidden` (a DOCTYPE),
            `xml_not_wellformed` (with the line), `xml_too_deep` or `xml_too_many_namespaces`.
    """
    if len(data) > limits.bytes_max:
        raise MessageError.of("message_too_large", f"{len(data)} of {limits.bytes_max} bytes")
    text = as_utf8(data)
    refuse_doctype(text)
    try:
        root = parsers.element(text)
    except etree.XMLSyntaxError as error:
        raise _translated(error, limits) from None
    if _deeper_than(root, limits.depth_max):
        raise MessageError.of("xml_too_deep", f"more than {limits.depth_max} elements")
    scopes.refuse_crowded(root, text, limits.namespaces_max)
    return root


def line_of(element: etree._Element) -> int | None:
    """The line of the sender's bytes that the element starts on, counting from 1."""
    return cast("int | None", element.sourceline)


def parse_trusted_prefix(text: bytes) -> etree._Element | None:
    """The root of a short piece of XML that the caller has cut out and closed, or None.

    For peeking: UTF-8 bytes that `refuse_doctype` has seen. No limit but libxml2's own
    depth is checked, and what is wrong is not said.
    """
    try:
        return parsers.element(text)
    except etree.XMLSyntaxError:
        return None


def as_utf8(data: bytes) -> bytes:
    """The same document as valid UTF-8 bytes, whatever encoding it is in.

    A byte order mark decides before the declaration. A declared UTF-16 that is plainly not
    (the declaration could be read as ASCII) is taken as UTF-8: .NET's string writers do it.
    The declaration itself is left as it is; the parser is told to ignore it.

    Raises:
        MessageError: `xml_encoding`, with the line where there is one.
    """
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        detail = f"bytes at {error.start} are not {encoding}"
        raise MessageError.of("xml_encoding", detail, line=line) from None
    if encoding == "utf-8":
        return data
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise MessageError.of("xml_encoding", f"unpaired surrogates in {encoding}") from None


def encoding_of(data: bytes) -> str:
    """The name of the codec that the document is to be decoded with.

    Raises:
        MessageError: `xml_encoding` for an encoding that is not read here.
    """
    if data.startswith(_UTF_32):
        raise MessageError.of("xml_encoding", "UTF-32 is not read here")
    if data.startswith(_UTF_16):
        return next(codec for start, codec in _UTF_16_CODECS.items() if data.startswith(start))
    declared = _DECLARED_ENCODING.match(data)
    if declared is None:
        return "utf-8"
    name = declared[1].decode("ascii").lower()
    if name in ("utf-8", "utf8") or name.startswith("utf-16"):
        return "utf-8"
    if not _READ_ENCODINGS.fullmatch(name):
        raise MessageError.of("xml_encoding", "the declared encoding is not read here", line=1)
    try:
        codecs.lookup(name)
    except LookupError:
        raise MessageError.of("xml_encoding", "the declared encoding is unknown", line=1) from None
    return name


def refuse_doctype(text: bytes) -> None:
    """Refuse a document with a document type declaration, before anything parses it.

    Raises:
        MessageError: `xml_forbidden`.
    """
    match = _DOCTYPE.match(text)
    if match:
        line = text.count(b"\n", 0, match.end()) + 1
        raise MessageError.of("xml_forbidden", "DOCTYPE", line=line)


_DEPTH_TESTS: Final[dict[int, etree.XPath]] = {}


def _deeper_than(root: etree._Element, depth: int) -> bool:
    """Whether there is an element `depth` + 1 steps from the document: one pass in C."""
    test = _DEPTH_TESTS.get(depth)
    if test is None:
        path = f"boolean({'/*' * (depth + 1)})"
        test = _DEPTH_TESTS[depth] = parsers.apart(partial(etree.XPath, path))
    return bool(test(root))


def _translated(error: etree.XMLSyntaxError, limits: XmlLimits) -> MessageError:
    line = error.lineno or None
    code = getattr(error, "code", None)  # lxml sets it, its stubs do not know it
    if "Excessive depth" in (error.msg or ""):
        return MessageError.of("xml_too_deep", f"more than {limits.depth_max} elements", line=line)
    if code in (_ERRORS.ERR_NAME_TOO_LONG, _ERRORS.ERR_RESOURCE_LIMIT):
        return MessageError.of("message_too_large", "a name is too long", line=line)
    reason = _REASONS.get(code, f"libxml2 error {code}")
    return MessageError.of("xml_not_wellformed", reason, line=line)


# --- streams ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much XML one stream may be.

    `token_bytes_max` is for one tag, comment or processing instruction: what the parser must hold
    and look at again with every piece until its end has come.
    """

    # 200,000 objects of a network are about 80 MB.
    bytes_max: int = 1024 * MIB
    depth_max: int = 64
    token_bytes_max: int = MIB


STREAM: Final = StreamLimits()


class Events(Protocol):
    """What a stream's reader does with what comes.

    Names are "namespace}local", or "local" where there is no namespace. Text comes in pieces.
    """

    def declared(self, prefix: str | None, namespace: str | None) -> None:
        """A namespace is declared by the element that comes next."""

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        """An element begins, on this line, counting from 1."""

    def text(self, data: str) -> None:
        """A piece of text."""

    def end(self, name: str) -> None:
        """The element that began last ends."""


# The longest declaration that `encoding_of` looks at.
_DECLARATION_BYTES: Final = 512
_CODES: Final = expat.errors.codes
_STREAM_REASONS: Final = {
    _CODES[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]: _ERRORS.ERR_DOCUMENT_END,
    _CODES[expat.errors.XML_ERROR_TAG_MISMATCH]: _ERRORS.ERR_TAG_NAME_MISMATCH,
    _CODES[expat.errors.XML_ERROR_UNCLOSED_TOKEN]: _ERRORS.ERR_TAG_NOT_FINISHED,
    _CODES[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION]: _ERRORS.ERR_TAG_NOT_FINISHED,
    _CODES[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: _ERRORS.ERR_UNDECLARED_ENTITY,
    _CODES[expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE]: _ERRORS.ERR_ATTRIBUTE_REDEFINED,
    _CODES[expat.errors.XML_ERROR_UNBOUND_PREFIX]: _ERRORS.NS_ERR_UNDEFINED_NAMESPACE,
    _CODES[expat.errors.XML_ERROR_MISPLACED_XML_PI]: _ERRORS.ERR_RESERVED_XML_NAME,
}
_NO_ELEMENTS: Final = _CODES[expat.errors.XML_ERROR_NO_ELEMENTS]
# An unquoted value, a bare ampersand, a control character: expat tells them not apart.
_INVALID_TOKEN: Final = _CODES[expat.errors.XML_ERROR_INVALID_TOKEN]


def stream(pieces: Iterable[bytes], events: Events, limits: StreamLimits = STREAM) -> Iterator[int]:
    """Parse a document that comes in pieces; after each, give the number of bytes read so far.

    What `events` raises goes through. Lines count as the sender's, in whatever encoding.

    Raises:
        MessageError: `message_too_large`, `xml_encoding`, `xml_forbidden` (a DOCTYPE),
            `xml_not_wellformed` (with the line) or `xml_too_deep`.
    """
    parser = _Stream(events, limits)
    read, head = 0, b""
    for piece in pieces:
        read += len(piece)
        if read > limits.bytes_max:
            raise MessageError.of("message_too_large", f"more than {limits.bytes_max} bytes")
        if not parser.begun:
            head += piece
            if len(head) < _DECLARATION_BYTES:
                continue
            piece = head  # noqa: PLW2901  # what was held back comes with it
        parser.feed(piece)
        yield read
    parser.feed(b"" if parser.begun else head, last=True)
    yield read


class _Stream:
    """expat with the depth and the longest token bounded, fed with UTF-8 whatever comes."""

    def __init__(self, events: Events, limits: StreamLimits) -> None:
        self._limits = limits
        self._decoder: codecs.IncrementalDecoder | None = None
        self._fed = 0
        self._depth = 0
        # Called a million times for a large model: each attribute that is not looked up counts.
        self._start_given, self._end_given = events.start, events.end
        self._depth_max = limits.depth_max
        self._parser = expat.ParserCreate("utf-8", "}")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartNamespaceDeclHandler = events.declared
        self._parser.StartElementHandler = self._start
        self._parser.CharacterDataHandler = events.text
        self._parser.EndElementHandler = self._end

    @property
    def begun(self) -> bool:
        return self._decoder is not None

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(encoding_of(piece))()
        try:
            text = self._decoder.decode(piece, last).encode("utf-8")
        except UnicodeError:
            line = self._parser.CurrentLineNumber
            raise MessageError.of("xml_encoding", "near this line", line=line) from None
        self._fed += len(text)
        try:
            self._parser.Parse(text, last)
        except expat.ExpatError as error:
            raise self._translated(error) from None
        if self._fed - self._parser.CurrentByteIndex > self._limits.token_bytes_max + len(text):
            line = self._parser.CurrentLineNumber
            raise MessageError.of("message_too_large", "a tag or comment is too long", line=line)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        line = self._parser.CurrentLineNumber
        if self._depth > self._depth_max:
            detail = f"more than {self._depth_max} elements"
            raise MessageError.of("xml_too_deep", detail, line=line)
        self._start_given(name, attributes, line)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._end_given(name)

    def _doctype(self, *_: object) -> None:
        line = self._parser.CurrentLineNumber
        raise MessageError.of("xml_forbidden", "DOCTYPE", line=line)

    def _translated(self, error: expat.ExpatError) -> MessageError:
        said = f"expat error {error.code}"
        if error.code == _INVALID_TOKEN:
            said = "markup or a character that XML does not allow"
        elif error.code == _NO_ELEMENTS:
            ended = self._depth > 0
            said = _REASONS[_ERRORS.ERR_TAG_NOT_FINISHED if ended else _ERRORS.ERR_DOCUMENT_EMPTY]
        elif error.code in _STREAM_REASONS:
            said = _REASONS[_STREAM_REASONS[error.code]]
        return MessageError.of("xml_not_wellformed", said, line=error.lineno)
