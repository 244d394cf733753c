"""What is written is valid, the same every time, and reads back as the same message."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from schemas import envelope
from schemas.canonical import canonical_form
from schemas.envelope import (
    Header,
    Kind,
    Message,
    ObjectId,
    Operation,
    OperationSet,
    Reply,
    ReplyError,
    fault,
    read,
    reply_error,
    reply_to,
    write,
)
from schemas.errors import Problem

NS = "http://iec.ch/TC57/2011/schema/message"
ROOT = Path(__file__).parents[3]
OWN_XSD = Path(envelope.__file__).with_name("message.xsd")
SAMPLES = Path(os.environ.get("CIMSTREAM_SAMPLES", ROOT.parent / "shared" / "samples"))
PUBLISHED_XSD = SAMPLES / "xsd" / "Part100_ed1_Message.xsd"

READINGS = etree.fromstring(
    '<m:MeterReadings xmlns:m="http://iec.ch/TC57/2011/MeterReadings#"'
    ' xmlns:x="urn:x"><m:MeterReading kind="x:a">1</m:MeterReading> </m:MeterReadings>'
)
HEADER = Header(
    verb="create",
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
    comment="night <run> & more",
    properties=(("A", "1"), ("A", "")),
    replay_nonce="n-1",
    replay_created_ms=1_767_225_601_000,
)
EVENT_HEADER = Header("created", "MeterReadings")
REPLY = Reply(
    "PARTIAL",
    errors=(
        ReplyError(
            "2.4",
            "FATAL",
            "r",
            "d",
            "Meter",
            ObjectId("m1", "name", "t", "a", "Meter"),
            ObjectId("u1", "uuid"),
            7,
        ),
        ReplyError("5.3"),
    ),
    ids=(ObjectId("x"), ObjectId("y", "other")),
    operation_id=-2,
)
OPERATIONS = OperationSet(
    enforce_sequence=True,
    enforce_integrity=False,
    operations=(
        Operation(1, "MeterReadings", "create", payload=READINGS),
        Operation(2, "EndDeviceEvents", "delete", element_operation=True),
    ),
)


def request_element(text: str) -> etree._Element:
    return etree.fromstring(text)


REQUEST = request_element(
    f'<Request xmlns="{NS}"><StartTime>2026-01-01T00:00:00Z</StartTime>'
    "<EndTime>2026-01-02T00:00:00Z</EndTime><Option><name>n</name><value>v</value></Option>"
    '<Option><name>o</name></Option><ID kind="uuid">u</ID>'
    '<g:GetMeterReadings xmlns:g="urn:get"><g:Meter/></g:GetMeterReadings></Request>'
)
MESSAGES = {
    "create": Message(Kind.REQUEST, HEADER, payload=READINGS, format="XML"),
    "bare request": Message(Kind.REQUEST, Header("get", "MeterReadings")),
    "query": Message(Kind.REQUEST, Header("get", "MeterReadings"), request=REQUEST),
    "event": Message(Kind.EVENT, EVENT_HEADER, payload=READINGS),
    "operations": Message(
        Kind.REQUEST, Header("execute", "MeterReadings"), operation_set=OPERATIONS
    ),
    "ids": Message(
        Kind.REQUEST, Header("delete", "Meters"), payload_ids=(ObjectId("1", "name"), ObjectId("2"))
    ),
    "response": Message(
        Kind.RESPONSE, Header("reply", "MeterReadings"), reply=REPLY, payload=READINGS
    ),
    "response without noun": Message(Kind.RESPONSE, Header("reply", ""), reply=Reply("FAILED")),
    "fault": fault(REPLY),
}


def comparable(message: Message) -> tuple[object, ...]:
    """A message with elements by content, so that two can be compared."""

    def form(element: etree._Element | None) -> str | None:
        return None if element is None else canonical_form(element)

    operations = message.operation_set
    return (
        message.kind,
        message.header,
        form(message.request),
        message.reply,
        form(message.payload),
        operations
        and (
            operations.enforce_sequence,
            operations.enforce_integrity,
            [
                (
                    step.operation_id,
                    step.noun,
                    step.verb,
                    step.element_operation,
                    form(step.payload),
                )
                for step in operations.operations
            ],
        ),
        message.payload_ids,
        message.format,
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_is_valid_against_our_schema(name: str) -> None:
    etree.XMLSchema(file=OWN_XSD).assertValid(etree.fromstring(write(MESSAGES[name])))


@pytest.mark.skipif(not PUBLISHED_XSD.exists(), reason="the published schema is not here")
@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_is_valid_against_the_published_schema(name: str) -> None:
    """Its wildcards are strict, so elements of other schemas are taken out of Request."""
    schema = etree.XMLSchema(file=PUBLISHED_XSD)
    root = etree.fromstring(write(MESSAGES[name]))
    for request in root.findall(f"{{{NS}}}Request"):
        for child in request:
            if not child.tag.startswith(f"{{{NS}}}"):
                request.remove(child)
    schema.assertValid(root)


@pytest.mark.skipif(not PUBLISHED_XSD.exists(), reason="the published schema is not here")
@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text.replace("<msg:Verb>create<", "<msg:Verb>Create<"),
        lambda text: text.replace("Noun>", "Nown>"),
        lambda text: text.replace("msg:Source>", "msg:Sauce>"),
        lambda text: text.replace("<msg:AckRequired>false<", "<msg:AckRequired>no<"),
        lambda text: text.replace("RequestMessage", "EventMessages"),
        lambda text: text.replace("2026-01-01T00:00:01Z", "soon"),
        lambda text: text.replace("msg:Format>", "msg:Form>"),
    ],
)
def test_our_schema_and_the_published_one_refuse_the_same(broken: Callable[[str], str]) -> None:
    root = etree.fromstring(broken(write(MESSAGES["create"]).decode()).encode())
    assert not etree.XMLSchema(file=OWN_XSD).validate(root)
    assert not etree.XMLSchema(file=PUBLISHED_XSD).validate(root)


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_reads_back_as_the_same_message(name: str) -> None:
    message = MESSAGES[name]
    data = write(message)
    assert comparable(read(data)) == comparable(message)
    assert write(read(data)) == data


@pytest.mark.parametrize("name", MESSAGES)
def test_writing_leaves_the_message_as_it_is(name: str) -> None:
    before = comparable(MESSAGES[name])
    assert write(MESSAGES[name]) == write(MESSAGES[name])
    assert comparable(MESSAGES[name]) == before


def test_an_error_without_code_is_no_valid_instance() -> None:
    """The schema under test can fail where the reader is strict, too."""
    data = write(MESSAGES["fault"]).replace(b"<msg:code>5.3</msg:code>", b"")
    assert not etree.XMLSchema(file=OWN_XSD).validate(etree.fromstring(data))


def test_the_bytes_begin_with_a_declaration_and_carry_utf_8() -> None:
    data = write(Message(Kind.EVENT, Header("created", "N", source="Zähler")))
    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<msg:EventMessage ')
    assert "Zähler".encode() in data


def test_prefixes_that_values_use_come_with_the_payload() -> None:
    source = f"""<Message xmlns="{NS}" xmlns:c="urn:c"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <Header><Verb>created</Verb><Noun>N</Noun></Header>
        <Payload><N xmlns="urn:n"><v xsi:type="c:T">1</v><w/> tail <w/></N></Payload></Message>"""
    first = read(source.encode())
    again = read(write(first))
    assert again.payload is not None
    assert again.payload[0].nsmap["c"] == "urn:c"
    assert comparable(again) == comparable(first)
    assert NS not in again.payload.nsmap.values() or again.payload.nsmap.get("msg") == NS


def test_the_white_space_around_a_payload_is_not_written() -> None:
    source = f"""<Message xmlns="{NS}">
        <Header> <Verb>created</Verb> <Noun>N</Noun> </Header>
        <Payload>
          <N xmlns="urn:n"/>
        </Payload></Message>"""
    _, text = write(read(source.encode())).split(b"\n", 1)
    assert not set(b"\n\t") & set(text)
    assert b"> <" not in text


def test_a_typed_request_is_written_in_the_generic_form_and_order() -> None:
    typed = request_element(
        '<t:Request xmlns:t="urn:typed"><t:ID kind="name">1</t:ID>'
        f'<m:Option xmlns:m="{NS}"><m:name>n</m:name></m:Option>'
        '<t:EndTime>2026-01-01T00:00:00Z</t:EndTime><g:Get xmlns:g="urn:get"/></t:Request>'
    )
    data = write(Message(Kind.REQUEST, Header("get", "N"), request=typed))
    etree.XMLSchema(file=OWN_XSD).assertValid(etree.fromstring(data))
    request = read(data).request
    assert request is not None
    assert [child.tag.rpartition("}")[2] for child in request] == ["EndTime", "Option", "ID", "Get"]


PLAIN = Header("create", "N")
NAMELESS = etree.fromstring("<N/>")


@pytest.mark.parametrize(
    "message",
    [
        Message(Kind.EVENT, PLAIN),
        Message(Kind.REQUEST, Header("reply", "N")),
        Message(Kind.REQUEST, Header("Create", "N")),
        Message(Kind.RESPONSE, PLAIN, reply=Reply("OK")),
        Message(Kind.RESPONSE, Header("reply", "N")),
        Message(Kind.REQUEST, None),
        Message(Kind.FAULT, PLAIN, reply=Reply("FAILED")),
        Message(Kind.FAULT, None),
        Message(Kind.FAULT, None, reply=Reply("FAILED"), payload=READINGS),
        Message(Kind.REQUEST, PLAIN, reply=Reply("OK")),
        Message(Kind.EVENT, EVENT_HEADER, request=REQUEST),
        Message(Kind.REQUEST, Header("create", "")),
        Message(Kind.REQUEST, PLAIN, payload=READINGS, payload_ids=(ObjectId("1"),)),
        Message(Kind.REQUEST, PLAIN, payload=READINGS, operation_set=OPERATIONS),
        Message(Kind.REQUEST, PLAIN, payload=NAMELESS),
        Message(Kind.REQUEST, PLAIN, payload=etree.fromstring(f'<N xmlns="{NS}"/>')),
        Message(Kind.REQUEST, PLAIN, payload_ids=(ObjectId("1", "serial"),)),
        Message(Kind.REQUEST, Header("create", "N", organization="o")),
        Message(Kind.REQUEST, Header("create", "N", replay_nonce="n")),
        Message(Kind.REQUEST, Header("create", "N", replay_created_ms=0)),
        Message(Kind.REQUEST, Header("create", "N", source="\x00")),
        Message(Kind.REQUEST, Header("create", "N", properties=(("destination", "x"),))),
        Message(Kind.REQUEST, Header("create", "N", properties=(("", "x"),))),
        Message(Kind.REQUEST, Header("create", "N", timestamp_ms=10**15)),
        Message(Kind.RESPONSE, Header("reply", "N"), reply=Reply("SUCCESS")),
        Message(Kind.RESPONSE, Header("reply", "N"), reply=Reply("OK", (ReplyError(""),))),
        Message(Kind.RESPONSE, Header("reply", "N"), reply=Reply("OK", (ReplyError("1", "BAD"),))),
        Message(
            Kind.REQUEST, PLAIN, request=request_element(f'<Request xmlns="{NS}"><Foo/></Request>')
        ),
        Message(
            Kind.REQUEST,
            PLAIN,
            request=request_element(
                f'<Request xmlns="{NS}"><Option><x:name xmlns:x="urn:x"/></Option></Request>'
            ),
        ),
    ],
)
def test_what_edition_1_cannot_say_is_refused(message: Message) -> None:
    with pytest.raises(ValueError, match=r"edition 1|XML compatible|years 1 to 9999"):
        write(message)


@pytest.mark.parametrize("xpath", ["/Message/Header", "a b", "1", "msg:Verb", ""])
def test_an_xpath_that_is_no_name_is_left_out(xpath: str) -> None:
    data = write(fault(Reply("FAILED", (ReplyError("1.8", xpath=xpath),))))
    assert b"xpath" not in data
    etree.XMLSchema(file=OWN_XSD).assertValid(etree.fromstring(data))


# --- answering


def test_a_reply_goes_back_to_the_source_in_the_same_context() -> None:
    answer = reply_to(HEADER, Reply("OK"), message_id="r-1", timestamp_ms=5, source="MDM-1")
    assert answer.kind is Kind.RESPONSE
    assert answer.header == Header(
        "reply",
        "MeterReadings",
        revision="2.0",
        context="TESTING",
        timestamp_ms=5,
        source="MDM-1",
        destination="HES-1",
        message_id="r-1",
        correlation_id="c-1",
    )


def test_a_request_without_correlation_is_answered_with_its_message_id() -> None:
    header = Header("create", "N", message_id="m-1")
    answer = reply_to(header, Reply("OK"), message_id="r-1", timestamp_ms=0)
    assert answer.header is not None
    assert answer.header.correlation_id == "m-1"


def test_a_problem_becomes_an_error_with_the_standards_code_and_ours() -> None:
    problem = Problem("timestamp_without_zone", xpath="/EventMessage/Header/Timestamp", line=4)
    error = reply_error(problem, object_id=ObjectId("m1"), operation_id=3)
    assert (error.code, error.level, error.xpath) == ("1.8", "FATAL", "Timestamp")
    assert (error.object_id, error.operation_id) == (ObjectId("m1"), 3)
    assert "timestamp_without_zone" in error.details
    assert "/EventMessage/Header/Timestamp, line 4" in error.details
    data = write(fault(Reply("FAILED", (error, reply_error(Problem("noun_missing"))))))
    etree.XMLSchema(file=OWN_XSD).assertValid(etree.fromstring(data))
    assert read(data).reply == Reply("FAILED", (error, reply_error(Problem("noun_missing"))))
