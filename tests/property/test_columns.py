"""The bulk reader against the reference reader: the same items, or nothing.

Messages are drawn in the forms that senders use, then damaged in every way that tokens can
be damaged. Each is read through the path for few and for many readings, by a reader that
has never seen anything and by one that remembers all earlier examples.
"""

import re
from copy import deepcopy
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from schemas import envelope
from schemas.profiles import profile
from schemas.profiles.meter_readings import rows
from schemas.profiles.meter_readings.columns import BulkMessage, BulkReader

REFERENCE = profile("meter_readings")
TYPES = ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "3.0.129.160", "1-0:1.8.0*255")
BOTH_PATHS = pytest.mark.parametrize("small_bytes", [0, 1 << 30], ids=["many", "few"])


@pytest.fixture
def reader(small_bytes: int, monkeypatch: pytest.MonkeyPatch) -> BulkReader:
    """One reader per test, so that its memory grows over the examples."""
    monkeypatch.setattr(rows, "_SMALL_BYTES", small_bytes)
    return BulkReader()


def agreed(data: bytes, reader: BulkReader) -> BulkMessage | None:
    """What the bulk reader says, after comparing it with the reference reader."""
    fresh = BulkReader().read(data)
    bulk = reader.read(data)
    assert (fresh is None) == (bulk is None)
    if bulk is None or fresh is None:
        return None
    message = envelope.read(data)
    assert message.payload is not None
    outcome = REFERENCE.read(message.payload)
    for found in (fresh, bulk):
        assert found.outcome == outcome
        assert found.header == message.header
        assert found.message.kind is message.kind
        assert found.message.payload is None
    assert not outcome.rejected
    return bulk


# --- messages --------------------------------------------------------------------------------

TEXTS = ["0", "0.000", "12.5", "-3.25", "007", "123456789012345", "99999.9999999999", "1", "-0.0"]
texts = st.sampled_from(TEXTS)
ODD_TEXTS = [
    "",
    " 1.5",
    "1e3",
    "+4",
    ".5",
    "5.",
    "1234567890123456",
    "NaN",
    "INF",
    "-",
    "1,5",
    "1.2.3",
    "x",
]
odd_texts = st.sampled_from(ODD_TEXTS)


@dataclass(frozen=True)
class Style:
    """How a sender writes XML."""

    prefix: str
    pretty: bool
    zone: str
    fraction: str
    declaration: bool
    qualities_first: bool


styles = st.builds(
    Style,
    prefix=st.sampled_from(["", "m:", "ns2:"]),
    pretty=st.booleans(),
    zone=st.sampled_from(["Z", "+01:00", "-05:30"]),
    fraction=st.sampled_from(["", ".0", ".125", ".9999"]),
    declaration=st.booleans(),
    qualities_first=st.booleans(),
)


def tag(style: Style, name: str, content: str = "", attributes: str = "") -> str:
    opening = f"{style.prefix}{name}{attributes}"
    return f"<{opening}>{content}</{style.prefix}{name}>" if content else f"<{opening}/>"


def reading(style: Style, shape: str, step: int, text: str, extra: str, kind: str) -> str:
    hour, quarter = divmod(step, 4)
    time = f"2026-03-{1 + hour // 24:02d}T{hour % 24:02d}:{quarter * 15:02d}:00"
    content = tag(style, "timeStamp", f"{time}{style.fraction}{style.zone}")
    content += f"<{style.prefix}value>{text}</{style.prefix}value>"
    qualities = "".join(
        tag(style, "ReadingQualities", tag(style, "ReadingQualityType", attributes=f' ref="{ref}"'))
        for ref in extra.split()
    )
    content = qualities + content if style.qualities_first else content + qualities
    if shape == "Readings":
        content += tag(style, "ReadingType", attributes=f' ref="{kind}"')
    return tag(style, shape, content)


