"""Peeking at an envelope and reading it never disagree, and neither ever breaks."""

import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.envelope import Header, HeaderFields, Kind, peek_fields, peek_header, read
from schemas.errors import MessageError, Problem

NS = "http://iec.ch/TC57/2011/schema/message"
TRAPS = [
    "<!-- </Header> -->",
    "<!-- <Header> -->",
    "<![CDATA[</Header>]]>",
    "<?pi </Header>?>",
    '<x:Header xmlns:x="urn:x"><Source>inner</Source></x:Header>',
    '<x xmlns="urn:x"><Header/></x>',
    "<Header/>",
    "text",
    "&amp;&#60;/Header&#62;",
    "\n",
]
traps = st.lists(st.sampled_from(TRAPS), max_size=3).map("".join)
prefixes = st.sampled_from(["", "m:", "Header:", "é:"])
roots = st.sampled_from(
    ["Message", "RequestMessage", "EventMessage", "ResponseMessage", "FaultMessage", "CreateN", "N"]
)
fields = st.lists(
    st.sampled_from(
        [
            "<{p}Source>HES|1</{p}Source>",
            "<{p}MessageID><![CDATA[<m>]]>1</{p}MessageID>",
            "<{p}MessageID>m<!-- c -->1</{p}MessageID>",
            "<{p}Timestamp>2026-01-01T00:00:00Z</{p}Timestamp>",
            "<{p}Timestamp>2026-01-01T00:00:00</{p}Timestamp>",
            "<{p}Context>test&#105;ng</{p}Context>",
            "<{p}Comment attribute='&lt;/Header&gt;'>é</{p}Comment>",
            "<{p}Property><{p}Name>Destination</{p}Name><{p}Value>d</{p}Value></{p}Property>",
            "<{p}User><{p}UserID>u</{p}UserID></{p}User>",
            "<{p}AckRequired>TRUE</{p}AckRequired>",
        ]
    ),
    max_size=4,
)
encodings = st.sampled_from(["", "UTF-8", "UTF-16", "ISO-8859-1", "windows-1252", "us-ascii"])
prologs = st.lists(
    st.sampled_from(["\n", "<!-- <N ><Header></Header></N> -->", "<?pi <N >?>", "<!DOCTYPE N>"]),
    max_size=2,
).map("".join)


@st.composite
def envelopes(draw: st.DrawFn) -> bytes:
    """A message that is often acceptable and always full of things to trip over."""
    prefix, root = draw(prefixes), draw(roots)
    declared = draw(encodings)
    verb = draw(st.sampled_from(["create", "Created", "reply", "get", "burn", ""]))
    namespace = draw(st.sampled_from([NS, NS, NS, "urn:typed", ""])) or "urn:none"
    declaration = "xmlns" + (f":{prefix[:-1]}" if prefix else "")
    header = "".join(draw(fields)).format(p=prefix)
    body = f"<{prefix}Reply><{prefix}Result>OK</{prefix}Result></{prefix}Reply>"
    space = draw(st.sampled_from(["", " ", "\n"]))
    text = (
        (f'<?xml version="1.0" encoding="{declared}"?>' if declared else "")
        + draw(prologs)
        + f'<{prefix}{root}{space} {declaration}="{namespace}">'
        + draw(st.sampled_from(["", *TRAPS]))
        + f"<{prefix}Header{space}>{draw(traps)}<{prefix}Verb>{verb}</{prefix}Verb>"
        + f"<{prefix}Noun>N</{prefix}Noun>{draw(traps)}{header}</{prefix}Header{space}>"
        + f"{draw(traps)}{draw(st.sampled_from([body, '']))}</{prefix}{root}>"
    )
    try:
        return text.encode(declared or "utf-8")
    except UnicodeEncodeError:
        return text.encode()


def verdict(data: bytes, peeked: HeaderFields | None) -> Header | tuple[Problem, ...] | None:
    try:
        return read(data, peeked=peeked).header
    except MessageError as error:
        return error.problems


def agree(data: bytes) -> bool:
    """Whether the message is accepted; fails where reading and peeking differ."""
    peeked = peek_header(data)
    assert verdict(data, peek_fields(data)) == verdict(data, None)
    try:
        message = read(data)
    except MessageError:
        return False
    assert peeked == message.header
    assert (peeked is None) == (message.kind is Kind.FAULT)
    return True


@settings(deadline=None)
@given(envelopes())
def test_peeking_at_an_envelope_agrees_with_reading_it(data: bytes) -> None:
    agree(data)


@settings(deadline=None)
@given(envelopes(), st.data())
def test_peeking_at_a_damaged_envelope_agrees_with_reading_it(
    data: bytes, choices: st.DataObject
) -> None:
    at = choices.draw(st.integers(0, len(data)))
    width = choices.draw(st.integers(0, 12))
    insert = choices.draw(
        st.binary(max_size=4) | st.sampled_from(TRAPS).map(str.encode) | st.just(b"</Header>")
    )
    agree(data[:at] + insert + data[at + width :])


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(string.printable + "</Header>é").map(str.encode))
@example(b"<a><Header></Header></a>")
@example(b"\x00<\x00a")
@example(b"<\x00")
@example(b"\xff\xfe")
@example(b'<?xml version="1.0" encoding="')
def test_peeking_at_any_bytes_never_raises(data: bytes) -> None:
    peek_header(data)
    agree(data)


def test_the_envelopes_of_these_tests_are_often_accepted() -> None:
    """A test of the test: were all of them refused, nothing above would be compared."""
    accepted = 0

    @settings(deadline=None)
    @given(envelopes())
    def count(data: bytes) -> None:
        nonlocal accepted
        accepted += agree(data)

    count()
    assert accepted >= 5
