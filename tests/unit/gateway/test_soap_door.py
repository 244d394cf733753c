"""The SOAP door on an exchange without Kafka: what comes back, and what reaches the exchange."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from connectors.http import HTTP_PROBLEMS
from connectors.soap.config import SoapLimits
from connectors.soap.mapping import FAULT_OF, SOAP_PROBLEMS
from connectors.soap.namespaces import ABSTRACT, WSA, Version
from schemas.canonical import canonical_form
from schemas.envelope import Reply, peek_header, read, reply_error
from schemas.errors import CODES, Problem
from tests.integration.data_rig import message
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.soap_client import (
    MSG,
    SOAP_11,
    SOAP_12,
    Client,
    enveloped,
    fault_of,
    result_of,
    undeclared,
)

EVENT = message("m-e").replace(b"RequestMessage", b"EventMessage").replace(
    b"<Verb>create<", b"<Verb>created<"
)  # fmt: skip
SAMPLE = Path(__file__).parents[3] / "examples" / "i7" / "create-with-receipt.xml"
TYPED = "http://iec.ch/TC57/2011/MeterReadingsMessage"


def typed(data: bytes, root: bytes) -> bytes:
    """A bare message as a typed one."""
    space = f'<t:{root.decode()} xmlns:t="{TYPED}" xmlns="{MSG}">'.encode()
    inside = data[data.index(b"<Header>") : data.rindex(b"</")]
    for part in (b"Header", b"Payload"):
        inside = inside.replace(b"<%b>" % part, b"<t:%b>" % part)
        inside = inside.replace(b"</%b>" % part, b"</t:%b>" % part)
    return space + inside + b"</t:%b>" % root


def wrapped(data: bytes, operation: str) -> bytes:
    """A bare message in the wrapper of the generic form."""
    inside = data[data.index(b"<Header>") : data.rindex(b"</")]
    return (
        f'<abs:{operation} xmlns:abs="{ABSTRACT}"><abs:message xmlns="{MSG}">'.encode()
        + inside
        + f"</abs:message></abs:{operation}>".encode()
    )


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12], ids=["1.1", "1.2"])
def test_a_request_is_answered_with_its_reply_in_an_envelope_of_its_version(
    version: Version,
) -> None:
    response = Client(FakeExchange()).post(enveloped(version=version), version=version)
    assert result_of(response) == "OK"
    assert response.headers["content-type"] == f"{version.media}; charset=utf-8"
    assert etree.fromstring(response.content).tag == f"{{{version.namespace}}}Envelope"


def test_a_message_in_each_form_is_one_message_and_answered_in_its_form() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    forms = {
        f"{{{MSG}}}ResponseMessage": message("m-1"),
        f"{{{ABSTRACT}}}RequestResponse": wrapped(message("m-1"), "Request"),
        f"{{{TYPED}}}MeterReadingsResponseMessage": typed(message("m-1"), b"CreateMeterReadings"),
    }
    for root, body in forms.items():
        response = client.post(enveloped(body))
        assert result_of(response) == "OK"
        assert etree.fromstring(response.content)[-1][0].tag == root
    messages = [read(call.message.value) for call in exchange.log]
    assert len({call.message.identity for call in exchange.log}) == 1
    contents = {canonical_form(m.payload) for m in messages if m.payload is not None}
    assert (len(messages), len(contents)) == (3, 1)


def test_an_event_is_acknowledged_with_the_place_where_it_lies() -> None:
    exchange = FakeExchange()
    places = []
    for body, root in (
        (EVENT, f"{{{MSG}}}ResponseMessage"),
        (wrapped(EVENT, "PublishEvent"), f"{{{ABSTRACT}}}PublishEventResponse"),
    ):
        response = Client(exchange).post(enveloped(body))
        assert result_of(response) == "OK"
        answer = etree.fromstring(response.content)
        assert answer[-1][0].tag == root
        assert answer.findtext(".//{*}Error/{*}code") == "0.3"
        assert answer.findtext(".//{*}CorrelationID") == "m-e"
        places.append(answer.findtext(".//{*}Error/{*}details"))
    assert places == ["cim.i7.inbound/0@0", "cim.i7.inbound/0@1"]


def test_prefixes_that_only_values_use_mean_the_same_outside_the_envelope() -> None:
    exchange = FakeExchange()
    scope = (
        'xmlns:c="http://iec.ch/TC57/2011/MeterReadings#" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    )
    body = message("m-1").replace(b"<MeterReading>", b'<MeterReading xsi:type="c:MeterReading">')
    Client(exchange).post(enveloped(body, around=scope))
    found = read(exchange.log[0].message.value).payload
    alone = read(body.replace(b"<RequestMessage", f"<RequestMessage {scope}".encode())).payload
    assert found is not None
    assert alone is not None
    assert canonical_form(found) == canonical_form(alone)
    assert "?c:MeterReading" not in canonical_form(found)


def test_a_reply_that_failed_is_an_answer_and_no_fault() -> None:
    failing = Reply("FAILED", (reply_error(Problem("object_exists")),))
    response = Client(FakeExchange(lambda _: failing)).post(enveloped())
    assert result_of(response) == "FAILED"


def test_a_reply_that_does_not_come_in_time_is_a_fault_of_ours_that_says_what_to_do() -> None:
    client = Client(FakeExchange(lambda _: None), limits=SoapLimits(wait_s=0.05))
    for version, code in ((SOAP_11, "soap:Server"), (SOAP_12, "soap:Receiver")):
        response = client.post(enveloped(version=version), version=version)
        assert response.status_code == 500
        assert fault_of(response, version) == (code, "reply_pending")
        assert b"<msg:code>4.1</msg:code>" in response.content


def test_kafka_that_does_not_confirm_is_a_fault_of_ours() -> None:
    exchange = FakeExchange()
    exchange.away = True
    response = Client(exchange).post(enveloped())
    assert fault_of(response) == ("soap:Server", "unavailable")
    assert response.headers["retry-after"] == "1"


BAD = {
    "no XML": (b"meters", "Client", "xml_not_wellformed"),
    "a DTD": (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "Client", "xml_forbidden"),
    "no envelope": (message(), "Client", "envelope_invalid"),
    "another SOAP": (
        enveloped().replace(b"schemas.xmlsoap.org/soap/envelope", b"example.org/soap"),
        "VersionMismatch",
        "version_mismatch",
    ),
    "no Body": (
        enveloped().replace(b"s:Body", b"s:Corps"),
        "Client",
        "envelope_invalid",
    ),
    "two messages": (enveloped(undeclared(message()) * 2), "Client", "envelope_invalid"),
    "an empty Body": (enveloped(b" "), "Client", "envelope_invalid"),
    "no message": (enveloped(b"<a/>"), "Client", "root_unknown"),
    "a wrapper without message": (
        enveloped(f'<a:Request xmlns:a="{ABSTRACT}"><b/></a:Request>'.encode()),
        "Client",
        "root_unknown",
    ),
    "an unknown noun": (
        enveloped(message().replace(b"<Noun>MeterReadings<", b"<Noun>Readings<")),
        "Client",
        "noun_unknown",
    ),
    "a verb that the noun has not": (
        enveloped(message().replace(b"<Verb>create<", b"<Verb>delete<")),
        "Client",
        "verb_not_allowed",
    ),
}


@pytest.mark.parametrize(("body", "fault", "code"), BAD.values(), ids=BAD)
def test_what_cannot_be_taken_is_a_fault_with_our_code_in_its_detail(
    body: bytes, fault: str, code: str
) -> None:
    exchange = FakeExchange()
    response = Client(exchange).post(body)
    assert response.status_code == 500
    assert fault_of(response) == (f"soap:{fault}", code)
    assert not exchange.log


def test_a_fault_of_soap_1_2_has_its_codes_and_its_status() -> None:
    response = Client(FakeExchange()).post(enveloped(b"<a/>", version=SOAP_12), version=SOAP_12)
    assert response.status_code == 400
    assert fault_of(response, SOAP_12) == ("soap:Sender", "root_unknown")


def test_a_typed_message_that_is_refused_has_the_fault_of_its_noun() -> None:
    exchange = FakeExchange()
    exchange.away = True
    body = typed(message("m-1"), b"CreateMeterReadings")
    answer = etree.fromstring(Client(exchange).post(enveloped(body)).content)
    assert answer.find(f".//detail/{{{TYPED}}}MeterReadingsFaultMessage") is not None


def test_a_header_that_must_be_understood_and_is_not_stops_the_message() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    for version in (SOAP_11, SOAP_12):
        block = f'<t:Transaction xmlns:t="urn:t" xmlns:e="{version.namespace}" e:mustUnderstand="1"'
        response = client.post(enveloped(header=block + "/>", version=version), version=version)
        assert fault_of(response, version) == ("soap:MustUnderstand", "header_not_understood")
        named = b'qname="n0:Transaction"' in response.content
        assert named is (version is SOAP_12)
        elsewhere = f'{block} e:{version.actor}="urn:another"/>'
        other = client.post(enveloped(header=elsewhere, version=version), version=version)
        assert result_of(other) == "OK"
    optional = enveloped(header='<t:Transaction xmlns:t="urn:t"/>')
    assert result_of(client.post(optional)) == "OK"
    assert len(exchange.log) == 3


def addressed(**texts: str) -> str:
    blocks = (
        f"<a:{name}>{text}</a:{name}>"
        if name not in ("ReplyTo", "FaultTo")
        else f"<a:{name}><a:Address>{text}</a:Address></a:{name}>"
        for name, text in texts.items()
    )
    return "".join(block.replace(" ", "").replace(">", f' xmlns:a="{WSA}">', 1) for block in blocks)


def test_an_answer_relates_to_a_request_with_addresses() -> None:
    header = addressed(MessageID="urn:uuid:1", Action="urn:iec:Request", ReplyTo=f"{WSA}/anonymous")
    response = Client(FakeExchange()).post(enveloped(header=header))
    answer = etree.fromstring(response.content)
    assert answer.findtext(f".//{{{WSA}}}RelatesTo") == "urn:uuid:1"
    assert answer.findtext(f".//{{{WSA}}}Action") == "urn:iec:RequestResponse"


def test_the_address_of_a_system_becomes_the_destination_and_that_of_a_server_does_not() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    client.post(enveloped(header=addressed(To="CREWS-WEST")))
    client.post(enveloped(header=addressed(To="http://localhost/soap/I7")))
    own = message().replace(
        b"</Header>", b"<Property><Name>Destination</Name><Value>A</Value></Property></Header>"
    )
    client.post(enveloped(own, header=addressed(To="B")))
    headers = [peek_header(call.message.value) for call in exchange.log]
    assert [header and header.destination for header in headers] == ["CREWS-WEST", "", "A"]


def test_a_reply_is_given_here_or_nowhere() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    response = client.post(enveloped(header=addressed(ReplyTo="http://elsewhere/replies")))
    assert fault_of(response) == ("soap:Client", "reply_address_unsupported")
    nowhere = client.post(enveloped(header=addressed(ReplyTo=f"{WSA}/none")))
    assert (nowhere.status_code, nowhere.content) == (202, b"")
    assert len(exchange.log) == 1


def test_an_action_of_another_operation_is_refused_and_a_foreign_one_is_no_matter() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    for action in ("", '""', "urn:anything", f'"{TYPED}/CreateMeterReadings"',
                   "http://iec.ch/61968/Request"):  # fmt: skip
        assert result_of(client.post(enveloped(), SOAPAction=action)) == "OK", action
    wrong = client.post(enveloped(), SOAPAction=f'"{TYPED}/ChangedMeterReadings"')
    assert fault_of(wrong) == ("soap:Client", "action_mismatch")
    media = f'{SOAP_12.media}; charset=utf-8; action="{TYPED}/ChangedMeterReadings"'
    newer = client.post(enveloped(version=SOAP_12), version=SOAP_12, Content_Type=media)
    assert fault_of(newer, SOAP_12) == ("soap:Sender", "action_mismatch")
    assert len(exchange.log) == 5


def test_a_message_is_taken_by_the_service_of_its_noun_and_by_no_other() -> None:
    exchange = FakeExchange()
    client = Client(exchange)
    assert result_of(client.post(enveloped(), "/soap/I7/MeterReadings")) == "OK"
    other = client.post(enveloped(), "/soap/I7/EndDeviceEvents")
    assert fault_of(other) == ("soap:Client", "noun_mismatch")
    nowhere = client.post(enveloped(), "/soap/I7/Nothing")
    assert fault_of(nowhere) == ("soap:Client", "path_unknown")
    assert fault_of(client.post(enveloped(), "/soap/I99")) == ("soap:Client", "interface_unknown")
    assert len(exchange.log) == 1


def test_what_http_refuses_is_a_fault_too() -> None:
    client = Client(FakeExchange())
    media = client.post(enveloped(), Content_Type="multipart/related; type=text/xml")
    assert fault_of(media) == ("soap:Client", "media_type_unsupported")
    large = client.post(b"<a>" + b" " * (9 * 1024 * 1024) + b"</a>")
    assert fault_of(large) == ("soap:Client", "message_too_large")
    packed = gzip.compress(enveloped())
    assert result_of(client.post(packed, Content_Encoding="gzip")) == "OK"


def test_a_body_in_chunks_is_taken_up_to_the_limit() -> None:
    """Stacks of Java and .NET send chunks; how large they are is known at their end only."""

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1_000_000):
            yield data[start : start + 1_000_000]

    client = Client(FakeExchange())
    headers = {"Content-Type": SOAP_11.media}
    good = client("POST", "/soap/I7", content=chunks(enveloped()), headers=headers)
    assert result_of(good) == "OK"
    endless = b"<a>" + b" " * (9 * 1024 * 1024)
    large = client("POST", "/soap/I7", content=chunks(endless), headers=headers)
    assert fault_of(large) == ("soap:Client", "message_too_large")
    assert large.headers["connection"] == "close"
    assert len(client.exchange.log) == 1


def test_a_message_of_a_vendor_whose_wrapper_has_other_names_is_read() -> None:
    """As of head-ends whose wrapper names its message after the schema's type."""
    exchange = FakeExchange()
    inside = EVENT[EVENT.index(b"<Header>") : EVENT.rindex(b"</")]
    body = (
        f'<PublishEvent xmlns="{MSG}"><EventMessageType>'.encode()
        + inside
        + b"</EventMessageType></PublishEvent>"
    )
    assert result_of(Client(exchange).post(enveloped(body))) == "OK"
    assert exchange.log[0].header.verb == "created"


