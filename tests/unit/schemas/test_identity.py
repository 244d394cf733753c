"""Keys and digests: what is the same message, and what is the same content."""

import base64
import gzip
import hashlib

import pytest

from schemas.envelope import Header, peek_header, read
from schemas.errors import MessageError
from schemas.identity import Identity, content_digest, identify, raw_digest, unreadable_key

NS = "http://iec.ch/TC57/2011/schema/message"
NS_2021 = "http://iec.ch/TC57/2021/schema/message"
READINGS_NS = "http://iec.ch/TC57/2011/MeterReadings#"
READINGS = f'<MeterReadings xmlns="{READINGS_NS}"><v>1</v></MeterReadings>'


def message(
    payload: str = READINGS,
    *,
    header: str = "<Source>HES-1</Source><MessageID>m-1</MessageID>",
    verb: str = "created",
    noun: str = "MeterReadings",
    namespace: str = NS,
    root: str = "Message",
) -> bytes:
    return (
        f'<{root} xmlns="{namespace}"><Header><Verb>{verb}</Verb><Noun>{noun}</Noun>{header}'
        f"</Header><Payload>{payload}</Payload></{root}>"
    ).encode()


def digest(data: bytes) -> bytes:
    return content_digest(read(data))


def header_of(data: bytes) -> Header:
    header = peek_header(data)
    assert header is not None
    return header


# --- keys


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        (Identity("PRODUCTION", "HES-1", "MeterReadings", "6c1e"), b"HES-1|MeterReadings|6c1e"),
        (Identity("PRODUCTION", "", "N", "m"), b"|N|m"),
        (Identity("TRAINING", "HES-1", "N", "m"), b"TRAINING|HES-1|N|m"),
        (Identity("PRODUCTION", "a|b", "50%", "|"), b"a%7Cb|50%25|%7C"),
        (Identity("PRODUCTION", "Zähler", "N", "m"), "Zähler|N|m".encode()),
    ],
)
def test_keys_are_readable(identity: Identity, key: bytes) -> None:
    assert identity.key == key
    assert identity.store_key == hashlib.blake2b(key, digest_size=16).digest()


def test_a_training_message_has_another_key_than_production() -> None:
    training = message(header="<Context>Training</Context><MessageID>m-1</MessageID>")
    production = message(header="<Context>Production</Context><MessageID>m-1</MessageID>")
    assert identify(header_of(training), training).key == b"TRAINING||MeterReadings|m-1"
    assert identify(header_of(production), production).key == b"|MeterReadings|m-1"


def test_a_message_with_an_id_is_not_parsed_for_its_identity() -> None:
    data = message()
    assert identify(header_of(data), b"unreadable").key == b"HES-1|MeterReadings|m-1"


def test_a_message_without_id_is_identified_by_its_content() -> None:
    data = message(header="<Source>HES-1</Source><Timestamp>2026-01-01T00:00:00Z</Timestamp>")
    later = message(header="<Source>HES-1</Source><Timestamp>2026-01-02T00:00:00Z</Timestamp>")
    identity = identify(header_of(data), data)
    assert identity.message_id == f"sha256:{digest(data).hex()}"
    assert identify(header_of(later), later) == identity


def test_a_message_without_id_that_cannot_be_read_has_no_identity() -> None:
    data = message(header="")[:-5]
    with pytest.raises(MessageError):
        identify(header_of(data), data)


def test_unreadable_bytes_have_a_key_of_their_own() -> None:
    assert unreadable_key(b"junk") == b"sha256|" + hashlib.sha256(b"junk").hexdigest().encode()
    assert unreadable_key(b"junk").count(b"|") == 1
    assert unreadable_key(b"junk") != unreadable_key(b"junk ")


def test_raw_digests_tell_bytes_apart() -> None:
    assert len(raw_digest(b"a")) == 16
    assert raw_digest(b"a") == raw_digest(b"a") != raw_digest(b"a ")


# --- content

COMPRESSED = base64.b64encode(gzip.compress(READINGS.encode())).decode()
TYPED = (
    f'<t:CreatedMeterReadings xmlns:t="urn:typed"><t:Header xmlns="{NS}"><Verb>created</Verb>'
    f"<Noun>MeterReadings</Noun></t:Header><t:Payload>{READINGS}</t:Payload>"
    "</t:CreatedMeterReadings>"
).encode()


@pytest.mark.parametrize(
    "other",
    [
        message(header=""),
        message(header="<Source>HES-2</Source><MessageID>m-2</MessageID>"),
        message(header="<Timestamp>2026-01-01T00:00:00Z</Timestamp><Comment>again</Comment>"),
        message(verb="CREATED"),
        message(namespace=NS_2021),
        message(root="EventMessage"),
        message(READINGS + "<Format>XML</Format>"),
        message(f"<Compressed>{COMPRESSED}</Compressed><Format>XML</Format>"),
        message(f'<x:MeterReadings xmlns:x="{READINGS_NS}">\n <x:v>1</x:v>\n</x:MeterReadings>'),
        message(READINGS.replace("<v>", "<!-- c --><v>")),
        message().decode().encode("utf-16"),
        TYPED,
    ],
)
def test_the_same_content_in_another_dress_has_the_same_digest(other: bytes) -> None:
    assert digest(other) == digest(message())
    assert len(digest(other)) == 32