@st.composite
def meters(draw: st.DrawFn, style: Style, values: st.SearchStrategy[str]) -> str:
    shape = draw(st.sampled_from(["Readings", "IntervalReadings"]))
    count = draw(st.integers(0, 12))
    stride = draw(st.sampled_from([1, 1, 1, 2, 4]))
    kinds = draw(st.sampled_from([TYPES[:1], TYPES[:2], TYPES[1:]]))
    extras = draw(st.sampled_from([("",), ("1.0.0",), ("", "", "5.4.260"), ("1.0.0 2.7.1", "")]))
    readings = [
        reading(style, shape, step * stride, draw(values), extras[step % len(extras)], kind)
        for step in range(count)
        for kind in (kinds if shape == "Readings" else kinds[:1])
    ]
    other_shape = "IntervalReadings" if shape == "Readings" else "Readings"
    others = [
        reading(style, other_shape, step, draw(values), extras[step % len(extras)], kinds[0])
        for step in range(draw(st.sampled_from([0, 0, 1, 3])))
    ]
    identity = tag(style, "mRID", draw(st.sampled_from(["a", "meter-1", "4711|x", "é", "A b"])))
    if draw(st.booleans()):
        inner = tag(style, "name", "door") + tag(
            style, "NameType", tag(style, "name", draw(st.sampled_from(["kind", "other"])))
        )
        identity += tag(style, "Names", inner)
    gap = "\n      " if style.pretty else ""
    kind = tag(style, "ReadingType", attributes=f' ref="{kinds[0]}"')

    def laid_out(shape: str, listed: list[str]) -> list[str]:
        if shape == "Readings":
            return [gap.join(listed)]
        cut = draw(st.sampled_from([0, len(listed) // 2]))
        return [
            tag(style, "IntervalBlocks", gap.join(draw(st.permutations([gap.join(part), kind]))))
            for part in ([listed] if not cut else [listed[:cut], listed[cut:]])
        ]

    parts = [tag(style, "Meter", identity), *laid_out(shape, readings)]
    parts += laid_out(other_shape, others) if others else []
    if draw(st.booleans()):
        parts.append(tag(style, "UsagePoint", tag(style, "mRID", draw(st.sampled_from("uv")))))
    # In any order: see docs/adr/0005.
    content = gap.join(draw(st.permutations(parts)))
    return tag(style, "MeterReading", content)


@st.composite
def messages(draw: st.DrawFn, values: st.SearchStrategy[str] = texts) -> bytes:
    style = draw(styles)
    gap = "\n    " if style.pretty else ""
    objects = draw(st.lists(meters(style, values), min_size=1, max_size=4))
    scope = f"xmlns{':' + style.prefix[:-1] if style.prefix else ''}"
    noun = f"{style.prefix}MeterReadings"
    root, verb = draw(st.sampled_from([("EventMessage", "created"), ("RequestMessage", "create")]))
    number = draw(st.integers(0, 99))
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n' if style.declaration else "",
        f'<{root} xmlns="http://iec.ch/TC57/2011/schema/message"><Header><Verb>{verb}</Verb>',
        "<Noun>MeterReadings</Noun>",
        f"<Timestamp>2026-03-02T00:00:{number % 60:02d}Z</Timestamp><Source>HES</Source>",
        f"<MessageID>m-{number}</MessageID>" if draw(st.booleans()) else "",
        f'</Header><Payload><{noun} {scope}="http://iec.ch/TC57/2011/MeterReadings#">',
        gap,
        gap.join(objects),
        gap,
        f"</{noun}></Payload></{root}>",
    ]
    return "".join(parts).encode()


PLAIN = (
    b'<EventMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header><Verb>created</Verb>'
    b"<Noun>MeterReadings</Noun></Header><Payload>"
    b'<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading>'
    b"<Meter><mRID>a</mRID></Meter><Readings><timeStamp>2026-03-01T00:00:00Z</timeStamp>"
    b'<value>0</value><ReadingType ref="x"/></Readings></MeterReading></MeterReadings>'
    b"</Payload></EventMessage>"
)

# --- damage ----------------------------------------------------------------------------------

TOKEN = re.compile(rb"<[^>]*>|[^<]+")
NASTY = (
    b"<!-- x -->", b"<!--", b"-->", b"<![CDATA[1]]>", b"<?pi x?>", b"&amp;", b"&#48;", b"&", b"<",
    b">", b"\x00", b"\x0c", b"\xff", b" ", b"\n", b"x", b"1", b"T24:00:00Z",
    b"2026-02-29T00:00:00Z", b"2026-03-01T00:00:00", b"2026-03-01T24:00:00Z",
    b"1999-12-31T00:00:00Z", b"<timeStamp>", b"</timeStamp><value>", b"<value>", b"</value>",
    b"<Readings>", b"</Readings>", b"<MeterReading>", b"</MeterReading>", b"<MeterReading >",
    b"<MeterReading a='b'>", b"<IntervalReadings>", b"<IntervalBlocks>", b"</IntervalBlocks>",
    b"<MeterReading/>", b"<x/>", b"<x:timeStamp>", b'<ReadingType ref="x"/>', b"<ReadingType/>",
    b'<ReadingType ref=""/>', b"<mRID></mRID>", b"<mRID/>", b"<Meter/>", b"</MeterReadings>",
    b"<MeterReadings>", b"</Payload>", b"<Payload>",
    b"<timePeriod><end>2026-03-01T00:00:00Z</end></timePeriod>", b"<Header>",
    b"<MessageID>q</MessageID>", b"<Timestamp>yesterday</Timestamp>",
    b"<Names><name>n</name></Names>", b"<reason>moveIn</reason>",
    b'<MeterReading xmlns="urn:other">', b'<Readings xmlns="">', "\ue000\ue100".encode(),
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    tokens = TOKEN.findall(draw(messages(st.sampled_from(TEXTS * 6 + ODD_TEXTS))))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(tokens) - 1))
        other = draw(st.integers(0, len(tokens) - 1))
        match draw(
            st.sampled_from(["drop", "twice", "swap", "next", "put", "replace", "move", "cut"])
        ):
            case "drop":
                del tokens[place]
            case "twice":
                tokens.insert(place, tokens[place])
            case "swap":
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case "next":
                tokens[place : place + 2] = reversed(tokens[place : place + 2])
            case "put":
                tokens.insert(place, draw(st.sampled_from(NASTY)))
            case "replace":
                tokens[place] = draw(st.sampled_from(NASTY))
            case "move":
                first, last = sorted((place, other))
                piece = tokens[first:last][:40]
                tokens[other:other] = piece
            case "cut":
                tokens = tokens[: max(1, place)]
        if not tokens:
            return b""
    return b"".join(tokens)


@st.composite
def rearranged(draw: st.DrawFn) -> bytes:
    """Well-formed still: elements dropped, repeated, swapped, moved, renamed, filled."""
    root = etree.fromstring(draw(messages()))
    for _ in range(draw(st.integers(1, 3))):
        elements = [element for element in root.iter() if element.getparent() is not None]
        if not elements:
            break
        element = draw(st.sampled_from(elements))
        other = draw(st.sampled_from(elements))
        parent = element.getparent()
        assert parent is not None
        match draw(
            st.sampled_from(["drop", "twice", "next", "move", "rename", "attribute", "text"])
        ):
            case "drop":
                parent.remove(element)
            case "twice":
                parent.insert(draw(st.integers(0, len(parent))), deepcopy(element))
            case "next":
                parent.insert(parent.index(element) + 1, element)
                parent.append(parent[0])
            case "move":
                other.append(deepcopy(element))
            case "rename":
                element.tag = other.tag
            case "attribute":
                element.set("ref", draw(st.sampled_from(["", "x", "1.0.0"])))
            case "text":
                element.text = draw(st.one_of(texts, odd_texts, st.just("2026-03-01T00:00:00Z")))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=draw(st.booleans()))


