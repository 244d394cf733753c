"""A message with some of its objects says of them what it said, and nothing of the others."""

from __future__ import annotations

import base64
import gzip

import pytest
from lxml import etree

from schemas.envelope import excerpt, read
from schemas.xml import DEFAULT

MESSAGE = "http://iec.ch/TC57/2011/schema/message"
READINGS = "http://iec.ch/TC57/2011/MeterReadings#"
HEADER = "<Verb>create</Verb><Noun>MeterReadings</Noun>"


def message(payload: str, header: str = f"{HEADER}<MessageID>m-1</MessageID>") -> bytes:
    return (
        f'<RequestMessage xmlns="{MESSAGE}"><Header>{header}</Header>'
        f"<Payload>{payload}</Payload></RequestMessage>"
    ).encode()


def readings(*names: str) -> str:
    return f'<MeterReadings xmlns="{READINGS}">' + "".join(names) + "</MeterReadings>"


def cut(data: bytes, *kept: int) -> bytes:
    return excerpt(data, kept, "m-1#rest", DEFAULT)


def names(data: bytes) -> list[str]:
    payload = read(data).payload
    assert payload is not None
    return [etree.QName(child).localname for child in payload]


def test_only_the_chosen_objects_are_left() -> None:
    data = message(readings("<a/>\n", "<b>1</b>", "text", "<c/>", "<d/>"))
    assert names(cut(data, 1, 3)) == ["b", "d"]
    assert names(cut(data, 0)) == ["a"]
    assert names(cut(data, 0, 1, 2, 3)) == ["a", "b", "c", "d"]


def test_the_same_excerpt_is_the_same_bytes() -> None:
    packed = base64.b64encode(gzip.compress(readings("<a/>", "<b/>").encode())).decode()
    for data in (message(readings("<a/>", "<b/>")), message(f"<Compressed>{packed}</Compressed>")):
        assert cut(data, 1) == cut(data, 1)


@pytest.mark.parametrize(
    "header",
    [
        f"{HEADER}<MessageID>m-1</MessageID><CorrelationID>c</CorrelationID>",
        f"{HEADER}<Source>s</Source><CorrelationID>c</CorrelationID>",
        f"{HEADER}<Property><Name>n</Name></Property>",
        HEADER,
    ],
)
def test_it_has_an_id_of_its_own_where_the_schema_wants_it(header: str) -> None:
    data = message(readings("<a/>"), header)
    before, after = read(data).header, read(cut(data, 0)).header
    assert before is not None
    assert after is not None
    assert after.message_id == "m-1#rest"
    assert (after.correlation_id, after.properties) == (before.correlation_id, before.properties)
    fields = [etree.QName(one).localname for one in etree.fromstring(cut(data, 0))[0]]
    behind = fields[fields.index("MessageID") + 1 :]
    assert set(behind) <= {"CorrelationID", "Property"}


def test_prefixes_that_only_values_use_keep_their_meaning() -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    data = message(f'<p:MeterReadings xmlns:p="{READINGS}" xmlns:q="urn:q" {xsi}>'
                   '<p:a/><p:b xsi:type="q:T"/></p:MeterReadings>')  # fmt: skip
    kept = read(cut(data, 1)).payload
    assert kept is not None
    assert kept[0].nsmap["q"] == "urn:q"


def test_objects_are_numbered_through_operations_and_empty_operations_are_gone() -> None:
    operations = [("<a/>", "<b/>"), ("<c/>",), (), ("<d/>", "<e/>")]
    xml = "".join(
        f"<Operation><operationId>{number}</operationId><verb>change</verb>"
        f"<elementOperation>true</elementOperation>{readings(*objects)}</Operation>"
        for number, objects in enumerate(operations)
    )
    left = read(cut(message(f"<OperationSet>{xml}</OperationSet>"), 0, 4)).operation_set
    assert left is not None
    assert [
        (one.operation_id, one.verb, one.element_operation, [child.tag for child in one.payload])
        for one in left.operations
        if one.payload is not None
    ] == [(0, "change", True, [f"{{{READINGS}}}a"]), (3, "change", True, [f"{{{READINGS}}}e"])]


def test_a_compressed_payload_stays_compressed() -> None:
    objects = [f"<o{number}>{'text ' * 20}</o{number}>" for number in range(500)]
    packed = base64.b64encode(gzip.compress(readings(*objects).encode())).decode()
    data = message(f"<Compressed>{packed}</Compressed><Format>XML</Format>")
    left = cut(data, *range(1, 500))
    assert names(left) == [f"o{number}" for number in range(1, 500)]
    assert len(left) < 2 * len(data)


def test_another_encoding_and_a_root_of_its_own_are_read() -> None:
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><CreateMeterReadings xmlns="urn:own">'
        f"<Header>{HEADER}</Header><Payload>{readings('<a>é</a>', '<b/>')}</Payload>"
        "</CreateMeterReadings>"
    )
    left = cut(text.encode("iso-8859-1"), 0)
    assert "é" in left.decode("utf-8")
    assert names(left) == ["a"]
