"""Whole codes to names and back, and in words.

Lives here: which table each field has, how the words of the fields make a phrase. Must not live
here: the tables and their rules (see `tables`), taking a code apart (see `dotted`).

Invariant: `from_fields(type(code), fields(code)) == code` for every code that `parse` gives, also
where a number has no name. Nothing here raises for a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast

from schemas.codes.dotted import EventTypeCode, QualityCode, ReadingTypeCode, ReplyCode
from schemas.codes.tables import Row, Table, camel, load

Code: TypeAlias = ReadingTypeCode | EventTypeCode | QualityCode | ReplyCode
AnyCode = TypeVar("AnyCode", bound=Code)


class Kind(NamedTuple):
    """A kind of code: the folder of its tables, and what the standards call it."""

    folder: str
    title: str


KINDS: Final[Mapping[type[Code], Kind]] = {
    ReadingTypeCode: Kind("reading_type", "ReadingType"),
    EventTypeCode: Kind("event_type", "EndDeviceEventType"),
    QualityCode: Kind("quality", "ReadingQualityType"),
    ReplyCode: Kind("reply", "Reply.Error.code"),
}
"""All codes. An EndDeviceControlType has the numbers of an EndDeviceEventType."""

# The number behind the category or the first digit means something within that only.
_DEPENDS: Final = {(QualityCode, "number"): "category", (ReplyCode, "number"): "group"}

# Numerators and denominators are numbers, nothing else.
_PLAIN: Final = frozenset(
    {
        "interharmonic_numerator", "interharmonic_denominator",
        "argument_numerator", "argument_denominator",
    }
)  # fmt: skip


class Field(NamedTuple):
    """One field of a code: as CIM writes it, its number, what that is called, the row if any."""

    key: str
    number: int
    name: str
    row: Row | None


class Entry(NamedTuple):
    """One row of the tables; `basis` is the number of the field that its own depends on."""

    code: type[Code]
    field: str
    basis: int | None
    row: Row


def parse(text: str) -> Code | None:
    """The code that has the shape of the text: 18, 4, 3 or 2 numbers; None for another shape."""
    for kind in KINDS:
        code = kind.parse(text)
        if code is not None:
            return code
    return None


def named(code: Code) -> Iterator[Field]:
    """The fields of a code in their order."""
    for field, number in zip(code._fields, code, strict=True):
        table = _table(code, field)
        if table is None:
            yield Field(camel(field), number, str(number), None)
        else:
            yield Field(table.field, number, table.name(number), table.rows.get(number))


def fields(code: Code) -> dict[str, str]:
    """The name of each field's number by the field: `{"measurementKind": "energy", …}`."""
    return {field.key: field.name for field in named(code)}


def from_fields(kind: type[AnyCode], names: Mapping[str, str]) -> AnyCode:
    """The code whose fields have these names; a field that is not named is 0.

    Raises:
        ValueError: a field is not one of the code's, a name not one of the field's, or a number
            not one that the field can have.
    """
    keys = {camel(field): field for field in kind._fields}
    if wrong := names.keys() - keys.keys():
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(wrong))}")
    numbers = dict.fromkeys(kind._fields, 0)
    # The field that another depends on stands before it.
    for key, field in keys.items():
        if key in names:
            numbers[field] = _number(kind._make(numbers.values()), field, names[key])
    code = kind._make(numbers.values())
    if kind.parse(str(code)) != code:
        raise ValueError(f"{code} is not a code: a number is out of its range")
    return cast("AnyCode", code)


def describe(code: Code) -> str:
    """The code in words: "60-minute delta of forward energy in kWh, electricity"."""
    words = {field: _text(code, field) for field in code._fields}
    if isinstance(code, ReadingTypeCode):
        return _reading(code, words) or "not specified"
    if isinstance(code, EventTypeCode):
        where = _joined(", ", words["type"], words["domain"], words["sub_domain"])
        return _joined(": ", where, words["event_or_action"]) or "not specified"
    if isinstance(code, QualityCode):
        said = _joined(", ", words["category"], words["number"])
        return f"{said} ({words['system']})" if words["system"] else said
    return _joined(": ", words["group"], words["number"])


def entries() -> Iterator[Entry]:
    """Every row of every table, in the order of codes, fields and numbers."""
    for code, kind in KINDS.items():
        for field in code._fields:
            if field not in _PLAIN:
                for basis, table in load(kind.folder, field).items():
                    for row in table.rows.values():
                        yield Entry(code, table.field, basis, row)


def _reading(code: ReadingTypeCode, words: Mapping[str, str]) -> str:
    value = _joined(
        " ",
        words["macro_period"],
        words["aggregate"],
        words["measuring_period"],
        words["accumulation"],
    )
    quantity = _joined(" ", words["flow_direction"], words["measurement_kind"])
    # "daily maximum of demand", and "daily demand" where no noun stands before the quantity.
    link = " of " if code.aggregate or code.accumulation else " "
    return _joined(
        ", ",
        _joined(" in ", _joined(link, value, quantity), _unit(code)),
        words["commodity"],
        words["phases"],
        _fraction("harmonic", code.interharmonic_numerator, code.interharmonic_denominator),
        _fraction("argument", code.argument_numerator, code.argument_denominator),
        words["tou"],
        words["cpp"],
        words["consumption_tier"],
        words["currency"],
    )


def _unit(code: ReadingTypeCode) -> str:
    """`kWh`; where prefix or unit have no symbol, the power of ten and words."""
    unit = _row(code, "unit")
    prefix = _row(code, "multiplier")
    if unit is not None and prefix is not None and unit.symbol:
        return prefix.symbol + unit.symbol
    words = unit.symbol if unit is not None and unit.symbol else _text(code, "unit")
    return _joined(" ", f"10^{code.multiplier}" if code.multiplier else "", words)


def _fraction(what: str, numerator: int, denominator: int) -> str:
    if not numerator and not denominator:
        return ""
    return f"{what} {numerator}/{denominator}" if denominator != 1 else f"{what} {numerator}"


def _joined(link: str, *parts: str) -> str:
    """What is said, each thing once: category and reason may be the same word."""
    return link.join(dict.fromkeys(part for part in parts if part))


def _row(code: Code, field: str) -> Row | None:
    table = _table(code, field)
    return table.rows.get(getattr(code, field)) if table else None


def _text(code: Code, field: str) -> str:
    table = _table(code, field)
    return table.text(getattr(code, field)) if table else ""


def _number(code: Code, field: str, name: str) -> int:
    table = _table(code, field)
    if table is not None:
        return table.number(name)
    if not (name.isascii() and name.isdigit()):
        raise ValueError(f"{camel(field)} is a number, not {name!r}")
    return int(name)


def _table(code: Code, field: str) -> Table | None:
    """The table of a field, without rows where nothing is known; None where it needs none."""
    if field in _PLAIN:
        return None
    tables = load(KINDS[type(code)].folder, field)
    basis = _DEPENDS.get((type(code), field))
    number = None if basis is None else getattr(code, basis)
    return tables.get(number) or Table(camel(field), {})
