"""The bulk reader at its borders: what it takes, what it leaves, what it remembers."""

import base64
import gzip

import pytest

from schemas import envelope
from schemas.profiles import profile
from schemas.profiles.meter_readings import columns, rows
from schemas.profiles.meter_readings.columns import BulkReader, read_bulk

KWH = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
QUALITY = '<ReadingQualities><ReadingQualityType ref="1.0.0"/></ReadingQualities>'


def readings(count: int, types: tuple[str, ...] = (KWH,), more: str = QUALITY) -> str:
    return "".join(
        f"<Readings><timeStamp>2026-01-{1 + n // 96:02d}T{n // 4 % 24:02d}:{n % 4 * 15:02d}:00Z"
        f'</timeStamp><value>{n * 0.125:.3f}</value>{more}<ReadingType ref="{kind}"/></Readings>'
        for n in range(count)
        for kind in types
    )


def meter(name: str, content: str, after: str = "") -> str:
    return f"<MeterReading><Meter><mRID>{name}</mRID></Meter>{content}{after}</MeterReading>"


def message(
    objects: str, message_id: str = "m-1", root: str = "EventMessage", before: str = ""
) -> bytes:
    verb = {"EventMessage": "created", "RequestMessage": "create", "ResponseMessage": "reply"}
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<{root} xmlns="http://iec.ch/TC57/2011/schema/message"><Header><Verb>{verb[root]}</Verb>'
        f"<Noun>MeterReadings</Noun><Timestamp>2026-01-02T00:00:00Z</Timestamp>"
        f"<MessageID>{message_id}</MessageID></Header>{before}<Payload>"
        f'<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#">{objects}</MeterReadings>'
        f"</Payload></{root}>"
    ).encode()


def assert_like_the_reference(data: bytes) -> None:
    """For a new reader, for one that has seen the message, and for the shared one."""
    expected = envelope.read(data)
    assert expected.payload is not None
    outcome = profile("meter_readings").read(expected.payload)
    reader = BulkReader()
    for read in (reader.read, reader.read, read_bulk):
        bulk = read(data)
        assert bulk is not None
        assert bulk.outcome == outcome
        assert bulk.header == expected.header
        assert bulk.message.reply == expected.reply
        assert bulk.message.format == expected.format


@pytest.mark.parametrize("count", [1, 4, 96, 700])
@pytest.mark.parametrize("meters", [1, 7])
def test_messages_of_all_sizes_are_read_in_bulk(count: int, meters: int) -> None:
    objects = "".join(meter(f"meter-{n}", readings(count)) for n in range(meters))
    assert_like_the_reference(message(objects))


def test_series_that_alternate_in_a_message_are_told_apart() -> None:
    types = (KWH, "3.0.129.160", "short")
    assert_like_the_reference(message(meter("a", readings(200, types)) + meter("b", readings(3))))


def test_readings_with_a_quality_now_and_then_are_read_in_bulk() -> None:
    mixed = "".join(
        readings(96, more=QUALITY if n % 3 else "").replace("2026-01", f"2026-{n + 1:02d}")
        for n in range(6)
    )
    assert_like_the_reference(message(meter("a", mixed) + meter("b", mixed)))


@pytest.mark.parametrize("root", ["RequestMessage", "ResponseMessage"])
def test_requests_and_responses_are_read_too(root: str) -> None:
    reply = "<Reply><Result>OK</Result><Error><code>0.0</code></Error></Reply>"
    before = reply if root == "ResponseMessage" else "<Request><ID>x</ID></Request>"
    assert_like_the_reference(message(meter("a", readings(5)), root=root, before=before))


def test_readings_before_blocks_keep_what_is_theirs() -> None:
    """The profile's order is blocks first; which reading is which must not depend on it."""
    block = readings(4, more="").replace("Readings>", "IntervalReadings>")
    kind = f'<ReadingType ref="{KWH}"/>'
    blocks = f"<IntervalBlocks>{block.replace(kind, '')}{kind}</IntervalBlocks>"
    assert_like_the_reference(message(meter("a", readings(6) + blocks + readings(2))))


def test_definitions_behind_the_meters_go_with_their_series() -> None:
    kind = f"<ReadingType><mRID>{KWH}</mRID><Names><name>kWh</name></Names></ReadingType>"
    assert_like_the_reference(message(meter("a", readings(5)) + kind))


def test_events_in_a_meter_reading_are_read_too() -> None:
    event = (
        "<EndDeviceEvents><createdDateTime>2026-01-01T00:00:00Z</createdDateTime>"
        '<EndDeviceEventType ref="3.26.0.85"/></EndDeviceEvents>'
    )
    objects = meter("a", readings(5)).replace("<Meter>", f"{event}<Meter>")
    assert_like_the_reference(message(objects + meter("b", readings(5))))


def test_character_references_in_names_are_read_too() -> None:
    data = message(meter("Smith &amp; Sons", readings(5)) + meter("é", readings(5)), "m&#45;1")
    assert_like_the_reference(data)


