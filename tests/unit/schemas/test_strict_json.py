"""JSON that means one thing, or is refused with a reason."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.strict_json import DEPTH_MAX, VALUES_MAX, JsonError, load

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(VALUES)
def test_what_json_says_is_read(value: object) -> None:
    for ascii_only in (True, False):
        assert load(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


def test_a_number_is_exact() -> None:
    (found,) = load(b"[0.1000000000000000055511151231257827]")
    assert found == Decimal("0.1000000000000000055511151231257827")


@pytest.mark.parametrize(
    ("data", "why", "line"),
    [
        (b"", "not well-formed", 1),
        (b'{"a": 1}\n{', "not well-formed", 2),
        (b"\xef\xbb\xbf{}", "not well-formed", None),
        (b'{"a":\n "\xff"}', "not UTF-8", 2),
        (b'{"a": 1, "a": 1}', "the same name twice", None),
        (b'{"\\u0061": 1, "a": 1}', "the same name twice", None),
        (b"[NaN]", "NaN is no number", None),
        (b"[-Infinity]", "-Infinity is no number", None),
        (b'["\\ud800"]', "half a surrogate", None),
        (b"[" + b"9" * 65 + b"]", "more than 64", None),
        (b"[1e99999]", "too large", None),
        (b"[01]", "not well-formed", 1),
        (b"[1,]", "not well-formed", 1),
    ],
)
def test_what_could_mean_two_things_is_refused(data: bytes, why: str, line: int | None) -> None:
    with pytest.raises(JsonError, match=why) as caught:
        load(data)
    if line is not None:
        assert caught.value.line == line


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_bounded_before_anything_is_parsed(opening: bytes) -> None:
    with pytest.raises(JsonError, match="nested deeper"):
        load(opening * (DEPTH_MAX + 1))
    with pytest.raises(JsonError, match="more than"):
        load(opening * 1_000_000)
    closing = b"]" if opening == b"[" else b"}"
    load(opening * (DEPTH_MAX - 1) + b"[]" + closing * (DEPTH_MAX - 1))


@pytest.mark.parametrize("value", [b"0", b"[]", b'{"a":0}', b'","'])
def test_values_are_counted_before_anything_is_parsed(value: bytes) -> None:
    load(b"[" + b",".join([value] * (VALUES_MAX // 2 - 1)) + b"]")
    with pytest.raises(JsonError, match="more than"):
        load(b"[" + b",".join([value] * (VALUES_MAX + 2)))


def test_brackets_in_a_text_are_no_depth() -> None:
    assert load(json.dumps(["[" * 1000 + '"\\' + "{" * 1000]).encode())


@given(
    st.binary(max_size=200)
    | st.text(alphabet='[]{}":,\\ue0d81nulltrefas', max_size=60).map(str.encode)
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(JsonError):
        load(data)
