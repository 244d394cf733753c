"""The incremental form of the parser is as hard as the other."""

from __future__ import annotations

import pytest

from schemas.errors import MessageError
from schemas.xml import StreamLimits, stream


class Recorder:
    """What came, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def declared(self, prefix: str | None, namespace: str | None) -> None:
        self.events.append(("declared", prefix, namespace))

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.events.append(("start", name, attributes, line))

    def text(self, data: str) -> None:
        self.events.append(("text", data))

    def end(self, name: str) -> None:
        self.events.append(("end", name))


def parse(data: bytes, size: int = 7, **limits: int) -> Recorder:
    recorder = Recorder()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    for _ in stream(pieces, recorder, StreamLimits(**limits)):
        pass
    return recorder


def refused(data: bytes, size: int = 7, **limits: int) -> MessageError:
    with pytest.raises(MessageError) as caught:
        parse(data, size, **limits)
    return caught.value


def test_names_come_with_their_namespace_and_elements_with_their_line() -> None:
    found = parse(b'<a xmlns="urn:x">\n<b y="1">t</b>\n</a>')
    assert ("start", "urn:x}a", {}, 1) in found.events
    assert ("start", "urn:x}b", {"y": "1"}, 2) in found.events
    assert ("text", "t") in found.events


@pytest.mark.parametrize("line", [2, 70_000])
def test_a_line_far_down_is_exact(line: int) -> None:
    """libxml2 keeps 16 bits of it and guesses the rest from what follows."""
    data = b"<a>" + b"\n" * (line - 1) + b"<b>\n</b></a>"
    assert ("start", "b", {}, line) in parse(data, 4096).events


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        pytest.param(b"", "xml_not_wellformed", 1, id="nothing"),
        pytest.param(b"<a>\n<b>", "xml_not_wellformed", 2, id="cut off"),
        pytest.param(b"<a>\n</b>", "xml_not_wellformed", 2, id="another end tag"),
        pytest.param(b"<a/>\n<b/>", "xml_not_wellformed", 2, id="two roots"),
        pytest.param(b"<a>\n&x;</a>", "xml_not_wellformed", 2, id="an entity of nobody"),
        pytest.param(b"<a>\n& </a>", "xml_not_wellformed", 2, id="a bare ampersand"),
        pytest.param(b"<a>\n\x01</a>", "xml_not_wellformed", 2, id="a control character"),
        pytest.param(b"<a>\n<p:b/></a>", "xml_not_wellformed", 2, id="a prefix of nobody"),
        pytest.param(b"<a>\n<b c='' c=''/></a>", "xml_not_wellformed", 2, id="twice said"),
        pytest.param(b"\n<!DOCTYPE a><a/>", "xml_forbidden", 2, id="DOCTYPE"),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "xml_forbidden", 1, id="entities"
        ),
        pytest.param(b"<a>\n\xff</a>", "xml_encoding", None, id="no UTF-8"),
        pytest.param(b"<a>\n\xc3", "xml_encoding", None, id="half a character at the end"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(data: bytes, code: str, line: int | None) -> None:
    error = refused(data)
    assert error.code == code
    if line is not None:
        assert error.problems[0].line == line


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param("<a>é</a>".encode(), id="UTF-8"),
        pytest.param("\ufeff<a>é</a>".encode(), id="UTF-8 with a mark"),
        pytest.param("<a>é</a>".encode("utf-16"), id="UTF-16"),
        pytest.param(
            '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1"), id="Latin-1"
        ),
        pytest.param(
            '<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode(), id="UTF-16 that is not"
        ),
    ],
)
def test_every_encoding_gives_the_same_text_however_the_bytes_are_cut(
    data: bytes, size: int
) -> None:
    text = "".join(str(event[1]) for event in parse(data, size).events if event[0] == "text")
    assert text == "é"


def test_more_bytes_than_the_limit_are_not_read() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        yield b"<a>"
        while True:
            taken += 1
            yield b" " * 100

    with pytest.raises(MessageError) as caught:
        for _ in stream(endless(), Recorder(), StreamLimits(bytes_max=1000)):  # type: ignore[arg-type]
            pass
    assert caught.value.code == "message_too_large"
    assert taken == 10


def test_elements_below_the_depth_limit_are_refused() -> None:
    assert len(parse(b"<a>" * 9 + b"</a>" * 9, depth_max=9).events) == 18
    assert refused(b"<a>" * 10 + b"</a>" * 10, depth_max=9).code == "xml_too_deep"


@pytest.mark.parametrize(
    ("before", "after"),
    [("<!--", "-->"), ("<?p ", "?>"), ('<b c="', '"/>'), ("<", "/>")],
    ids=["comment", "processing instruction", "attribute", "name"],
)
def test_a_token_that_does_not_end_is_refused_before_it_fills_the_memory(
    before: str, after: str
) -> None:
    data = f"<a>{before}{'x' * 500_000}{after}</a>".encode()
    assert refused(data, 1000, token_bytes_max=100_000).code == "message_too_large"
    parse(data, 1000)


def test_text_has_no_limit_of_its_own_here() -> None:
    data = b"<a><![CDATA[" + b"x" * 500_000 + b"]]></a>"
    found = parse(data, 1000, token_bytes_max=100_000)
    assert sum(len(str(event[1])) for event in found.events if event[0] == "text") == 500_000
