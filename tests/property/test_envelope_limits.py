"""Whatever an envelope holds, the limits of its compressed payload hold."""

import gzip

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope.payload import unpack
from schemas.errors import MessageError
from schemas.xml import XmlLimits

LIMITS = XmlLimits(unpacked_bytes_max=5_000, unpacked_ratio_max=20, unpacked_bytes_free=500)
contents = st.binary(max_size=200) | st.tuples(st.binary(max_size=3), st.integers(0, 3_000)).map(
    lambda found: found[0] * found[1]
)


def unpacked(packed: bytes) -> tuple[bytes | None, str]:
    """The content and no code, or no content and the code of the refusal."""
    try:
        return unpack(packed, LIMITS), ""
    except MessageError as error:
        return None, error.code


@settings(deadline=None)
@given(contents)
def test_the_content_of_an_envelope_is_unpacked_exactly_within_its_limits(content: bytes) -> None:
    packed = gzip.compress(content)
    by_ratio = max(LIMITS.unpacked_bytes_free, LIMITS.unpacked_ratio_max * len(packed))
    if len(content) <= min(LIMITS.unpacked_bytes_max, by_ratio):
        assert unpacked(packed) == (content, "")
    elif by_ratio < LIMITS.unpacked_bytes_max:
        assert unpacked(packed) == (None, "compressed_ratio")
    else:
        assert unpacked(packed) == (None, "compressed_too_large")


@settings(deadline=None)
@given(contents, st.data())
def test_a_damaged_stream_in_an_envelope_gives_an_error_or_the_content(
    content: bytes, choices: st.DataObject
) -> None:
    packed = bytearray(gzip.compress(content))
    at = choices.draw(st.integers(0, len(packed) - 1))
    packed[at : at + choices.draw(st.integers(0, 3))] = choices.draw(st.binary(max_size=3))
    found, code = unpacked(bytes(packed))
    # gzip's header has bytes that nothing checks, so a change may do no harm.
    assert code.startswith("compressed_") if found is None else found == content