@st.composite
def scratched(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(messages()))
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(
            st.one_of(st.sampled_from(b"<>/:&;\"'=0 9-.ZT!?\n"), st.integers(0, 255))
        )
    return bytes(data)


# --- tests -----------------------------------------------------------------------------------

thorough = settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)


@BOTH_PATHS
@thorough
@given(data=messages())
def test_a_message_in_a_usual_form_is_read_in_bulk_and_like_the_reference(
    data: bytes, reader: BulkReader
) -> None:
    has_readings = b"timeStamp>" in data
    assert (agreed(data, reader) is not None) == has_readings


@BOTH_PATHS
@thorough
@given(data=damaged())
@example(data=b"")
def test_a_damaged_message_is_read_like_the_reference_or_left_to_it(
    data: bytes, reader: BulkReader
) -> None:
    agreed(data, reader)


@BOTH_PATHS
@thorough
@given(data=rearranged())
def test_a_message_with_elements_out_of_place_is_read_like_the_reference_or_left_to_it(
    data: bytes, reader: BulkReader
) -> None:
    agreed(data, reader)


@BOTH_PATHS
@thorough
@given(data=scratched())
@example(data=b'<?xml version="1.0" encoding="U"F-8"?>' + PLAIN)
def test_a_message_with_changed_bytes_is_read_like_the_reference_or_left_to_it(
    data: bytes, reader: BulkReader
) -> None:
    agreed(data, reader)


@BOTH_PATHS
@thorough
@given(data=messages(), cut=st.integers(0, 4000))
def test_a_truncated_message_is_never_read(data: bytes, cut: int, reader: BulkReader) -> None:
    assert agreed(data[: min(cut, len(data) - 1)], reader) is None