def test_a_name_that_the_sender_chose_is_never_markup_in_the_answer() -> None:
    odd = wrapped(message("m-1"), "Request").replace(ABSTRACT.encode(), b"urn:a?b&amp;c")
    response = Client(FakeExchange()).post(enveloped(odd))
    assert result_of(response) == "OK"
    assert etree.fromstring(response.content)[-1][0].tag == "{urn:a?b&c}RequestResponse"


# As found in public code of head-ends, MDM systems and bridges, with our nouns in them.
VENDORS = {
    "SOAP 1.2 as text/xml, encodingStyle on the Envelope": (
        SOAP_12,
        ('SOAP-ENV:encodingStyle="http://www.w3.org/2001/12/soap-encoding" '
        f'xmlns:SOAP-ENV="{SOAP_12.namespace}"'),
        undeclared(message("v-1")),
    ),
    "a typed root whose Header names the envelope's namespace as its default": (
        SOAP_11,
        f'xmlns:tns="{TYPED}"',
        undeclared(message("v-1"))
        .replace(f'<RequestMessage xmlns="{MSG}"><Header>'.encode(),
                 f'<tns:CreateMeterReadings><tns:Header xmlns="{MSG}">'.encode())
        .replace(b"</Header><Payload>", b"</tns:Header><tns:Payload>")
        .replace(b"</Payload></RequestMessage>", b"</tns:Payload></tns:CreateMeterReadings>"),
    ),
    "an event's wrapper around a request's verb, prefixes from the Envelope": (
        SOAP_11,
        f'xmlns:abs="{ABSTRACT}" xmlns:mes="{MSG}" xmlns:m="http://iec.ch/TC57/2011/MeterReadings#"',
        b"<abs:PublishEvent><mes:message>"
        + re.sub(
            rb"(</?)(?=[A-Za-z])", rb"\1mes:",
            re.sub(rb' xmlns="[^"]*"', b"", undeclared(message("v-1")))
            .split(b"<RequestMessage>")[1].split(b"</RequestMessage>")[0],
        ).replace(b"mes:MeterReading", b"m:MeterReading")
        + b"</mes:message></abs:PublishEvent>",
    ),
    "verbs in capitals": (
        SOAP_11, "", undeclared(message("v-1")).replace(b">create<", b">CREATE<"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("version", "around", "body"), VENDORS.values(), ids=VENDORS)
def test_oddities_of_vendors_are_read(version: Version, around: str, body: bytes) -> None:
    exchange = FakeExchange()
    response = Client(exchange).post(enveloped(body, version=version, around=around))
    assert result_of(response) == "OK"
    header = exchange.log[0].header
    assert (header.verb, header.noun, header.message_id) == ("create", "MeterReadings", "v-1")


def test_the_large_is_read_like_the_small() -> None:
    exchange = FakeExchange()
    padded = message("m-1").replace(b"</Header>", b"</Header>" + b" " * 100_000)
    assert result_of(Client(exchange).post(enveloped(padded))) == "OK"
    assert exchange.log[0].header.message_id == "m-1"


def test_a_real_message_comes_out_as_it_went_in() -> None:
    exchange = FakeExchange()
    data = SAMPLE.read_bytes()
    Client(exchange).post(enveloped(data))
    before, after = read(data), read(exchange.log[0].message.value)
    assert before.payload is not None
    assert after.payload is not None
    assert canonical_form(before.payload) == canonical_form(after.payload)
    assert before.header == after.header


SEEDS = [
    enveloped(wrapped(message("m-1"), "Request"), header=addressed(To="A", MessageID="b")),
    enveloped(typed(message("m-1"), b"CreateMeterReadings"), version=SOAP_12),
]
ANYBODY = Client(FakeExchange())


@given(
    seed=st.sampled_from(SEEDS),
    cut=st.tuples(st.integers(0, 2000), st.integers(0, 200), st.integers(0, 2000)),
    put=st.one_of(
        st.binary(max_size=8), st.sampled_from([b"s:", b"<a/>", b"</", b"xmlns=''", b"{}"])
    ),
)
def test_whatever_is_sent_is_answered_and_nothing_is_a_fault_of_ours(
    seed: bytes, cut: tuple[int, int, int], put: bytes
) -> None:
    """A piece of an envelope cut out and something else put in somewhere."""
    start, length, at = cut
    left = seed[:start] + seed[start + length :]
    response = ANYBODY.post(left[:at] + put + left[at:])
    assert response.status_code in (200, 400, 500)
    assert b"processing_failed" not in response.content
    etree.fromstring(response.content)


def test_every_problem_of_soap_has_its_words_and_none_hides_another() -> None:
    assert not SOAP_PROBLEMS.keys() & (CODES.keys() | HTTP_PROBLEMS.keys())
    assert FAULT_OF.keys() <= CODES.keys()
    for problem in SOAP_PROBLEMS.values():
        assert problem.keys() == {"fault", "what", "fix"}
