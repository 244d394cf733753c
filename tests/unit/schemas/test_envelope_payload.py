"""Payloads: one noun element, OperationSet, Compressed, IDs; and what is refused."""

import base64
import gzip
import io
import random
import time
import tracemalloc
import zlib

import pytest

from schemas.envelope import Message, ObjectId, Operation, read
from schemas.envelope.payload import unpack
from schemas.errors import MessageError, Problem
from schemas.xml import MIB, XmlLimits

NS = "http://iec.ch/TC57/2011/schema/message"
PAYLOAD_NS = "http://iec.ch/TC57/2011/MeterReadings#"
READINGS = f'<MeterReadings xmlns="{PAYLOAD_NS}"/>'
FILLED = f'<MeterReadings xmlns="{PAYLOAD_NS}"><MeterReading/></MeterReadings>'
EVENTS = '<EndDeviceEvents xmlns="http://iec.ch/TC57/2011/EndDeviceEvents#"/>'


def message(payload: str, *, verb: str = "created", noun: str = "MeterReadings") -> bytes:
    return (
        f'<Message xmlns="{NS}"><Header><Verb>{verb}</Verb><Noun>{noun}</Noun></Header>\n'
        f"<Payload>{payload}</Payload></Message>"
    ).encode()


def problem_of(data: bytes, limits: XmlLimits | None = None) -> Problem:
    with pytest.raises(MessageError) as caught:
        read(data, limits or XmlLimits())
    (problem,) = caught.value.problems
    return problem


def tag_of_payload(found: Message) -> str:
    assert found.payload is not None
    return found.payload.tag


# --- one element


def test_the_noun_element_is_the_payload() -> None:
    found = read(message(READINGS))
    assert tag_of_payload(found) == f"{{{PAYLOAD_NS}}}MeterReadings"
    assert (found.operation_set, found.payload_ids, found.format) == (None, (), "")


@pytest.mark.parametrize("form", ["XML", "xml", " XML "])
def test_a_format_of_xml_is_read(form: str) -> None:
    assert read(message(f"{READINGS}<Format>{form}</Format>")).format == form.strip()


def test_an_empty_payload_is_none() -> None:
    found = read(message(" "))
    assert (found.payload, found.operation_set, found.payload_ids) == (None, None, ())


@pytest.mark.parametrize(
    ("payload", "code", "path"),
    [
        (EVENTS, "payload_mismatch", "/Message/Payload/EndDeviceEvents"),
        (READINGS.replace("MeterReadings", "meterreadings", 1), "payload_mismatch", ""),
        (READINGS * 2, "payload_mismatch", "/Message/Payload"),
        (READINGS + EVENTS, "payload_mismatch", "/Message/Payload"),
        (READINGS + "<ID>1</ID>", "payload_mismatch", "/Message/Payload"),
        (FILLED + "<OperationSet/>", "payload_mismatch", "/Message/Payload"),
        ("<OperationSet/><OperationSet/>", "payload_mismatch", "/Message/Payload/OperationSet"),
        ("<Format>XML</Format>" * 2, "payload_mismatch", "/Message/Payload/Format"),
        (READINGS + "<Format>RDF</Format>", "payload_format_unknown", "/Message/Payload"),
        (READINGS + "<Format>PDF</Format>", "payload_format_unknown", "/Message/Payload"),
    ],
)
def test_a_payload_that_is_not_one_noun_element_is_refused(
    payload: str, code: str, path: str
) -> None:
    if "meterreadings" in payload:
        payload = f'<meterreadings xmlns="{PAYLOAD_NS}"/>'
        path = "/Message/Payload/meterreadings"
    problem = problem_of(message(payload))
    assert (problem.code, problem.xpath, problem.line) == (code, path, 2)


def test_the_criteria_of_a_query_may_stand_in_the_payload() -> None:
    criteria = '<GetMeterReadings xmlns="http://iec.ch/TC57/2011/GetMeterReadings#"/>'
    assert tag_of_payload(read(message(criteria, verb="get"))).endswith("}GetMeterReadings")
    assert problem_of(message(criteria)).code == "payload_mismatch"


def test_ids_are_read_with_their_attributes() -> None:
    found = read(message('<ID kind="uuid" objectType="Meter"> u1 </ID><ID>2</ID>', verb="delete"))
    assert found.payload_ids == (ObjectId("u1", "uuid", object_type="Meter"), ObjectId("2"))
    assert found.payload is None


# --- OperationSet

OPERATIONS = f"""<OperationSet><enforceMsgSequence>true</enforceMsgSequence>
<enforceTransactionalIntegrity>1</enforceTransactionalIntegrity>
<Operation><operationId>1</operationId><noun>MeterReadings</noun><verb>Create</verb>
{READINGS}</Operation>
<Operation><operationId>-2</operationId><noun>EndDeviceEvents</noun><verb>cancelled</verb>
<elementOperation>true</elementOperation></Operation>
<Operation><operationId>+3</operationId></Operation></OperationSet>"""


