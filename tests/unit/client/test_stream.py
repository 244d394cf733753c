"""Server-sent events from bytes, as the standard says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.client.stream import Block, StreamParser


def parsed(*pieces: bytes) -> list[Block]:
    parser = StreamParser()
    return [block for piece in pieces for block in parser.feed(piece)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"data: a\n\n", [Block(None, "", "a")]),
        (b"data:a\ndata: b\n\n", [Block(None, "", "a\nb")]),
        (b"id: 7\n\n", [Block("7", "", "")]),
        (b"id\ndata: a\n\n", [Block("", "", "a")]),
        (b"id: 1\0\ndata: a\n\n", [Block(None, "", "a")]),
        (b"event: end\ndata: x\n\n", [Block(None, "end", "x")]),
        (b"event: end\n\ndata: x\n\n", [Block(None, "", "x")]),
        (b": nothing\n\nretry: 10\n\n", []),
        (b"unknown: x\ndata: a\n\n", [Block(None, "", "a")]),
        (b"data: a\n", []),
        (b"\xef\xbb\xbfdata: \xc3\xa4\n\n", [Block(None, "", "ä")]),
    ],
)
def test_a_block_is_what_was_said_until_an_empty_line(said: bytes, expected: list[Block]) -> None:
    assert parsed(said) == expected


SAID = ": x\nid: 1\ndata: ä\ndata: b\n\n:\nid: 2\n\nevent: end\ndata: c\n\n"


@given(st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 80), max_size=20))
def test_lines_end_in_any_way_and_pieces_anywhere(line_end: str, cuts: list[int]) -> None:
    data = SAID.replace("\n", line_end).encode() + b":"  # a CR at the end might go on
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert parsed(*pieces) == [Block("1", "", "ä\nb"), Block("2", "", ""), Block(None, "end", "c")]
