"""What is a message, what it says, and what is refused with which code."""

import pytest

from schemas.envelope import (
    Header,
    Kind,
    Message,
    ObjectId,
    Reply,
    ReplyError,
    peek_header,
    read,
)
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


def code_of(data: bytes) -> str:
    (problem,) = problems_of(data)
    return problem.code


# --- roots and namespaces


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize(
    ("root", "verb", "kind"),
    [
        ("RequestMessage", "create", Kind.REQUEST),
        ("EventMessage", "created", Kind.EVENT),
        ("Message", "get", Kind.REQUEST),
        ("Message", "executed", Kind.EVENT),
    ],
)
def test_generic_messages_are_read_in_every_namespace(
    namespace: str, root: str, verb: str, kind: Kind
) -> None:
    found = read(message(root=root, verb=verb, namespace=namespace))
    assert (found.kind, found.header) == (kind, Header(verb, "MeterReadings"))
    assert found.payload is not None
    assert found.payload.tag == "{http://iec.ch/TC57/2011/MeterReadings#}MeterReadings"


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("create", Kind.REQUEST),
        ("change", Kind.REQUEST),
        ("cancel", Kind.REQUEST),
        ("close", Kind.REQUEST),
        ("delete", Kind.REQUEST),
        ("get", Kind.REQUEST),
        ("execute", Kind.REQUEST),
        ("created", Kind.EVENT),
        ("changed", Kind.EVENT),
        ("canceled", Kind.EVENT),
        ("closed", Kind.EVENT),
        ("deleted", Kind.EVENT),
        ("executed", Kind.EVENT),
    ],
)
def test_every_verb_has_its_kind(verb: str, kind: Kind) -> None:
    assert read(message(root="Message", verb=verb)).kind is kind


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        "http://iec.ch/TC57/2099/schema/message",
        "https://www.iec.ch/TC57/2011/schema/message",
        "http://iec.ch/TC57/2011/schema/message#",
        "http://IEC.ch/tc57/2011/Schema/Message/",
        "http://iec.ch/TC57/61968-100/2013/schema/message",
    ],
)
def test_a_message_whose_namespace_is_misspelt_or_left_out_is_the_same(namespace: str) -> None:
    fields = "<MessageID>m</MessageID><User><UserID>u</UserID></User>"
    body = "<Request><ID>x</ID></Request>"
    said = read(message(root="Message", verb="get", header=fields, body=body))
    found = read(message(root="Message", verb="get", header=fields, body=body, namespace=namespace))
    assert (found.kind, found.header) == (said.kind, said.header)
    assert found.request is not None
    data = message(header=fields, namespace=namespace)
    assert peek_header(data) == header_of(data) == header_of(message(header=fields))


def test_a_misspelt_message_namespace_is_meant_in_the_header_of_a_typed_message_too() -> None:
    data = typed("CreatedMeterReadings", "created", noun="MeterReadings")
    other = data.replace(NS.encode(), b"https://iec.ch/TC57/2011/schema/message/")
    assert other != data
    assert header_of(other) == header_of(data)


@pytest.mark.parametrize(
    "namespace",
    [
        "urn:other",
        "http://iec.ch/TC57/2011/MeterReadings#",
        "http://iec.ch/TC57/2011/schema/messages/x",
        "http://example.com/iec.ch/TC57/2011/schema/message",
        "http://iec.ch.example.com/TC57/2011/schema/message",
    ],
)
@pytest.mark.parametrize("root", ["RequestMessage", "Message", "FaultMessage"])
def test_a_generic_root_in_another_namespace_is_refused(namespace: str, root: str) -> None:
    assert code_of(message(root=root, namespace=namespace)) == "namespace_unknown"


