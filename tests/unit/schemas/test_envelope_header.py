"""Every field of a Header, what is refused, and peeking without reading the rest."""

import pytest

from schemas.envelope import Header, peek_header, read
from schemas.envelope.header import FIELD_CHARS_MAX, PROBLEMS_MAX
from schemas.errors import MessageError, Problem

NS = "http://iec.ch/TC57/2011/schema/message"
NS_2008 = "http://www.iec.ch/TC57/2008/schema/message"
NAMESPACES = [
    NS_2008,
    "http://www.iec.ch/TC57/2010/schema/message",
    NS,
    "http://www.iec.ch/TC57/2011/schema/message",
    "http://iec.ch/TC57/2016/schema/message",
    "http://iec.ch/TC57/2021/schema/message",
]
READINGS = '<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"/>'


def message(
    *,
    root: str = "EventMessage",
    verb: str = "created",
    noun: str = "MeterReadings",
    header: str = "",
    body: str = f"<Payload>{READINGS}</Payload>",
    namespace: str = NS,
) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{namespace}">\n'
        f"<Header><Verb>{verb}</Verb><Noun>{noun}</Noun>{header}</Header>\n{body}\n</{root}>"
    ).encode()


def header_of(data: bytes) -> Header:
    header = read(data).header
    assert header is not None
    return header


def problems_of(data: bytes) -> tuple[Problem, ...]:
    with pytest.raises(MessageError) as caught:
        read(data)
    return caught.value.problems


FULL_HEADER = """
<Revision>2.0</Revision>
<ReplayDetection><Nonce>n-1</Nonce><Created>2026-01-01T00:00:01Z</Created></ReplayDetection>
<Context>testing</Context><Timestamp>2026-01-01T01:00:00.5+01:00</Timestamp>
<Source>HES-1</Source><AsyncReplyFlag>1</AsyncReplyFlag>
<ReplyAddress>https://mdm.example/replies</ReplyAddress><AckRequired>false</AckRequired>
<User><UserID>u1</UserID><Organization>o1</Organization></User>
<MessageID> m-1 </MessageID><CorrelationID>c-1</CorrelationID><Comment>night run</Comment>
<Property><Name>A</Name><Value>1</Value></Property>
<Property><Name>destination</Name><Value>MDM-1</Value></Property>
<Property><Name>A</Name></Property>
"""
FULL = Header(
    verb="created",
    noun="MeterReadings",
    revision="2.0",
    context="TESTING",
    timestamp_ms=1_767_225_600_500,
    source="HES-1",
    destination="MDM-1",
    message_id="m-1",
    correlation_id="c-1",
    reply_address="https://mdm.example/replies",
    ack_required=False,
    async_reply=True,
    user_id="u1",
    organization="o1",
    comment="night run",
    properties=(("A", "1"), ("A", "")),
    replay_nonce="n-1",
    replay_created_ms=1_767_225_601_000,
)


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_field_of_a_header_is_read(namespace: str) -> None:
    assert header_of(message(header=FULL_HEADER, namespace=namespace)) == FULL


def test_fields_may_stand_in_any_order() -> None:
    data = message(header="<MessageID>m</MessageID><Source>s</Source>")
    swapped = data.replace(b"<Verb>created</Verb>", b"").replace(
        b"<Source>", b"<Verb>created</Verb><Source>"
    )
    assert header_of(swapped) == header_of(data)


def test_fields_that_we_do_not_know_are_ignored() -> None:
    data = message(
        header='<timesliceOperation>x</timesliceOperation><s:Signature xmlns:s="urn:s"><s:Verb>get'
        "</s:Verb></s:Signature><UserID>not in User</UserID>"
    )
    assert header_of(data) == Header("created", "MeterReadings")


def test_empty_fields_are_absent() -> None:
    data = message(
        header="<Context/><Timestamp/><Source> </Source><AckRequired/><MessageID></MessageID>"
        "<User/><Property><Name>Destination</Name></Property>"
    )
    assert header_of(data) == Header("created", "MeterReadings")


@pytest.mark.parametrize("context", ["production", "PRODUCTION", " Production "])
def test_production_is_the_context_without_being_said(context: str) -> None:
    assert header_of(message(header=f"<Context>{context}</Context>")).context == "PRODUCTION"
    assert header_of(message()).context == "PRODUCTION"


@pytest.mark.parametrize(("text", "flag"), [("true", True), ("True", True), ("0", False)])
def test_flags_are_read_in_any_case(text: str, flag: bool) -> None:
    assert header_of(message(header=f"<AckRequired>{text}</AckRequired>")).ack_required is flag