def test_meters_without_readings_between_others_are_counted() -> None:
    objects = meter("a", "") + meter("b", readings(2)) + meter("c", "") + meter("d", readings(2))
    assert_like_the_reference(message(objects + meter("e", "")))


def test_what_a_form_leaves_open_is_filled_in_from_each_message() -> None:
    reader = BulkReader()
    for number in range(20):
        data = message(meter(f"meter-{number}", readings(3)), f"id-{number}")
        bulk = reader.read(data)
        assert bulk is not None
        assert bulk.header.message_id == f"id-{number}"
        assert [item.key for item in bulk.outcome.items] == [f"meter-{number}".encode()]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<x/>", id="no reading"),
        pytest.param(message(meter("a", readings(3)))[:-1], id="cut off"),
        pytest.param(message(meter("a", readings(3))) + b"<x/>", id="more behind"),
        pytest.param(message(meter("a", readings(3)) + meter("", readings(3))), id="no mRID"),
        pytest.param(message(meter("a", readings(3, more="<x/>"))), id="unknown element"),
        pytest.param(message(meter("a", readings(3, types=("",)))), id="no reading type"),
        pytest.param(message(meter("a", readings(3)) + "<x/>"), id="unknown object"),
        pytest.param(message(meter("a", "<!-- x -->" + readings(3))), id="comment"),
        pytest.param(message(meter("a", readings(3)) + "<!--" + meter("b", readings(3)) + "-->"),
                     id="meter in a comment"),
        pytest.param(message(meter("a", readings(3))).replace(b"UTF-8", b"ISO-8859-1"), id="latin"),
        pytest.param(message(meter("a", readings(3))).decode().encode("utf-16"), id="UTF-16"),
        pytest.param(message(meter("a", readings(3))).replace(b"2011/Meter", b"2099/Meter"),
                     id="namespace"),
        pytest.param(message("", before=f"<Request>{meter('a', readings(3))}</Request>"),
                     id="meter in the request"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_reference(data: bytes) -> None:
    assert BulkReader().read(data) is None


def test_a_compressed_payload_is_left_to_the_reference() -> None:
    payload = f'<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#">{meter("a", "")}'
    packed = base64.b64encode(gzip.compress(f"{payload}</MeterReadings>".encode())).decode()
    data = message("").decode()
    start, end = data.index("<MeterReadings"), data.index("</Payload>")
    assert (
        read_bulk(f"{data[:start]}<Compressed>{packed}</Compressed>{data[end:]}".encode()) is None
    )


def test_a_message_over_the_size_limit_is_left_to_the_reference() -> None:
    data = message(meter("a", readings(3)))
    assert BulkReader().read(data, bytes_max=len(data)) is not None
    assert BulkReader().read(data, bytes_max=len(data) - 1) is None


def test_memory_is_bounded_whatever_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms that never come twice: each costs a visit to the reference reader, no more."""
    monkeypatch.setattr(columns, "_FRAMES_MAX", 4)
    monkeypatch.setattr(columns, "_TIMES_MAX", 4)
    monkeypatch.setattr(columns, "_HEADS_MAX", 4)
    reader = BulkReader()
    for number in range(12):
        name = f"<Names><name>door {number}</name></Names>"
        objects = readings(2).replace("2026-01-01T00", f"2026-01-01T{number:02d}")
        data = message(meter("a", objects).replace("</mRID>", f"</mRID>{name}"))
        data = data.replace(b"</Noun>", f"</Noun><Source>HES {number % 6}</Source>".encode())
        assert reader.read(data) is not None
        assert len(reader._heads) <= 4
        assert len(reader._times) <= 4
        assert len(reader._frames) <= 4


def test_the_readings_put_together_again_are_the_message() -> None:
    for count in (3, 90):
        data = message(meter("a", readings(count)) + meter("b", readings(count)))
        found = rows.find(data)
        breaks = iter(found.breaks)
        rebuilt = found.head
        ends = [*(next(breaks) if n == rows.BREAK else found.patterns[n] for n in found.pattern)]
        values = data.split(found.middle)[1:]
        for row, separator in enumerate([*ends, found.last]):
            time = found.times[row * found.time_size : (row + 1) * found.time_size]
            text = values[row][: values[row].index(b"<")]
            rebuilt += found.opening + time + found.middle + text + separator
        assert rebuilt == data


@pytest.mark.parametrize("spelling", ["{}", "urn:uuid:{}", "_{}", "#_{}"])
def test_a_meter_has_one_key_in_every_spelling_of_its_uuid(spelling: str) -> None:
    uuid = "3F7D9A11-58E2-4B77-A0C6-90D1E2F3ABCD"
    data = message(meter(spelling.format(uuid), readings(5)))
    assert_like_the_reference(data)
    bulk = BulkReader().read(data)
    assert bulk is not None
    assert {item.key for item in bulk.outcome.items} == {uuid.lower().encode()}