def test_operations_are_read_in_order() -> None:
    found = read(message(OPERATIONS, verb="execute")).operation_set
    assert found is not None
    assert (found.enforce_sequence, found.enforce_integrity) == (True, True)
    first, second, third = found.operations
    assert first.payload is not None
    assert first == Operation(1, "MeterReadings", "create", payload=first.payload)
    assert second == Operation(-2, "EndDeviceEvents", "canceled", element_operation=True)
    # Where an operation does not say it, the Header does.
    assert third == Operation(3, "MeterReadings", "execute")


def test_nothing_is_enforced_where_nothing_is_said() -> None:
    found = read(message("<OperationSet/>", verb="execute")).operation_set
    assert found is not None
    assert (found.enforce_sequence, found.enforce_integrity) == (False, False)
    assert found.operations == ()


def test_the_empty_noun_element_that_typed_schemas_demand_is_no_payload() -> None:
    found = read(message(READINGS + OPERATIONS, verb="execute"))
    assert found.payload is None
    assert found.operation_set is not None


def operation(*parts: str) -> str:
    return f"<OperationSet><Operation>{''.join(parts)}</Operation></OperationSet>"


NUMBER = "<operationId>1</operationId>"
SEQUENCE = "<enforceMsgSequence>true</enforceMsgSequence>"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (operation(), "operation_invalid"),
        (operation("<operationId>one</operationId>"), "operation_invalid"),
        (operation("<operationId>1.0</operationId>"), "operation_invalid"),
        (operation(f"<operationId>{'9' * 5000}</operationId>"), "operation_invalid"),
        (operation(NUMBER, NUMBER), "operation_invalid"),
        (operation(NUMBER, "<verb>burn</verb>"), "operation_invalid"),
        (operation(NUMBER, "<elementOperation>x</elementOperation>"), "operation_invalid"),
        (operation(NUMBER, READINGS, READINGS), "operation_invalid"),
        (operation(NUMBER, EVENTS), "payload_mismatch"),
        (operation(NUMBER + "</Operation><Operation>" + NUMBER), "operation_invalid"),
        (
            "<OperationSet><enforceMsgSequence>x</enforceMsgSequence></OperationSet>",
            "operation_invalid",
        ),
        (f"<OperationSet>{SEQUENCE}{SEQUENCE}</OperationSet>", "operation_invalid"),
    ],
)
def test_an_operation_that_cannot_be_read_is_refused(payload: str, code: str) -> None:
    problem = problem_of(message(payload, verb="execute"))
    assert problem.code == code
    assert (problem.xpath or "").startswith("/Message/Payload/OperationSet")


# --- Compressed

PACKED_BYTES = gzip.compress(FILLED.encode(), mtime=0)
PACKED = base64.b64encode(PACKED_BYTES).decode()


def compressed(content: bytes, *, form: str = "<Format>XML</Format>") -> bytes:
    return encoded(gzip.compress(content, mtime=0), form=form)


def encoded(packed: bytes, *, form: str = "") -> bytes:
    text = base64.b64encode(packed).decode()
    return message(f"<Compressed>{text}</Compressed>{form}")


@pytest.mark.parametrize("form", ["", "<Format>XML</Format>"])
def test_a_compressed_payload_is_the_element_in_it(form: str) -> None:
    assert tag_of_payload(read(compressed(FILLED.encode(), form=form))) == tag_of_payload(
        read(message(FILLED))
    )


def test_a_compressed_payload_may_have_its_own_encoding() -> None:
    content = f'<?xml version="1.0" encoding="UTF-16"?>{FILLED}'.encode("utf-16")
    assert tag_of_payload(read(compressed(content))).endswith("}MeterReadings")


def test_base64_may_be_broken_into_lines() -> None:
    lines = base64.encodebytes(gzip.compress(FILLED.encode())).decode()
    found = read(message(f"\n<Compressed>\n{lines}\n</Compressed>"))
    assert tag_of_payload(found).endswith("}MeterReadings")


def test_the_empty_noun_element_beside_compressed_is_no_payload() -> None:
    text = base64.b64encode(gzip.compress(FILLED.encode())).decode()
    found = read(message(f"{READINGS}<Compressed>{text}</Compressed>"))
    assert found.payload is not None
    assert len(found.payload) == 1


@pytest.mark.parametrize("form", ["CSV", "PDF", "BINARY"])
def test_a_compressed_payload_of_another_format_is_refused(form: str) -> None:
    problem = problem_of(compressed(FILLED.encode(), form=f"<Format>{form}</Format>"))
    assert problem.code == "payload_format_unknown"