@pytest.mark.parametrize(
    ("field", "code", "path"),
    [
        (
            "<Timestamp>2026-01-01T00:00:00</Timestamp>",
            "timestamp_without_zone",
            "/EventMessage/Header/Timestamp",
        ),
        ("<Timestamp>noon</Timestamp>", "timestamp_invalid", "/EventMessage/Header/Timestamp"),
        (
            "<ReplayDetection><Created>2026-01-01T00:00:00</Created></ReplayDetection>",
            "timestamp_without_zone",
            "/EventMessage/Header/ReplayDetection/Created",
        ),
        ("<AckRequired>yes</AckRequired>", "header_invalid", "/EventMessage/Header/AckRequired"),
        (
            "<MessageID>1</MessageID><MessageID>1</MessageID>",
            "header_invalid",
            "/EventMessage/Header/MessageID",
        ),
        ("<Verb>created</Verb>", "header_invalid", "/EventMessage/Header/Verb"),
        ("<Source><b>x</b></Source>", "header_invalid", "/EventMessage/Header/Source"),
        ("<Source>a<b/></Source>", "header_invalid", "/EventMessage/Header/Source"),
        (
            f"<MessageID>{'x' * (FIELD_CHARS_MAX + 1)}</MessageID>",
            "header_invalid",
            "/EventMessage/Header/MessageID",
        ),
        (
            "<Property><Value>1</Value></Property>",
            "header_invalid",
            "/EventMessage/Header/Property",
        ),
        (
            "<Property><Name>Destination</Name><Value>a</Value></Property>" * 2,
            "header_invalid",
            "/EventMessage/Header/Property",
        ),
        (
            f"<Property><Name>Destination</Name><Value>{'a' * 2049}</Value></Property>",
            "header_invalid",
            "/EventMessage/Header/Property",
        ),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_with_its_place(
    field: str, code: str, path: str
) -> None:
    (problem,) = problems_of(message(header=f"\n{field}"))
    assert (problem.code, problem.xpath, problem.line) == (code, path, 4)


def test_the_longest_field_and_a_longer_comment_pass() -> None:
    longest = "x" * FIELD_CHARS_MAX
    header = header_of(
        message(header=f"<MessageID>{longest}</MessageID><Comment>{longest}{longest}</Comment>")
    )
    assert header.message_id == longest
    assert len(header.comment) == 2 * FIELD_CHARS_MAX


def test_all_problems_of_a_header_are_said_at_once() -> None:
    data = message(
        verb="", noun="", header="<Timestamp>noon</Timestamp><AckRequired>x</AckRequired>"
    )
    assert {problem.code for problem in problems_of(data)} == {
        "verb_missing",
        "noun_missing",
        "timestamp_invalid",
        "header_invalid",
    }


def test_a_header_with_countless_problems_gives_some_of_them() -> None:
    data = message(verb="", header="<AckRequired>x</AckRequired>" * 1_000)
    assert len(problems_of(data)) == PROBLEMS_MAX


# --- peeking


def test_peeking_reads_the_header() -> None:
    assert peek_header(message(header=FULL_HEADER)) == FULL
    assert peek_header(message(header=FULL_HEADER).decode().encode("utf-16")) is not None


def test_peeking_needs_nothing_after_the_header() -> None:
    data = message(header=FULL_HEADER)
    end = data.index(b"</Header>") + len(b"</Header>")
    assert peek_header(data[:end]) == FULL
    assert peek_header(data[:end] + b"<Payload>\xff<") == FULL
    assert peek_header(data[: end - 1]) is None


def test_peeking_does_not_look_past_a_document_type_declaration() -> None:
    declaration = b'?>\n<!DOCTYPE EventMessage [<!ENTITY s "HES-1">]>'
    data = message(header="<Source>HES-1</Source>").replace(b"?>\n", declaration, 1)
    assert peek_header(data) is None


def test_peeking_leaves_out_what_reading_refuses() -> None:
    data = message(verb="Burn", header="<Timestamp>noon</Timestamp><MessageID>m</MessageID>")
    assert peek_header(data) == Header("burn", "MeterReadings", message_id="m")
    long = message(header=f"<MessageID>{'x' * (FIELD_CHARS_MAX + 1)}</MessageID>")
    assert peek_header(long) == Header("created", "MeterReadings")


@pytest.mark.parametrize(
    "trap",
    [
        "<!-- </Header> -->",
        "<![CDATA[</Header>]]>",
        "<?pi </Header> ?>",
        '<x:Header xmlns:x="urn:x"><x:Source>no</x:Source></x:Header>',
    ],
)
def test_peeking_is_not_fooled_by_what_looks_like_the_end(trap: str) -> None:
    data = message(header=f"{trap}<Source>HES-1</Source>")
    assert peek_header(data) == header_of(data)
    assert header_of(data).source == "HES-1"


def test_peeking_is_not_fooled_by_what_looks_like_the_root() -> None:
    data = message(header="<Source>HES-1</Source>").replace(
        b"?>\n", b"?>\n<!-- <Other ><Header><Source>X</Source></Header></Other> -->"
    )
    header = peek_header(data)
    assert header == header_of(data)
    assert header is not None
    assert header.source == "HES-1"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"<a/>",
        b"<a><Header/></a>",
        b"<Header></Header>",
        b'<s:Envelope xmlns:s="urn:soap"><s:Header></s:Header><s:Body/></s:Envelope>',
        READINGS.encode(),
        b"\xff" * 100,
        b"<!DOCTYPE a><a><Header><Source>s</Source></Header></a>",
        b"<a>" * 10_000 + b"<Header></Header>",
        f'<FaultMessage xmlns="{NS}"><Header><Source>s</Source></Header></FaultMessage>'.encode(),
        f'<EventMessage xmlns="{NS}"><Payload/><Header></Header></EventMessage>'.encode(),
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b"<\xff><Header></Header></\xff>",
    ],
)
def test_peeking_gives_none_where_there_is_no_header(data: bytes) -> None:
    assert peek_header(data) is None