@pytest.mark.parametrize(
    "other",
    [
        message(READINGS.replace("1</v>", "2</v>")),
        message(READINGS.replace("2011", "2015")),
        message(READINGS.replace("<v>1</v>", "")),
        message(READINGS.replace("<v>1</v>", "<v>1</v><v>1</v>")),
        message(""),
        message("<ID>1</ID>"),
        message("<OperationSet/>"),
        message(verb="changed"),
        message(READINGS.replace("MeterReadings", "Meters"), noun="Meters"),
    ],
)
def test_another_content_has_another_digest(other: bytes) -> None:
    assert digest(other) != digest(message())


def request(inner: str, *, namespace: str = NS) -> bytes:
    return (
        f'<RequestMessage xmlns="{namespace}"><Header><Verb>get</Verb><Noun>N</Noun></Header>'
        f"<Request>{inner}</Request></RequestMessage>"
    ).encode()


CRITERIA = (
    '<StartTime>2026-01-01T00:00:00Z</StartTime><g:Get xmlns:g="urn:g"><g:ID>1</g:ID></g:Get>'
)
TYPED_REQUEST = (
    f'<t:GetNRequestMessage xmlns:t="urn:typed"><t:Header xmlns="{NS}"><Verb>get</Verb>'
    "<Noun>N</Noun></t:Header><t:Request><t:StartTime>2026-01-01T00:00:00Z</t:StartTime>"
    '<Get xmlns="urn:g"><ID>1</ID></Get></t:Request></t:GetNRequestMessage>'
).encode()


@pytest.mark.parametrize("other", [request(CRITERIA, namespace=NS_2021), TYPED_REQUEST])
def test_the_same_request_in_another_form_has_the_same_digest(other: bytes) -> None:
    assert digest(other) == digest(request(CRITERIA))


@pytest.mark.parametrize(
    "other",
    [
        request(""),
        request(CRITERIA.replace("2026-01-01", "2026-01-02")),
        request(CRITERIA.replace("urn:g", "urn:h")),
        request(CRITERIA.replace("ID>1", "ID>2")),
        request(CRITERIA.replace("StartTime", "EndTime")),
    ],
)
def test_another_request_has_another_digest(other: bytes) -> None:
    assert digest(other) != digest(request(CRITERIA))


OPERATION = "<operationId>1</operationId><noun>N</noun><verb>create</verb>"


def operations(*bodies: str, flags: str = "") -> bytes:
    steps = "".join(f"<Operation>{body}</Operation>" for body in bodies)
    return message(f"<OperationSet>{flags}{steps}</OperationSet>", verb="execute", noun="N")


@pytest.mark.parametrize(
    "other",
    [
        operations(OPERATION.replace(">1<", ">2<")),
        operations(OPERATION.replace(">N<", ">M<")),
        operations(OPERATION.replace("create", "change")),
        operations(OPERATION + "<elementOperation>true</elementOperation>"),
        operations(OPERATION + '<N xmlns="urn:n"/>'),
        operations(OPERATION, OPERATION.replace(">1<", ">2<")),
        operations(OPERATION, flags="<enforceMsgSequence>true</enforceMsgSequence>"),
        operations(
            OPERATION, flags="<enforceTransactionalIntegrity>1</enforceTransactionalIntegrity>"
        ),
    ],
)
def test_other_operations_have_another_digest(other: bytes) -> None:
    assert digest(other) != digest(operations(OPERATION))


def test_what_an_operation_leaves_to_the_header_counts_as_said() -> None:
    implicit = operations("<operationId>1</operationId><verb>create</verb>")
    assert digest(implicit) == digest(operations(OPERATION))


def reply(inner: str) -> bytes:
    return (
        f'<ResponseMessage xmlns="{NS}"><Header><Verb>reply</Verb><Noun>N</Noun></Header>'
        f"<Reply>{inner}</Reply></ResponseMessage>"
    ).encode()


REPLY = "<Result>FAILED</Result><Error><code>2.4</code><ID kind='name'>m</ID></Error>"


@pytest.mark.parametrize(
    "other",
    [
        reply("<Result>OK</Result>"),
        reply(REPLY.replace("2.4", "2.5")),
        reply(REPLY.replace("name", "uuid")),
        reply(REPLY.replace(">m<", ">n<")),
        reply(REPLY.replace("ID", "relatedID")),
        reply(REPLY + "<ID>m</ID>"),
        reply(REPLY + "<operationId>1</operationId>"),
        reply(REPLY.replace("</code>", "</code><reason>r</reason>")),
        reply(REPLY.replace("</code>", "</code><details>r</details>")),
        f'<FaultMessage xmlns="{NS}"><Reply>{REPLY}</Reply></FaultMessage>'.encode(),
    ],
)
def test_other_replies_have_another_digest(other: bytes) -> None:
    assert digest(other) != digest(reply(REPLY))


def test_the_digest_is_pinned() -> None:
    """Marks of earlier releases hold digests: changing them turns repeats into conflicts."""
    assert digest(message()).hex() == (
        "54a2c3ed7a4410262db5a487cd77d920e1b9dcb95bf3afa14a37b032ef1061c3"
    )
