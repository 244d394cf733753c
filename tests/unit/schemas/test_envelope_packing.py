"""Documents that come packed: unpacked in pieces, within limits."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from schemas.envelope.packing import digest, pack, unpacked
from schemas.errors import MessageError
from schemas.xml import DEFAULT, MIB

LARGE = bytes(range(256)) * 40_000


@pytest.mark.parametrize("document", [b"", b"<x/>", LARGE])
def test_what_was_packed_comes_back_in_pieces(document: bytes) -> None:
    pieces = list(unpacked(pack(document), replace(DEFAULT, unpacked_ratio_max=1000)))
    assert b"".join(pieces) == document
    assert max(map(len, pieces), default=0) <= 64 * 1024


def test_the_same_document_is_the_same_bytes_and_any_packing_has_the_same_digest() -> None:
    assert pack(b"<x/>") == pack(b"<x/>")
    assert digest(pack(b"<x/>"), DEFAULT) == digest(gzip.compress(b"<x/>", 1, mtime=7), DEFAULT)
    assert digest(pack(b"<x/>"), DEFAULT) != digest(pack(b"<y/>"), DEFAULT)


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        (b"", "compressed_invalid"),
        (b"hello", "compressed_invalid"),
        (pack(b"<x/>" * 1000)[:-1], "compressed_invalid"),
        (pack(b"<x/>") + b"x", "compressed_invalid"),
        (pack(b"<x/>") + pack(b"<x/>"), "compressed_invalid"),
        (pack(b"<x/>") + b"\x00" * 100_000, "compressed_invalid"),
        (pack(b"0" * 8 * MIB), "compressed_ratio"),
    ],
)
def test_what_is_no_whole_gzip_stream_or_a_bomb_is_refused(packed: bytes, code: str) -> None:
    with pytest.raises(MessageError) as caught:
        list(unpacked(packed, DEFAULT))
    assert caught.value.problems[0].code == code


def test_no_more_than_the_limit_is_ever_unpacked() -> None:
    given: list[bytes] = []
    pieces = unpacked(pack(LARGE), replace(DEFAULT, model_bytes_max=MIB))
    with pytest.raises(MessageError) as caught:
        given.extend(pieces)
    assert caught.value.problems[0].code == "compressed_too_large"
    assert sum(map(len, given)) <= MIB
