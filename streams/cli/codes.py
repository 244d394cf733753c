"""`cimstream codes`: what a field code of IEC 61968-9 or -100 says.

Lives here: the argument, what is found and how it is shown. Must not live here: what the numbers
mean (`schemas.codes`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from schemas.codes import Code, describe, parse
from schemas.codes.names import KINDS, Entry, Field, entries, named
from schemas.codes.tables import Row
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Form, OutputForm
from streams.cli.records import to_json
from topics.errors import EXIT_FAILED, OperatorError

Text = Annotated[
    str,
    typer.Argument(
        metavar="TEXT", help="A code of 18, 4, 3 or 2 numbers with points, or a part of a name."
    ),
]


def codes(text: Text, *, output: OutputForm = Form.TABLE) -> None:
    """Say what a code means, field by field, or which numbers a name has.

    18 numbers are a ReadingType, 4 an EndDeviceEventType or EndDeviceControlType, 3 a
    ReadingQualityType, 2 the code of a reply's error. A number that no source knows keeps its
    number: measurementKind(99).

    Exit status: 0, 1 no number is called so.

    Example: cimstream codes 0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0

    Example: cimstream codes energy -o json
    """
    code = parse(text)
    if code is not None:
        _show_code(code, output)
    else:
        _show_rows(_called(text), output)


def _called(text: str) -> list[Entry]:
    """The rows whose name, words or symbol have the text in them, in any case."""
    wanted = text.casefold()
    found = [
        entry
        for entry in entries()
        if wanted in entry.row.name.casefold()
        or wanted in entry.row.text.casefold()
        or wanted == entry.row.symbol.casefold()
    ]
    if not found or not wanted:
        raise OperatorError(
            "code_unknown",
            what=f"{text!r} is no code, and no number is called so",
            fix="write 18, 4, 3 or 2 numbers with points between them, or a part of a name",
            exit_code=EXIT_FAILED,
        )
    return found


def _show_code(code: Code, output: Form) -> None:
    told = list(named(code))
    if output is Form.JSON:
        document = {
            "code": str(code),
            "kind": KINDS[type(code)].title,
            "text": describe(code),
            "fields": [_field(field) for field in told],
        }
        sys.stdout.write(to_json(document) + "\n")
        return
    console = wide_console()
    console.print(f"{KINDS[type(code)].title}: {describe(code)}", markup=False, highlight=False)
    table = _table("field", "number", "name", "meaning", "sources", "confidence")
    for field in told:
        table.add_row(field.key, str(field.number), field.name, *_facts(field.row))
    console.print(table)


def _show_rows(found: Iterable[Entry], output: Form) -> None:
    if output is Form.JSON:
        with pipe_may_close():
            for entry in found:
                sys.stdout.write(to_json(_entry(entry)) + "\n")
        return
    table = _table("code", "field", "number", "name", "meaning", "sources", "confidence")
    for entry in found:
        number = _numbered(entry)
        title = KINDS[entry.code].title
        table.add_row(title, entry.field, number, entry.row.name, *_facts(entry.row))
    wide_console().print(table)


def _table(*columns: str) -> Table:
    return Table(*columns, box=box.SIMPLE_HEAD, header_style="bold")


def _facts(row: Row | None) -> tuple[str, str, str]:
    return (row.text, ", ".join(row.sources), row.confidence) if row else ("", "", "")


def _numbered(entry: Entry) -> str:
    """The number, behind that of the category or group without which it says nothing."""
    number = str(entry.row.number)
    return number if entry.basis is None else f"{entry.basis}.{number}"


def _field(field: Field) -> dict[str, object]:
    found: dict[str, object] = {"field": field.key, "number": field.number, "name": field.name}
    return found | _origin(field.row) if field.row else found


def _entry(entry: Entry) -> dict[str, object]:
    found: dict[str, object] = {
        "kind": KINDS[entry.code].title,
        "field": entry.field,
        "number": _numbered(entry),
        "name": entry.row.name,
    }
    return found | _origin(entry.row)


def _origin(row: Row) -> dict[str, object]:
    return {"text": row.text, "sources": row.sources, "confidence": row.confidence}