def test_a_header_in_another_namespace_is_refused() -> None:
    data = message().replace(b"<Header>", b'<Header xmlns="urn:other">')
    assert code_of(data) == "namespace_unknown"


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        READINGS.encode(),
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry/></feed>',
        b'<s:Envelope xmlns:s="urn:soap"><s:Header></s:Header><s:Body/></s:Envelope>',
        b'<s:Envelope xmlns:s="urn:soap"><s:Body/></s:Envelope>',
        message(root="Envelope", namespace="urn:x"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    assert code_of(data) == "root_unknown"


@pytest.mark.parametrize(
    "data",
    [
        f'<RequestMessage xmlns="{NS}"/>'.encode(),
        f'<EventMessage xmlns="{NS}"><Payload>{READINGS}</Payload></EventMessage>'.encode(),
        b'<CreateMeterReadings xmlns="urn:m"><Payload/></CreateMeterReadings>',
        b'<MeterReadingsResponseMessage xmlns="urn:m"><Reply/></MeterReadingsResponseMessage>',
        # Header must come first: whoever routes reads no further.
        f'<EventMessage xmlns="{NS}"><Payload/><Header><Verb>created</Verb><Noun>N</Noun>'
        "</Header></EventMessage>".encode(),
    ],
)
def test_a_message_without_header_first_is_refused(data: bytes) -> None:
    assert code_of(data) == "header_missing"


# --- typed roots


TYPED = "http://iec.ch/TC57/2011/MeterReadingsMessage"


def typed(root: str, verb: str, body: str = "", noun: str = "MeterReadings") -> bytes:
    """Header in the typed namespace, its children in the message namespace, as in the WSDLs."""
    return (
        f'<t:{root} xmlns:t="{TYPED}"><t:Header xmlns="{NS}"><Verb>{verb}</Verb>'
        f"<Noun>{noun}</Noun></t:Header>{body}</t:{root}>"
    ).encode()


@pytest.mark.parametrize(
    ("root", "verb", "kind"),
    [
        ("CreateMeterReadings", "create", Kind.REQUEST),
        ("GetMeterReadings", "get", Kind.REQUEST),
        ("ExecuteMeterReadings", "EXECUTE", Kind.REQUEST),
        ("CreatedMeterReadings", "created", Kind.EVENT),
        ("CanceledMeterReadings", "cancelled", Kind.EVENT),
        ("CancelledMeterReadings", "canceled", Kind.EVENT),
        ("MeterReadingsRequestMessage", "change", Kind.REQUEST),
        ("GetMeterReadingsRequestMessage", "get", Kind.REQUEST),
        ("MeterReadingsEventMessage", "changed", Kind.EVENT),
        ("MeterReadings", "create", Kind.REQUEST),
        ("MeterReadings", "created", Kind.EVENT),
    ],
)
def test_typed_roots_say_kind_verb_and_noun(root: str, verb: str, kind: Kind) -> None:
    found = read(typed(root, verb, f"<t:Payload>{READINGS}</t:Payload>"))
    assert found.kind is kind
    assert found.payload is not None
    assert found.header is not None
    assert found.header.noun == "MeterReadings"


@pytest.mark.parametrize(
    ("root", "verb"),
    [
        ("MeterReadingsResponseMessage", "reply"),
        ("MeterReadingsResponseMessage", "create"),
        ("GetMeterReadingsResponseMessage", "reply"),
        ("CreateMeterReadingsResponseMessage", "reply"),
    ],
)
def test_typed_responses_are_read(root: str, verb: str) -> None:
    reply = f'<t:Reply xmlns="{NS}"><Result>OK</Result></t:Reply>'
    found = read(typed(root, verb, reply))
    assert (found.kind, found.reply) == (Kind.RESPONSE, Reply("OK"))


def test_typed_faults_are_read() -> None:
    data = (
        f'<t:MeterReadingsFaultMessage xmlns:t="{TYPED}"><t:Reply xmlns="{NS}">'
        "<Result>FAILED</Result></t:Reply></t:MeterReadingsFaultMessage>"
    ).encode()
    assert read(data) == Message(Kind.FAULT, None, reply=Reply("FAILED"))


def test_a_typed_message_may_be_in_its_own_namespace_throughout() -> None:
    data = (
        f'<CreateMeterReadings xmlns="{TYPED}"><Header><Verb>create</Verb>'
        f"<Noun>MeterReadings</Noun></Header><Payload>{READINGS}</Payload></CreateMeterReadings>"
    ).encode()
    assert read(data).kind is Kind.REQUEST


@pytest.mark.parametrize(
    ("root", "verb", "noun"),
    [
        ("CreateMeterReadings", "create", "EndDeviceEvents"),
        ("CreateMeterReadings", "change", "MeterReadings"),
        ("CreateMeterReadings", "created", "MeterReadings"),
        ("CreateMeterReadings", "create", "Readings"),
        ("GetRequestMessage", "get", "MeterReadings"),
        ("GetMeterReadingsRequestMessage", "create", "MeterReadings"),
        ("MeterReadingsEventMessage", "created", "EndDeviceEvents"),
        ("FooMeterReadingsResponseMessage", "reply", "MeterReadings"),
    ],
)
def test_a_typed_root_that_contradicts_its_header_is_refused(
    root: str, verb: str, noun: str
) -> None:
    assert code_of(typed(root, verb, noun=noun)) == "payload_mismatch"


def test_a_typed_message_without_namespace_is_read() -> None:
    data = message(root="CreatedMeterReadings", namespace="")
    assert header_of(data) == header_of(message())


# --- verbs


@pytest.mark.parametrize("verb", ["Created", "CREATED", " created\n"])
def test_verbs_are_read_in_any_case(verb: str) -> None:
    assert header_of(message(verb=verb)).verb == "created"


def test_the_british_spelling_is_read() -> None:
    assert header_of(message(verb="Cancelled")).verb == "canceled"


@pytest.mark.parametrize(
    ("root", "verb"),
    [
        ("EventMessage", "create"),
        ("EventMessage", "get"),
        ("EventMessage", "reply"),
        ("RequestMessage", "created"),
        ("RequestMessage", "reply"),
    ],
)
def test_a_root_that_contradicts_its_verb_is_refused(root: str, verb: str) -> None:
    (problem,) = problems_of(message(root=root, verb=verb))
    assert problem.code == "verb_not_allowed"
    assert problem.xpath == f"/{root}/Header/Verb"


def test_only_the_pre_standard_sends_replies_as_requests() -> None:
    body = "<Reply><Result>OK</Result></Reply>"
    data = message(root="RequestMessage", verb="reply", body=body)
    assert code_of(data) == "verb_not_allowed"


def test_typed_requests_with_an_event_verb_are_refused() -> None:
    assert code_of(typed("MeterReadingsRequestMessage", "created")) == "verb_not_allowed"


@pytest.mark.parametrize("verb", ["update", "show", "created!", "créated"])
def test_an_unknown_verb_is_refused_and_not_quoted(verb: str) -> None:
    (problem,) = problems_of(message(verb=verb))
    assert problem.code == "verb_unknown"
    assert verb not in str(problem)


def test_an_empty_verb_is_a_missing_verb() -> None:
    assert code_of(message(verb=" ")) == "verb_missing"


# --- nouns


def test_a_missing_noun_is_refused() -> None:
    (problem,) = problems_of(message(noun=""))
    assert (problem.code, problem.xpath) == ("noun_missing", "/EventMessage/Header")
    assert code_of(message().replace(b"<Noun>MeterReadings</Noun>", b"")) == "noun_missing"
    assert code_of(message(root="Message", verb="reply", noun="")) == "noun_missing"


def test_a_response_may_come_without_noun() -> None:
    data = message(
        root="ResponseMessage", verb="reply", noun="", body="<Reply><Result>FAILED</Result></Reply>"
    )
    found = read(data)
    assert found.header == Header("reply", "")
    assert found.reply == Reply("FAILED")


# --- the body


def test_a_request_element_is_kept_whole() -> None:
    body = "<Request><StartTime>2026-01-01T00:00:00Z</StartTime><ID>1</ID></Request>"
    found = read(message(root="RequestMessage", verb="get", body=body))
    assert found.request is not None
    assert [child.text for child in found.request] == ["2026-01-01T00:00:00Z", "1"]
    assert found.payload is None


@pytest.mark.parametrize("name", ["Request", "Reply", "Payload"])
def test_a_part_given_twice_is_refused(name: str) -> None:
    assert code_of(message(body=f"<{name}/><{name}/>")) == "payload_mismatch"


def test_an_element_of_another_namespace_is_no_part_of_the_message() -> None:
    data = message(body=f'<x:Payload xmlns:x="urn:x">{READINGS}</x:Payload>')
    assert read(data).payload is None


# --- replies


def response(reply: str, *, verb: str = "reply", namespace: str = NS) -> bytes:
    return message(root="ResponseMessage", verb=verb, body=reply, namespace=namespace)


def test_every_field_of_a_reply_is_read() -> None:
    data = response(
        """<Reply><Result>partial</Result>
        <Error><code>2.4</code><level>fatal</level><reason>r</reason><details>d</details>
          <xpath>msg:Meter</xpath><stackTrace>t</stackTrace>
          <ID idType="t" idAuthority="a" kind="name" objectType="Meter">m1</ID>
          <relatedID kind="uuid">u1</relatedID><operationId>7</operationId></Error>
        <Error><code>5.3</code></Error>
        <ID>x</ID><e:Info xmlns:e="urn:e"/><operationId>-2</operationId></Reply>"""
    )
    assert read(data).reply == Reply(
        "PARTIAL",
        errors=(
            ReplyError(
                code="2.4",
                level="FATAL",
                reason="r",
                details="d",
                xpath="Meter",
                object_id=ObjectId("m1", "name", "t", "a", "Meter"),
                related_id=ObjectId("u1", "uuid"),
                operation_id=7,
            ),
            ReplyError("5.3"),
        ),
        ids=(ObjectId("x"),),
        operation_id=-2,
    )


def test_a_response_with_a_requests_verb_is_a_response() -> None:
    found = read(response("<Reply><Result>OK</Result></Reply>", verb="create"))
    assert (found.kind, found.header) == (Kind.RESPONSE, Header("create", "MeterReadings"))


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "<Reply/>",
        "<Reply><Result>MAYBE</Result></Reply>",
        "<Reply><Result>FAILED</Result><Error/></Reply>",
        "<Reply><Result>OK</Result><operationId>one</operationId></Reply>",
        f"<Reply><Result>OK</Result><operationId>{'1' * 30}</operationId></Reply>",
    ],
)
def test_a_reply_that_cannot_be_read_is_refused(reply: str) -> None:
    assert code_of(response(reply)) == "reply_invalid"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("<ReplyCode>0</ReplyCode><Result>SUCCESS</Result>", Reply("OK")),
        ("<ReplyCode>0.0</ReplyCode>", Reply("OK")),
        ("<ReplyCode>0.2</ReplyCode>", Reply("PARTIAL")),
        ("<ReplyCode>2.4</ReplyCode>", Reply("FAILED", errors=(ReplyError("2.4"),))),
        (
            "<ReplyCode>2.4</ReplyCode><Result>FAILED</Result>",
            Reply("FAILED", errors=(ReplyError("2.4"),)),
        ),
    ],
)
def test_the_replies_of_the_pre_standard_are_read(reply: str, expected: Reply) -> None:
    data = response(f"<Reply>{reply}</Reply>", verb="Reply", namespace=NS_2008)
    assert read(data).reply == expected


def test_the_pre_standard_sends_replies_as_requests() -> None:
    body = "<Reply><ReplyCode>0.0</ReplyCode></Reply>"
    data = message(root="RequestMessage", verb="REPLY", body=body, namespace=NS_2008)
    assert (read(data).kind, read(data).reply) == (Kind.RESPONSE, Reply("OK"))
    change = message(root="RequestMessage", verb="CHANGE", body=body, namespace=NS_2008)
    assert (read(change).kind, read(change).reply) == (Kind.REQUEST, Reply("OK"))


def test_a_fault_has_a_reply_and_no_header() -> None:
    data = f'<FaultMessage xmlns="{NS}"><Reply><Result>FAILED</Result></Reply></FaultMessage>'
    assert read(data.encode()) == Message(Kind.FAULT, None, reply=Reply("FAILED"))
    assert code_of(f'<FaultMessage xmlns="{NS}"/>'.encode()) == "reply_invalid"
