"""JSON that means one thing: bytes from outside to values.

Lives here: what of JSON is read, and its limits. Must not live here: what the values mean (see
`schemas.avro.documents`).

A reader that takes the last of two equal names sees another document than one that takes the
first; so what RFC 8259 leaves to the reader is refused: names that come twice, NaN and Infinity,
texts that are no Unicode.

Invariant: numbers are exact (`int`, `Decimal`), and what is read costs time and memory linear in
its length.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias

Json: TypeAlias = Any
DEPTH_MAX: Final = 64
"""Arrays and objects on the path to the deepest value, as of elements in XML."""
VALUES_MAX: Final = 100_000
"""In all arrays and objects together. A record becomes CIM XML, where a value takes 80 bytes and
more: of more values no message has room, and each costs microseconds in Python."""
# More than the longest number of a profile (38 digits) with point, sign and exponent; what a
# number costs to convert is the square of its length.
_DIGITS_MAX: Final = 64
_EXPONENT_MAX: Final = 400  # a double ends at 308

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_BRACKETS: Final = re.compile(rb"[^\[\]{}]++")


class JsonError(ValueError):
    """The bytes are no JSON as it is read here; `line` counts from 1, None where it is all of it.

    Raised by `load` only. The text says why and holds no value of the document.
    """

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


def load(data: bytes) -> Json:
    """The value in the bytes: `dict`, `list`, `str`, `int`, `Decimal`, `bool` or None.

    The size is bounded by whoever has read the bytes.

    Raises:
        JsonError: no UTF-8, no JSON, a name twice, NaN or Infinity, a number of more than 64
            characters, half a surrogate pair, more than `VALUES_MAX` values, or nested deeper
            than `DEPTH_MAX`.
    """
    _check_size(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError("it is not UTF-8", _line(data, error.start)) from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonError("it is not well-formed", error.lineno) from None
    if _SURROGATE.search(data):
        _refuse_halves(value)
    return value


def _check_size(data: bytes) -> None:
    """Before the parser, which would go as deep and as far as the bytes say."""
    bare = _STRING.sub(b"", data)
    brackets = _NOT_BRACKETS.sub(b"", bare)
    if bare.count(b",") + len(brackets) // 2 > VALUES_MAX:
        raise JsonError(f"it has more than {VALUES_MAX} values")
    depth = 0
    for bracket in brackets:
        if bracket in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise JsonError(f"arrays and objects are nested deeper than {DEPTH_MAX}")
        else:
            depth -= 1


def _refuse_halves(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise JsonError("a text has half a surrogate pair") from None


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("an object has the same name twice")
    return found


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is no number of JSON")


def _integer(text: str) -> int:
    return int(_short(text))


def _decimal(text: str) -> Decimal:
    number = Decimal(_short(text))
    if number and abs(number.adjusted()) > _EXPONENT_MAX:
        raise JsonError("a number is too large or too small")
    return number


def _short(text: str) -> str:
    if len(text) > _DIGITS_MAX:
        raise JsonError(f"a number has more than {_DIGITS_MAX} characters")
    return text


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_constant,
    parse_float=_decimal,
    parse_int=_integer,
)