def test_a_compressed_document_of_format_rdf_is_left_packed() -> None:
    found = read(compressed(b"<x/>", form="<Format>rdf</Format>"))
    assert (found.payload, found.format) == (None, "RDF")
    assert gzip.decompress(found.packed) == b"<x/>"


def test_a_compressed_payload_named_otherwise_is_refused() -> None:
    problem = problem_of(compressed(EVENTS.encode()))
    assert (problem.code, problem.xpath) == ("payload_mismatch", "/Message/Payload/Compressed")


@pytest.mark.parametrize(
    "packed",
    [
        b"plain text",
        zlib.compress(FILLED.encode()),
        PACKED_BYTES[:-1],
        PACKED_BYTES[:20],
        PACKED_BYTES + b"\x00",
        PACKED_BYTES * 2,
        gzip.compress(b"<a>", mtime=0) + gzip.compress(b"</a>", mtime=0),
        b"\x1f\x8b",
    ],
)
def test_what_is_not_one_complete_gzip_stream_is_refused(packed: bytes) -> None:
    problem = problem_of(encoded(packed))
    assert (problem.code, problem.xpath) == ("compressed_invalid", "/Message/Payload/Compressed")


def test_a_damaged_stream_is_refused() -> None:
    packed = bytearray(gzip.compress(FILLED.encode()))
    packed[-8] ^= 1  # the checksum
    assert problem_of(encoded(bytes(packed))).code == "compressed_invalid"


@pytest.mark.parametrize(
    "text",
    ["not base64!", "AAA", "AAAA=AAA", "é", "<b/>", f"!{PACKED}", f"{PACKED[:8]}-{PACKED[8:]}"],
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    assert problem_of(message(f"<Compressed>{text}</Compressed>")).code == "compressed_invalid"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<a>", "xml_not_wellformed"),
        (b"", "xml_not_wellformed"),
        (b"<a>\xff</a>", "xml_encoding"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "xml_forbidden"),
        (b"<a>" * 100 + b"</a>" * 100, "xml_too_deep"),
    ],
)
def test_what_is_in_a_compressed_payload_is_refused_as_it_would_be_outside(
    content: bytes, code: str
) -> None:
    problem = problem_of(compressed(content))
    assert (problem.code, problem.xpath, problem.line) == (code, "/Message/Payload/Compressed", 2)


def test_the_line_inside_a_compressed_payload_is_named() -> None:
    assert "line 3 of the unpacked payload" in problem_of(compressed(b"<a>\n\n<")).detail


def zeros(size: int) -> bytes:
    """A gzip stream of `size` zero bytes, made without holding them."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        for _ in range(size // MIB):
            stream.write(bytes(MIB))
    return buffer.getvalue()


def test_a_bomb_is_refused_quickly_and_never_unpacked() -> None:
    """256 MiB in 260 KB: by ratio 52 MB would be allowed, by size 32 MiB."""
    bomb = zeros(256 * MIB)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(MessageError) as caught:
        unpack(bomb, XmlLimits())
    elapsed_s = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "compressed_too_large"
    assert elapsed_s < 2
    assert peak < 4 * XmlLimits().unpacked_bytes_max


def test_a_small_bomb_is_refused_for_its_ratio() -> None:
    bomb = zeros(20 * MIB)
    assert len(bomb) < 30_000
    assert problem_of(encoded(bomb)).code == "compressed_ratio"


def test_highly_compressible_data_below_the_free_size_pass() -> None:
    assert unpack(zeros(MIB), XmlLimits()) == bytes(MIB)


def test_the_limit_of_the_size_is_exact() -> None:
    limits = XmlLimits(unpacked_bytes_max=1000)
    assert len(unpack(gzip.compress(bytes(1000)), limits)) == 1000
    with pytest.raises(MessageError) as caught:
        unpack(gzip.compress(bytes(1001)), limits)
    assert caught.value.code == "compressed_too_large"


def test_the_limit_of_the_ratio_is_exact() -> None:
    packed = gzip.compress(bytes(10_000))
    ratio = -(-10_000 // len(packed))
    generous = XmlLimits(unpacked_bytes_free=100, unpacked_ratio_max=ratio)
    assert len(unpack(packed, generous)) == 10_000
    with pytest.raises(MessageError) as caught:
        unpack(packed, XmlLimits(unpacked_bytes_free=100, unpacked_ratio_max=ratio - 1))
    assert caught.value.code == "compressed_ratio"


def test_a_compressed_text_of_nearly_the_whole_message_is_read() -> None:
    """8 MiB of base64, more than libxml2 takes as one text by itself when unpacked."""
    noise = random.Random(1).randbytes(5_500_000).hex()
    content = f'<MeterReadings xmlns="{PAYLOAD_NS}">{noise}</MeterReadings>'
    data = compressed(content.encode())
    assert 7 * MIB < len(data) <= 8 * MIB
    found = read(data)
    assert found.payload is not None
    assert found.payload.text == noise
