"""A Compressed payload of format RDF: gzip, piece by piece, and back.

Lives here: what is too large to be unpacked as a whole. Must not live here: base64 and the rest of
the envelope (`payload`, `writer`), what the document says.

Invariant: what is unpacked never exceeds the limits, whatever the bytes claim, and the same
document is packed into the same bytes.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

from schemas.errors import MessageError
from schemas.xml import XmlLimits

_PIECE_BYTES: Final = 64 * 1024
_TAKEN_BYTES: Final = 16 * 1024
_LEVEL: Final = 9


def pack(document: bytes) -> bytes:
    """The document as a gzip stream that says nothing else: no name, no time."""
    return gzip.compress(document, _LEVEL, mtime=0)


def unpacked(packed: bytes, limits: XmlLimits) -> Iterator[bytes]:
    """The content of one complete gzip stream, in pieces.

    Raises:
        MessageError: as `schemas.envelope.payload.unpack`, as soon as it is known; what is too
            large is `compressed_too_large`.
    """
    given, allowed = 0, limits.unpacked_ratio_max * len(packed)
    for piece in _inflated(packed):
        given += len(piece)
        if given > limits.model_bytes_max:
            raise MessageError.of(
                "compressed_too_large", f"more than {limits.model_bytes_max} bytes"
            )
        if given > max(allowed, limits.unpacked_bytes_free):
            raise MessageError.of("compressed_ratio", f"more than {limits.unpacked_ratio_max}:1")
        yield piece


def _inflated(packed: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    at = 0
    while not inflater.eof:
        rest = inflater.unconsumed_tail
        if not rest:
            # In slices: what zlib does not consume it copies.
            rest = packed[at : at + _TAKEN_BYTES]
            at += _TAKEN_BYTES
        if not rest:
            raise MessageError.of("compressed_invalid", "the gzip stream is cut off")
        try:
            piece = inflater.decompress(rest, _PIECE_BYTES)
        except zlib.error:
            raise MessageError.of("compressed_invalid", "not a gzip stream, or damaged") from None
        if piece:
            yield piece
    if inflater.unused_data or at < len(packed):
        raise MessageError.of("compressed_invalid", "bytes after the end of the gzip stream")


def digest(packed: bytes, limits: XmlLimits) -> bytes:
    """32 bytes that are the same for two packings of one document.

    Raises:
        MessageError: as `unpacked`.
    """
    content = hashlib.sha256()
    for piece in unpacked(packed, limits):
        content.update(piece)
    return content.digest()
